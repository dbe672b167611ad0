package cmdline

import (
	"fmt"
	"strconv"
	"strings"
)

// Options in the style of Go's package flag, which runc has: see GoFlags. The
// errors have the words of that package, because programs that call runc look
// for them.

// UnknownVerb is the error for a word that is not a verb, in this style.
type UnknownVerb struct{ Name string }

func (e *UnknownVerb) Error() string { return fmt.Sprintf("No help topic for '%s'", e.Name) }

// goFlag reads one word of options: -name, --name, each with =value or with the
// value as the next word. An unknown option after another word is a word, like
// the signal -9.
func (r *reader) goFlag(word string) error {
	name, value, given := strings.Cut(strings.TrimPrefix(word[1:], "-"), "=")
	o, global, ok := r.find(name)
	switch {
	case !ok && len(r.words) > 0:
		r.words = append(r.words, word)
		return nil
	case !ok && (word == "-h" || word == "-help" || word == "--help"):
		r.help, r.rest = true, nil
		return nil
	case !ok:
		return fmt.Errorf("flag provided but not defined: -%s", strings.TrimLeft(word, "-"))
	case !o.TakesValue():
		on := true
		if given {
			var err error
			if on, err = strconv.ParseBool(value); err != nil {
				return fmt.Errorf("invalid boolean value %q for -%s", value, o.Name)
			}
		}
		value = strconv.FormatBool(on)
	case !given:
		if len(r.rest) == 0 {
			return fmt.Errorf("flag needs an argument: -%s", o.Name)
		}
		value = r.next()
	}
	r.add(global, "--"+o.Name+"="+value)
	return nil
}
