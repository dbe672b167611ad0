package recipe

import (
	"strings"

	"croft/internal/fail"
)

// maxName is how long a template's name may be.
const maxName = 63

// CheckName says why name cannot be a template's, or nil. Names are
// distribution-release[-variant]: lower-case letters, digits, and between
// them . _ and -.
func CheckName(name string) error {
	bad := func(why string) error {
		return fail.New(fail.Usage, "template name %q: %s", name, why).
			WithHint("use lower-case letters and digits, with . _ - between them, for example debian-13")
	}
	switch {
	case name == "":
		return bad("it is empty")
	case len(name) > maxName:
		return bad("it is longer than 63 characters")
	case !alnum(name[0]) || !alnum(name[len(name)-1]):
		return bad("it has to begin and end with a lower-case letter or a digit")
	}
	for i := range len(name) {
		if c := name[i]; !alnum(c) && !strings.ContainsRune("._-", rune(c)) {
			return bad("it has a character that names do not have")
		}
	}
	return nil
}

func alnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
