package vps

import (
	"fmt"
	"strings"

	"croft/internal/fail"
)

// A Name is a valid name of a VPS. ParseName makes one of text that comes from
// outside: a command line, the name of a directory, a file. Code that has a Name
// does not check it again.
type Name string

// MaxName is the length of the longest name: that of one label of a host name
// (RFC 1035 section 2.3.4), because a VPS's name is its host name by default.
const MaxName = 63

// ParseName returns s if it is a valid name of a VPS or a network: 1 to 63 of a-z,
// 0-9 and '-', with no '-' at the start or the end. Otherwise the error is
// fail.Usage and gives the reason in one line. A valid name is a single path
// element, never "." or "..", and different from the names of croft's own files,
// which contain a '.' or a '_'.
func ParseName(s string) (Name, error) {
	bad := func(format string, args ...any) (Name, error) {
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
	return Name(s), nil
}

// A BadName is the error for a word that is not a valid name of a VPS or a network.
type BadName struct {
	Name string
	text string
}

// Error is one line with the reason.
func (b *BadName) Error() string { return b.text }

// Converted is the nearest valid name: in lower case, and with '-' instead of
// other characters that separate words. It is "" if that is not valid either.
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
