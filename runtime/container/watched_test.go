package container

import "testing"

// Each number is looked for where its controller is.
func TestWatchedIn(t *testing.T) {
	for what, c := range map[string]struct {
		dirs      map[string]string
		oom, pids string
	}{
		"version 1": {map[string]string{"memory": "/memory", "pids": "/pids"}, "/memory/memory.oom_control", "/pids/pids.events"},
		"hybrid":    {map[string]string{"memory": "/memory", "pids": "/pids", "": "/two"}, "/memory/memory.oom_control", "/pids/pids.events"},
		"version 2": {map[string]string{"": "/two"}, "/two/memory.events", "/two/pids.events.local"},
	} {
		w := watchedIn(c.dirs)
		if w.OOMKills != (Counter{c.oom, "oom_kill"}) || w.PIDHits != (Counter{c.pids, "max"}) {
			t.Errorf("%s: %+v", what, w)
		}
	}
}
