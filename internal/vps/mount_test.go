package vps

import (
	"strings"
	"testing"

	"croft/internal/fail"
)

func TestMountCheck(t *testing.T) {
	for text, m := range map[string]Mount{
		"/srv/www:/var/www":              {Kind: MountHost, Source: "/srv/www", Target: "/var/www"},
		"/srv:/srv:ro,noexec,host-ids":   {Kind: MountHost, Source: "/srv", Target: "/srv", ReadOnly: true, NoExec: true, HostIDs: true},
		"data:/data:ro":                  {Kind: MountVolume, Source: "data", Target: "/data", ReadOnly: true},
		"tmpfs:/run/x:size=65,mode=1777": {Kind: MountTmpfs, Target: "/run/x", Size: 65, Mode: "1777"},
		"tmpfs:/cache:size=64M":          {Kind: MountTmpfs, Target: "/cache", Size: 64 << 20},
	} {
		if err := m.Check(); err != nil || m.String() != text {
			t.Errorf("%s: %v", m, err)
		}
	}
	for what, m := range map[string]Mount{
		"kind":               {Kind: "nfs", Source: "/srv", Target: "/srv"},
		"no source":          {Kind: MountHost, Target: "/srv"},
		"relative source":    {Kind: MountHost, Source: "srv", Target: "/srv"},
		"unclean source":     {Kind: MountHost, Source: "/srv/../etc", Target: "/srv"},
		"volume with a path": {Kind: MountVolume, Source: "a/b", Target: "/srv"},
		"volume in capitals": {Kind: MountVolume, Source: "Data", Target: "/srv"},
		"source of tmpfs":    {Kind: MountTmpfs, Source: "x", Target: "/srv"},
		"relative target":    {Kind: MountTmpfs, Target: "srv"},
		"unclean target":     {Kind: MountTmpfs, Target: "/srv/"},
		"target with colon":  {Kind: MountTmpfs, Target: "/a:b"},
		"newline":            {Kind: MountTmpfs, Target: "/a\nb"},
		"the root":           {Kind: MountTmpfs, Target: "/"},
		"/proc":              {Kind: MountTmpfs, Target: "/proc"},
		"below /sys":         {Kind: MountTmpfs, Target: "/sys/fs/cgroup"},
		"/dev":               {Kind: MountTmpfs, Target: "/dev/shm"},
		"/run":               {Kind: MountTmpfs, Target: "/run"},
		"croft's own":        {Kind: MountTmpfs, Target: "/run/host/x"},
		"host ids":           {Kind: MountVolume, Source: "data", Target: "/srv", HostIDs: true},
		"size":               {Kind: MountVolume, Source: "data", Target: "/srv", Size: 5},
		"negative size":      {Kind: MountTmpfs, Target: "/srv", Size: -1},
		"mode":               {Kind: MountTmpfs, Target: "/srv", Mode: "u+x"},
		"mode too high":      {Kind: MountTmpfs, Target: "/srv", Mode: "7777"},
	} {
		if err := m.Check(); !fail.Is(err, fail.Usage) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestMountEdits(t *testing.T) {
	v := someVPS()
	first := Mount{Kind: MountHost, Source: "/srv", Target: "/srv"}
	v = edited(t, v, AddMount{first}, AddMount{first}, AddMount{Mount{Kind: MountTmpfs, Target: "/cache"}})
	if len(v.Mounts) != 2 {
		t.Errorf("%v", v.Mounts)
	}
	other := Mount{Kind: MountVolume, Source: "data", Target: "/srv"}
	if _, err := Edited(v, AddMount{other}); !fail.Is(err, fail.Taken) || !strings.Contains(err.Error(), "/srv:/srv") {
		t.Errorf("another one on the same target: %v", err)
	}
	if _, err := Edited(v, RemoveMount{"/absent"}); !fail.Is(err, fail.NotFound) {
		t.Errorf("remove an absent one: %v", err)
	}
	now := edited(t, v, RemoveMount{"/srv"}, AddMount{other})
	if at := now.MountAt("/srv"); at < 0 || now.Mounts[at] != other || !now.UsesVolume("data") || v.UsesVolume("data") {
		t.Errorf("%v", now.Mounts)
	}
	twice := v.Clone()
	twice.Mounts = append(twice.Mounts, other)
	if err := twice.Check(); !fail.Is(err, fail.Usage) {
		t.Errorf("two on one target: %v", err)
	}
}

// What is below another mount is unmounted before it and mounted after it.
func TestPlanMounts(t *testing.T) {
	mount := func(source, target string) Mount { return Mount{Kind: MountHost, Source: source, Target: target} }
	from := []Mount{mount("/a", "/srv"), mount("/b", "/srv/b"), mount("/c", "/other"), mount("/old", "/changed")}
	to := []Mount{mount("/d", "/x/y/z"), mount("/c", "/other"), mount("/new", "/changed"), mount("/d", "/x")}
	p := PlanMounts(from, to)
	if got, want := texts(p.Remove), "/b:/srv/b, /a:/srv, /old:/changed"; got != want {
		t.Errorf("remove %s, not %s", got, want)
	}
	if got, want := texts(p.Ensure), "/new:/changed, /c:/other, /d:/x, /d:/x/y/z"; got != want {
		t.Errorf("ensure %s, not %s", got, want)
	}
	if p := PlanMounts(to, to); len(p.Remove) != 0 || len(p.Ensure) != len(to) {
		t.Errorf("no change: %+v", p)
	}
}
