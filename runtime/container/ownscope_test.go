package container

import "testing"

func TestUnmanaged(t *testing.T) {
	for line, want := range map[string]string{
		"4:cpuset:/batch\n":              "cpuset",
		"5:net_cls,net_prio:/batch\n":    "net_cls,net_prio",
		"5:cpuset:/\n":                   "",
		"6:memory:/user.slice\n":         "",
		"1:name=systemd:/user.slice\n":   "",
		"0::/user.slice/session.scope\n": "",
		"":                               "",
	} {
		if got := unmanaged(line); got != want {
			t.Errorf("%q: %q, not %q", line, got, want)
		}
	}
}
