package state

import (
	"strings"
	"testing"

	"croft/internal/vps"
)

// Names in the trash and lines of the index are read, or they are skipped. A name that is
// accepted is that of a VPS.
func FuzzNames(f *testing.F) {
	f.Add("web."+untilMark+"1700000000.abc", "web 12 1048576 65536\n")
	f.Add("..", "  \n")
	f.Add("a."+untilMark+"-1.x/y", "web 18446744073709551616 1 1")
	f.Fuzz(func(t *testing.T, file, line string) {
		if kept, ok := parseKept(file); ok {
			if _, err := vps.ParseName(string(kept.Name)); err != nil || !strings.HasPrefix(file, string(kept.Name)+".") {
				t.Errorf("%q is %+v", file, kept)
			}
		}
		if key, ids, ok := parseIDLine(line); ok && strings.Contains(key.name, " ") {
			t.Errorf("%q is %+v, %+v", line, key, ids)
		}
	})
}
