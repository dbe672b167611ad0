package facts

import "testing"

// The os-release of an image gives no name that is empty or a comment.
func FuzzOSRelease(f *testing.F) {
	f.Add("NAME=\"a \\\"b\\\"\"\nID=debian\n# x=y\nVERSION_ID='13'\n")
	f.Add("=\nA=\\\nB=\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		for name, value := range parseOSRelease(text) {
			if name == "" || name[0] == '#' || len(value) > len(text) {
				t.Errorf("%q=%q", name, value)
			}
		}
	})
}
