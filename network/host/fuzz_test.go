package host

import "testing"

// An address of /proc/net/tcp is an address, or it is skipped.
func FuzzSocketAddress(f *testing.F) {
	for _, seed := range []string{"0100007F:1F90", "00000000000000000000000001000000:0016", ":", "00:0", "0100007F:10000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if at, ok := parseSocketAddress(text); ok && !at.IsValid() {
			t.Errorf("%q is %v", text, at)
		}
	})
}
