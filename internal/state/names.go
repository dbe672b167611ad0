package state

import "croft/internal/fail"

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
	switch {
	case s == "":
		return "", fail.New(fail.Usage, "a name is empty")
	case len(s) > MaxName:
		return "", fail.New(fail.Usage, "name %.20q…: longer than %d characters", s, MaxName)
	case s[0] == '-' || s[len(s)-1] == '-':
		return "", fail.New(fail.Usage, "name %q: starts or ends with '-'", s)
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return "", fail.New(fail.Usage, "name %q: only a-z, 0-9 and '-' make a name, not %q", s, r)
		}
	}
	return s, nil
}
