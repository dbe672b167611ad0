package cli

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"croft/cli/cmdline"
	"croft/cli/command"
)

// page returns a page of croft man as a reader sees it.
func page(t *testing.T, words ...string) string {
	t.Helper()
	r := croft(t, nil, append([]string{"man"}, words...)...)
	if r.status != 0 || r.err != "" || r.called != "" {
		t.Fatalf("man %v: %+v", words, r)
	}
	return strings.NewReplacer(`\-`, "-", `\e`, `\`, `\(aq`, "'", `\(dq`, `"`, `\(ti`, "~", `\(ga`, "`", `\(ha`, "^", `\fB`, "", `\fR`, "").Replace(r.out)
}

// Every command has a page with every section, and every option of it.
func TestManPages(t *testing.T) {
	listed := strings.Fields(croft(t, nil, "man", "--list").out)
	sections := []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"}
	for _, name := range listed {
		text := page(t, name)
		for _, s := range sections {
			if strings.Count(text, "\n.SH \""+s+"\"\n") != 1 {
				t.Errorf("%s has no section %s", name, s)
			}
		}
		if !strings.Contains(text, "\n"+name+" - ") {
			t.Errorf("%s: NAME does not name it", name)
		}
	}
	root := commands((&command.App{}))
	eachVerb(root, nil, func(path []string, v *cmdline.Verb) {
		text := page(t, path...)
		own := strings.HasPrefix(text, `.TH "`+strings.ToUpper(cmdline.PageName(root, path)))
		if !own && path[0] != "oci" {
			t.Errorf("%v has no page of its own", path)
		}
		if _, sub, ok := strings.Cut(text, `.SS "`+v.Name); !own && ok {
			text = sub
		}
		for _, o := range v.Shown() {
			if !strings.Contains(text, ".TP\n"+o.Typed()+"\n"+cmdline.Capital(o.Usage)+".\n") {
				t.Errorf("%s: no %s", cmdline.PageName(root, path), o.Typed())
			}
		}
		for _, e := range v.Examples {
			if !strings.Contains(text, "\n"+e+"\n") && own {
				t.Errorf("%s: no example %s", cmdline.PageName(root, path), e)
			}
		}
	})
	for _, path := range cmdline.Pages(root) {
		if name := cmdline.PageName(root, path); !strings.Contains(strings.Join(listed, " ")+" ", name+" ") {
			t.Errorf("--list does not have %s", name)
		}
	}
	if !strings.Contains(page(t, "create"), "/etc/croft/recipes") || strings.Contains(page(t, "stop"), "/etc/croft/recipes") {
		t.Error("recipes are in FILES of the wrong pages")
	}
	if r := croft(t, nil, "man", "nonsense"); r.status != 2 {
		t.Errorf("%+v", r)
	}
}

// Paragraphs are filled to the width of the reader. Only examples and lists keep
// their lines.
func TestManPagesAreFilled(t *testing.T) {
	root := commands((&command.App{}))
	for _, path := range cmdline.Pages(root) {
		text := page(t, cmdline.PageName(root, path))
		for block := range strings.SplitSeq(text, "\n.nf\n") {
			block, _, inside := strings.Cut(block, "\n.fi\n")
			for line := range strings.Lines(block) {
				if inside && !strings.HasPrefix(line, " ") && !strings.Contains(line, "croft ") {
					t.Errorf("%s: kept as it is: %s", cmdline.PageName(root, path), line)
				}
			}
		}
	}
	if page(t, "list") == page(t, "stop") {
		t.Fatal("two pages are one")
	}
}

// groff prints no warning, and no line of a page is wider than the terminal, except
// examples and lists.
func TestManPagesInGroff(t *testing.T) {
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("there is no groff here")
	}
	const width = 60
	var pages strings.Builder
	kept := map[string]bool{}
	root := commands((&command.App{}))
	for _, path := range cmdline.Pages(root) {
		pages.WriteString(croft(t, nil, "man", cmdline.PageName(root, path)).out)
		for block := range strings.SplitSeq(page(t, cmdline.PageName(root, path)), "\n.nf\n") {
			block, _, _ := strings.Cut(block, "\n.fi\n")
			for line := range strings.Lines(block) {
				kept[strings.TrimSpace(line)] = true
			}
		}
	}
	var out, complaints strings.Builder
	groff := exec.Command("groff", "-man", "-Tascii", "-ww", "-P-cbou", "-rLL=60n")
	groff.Stdin, groff.Stdout, groff.Stderr = strings.NewReader(pages.String()), &out, &complaints
	if err := groff.Run(); err != nil || complaints.Len() > 0 {
		t.Errorf("groff: %v\n%s", err, &complaints)
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) > width && !kept[strings.TrimSpace(line)] {
			t.Errorf("%d characters: %s", len(line), line)
		}
	}
}

func TestManPageGolden(t *testing.T) {
	const file = "testdata/man/croft-restart.8"
	got := croft(t, nil, "man", "restart").out
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
