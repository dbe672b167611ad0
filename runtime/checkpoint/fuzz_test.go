package checkpoint

import (
	"strings"
	"testing"
)

// Root inside chooses the names of mounts. A table of them is read with one mount for
// each line, or it is an error.
func FuzzParseMounts(f *testing.F) {
	f.Add("22 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw\n")
	f.Add("1 2 0:3 /a\\040b /c\\134040 rw - tmpfs x\\012y rw\n")
	f.Add("1 2 0:3 / / rw - -")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseMounts(text)
		if err != nil {
			return
		}
		if lines := len(strings.Split(strings.TrimSuffix(text, "\n"), "\n")); text != "" && len(all) != lines {
			t.Errorf("%d mounts in %d lines", len(all), lines)
		}
		for _, m := range all {
			if m.Type == "" || m.Source == "" || m.At == "" || m.Root == "" {
				t.Errorf("accepted %+v", m)
			}
		}
	})
}
