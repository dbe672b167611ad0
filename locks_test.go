package main_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"croft/internal/flock"
)

// docs/architecture.md has the table of locks as the code has it.
func TestLocksAreDocumented(t *testing.T) {
	var want strings.Builder
	want.WriteString("| lock | file | held | may wait |\n|---|---|---|---|\n")
	for _, k := range flock.Order() {
		waits := ""
		if k.Waits {
			waits = "yes"
		}
		fmt.Fprintf(&want, "| %s | `%s` | %s | %s |\n", k.Name, k.File, k.Held, waits)
	}
	page, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), want.String()) {
		t.Errorf("docs/architecture.md does not have this table:\n%s", want.String())
	}
}
