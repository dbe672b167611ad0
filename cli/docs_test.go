package cli

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/runtime"
)

// jsonKeys are all keys of t's JSON, those of the structs inside too.
func jsonKeys(t reflect.Type, keys map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		jsonKeys(t.Elem(), keys)
	case reflect.Struct:
		for f := range t.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
				keys[name] = true
				jsonKeys(f.Type, keys)
			}
		}
	}
}

// docs/state.md names every key that --json prints.
func TestJSONKeysAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/state.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, v := range []any{
		runtime.Info{}, runtime.TemplateInfo{}, runtime.RecipeInfo{}, runtime.NetworkInfo{}, runtime.HostCheck{}, version{},
		runtime.FirewallInfo{}, runtime.Stats{}, runtime.ProcessInfo{}, runtime.RoutingInfo{}, runtime.TrashInfo{}, runtime.SnapshotInfo{},
	} {
		jsonKeys(reflect.TypeOf(v), keys)
	}
	if len(keys) < 30 {
		t.Fatalf("found only %v", keys)
	}
	for key := range keys {
		if !strings.Contains(string(doc), "`"+key+"`") {
			t.Errorf("docs/state.md does not name `%s`", key)
		}
	}
}

// docs/exit-codes.md has a line for every kind, and help too.
func TestExitStatusesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	help := croft(t, nil, "help").out
	for _, s := range []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "125", "126", "127"} {
		if !strings.Contains(string(doc), "\n| "+s+" | ") {
			t.Errorf("docs/exit-codes.md has no line for %s", s)
		}
		if !regexp.MustCompile(`\b` + s + `\b`).MatchString(help) {
			t.Errorf("help does not name %s", s)
		}
	}
	if fail.Unwell != 12 {
		t.Errorf("there are more kinds than documented: the last was %d", fail.Unwell)
	}
}

// croft accepts every command line of docs/cli.md.
func TestGrammarIsThatOfTheDocument(t *testing.T) {
	doc, err := os.ReadFile("../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	a := hinting(t)
	found := 0
	for line := range strings.Lines(string(doc)) {
		if strings.HasPrefix(line, "croft ") && !strings.Contains(line, "COMMAND") {
			found++
			checkExample(t, a, line)
		}
	}
	if found < 15 {
		t.Errorf("only %d command lines found", found)
	}
	for _, refused := range []string{"stop -- --all", "exec -- web ls", "creat web --template x", "create web --temp x", "create web --template=", "stop --all=yes", "rename web"} {
		words, err := unquote(refused)
		if err != nil || accepts(a, words) {
			t.Errorf("croft accepts %s, %v", refused, err)
		}
	}
}
