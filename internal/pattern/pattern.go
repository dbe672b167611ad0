// Package pattern compiles regular expressions when they are used. A start of a VPS begins
// three processes of this program, and each would compile all that are package variables.
package pattern

import (
	"os"
	"regexp"
	"strings"
	"sync"
)

// New returns a function that returns the compiled text, which it compiles once. An invalid
// text panics there; in a test program it panics here.
func New(text string) func() *regexp.Regexp {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
	if strings.HasSuffix(os.Args[0], ".test") {
		compiled()
	}
	return compiled
}
