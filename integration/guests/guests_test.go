package guests

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// A document keeps what it has of other hosts, and rows of things that no longer
// exist go.
func TestUpdate(t *testing.T) {
	empty := "# Title\n" + begin("programs") + end + "between\n" + begin("sandbox") + end
	names := map[string][]string{"programs": {"Docker", "Redis"}, "sandbox": {"PrivateTmp=yes"}}
	first, err := Update(empty, names, []Result{
		{Table: "programs", Name: "Redis", Version: "8", Host: "v1", First: Works, Again: Works, Remark: "fast"},
		{Table: "programs", Name: "gone", Host: "v1"},
		{Table: "sandbox", Name: "PrivateTmp=yes", Host: "v2", First: Works},
	})
	if !strings.Contains(first, "| Docker | | not tried | not tried | not tried | not tried | |\n") {
		t.Errorf("a new program has no row:\n%s", first)
	}
	if err != nil {
		t.Fatal(err)
	}
	second, err := Update(first, names, []Result{
		{Table: "programs", Name: "Redis", Version: "9", Host: "v2", First: "fails at `a | b`"},
		{Table: "programs", Name: "Docker", Version: "26", Host: "v2", First: Works, Again: Works},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "# Title\n" + begin("programs") + heads["programs"] +
		"| Docker | 26 | not tried | not tried | works | works | |\n" +
		"| Redis | 9 | works | works | fails at `a \\| b` | not tried | |\n" + end + "between\n" +
		begin("sandbox") + heads["sandbox"] + "| `PrivateTmp=yes` | not tried | works | |\n" + end
	if second != want {
		t.Errorf("%s\nnot\n%s", second, want)
	}
	if third, err := Update(second, names, nil); err != nil || third != second {
		t.Errorf("without results it becomes\n%s (%v)", third, err)
	}
	if _, err := Update("other", names, nil); err == nil {
		t.Error("a document without tables is accepted")
	}
}

func TestResultLine(t *testing.T) {
	r := Result{Table: "programs", Name: "nginx", Host: "v2", First: "fails at `x`", Remark: `"quoted"`}
	got, found := ReadLine("    TestSystemd: " + r.Line() + "\n")
	if !found || got != r {
		t.Errorf("%+v %v", got, found)
	}
	for _, text := range []string{"", "result-of-guests: {", "--- PASS: TestGuests"} {
		if _, found := ReadLine(text); found {
			t.Errorf("%q has a result", text)
		}
	}
}

func TestFails(t *testing.T) {
	for trace, want := range map[string]string{
		"":                                  "fails at ``",
		"+ cd /\n+ false\n":                 "fails at `false`",
		"+ test 1 = 2\nwarning: + no trace": "fails at `test 1 = 2`",
		"++ cat x\n+ test  = y\n":           "fails at `test  = y`",
	} {
		if got := Fails(trace); got != want {
			t.Errorf("%q: %s, not %s", trace, got, want)
		}
	}
}

// Names are unique, and each program can be installed and does something.
func TestPrograms(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range Programs() {
		if p.Name == "" || seen[p.Name] || strings.ContainsAny(p.Name, "|/") || p.Host == "" && (len(p.Packages) == 0 || p.Use == "") {
			t.Errorf("%+v", p)
		}
		seen[p.Name] = true
	}
	name, recipe := Template(Few())
	all, _ := Template(Programs())
	if name == all || !regexp.MustCompile(`^debian-13-guests-[0-9a-f]{8}$`).MatchString(name) {
		t.Errorf("%s, %s", name, all)
	}
	if !strings.HasPrefix(recipe, "variant: "+strings.TrimPrefix(name, "debian-13-")+"\n") {
		t.Error(recipe)
	}
}

// The tables of the documentation are those that make guests writes, with a row for
// each program and each option.
func TestDocumentIsUpToDate(t *testing.T) {
	const path = "../../docs/guests.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	updated, err := Update(string(text), Names(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if updated != string(text) {
		t.Errorf("%s differs from what make guests writes:\n%s", path, updated)
	}
}
