package sizes

import "testing"

// A size that is accepted is not negative, and its text is not empty.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"512M", "1.5G", "0", "9223372036854775807", "1e9", "-1", "8E", "0x10"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Parse(text)
		if err != nil {
			return
		}
		if n < 0 || Text(n) == "" {
			t.Errorf("Parse(%q) = %d, %q", text, n, Text(n))
		}
	})
}
