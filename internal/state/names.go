package state

import (
	"fmt"
	"strings"

	"croft/internal/fail"
)

// MaxName is the length of the longest name: what one label of a host name
// may have (RFC 1035 §2.3.4), since a VPS's name is its host name unless said
// otherwise.
const MaxName = 63

// ParseName returns s if it can name a VPS or a network: 1 to 63 of a-z, 0-9
// and '-', not starting or ending with '-'. Anything else is fail.Usage, in a
// line that says what is wrong with it. A valid name is a single path element,
// never "." or "..", and never collides with a file name of croft's own, which
// all hold a '.' or a '_'.
func ParseName(s string) (string, error) {
	bad := func(format string, args ...any) (string, error) {
		return "", fail.New(fail.Usage, "%w", &BadName{Name: s, text: fmt.Sprintf(format, args...)})
	}
	switch {
	case s == "":
		return bad("a name is empty")
	case len(s) > MaxName:
		return bad("invalid name %.20q…: longer than %d characters", s, MaxName)
	case s[0] == '-' || s[len(s)-1] == '-':
		return bad("invalid name %q: it starts or ends with '-'", s)
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return bad("invalid name %q: only a-z, 0-9 and '-' are allowed, not %q", s, r)
		}
	}
	return s, nil
}

// A BadName is a word that cannot name a VPS or a network.
type BadName struct {
	Name string
	text string
}

// Error says what is wrong with the name.
func (b *BadName) Error() string { return b.text }

// Converted is the nearest valid name: in lower case, and with '-' in the place
// of other characters that separate words. It is "" if there is none.
func (b *BadName) Converted() string {
	name := strings.Trim(strings.Map(func(r rune) rune {
		if strings.ContainsRune("._ ", r) {
			return '-'
		}
		return r
	}, strings.ToLower(b.Name)), "-")
	if _, err := ParseName(name); err != nil {
		return ""
	}
	return name
}
