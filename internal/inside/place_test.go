package inside

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A place is what the guest itself would find, and nothing outside.
func TestPlace(t *testing.T) {
	r, root, outside := trap(t)
	link(t, outside, root+"/etc/out")
	link(t, "../etc", root+"/sbin/up")
	link(t, "/nowhere", root+"/dangling")
	write(t, root+"/etc/file", "")
	for name, want := range map[string]struct {
		path      string // "": it is missing
		directory bool
	}{
		"/etc": {"/etc", true}, "/sbin/up/file": {"/etc/file", false}, "/../..": {"", true}, "/../etc/file": {"/etc/file", false},
		"/etc/out": {}, "/dangling": {}, "/absent": {}, "/proc/self/root": {},
	} {
		p, err := r.Place(name)
		if name == "/../.." { // the root itself
			if err != nil || !p.Directory || p.Path != root {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
			continue
		}
		if want.path == "" {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || p.Path != root+want.path || p.Directory != want.directory || p.MountRoot || p.MountID == 0 {
			t.Errorf("%s: %+v, %v", name, p, err)
			continue
		}
		p.Close()
	}
}

// What is missing is created inside, for the guest's root and with its rights. What is
// there stays.
func TestMakePlace(t *testing.T) {
	needRoot(t)
	const guest = 1900544
	r, root, outside := trap(t)
	if err := os.Chown(root+"/sbin", guest, guest); err != nil {
		t.Fatal(err)
	}
	link(t, "/sbin/through", root+"/etc/link")
	link(t, outside, root+"/etc/out")
	write(t, root+"/sbin/file", "data")
	if err := os.Mkdir(root+"/sbin/through", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(root+"/sbin/through", guest, guest); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		directory bool
		want      string // the place
		mode      fs.FileMode
	}{
		{"/sbin/a/b/c", true, "/sbin/a/b/c", fs.ModeDir | 0o755},
		{"/sbin/a/b/f", false, "/sbin/a/b/f", 0o644},
		{"/etc/link/d", true, "/sbin/through/d", fs.ModeDir | 0o755},
		{"/sbin/file", false, "/sbin/file", 0o644},
	} {
		for range 2 { // the second finds it
			p, err := r.MakePlace(c.name, c.directory, guest)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			info, err := os.Lstat(root + c.want)
			if err != nil || info.Mode() != c.mode || p.Path != root+c.want {
				t.Errorf("%s: %+v, %v, %v", c.name, p, info.Mode(), err)
			} else if uid := info.Sys().(*syscall.Stat_t).Uid; c.want != "/sbin/file" && uid != guest {
				t.Errorf("%s belongs to %d", c.name, uid)
			}
			p.Close()
		}
	}
	for name, want := range map[string]string{"/etc/made": "permission denied", "/etc/out/x": "a link that leads nowhere", "/sbin/file/x": "not a directory", "/sbin/file": "is not a directory"} {
		if _, err := r.MakePlace(name, true, guest); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %q", name, err, want)
		}
	}
	if _, err := r.MakePlace("/sbin/a", false, guest); err == nil || !strings.Contains(err.Error(), "is a directory, and the source is a file") {
		t.Error(err)
	}
	link(t, "/sbin/nowhere", root+"/sbin/dangling")
	if _, err := r.MakePlace("/sbin/dangling", true, guest); err == nil || !strings.Contains(err.Error(), "a link that leads nowhere") {
		t.Error(err)
	}
	if got, err := os.ReadFile(root + "/sbin/file"); err != nil || string(got) != "data" {
		t.Errorf("%q, %v", got, err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside holds %v, %v", entries, err)
	}
}

// mountedGuest is a process in a mount namespace of its own, as the init of a VPS.
func mountedGuest(t *testing.T) *Process {
	t.Helper()
	needRoot(t)
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	start, err := startTime(string(stat))
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenProcess(cmd.Process.Pid, start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// placeOf opens name inside the process.
func placeOf(t *testing.T, p *Process, name string) *Place {
	t.Helper()
	place, err := Bounded(context.Background(), p, func(r *Root) (*Place, error) { return r.Place(name) }, func(p *Place) { p.Close() })
	if err != nil {
		t.Fatal(err)
	}
	return place
}

// A mount is made in the guest alone. It stays while it is in use, and the removal is a
// no-op if it is not there, or if something else is.
func TestAttachAndDetach(t *testing.T) {
	p := mountedGuest(t)
	source, target := t.TempDir(), t.TempDir()
	write(t, source+"/file", "the host's")
	tree := clone(t, source)
	place := placeOf(t, p, target)
	if err := p.Attach(tree, place); err != nil {
		t.Fatal(err)
	}
	place.Close()
	tree.Close() // it would be a use
	if _, err := os.Stat(target + "/file"); err == nil {
		t.Error("it is mounted on the host too")
	}
	mounted := placeOf(t, p, target)
	if !mounted.MountRoot || !mounted.Directory {
		t.Errorf("%+v", mounted)
	}
	used := placeOf(t, p, target+"/file")
	if err := p.Detach(mounted); !errors.Is(err, ErrInUse) {
		t.Errorf("while a file is open: %v", err)
	}
	used.Close()
	other := placeOf(t, p, target)
	other.MountID++
	if err := p.Detach(other); err != nil {
		t.Errorf("another mount: %v", err)
	}
	mounted = placeOf(t, p, target)
	if !mounted.MountRoot {
		t.Error("the removal of another mount has removed it")
	}
	if err := p.Detach(mounted); err != nil {
		t.Fatal(err)
	}
	gone := placeOf(t, p, target)
	if gone.MountRoot {
		t.Error("it is still mounted")
	}
	if err := p.Detach(gone); err != nil {
		t.Errorf("what is no mount: %v", err)
	}
}

// clone returns a detached clone of the mount of a directory.
func clone(t *testing.T, dir string) *os.File {
	t.Helper()
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	tree := os.NewFile(uintptr(fd), dir)
	t.Cleanup(func() { tree.Close() })
	return tree
}

// A guest whose files do not answer delays croft for a moment only, and what comes of it
// later is given back.
func TestBoundedGivesUp(t *testing.T) {
	p := mountedGuest(t)
	release, undone := make(chan struct{}), make(chan int, 1)
	do := func(*Root) (int, error) {
		<-release
		return 7, nil
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Bounded(canceled, p, do, func(n int) { undone <- n }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Bounded(context.Background(), p, do, func(n int) { undone <- n }); err == nil || !strings.Contains(err.Error(), "timed out") {
		t.Error(err)
	}
	close(release)
	for range 2 {
		if n := <-undone; n != 7 {
			t.Errorf("undone: %d", n)
		}
	}
}
