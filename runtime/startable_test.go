package runtime

import (
	"errors"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/hostfacts"
	"croft/template"
)

// layerless is a store of templates whose layers are gone.
type layerless struct{ templates }

func (layerless) LayerDirs(template.Image) ([]string, error) {
	return nil, fail.New(fail.State, "layer x is missing")
}

// A restart does not stop a VPS that could not start again.
func TestRestartThatCannotStart(t *testing.T) {
	put := func(f *faulty, change func(*vps.VPS)) error {
		l, err := f.m.store.Lock(background, "web", "test", 0)
		if err != nil {
			return err
		}
		defer l.Unlock()
		v, err := l.VPS()
		if err != nil {
			return err
		}
		change(&v)
		return l.Put(v)
	}
	for _, c := range []struct {
		name, want, hint string
		loses            func(f *faulty) error
	}{
		{"a mount", "its mount on /data: cannot mount /absent: it does not exist", "croft set web --mount-del /data", func(f *faulty) error {
			return put(f, func(v *vps.VPS) { v.Mounts = []vps.Mount{{Kind: vps.MountHost, Source: "/absent", Target: "/data"}} })
		}},
		{"a device", "the host has no /dev/none", "croft set web --device-del /dev/none", func(f *faulty) error {
			return put(f, func(v *vps.VPS) { v.Devices = []vps.Device{{Source: "/dev/none", Access: "rwm"}} })
		}},
		{"a layer", "layer x is missing", "", func(f *faulty) error {
			f.m.templates = layerless{f.m.templates}
			return nil
		}},
		{"the way to its files", "cannot pass through /run/x", "ls -ld /run/x", func(f *faulty) error {
			host := f.m.host
			f.m.host = func() (hostfacts.Facts, error) {
				facts, err := host()
				facts.Impassable = "/run/x"
				return facts, err
			}
			return nil
		}},
	} {
		f := newFaulty(t, memoryDir(t))
		if err := errors.Join(createWeb(f), startWeb(f), c.loses(f)); err != nil {
			t.Fatal(err)
		}
		before := f.m.initProcess("web")
		err := f.m.Restart(background, "web", StopOptions{}, StartOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "web still runs") || fail.KindOf(err) == fail.Internal || fail.HintOf(err) != c.hint {
			t.Errorf("%s: %v (hint %q)", c.name, err, fail.HintOf(err))
		}
		if status, err := f.m.status("web"); err != nil || status != StatusRunning || f.m.initProcess("web") != before {
			t.Errorf("%s: it is %s, %v", c.name, status, err)
		}
		if err := f.m.Stop(background, "web", StopOptions{Fast: true}); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := f.m.Restart(background, "web", StopOptions{}, StartOptions{}); err == nil || strings.Contains(err.Error(), "still runs") {
			t.Errorf("%s: of a stopped one: %v", c.name, err)
		}
		f.end()
	}
}
