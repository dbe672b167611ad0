package cmdline

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"start", "status", "stop", "list"}
	for typed, want := range map[string]string{
		"strat": "start", "stat": "start", "statsu": "status", "lst": "list", "stpo": "stop", "xyzzy": "", "": "", "s": "",
	} {
		if got := nearest(typed, words); got != want {
			t.Errorf("%q is near %q, want %q", typed, got, want)
		}
	}
}
