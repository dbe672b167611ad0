package cli

import (
	"slices"
	"strings"
	"testing"
)

// croft accepts the examples of its manual page.
func TestExamplesOfTheManPage(t *testing.T) {
	a := hinting(t)
	for line := range strings.Lines(examples) {
		words, err := unquote(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		if at := slices.Index(words, "croft"); at < 0 || !a.accepts(words[at+1:]) {
			t.Errorf("croft refuses %s", line)
		}
	}
}
