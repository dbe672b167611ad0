package ssh

import (
	"strings"
	"testing"
)

// A host that is accepted is never an option of ssh, and its text means the same host.
func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{"web", "root@web:22", "ssh://root@[fd00::1]:22", "-oProxyCommand=x", "a@-b", "[::1]", "a b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHost(text)
		if err != nil {
			return
		}
		if strings.HasPrefix(h.String(), "-") || strings.ContainsAny(h.String(), " \n\x00") {
			t.Errorf("accepted %q", text)
		}
		if again, err := ParseHost(h.String()); err != nil || again != h {
			t.Errorf("%q is %+v, and %q is %+v, %v", text, h, h.String(), again, err)
		}
	})
}
