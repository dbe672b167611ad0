package template

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"croft/internal/fail"
	"croft/internal/initkind"
)

func TestBusyboxTar(t *testing.T) {
	program := []byte("\x7fELF… BusyBox v1.35.0 (Debian) …")
	applets := []string{"bin/sh", "bin/busybox", "sbin/init", "usr/bin/dpkg", "sbin/udhcpc", "linuxrc", "usr/sbin/chroot"}
	one, err := busyboxTar(program, applets)
	if err != nil {
		t.Fatal(err)
	}
	two, _ := busyboxTar(program, []string{"usr/sbin/chroot", "linuxrc", "sbin/udhcpc", "usr/bin/dpkg", "sbin/init", "bin/busybox", "bin/sh"})
	if !bytes.Equal(one, two) {
		t.Error("the order of the applets changes the archive")
	}
	if os.Geteuid() != 0 {
		return // what root owns cannot be unpacked
	}
	inside, _ := jail(t)
	if _, err := unpack(context.Background(), inside, nil, bytes.NewReader(one), nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "busybox.txt", list(t, inside))
}

func TestBusyboxVersion(t *testing.T) {
	for program, want := range map[string]string{"xxBusyBox v1.36.1 (Ubuntu": "1.36.1", "BusyBox v1": "", "": "", "BusyBox v" + strings.Repeat("9", 100) + " ": ""} {
		if got := busyboxVersion([]byte(program)); got != want {
			t.Errorf("%q has version %q, want %q", program, got, want)
		}
	}
}

func embeddedBusybox(t *testing.T) {
	t.Helper()
	if _, err := busyboxFiles.ReadFile("busybox/busybox"); err != nil {
		s := newStore(t, Options{})
		if _, err := s.Ensure(context.Background(), busyboxName); !fail.Is(err, fail.Host) || fail.HintOf(err) != "make build" {
			t.Errorf("without the program: %v", err)
		}
		t.Skipf("built without it: %v", err)
	}
}

// Many at once: one makes it, all get it.
func TestEnsureBusybox(t *testing.T) {
	needRoot(t)
	embeddedBusybox(t)
	var made atomic.Int32
	s := newStore(t, Options{Progress: func(Update) { made.Add(1) }})
	var wg sync.WaitGroup
	digests := make([]string, 8)
	for i := range digests {
		wg.Go(func() {
			im, err := s.Ensure(context.Background(), busyboxName)
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
	im, err := s.Resolve(busyboxName)
	if err != nil || im.Init != string(initkind.Busybox) || im.Release == "" || im.Recipe != busyboxName {
		t.Errorf("%+v %v", im, err)
	}
	// Elsewhere, another day: the same digest.
	again, err := newStore(t, Options{}).Build(context.Background(), busyboxName, BuildOptions{})
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
	if err != nil || string(out) != "root\n"+busyboxInittab {
		t.Errorf("%q %v", out, err)
	}
}
