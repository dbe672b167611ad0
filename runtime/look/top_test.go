package look

import (
	"maps"
	"strings"
	"testing"
)

// Names of users are the VPS's own text: misleading ones are left out.
func TestUserNames(t *testing.T) {
	passwd := "root:x:0:0::/root:/bin/sh\n" +
		"toor:x:0:0::/:\n" + // the first one counts
		"\n#:\n:x:1:1::/:\nbin\n" + // not whole
		"33:x:5:5::/:\n" + // could be taken for an id
		"a\x1b[2J:x:6:6::/:\nb c:x:7:7::/:\n\xff:x:8:8::/:\n-x:x:9:9::/:\n" +
		strings.Repeat("l", 33) + ":x:10:10::/:\n" +
		"neg:x:-1:1::/:\nbig:x:4294967296:1::/:\n" +
		"www-data:x:33:33::/:\nhost$:x:1000:1000::/:\n_apt:x:42:65534::/:/x"
	want := map[int64]string{0: "root", 33: "www-data", 1000: "host$", 42: "_apt"}
	if got := userNamesIn([]byte(passwd)); !maps.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
	if got := userNamesIn(nil); len(got) != 0 {
		t.Errorf("names %v in nothing", got)
	}
}
