package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"al.essio.dev/pkg/shellescape"

	"croft/cli/command"
	"croft/runtime"
)

func hinting(t *testing.T) *command.App {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	return &command.App{
		Stdio:   runtime.Stdio{In: null, Out: null, Err: null},
		Recipes: func(config string) command.Cookbook { return runtime.OpenCookbook(config) },
		Getenv:  func(string) string { return "" },
		Now:     time.Now,
	}
}

func TestShownHints(t *testing.T) {
	a := hinting(t)
	for _, c := range []struct {
		hint, want string
		meant      []string
	}{
		{"croft list", "croft list", nil},
		{"croft inspect web; croft list -f status=running", "croft inspect web; croft list -f status=running", nil},
		{"croft template list; croft nonsense", "croft template list", nil},
		{"sudo croft exec web -- sh -c 'rm -rf \"$D\"/x'", "sudo croft exec web -- sh -c 'rm -rf \"$D\"/x'", nil},
		{"croft stop web", "", nil},
		{"croft stop web", "", []string{"start"}},
		{"croft restart web", "", []string{"start"}},
		{"croft destroy web db", "", []string{"template", "remove"}},
		{"croft rm -f web", "", []string{"start"}},
		{"croft network remove dmz", "", []string{"network", "create"}},
		{"croft destroy web", "croft destroy web", []string{"destroy"}},
		{"croft --lock-timeout 60s stop web", "croft --lock-timeout 60s stop web", []string{"stop"}},
		{"croft set set web limits.memory 1GiB", "", []string{"set"}},
		{"croft create images:debian/12 web", "", []string{"create"}},
		{"croft create Web --template x", "", []string{"create"}},
		{"croft run --rm --template debian-12 --ip -- sh", "", []string{"run"}},
		{"croft exec web, or croft inspect web", "", nil},
		{"try croft list", "", nil},
		{"tar -C DIR -c . | croft template import web -", "tar -C DIR -c . | croft template import web -", nil},
		{"ip route show 10.0.0.0/8", "ip route show 10.0.0.0/8", nil},
		{"croft help run", "croft help run", nil},
		{"croft help runn", "", nil},
		{"croft help route remove", "croft help route remove", nil},
		{"croft list 'x", "", nil},
	} {
		if got := shown(a, c.hint, c.meant); got != c.want {
			t.Errorf("%q after %v: shown %q, want %q", c.hint, c.meant, got, c.want)
		}
	}
}

// Every hint in the source that names a croft command is shown: croft accepts
// it, and it ends and removes nothing.
func TestEveryHintInTheSourceWorks(t *testing.T) {
	a := hinting(t)
	found := 0
	eachHint(t, func(where, hint string) {
		if !strings.Contains(hint, "croft ") {
			return
		}
		found++
		hint = regexp.MustCompile(`%[a-z]`).ReplaceAllString(hint, "web")
		if hint == "sudo web" || hint == "croft web web list" {
			return // the whole of both is made by quote, or tested in scripts
		}
		if got := shown(a, hint, nil); got != hint {
			t.Errorf("%s: of the hint %q only %q may be shown", where, hint, got)
		}
	})
	if found < 20 {
		t.Errorf("only %d hints found", found)
	}
}

// eachHint calls do with the text of every hint in the source.
func eachHint(t *testing.T, do func(where, hint string)) {
	t.Helper()
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); !ok || s.Sel.Name != "WithHint" || len(call.Args) == 0 {
				return true
			}
			at := files.Position(call.Pos()).String()
			text, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: the text of a hint has to stand where it is given", at)
				return true
			}
			hint, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Errorf("%s: %v", at, err)
			}
			do(at, hint)
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnquoteReadsWhatQuoteWrites(t *testing.T) {
	for _, words := range [][]string{
		{"a", "b c", "", "it's", `"x" $y \z`, "a'b'c", "'"}, {"|"}, {"é…"},
	} {
		got, err := unquote(shellescape.QuoteCommand(words))
		if err != nil || !slices.Equal(got, words) {
			t.Errorf("%q became %q, %v", words, got, err)
		}
	}
}

// A corrected line is corrected whole, is valid, and never became something
// that ends or removes a VPS.
func TestCorrectedLines(t *testing.T) {
	for line, want := range map[string]string{
		"strat web":                                           "croft start web",
		"stpo web":                                            "croft stop web",
		"restore 9101":                                        "croft help",
		"delete web -f":                                       "croft destroy web -f",
		"--debug launch db":                                   "croft help create",
		"create web --memroy 1G --templaet x":                 "croft create web --memory 1G --template x",
		"create web -memory 1G --template x":                  "croft create web --memory 1G --template x",
		"create 101 --ostemplate x --ipadd 10.0.0.1":          "croft help create",
		"create 101 --templat x --ipp 10.0.0.1":               "croft create 101 --template x --ip 10.0.0.1",
		"launch images:debian/12 web":                         "croft help create",
		"config set web limits.memory 1GiB":                   "croft help set",
		"run --rm --templat debian-12 -xt -- sh":              "croft help run",
		"stop web --tiemout 5":                                "croft stop web --timeout 5",
		"template bulid debian-12":                            "croft template build debian-12",
		"template delete debian-12":                           "croft template remove debian-12",
		"firewall web lits":                                   "croft firewall web list",
		"create web.example.org --template debian-12 --bogus": "croft help create",
	} {
		words, err := unquote(line)
		if err != nil {
			t.Fatal(err)
		}
		r := croft(t, nil, words...)
		_, got, _ := strings.Cut(r.err, "croft: hint: ")
		if got = strings.TrimSpace(got); got != want || r.called != "" || r.status == 0 {
			t.Errorf("%s: hint %q, want %q; status %d, called %q: %s", line, got, want, r.status, r.called, r.err)
		}
	}
}

// Every remedy of croft doctor with a croft command is a command that croft accepts, and
// that harms nothing. The golden file of its findings has all of them.
func TestEveryRemedyWorks(t *testing.T) {
	a := hinting(t)
	text, err := os.ReadFile("../runtime/doctor/testdata/findings.txt")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(text)) {
		_, remedy, ok := strings.Cut(strings.TrimSpace(line), "remedy: ")
		if !ok || !strings.HasPrefix(remedy, "croft ") {
			continue
		}
		found++
		if got := shown(a, remedy, nil); got != remedy {
			t.Errorf("of the remedy %q only %q may be shown", remedy, got)
		}
	}
	if found < 50 {
		t.Errorf("only %d remedies found", found)
	}
}
