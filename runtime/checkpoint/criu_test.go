package checkpoint

import (
	"errors"
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Version{
		"Version: 4.1.1\n":                      {4, 1},
		"Version: 3.17.1\nGitID: v3.17.1\n":     {3, 17},
		"Version: 4.2 (gitid 0)\n":              {4, 2},
		"a line before\nVersion: 12.34\nafter.": {12, 34},
	} {
		if got, err := parseVersion(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "criu 4.1", "Version: x.y"} {
		if got, err := parseVersion(text); err == nil {
			t.Errorf("%q is version %v", text, got)
		}
	}
	for v, old := range map[Version]bool{{3, 17}: true, {4, 0}: true, {4, 1}: false, {4, 2}: false, {5, 0}: false} {
		if v.before(oldest) != old {
			t.Errorf("%v is too old: %v", v, !old)
		}
	}
}

// The reason is the first error that tells something.
func TestReason(t *testing.T) {
	const log = `(00.050866) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.053484) Warn  (criu/mount.c:1): mnt: nothing
(00.053485)      1: Error (criu/tty.c:1453): tty: No task found with sid 0
(00.106370) Error (criu/cr-dump.c:2111): Dumping FAILED.
`
	cause := errors.New("criu gives no reason")
	if got := reason(log, cause); got != "tty: No task found with sid 0" {
		t.Errorf("the reason is %q", got)
	}
	for _, log := range []string{"", "(0) Error (criu/cr-dump.c:2111): Dumping FAILED.\n", strings.ReplaceAll(log, "Error", "Warn")} {
		if got := reason(log, cause); got != cause.Error() {
			t.Errorf("the reason is %q", got)
		}
	}
}
