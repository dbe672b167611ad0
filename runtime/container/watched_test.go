package container

import (
	"path/filepath"
	"testing"

	"github.com/moby/sys/mountinfo"
)

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

// The kernel writes a cgroup as a path below the root of its hierarchy, wherever that is mounted.
func TestBelowHierarchy(t *testing.T) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		got, err := belowHierarchy(filepath.Join(m.Mountpoint, "croft/web"))
		if want := filepath.Join(m.Root, "croft/web"); err != nil || got != want {
			t.Errorf("below %s: %s, %v, want %s", m.Mountpoint, got, err, want)
		}
	}
	if got, err := belowHierarchy(t.TempDir()); err != nil || got != "" {
		t.Errorf("a directory that is no cgroup: %q, %v", got, err)
	}
}
