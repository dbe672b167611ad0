package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each promise of docs/reliability.md and docs/security.md has a test, and each test that they name
// exists.
func TestPromisesHaveTests(t *testing.T) {
	named := regexp.MustCompile("`([a-z0-9/]+): ((?:Test|Fuzz)[A-Za-z0-9]+)`")
	for _, doc := range []string{"docs/reliability.md", "docs/security.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for line := range strings.Lines(string(text)) {
			promise, tests, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
			if !ok || promise == "promise" {
				continue
			}
			rows++
			all := named.FindAllStringSubmatch(tests, -1)
			if len(all) == 0 {
				t.Errorf("%s: no test holds: %s", doc, promise)
			}
			for _, m := range all {
				if !hasFunction(t, m[1], m[2]) {
					t.Errorf("%s: %s has no %s", doc, m[1], m[2])
				}
			}
		}
		if rows < 10 {
			t.Errorf("%s: %d promises are found", doc, rows)
		}
	}
}

// hasFunction reports whether a test file of a package has the function.
func hasFunction(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
