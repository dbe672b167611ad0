package cli

import (
	"slices"
	"strings"
	"testing"
)

// The manual page names every command and option, as they are typed, and is
// made of what man(1) knows.
func TestManPage(t *testing.T) {
	r := croft(t, nil, "man")
	if r.status != 0 || r.err != "" || r.called != "" {
		t.Fatalf("%+v", r)
	}
	page := strings.NewReplacer(`\-`, "-", `\e`, `\`, `\(dq`, `"`).Replace(r.out)
	root := (&app{}).commands()
	eachVerb(root, nil, func(path []string, v *verb) {
		name := "croft " + strings.Join(path, " ")
		_, section, ok := strings.Cut(page, `.SS "`+name)
		section, _, _ = strings.Cut(section, "\n.SS ")
		if !ok {
			t.Errorf("no section %q", name)
		}
		for _, o := range v.options {
			if !strings.Contains(section, "\n.B \""+strings.ReplaceAll(o.typed(), "…", "...")+"\"\n"+capital(o.usage[:1])) {
				t.Errorf("%s: no %s", name, o.typed())
			}
		}
	})
	macros := []string{".TH", ".SH", ".SS", ".TP", ".B", ".I", ".PP", ".nf", ".fi"}
	filled := true
	for line := range strings.Lines(r.out) {
		line = strings.TrimSuffix(line, "\n")
		word, _, _ := strings.Cut(line, " ")
		switch {
		case word == ".nf" || word == ".fi":
			if filled == (word == ".fi") {
				t.Errorf("%s out of place", word)
			}
			filled = word == ".fi"
		case strings.HasPrefix(line, ".") && !slices.Contains(macros, word), strings.HasPrefix(line, "'"):
			t.Errorf("no macro of man's: %q", line)
		case !filled:
		case line == "":
			t.Error("an empty line in filled text")
		}
	}
	if !filled {
		t.Error("it ends verbatim")
	}
}

func TestRoffKeepsText(t *testing.T) {
	var r roff
	r.text(escape(`.so /etc/passwd`))
	r.text(escape(`'x' \n --opt`))
	r.macro("B", `"a" \fB-x`)
	want := "\\&.so /etc/passwd\n\\&'x' \\en \\-\\-opt\n.B \"\\(dqa\\(dq \\efB\\-x\"\n"
	if r.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &r, want)
	}
}
