package template

import (
	"context"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/template/busybox"
	"croft/template/roottest"
)

func embeddedBusybox(t *testing.T) {
	t.Helper()
	if _, err := busybox.Program(); err != nil {
		s := newStore(t, Options{})
		if _, err := s.Ensure(context.Background(), busybox.Name); !fail.Is(err, fail.Host) || fail.HintOf(err) != "make build" {
			t.Errorf("without the program: %v", err)
		}
		t.Skipf("built without it: %v", err)
	}
}

// Many processes at the same time: one creates it, all get it.
func TestEnsureBusybox(t *testing.T) {
	roottest.NeedRoot(t)
	embeddedBusybox(t)
	var made atomic.Int32
	s := newStore(t, Options{Progress: func(Update) { made.Add(1) }})
	var wg sync.WaitGroup
	digests := make([]string, 8)
	for i := range digests {
		wg.Go(func() {
			im, err := s.Ensure(context.Background(), busybox.Name)
			if err != nil {
				t.Error(err)
			}
			digests[i] = im.Digest
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("it was made %d times", made.Load())
	}
	for _, d := range digests {
		if d != digests[0] || d == "" {
			t.Errorf("digests %q", digests)
		}
	}
	im, err := s.Resolve(busybox.Name)
	if err != nil || im.Init != string(initkind.Busybox) || im.Release == "" || im.Recipe != busybox.Name {
		t.Errorf("%+v %v", im, err)
	}
	// Another store at another time gives the same digest.
	again, err := newStore(t, Options{}).Build(context.Background(), busybox.Name, BuildOptions{})
	if err != nil || again.Digest != im.Digest {
		t.Errorf("made again: %s, not %s (%v)", again.Digest, im.Digest, err)
	}
	dirs, err := s.LayerDirs(im)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "for c in sh ps ip ping wget nc id hostname getty syslogd init reboot poweroff ifup logger; do command -v $c >/dev/null || echo no $c; done; id -un; test -x /sbin/init; cat /etc/inittab")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dirs[0]}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "root\n# What init does") || !strings.Contains(string(out), "::sysinit:") {
		t.Errorf("%q %v", out, err)
	}
}
