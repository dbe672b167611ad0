package runtime

import (
	"fmt"
	"os"
	goruntime "runtime"

	"golang.org/x/sys/unix"
)

// inMountNamespace runs do with the mounts, root and working directory that
// process pid sees. The thread that did it is not used again: it ends with
// its goroutine, which never unlocks it.
func inMountNamespace(pid int, do func() error) error {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return fmt.Errorf("open mount namespace: %w", err)
	}
	defer ns.Close()
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		// setns(2) refuses a thread that shares its root directory with others.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			done <- fmt.Errorf("leave the shared root directory: %w", err)
			return
		}
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
			done <- fmt.Errorf("enter mount namespace: %w", err)
			return
		}
		done <- do()
	}()
	return <-done
}
