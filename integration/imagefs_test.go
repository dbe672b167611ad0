//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// An image is a file system of another kind in a file, on which a site can be.
type image struct {
	t    *testing.T
	file string
	at   string // where it is mounted
}

// newImage makes a file system of 1 GiB, by a command that gets the file as its last
// argument. It goes with the test.
func newImage(t *testing.T, name string, mkfs ...string) image {
	t.Helper()
	needLoopDevices(t)
	sites := filepath.Join(filepath.Dir(world.root), "sites")
	if err := os.MkdirAll(sites, 0o711); err != nil {
		t.Fatal(err)
	}
	i := image{t, filepath.Join(sites, name+".img"), filepath.Join(sites, name)}
	t.Cleanup(func() {
		if err := os.Remove(i.file); err != nil {
			t.Error(err)
		}
		_ = os.Remove(i.at)
	})
	if !i.run("truncate", "-s", "1G", i.file) || !i.run(mkfs[0], append(mkfs[1:], i.file)...) {
		t.Fatal("no file system of ", name)
	}
	if err := os.Mkdir(i.at, 0o711); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i image) run(name string, args ...string) bool {
	i.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		i.t.Logf("%s %q: %v: %s", name, args, err, out)
	}
	return err == nil
}

// mount mounts the file system until the end of the test, and reports whether the kernel
// can.
func (i image) mount(options string) bool {
	i.t.Helper()
	if !i.run("mount", "-o", options, i.file, i.at) {
		return false
	}
	i.t.Cleanup(func() {
		// The mounts of a VPS end a moment after its processes.
		eventually(i.t, "the file system is not in use", func() bool { return exec.Command("umount", i.at).Run() == nil })
	})
	return true
}

// site is newSite on the file system, which is mounted.
func (i image) site() *site {
	i.t.Helper()
	s := newSite(i.t)
	s.root = filepath.Join(i.at, "root")
	return s
}
