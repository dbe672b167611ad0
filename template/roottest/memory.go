package roottest

import (
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
)

// InMemory runs f on a thread with a mount namespace of its own, with a directory
// in which a tmpfs is mounted. It needs root.
func InMemory(t *testing.T, f func(dir string)) {
	t.Helper()
	NeedRoot(t)
	dir := t.TempDir()
	err := nsthread.PrivateMounts(func() {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			t.Error(err)
			return
		}
		defer func() { Must(t, unix.Unmount(dir, unix.MNT_DETACH)) }()
		f(dir)
	})
	Must(t, err)
}
