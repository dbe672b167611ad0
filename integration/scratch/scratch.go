// Package scratch prepares the namespaces in which croft and others are compared: they see
// mounts, cgroups and scratch directories of their own, and leave nothing behind.
package scratch

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/integration/cgroups"
)

// A Bind is a directory that the box has at another place.
type Bind struct{ Source, Target string }

// hidden are the directories that a box has of its own.
var hidden = []string{"/tmp", "/run"}

// Mount gives the calling process, which is in new mount, PID and cgroup namespaces, mounts of
// its own: cgroups below those of the process, /proc, the binds, /run and /dev/shm.
func Mount(binds ...Bind) error {
	// Of the host's, since those of the namespace are mounted next.
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	hierarchies := cgroups.Parse(string(text))
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := cgroups.Remount(hierarchies); err != nil {
		return err
	}
	if err := cgroups.Delegate(hierarchies); err != nil {
		return err
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV
	mount := func(source, target, kind string, flags uintptr, data string) {
		if err == nil {
			if err = unix.Mount(source, target, kind, flags, data); err != nil {
				err = fmt.Errorf("mount %s: %w", target, err)
			}
		}
	}
	mount("proc", "/proc", "proc", flags|unix.MS_NOEXEC, "")
	for _, b := range binds {
		mount(b.Source, b.Target, "", unix.MS_BIND, "")
	}
	mount("tmpfs", "/run", "tmpfs", flags, "mode=755")
	mount("tmpfs", "/dev/shm", "tmpfs", flags, "mode=1777")
	if err != nil {
		return err
	}
	return os.Mkdir("/run/lock", 0o1777)
}

// LockCache makes the directory of a cache, and keeps other runs away from it until unlock:
// they would be in each other's way.
func LockCache(dir string) (unlock func(), err error) {
	for _, h := range hidden {
		if rel, err := filepath.Rel(h, dir); err == nil && filepath.IsLocal(rel) {
			return nil, fmt.Errorf("the cache %s cannot be below %s: the box has its own", dir, h)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another run is using %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}
