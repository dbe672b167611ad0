package recipe

import (
	"strings"

	"croft/internal/fail"
)

// maxName is the largest length of a template's name.
const maxName = 63

// CheckName returns fail.Usage unless name is a valid name of a template: lower-case
// letters and digits, with . _ and - between them. By convention it is
// distribution-release[-variant].
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
		return bad("it must begin and end with a lower-case letter or a digit")
	}
	for i := range len(name) {
		if c := name[i]; !alnum(c) && !strings.ContainsRune("._-", rune(c)) {
			return bad("it has an invalid character")
		}
	}
	return nil
}

func alnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
