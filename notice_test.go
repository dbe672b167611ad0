package main_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each module that NOTICE names must be a module that go.mod requires.
func TestNoticeNamesModulesOfGoMod(t *testing.T) {
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	required := strings.Fields(string(mod))
	named := regexp.MustCompile(`github\.com/[\w-]+/[\w-]+`).FindAllString(string(notice), -1)
	if len(named) == 0 {
		t.Error("NOTICE names no module")
	}
	for _, module := range named {
		if !slices.Contains(required, module) {
			t.Errorf("NOTICE names %s, but go.mod does not require it", module)
		}
	}
}
