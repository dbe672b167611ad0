package container

import "testing"

func TestBelow(t *testing.T) {
	const dir = "/sys/fs/cgroup/croft.slice/croft-web.scope"
	for text, want := range map[string]string{
		"0::/croft.slice/croft-web.scope/init.scope\n": "/init.scope",
		"0::/croft.slice/croft-web.scope\n":            "/",
		"0::/elsewhere\n":                              "/",
		"":                                             "/",
	} {
		if got := below(dir, text); got != want {
			t.Errorf("below(%q) = %q, want %q", text, got, want)
		}
	}
}
