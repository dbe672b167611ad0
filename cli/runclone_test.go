package cli

import (
	"strings"
	"testing"
)

// The options of run change the settings of a clone, or are refused.
func TestRunClone(t *testing.T) {
	for line, want := range map[string]string{
		"run --rm --clone web@first --memory 64M --hostname h -e A=b -- true": "",
		"run --clone web --template busybox -- true":                          "--template",
		"run --clone web --network lan -- true":                               "--network",
		"run --clone web --mount /a:/b -- true":                               "--mount",
		"run --clone web --protect -- true":                                   "--protect",
		"run --clone web@ -- true":                                            "--clone",
	} {
		r := croft(t, nil, strings.Fields(line)...)
		if want == "" {
			for _, part := range []string{`"Snapshot":"first"`, `"Hostname":"h"`, `"Text":"A=b"`, `"Env":["A=b"]`} {
				if !strings.Contains(r.called, part) {
					t.Errorf("%s: %s is not in %s (%s)", line, part, r.called, r.err)
				}
			}
			continue
		}
		if r.status != 125 || !strings.Contains(r.err, want) {
			t.Errorf("%s: exit status %d: %s", line, r.status, r.err)
		}
	}
}
