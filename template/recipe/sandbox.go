package recipe

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
	"croft/template/layer"
)

// StartInSandbox calls start on a thread with a mount namespace of its own, where
// /tmp is empty except for dir at /tmp/croft. It returns when start has returned,
// with its error. The thread ends when the caller calls release, also after an
// error. The kernel then kills the process that start has started with Pdeathsig.
//
// The thread makes the mounts, and not the build's first process, because only
// the host's root may enter the directories above dir.
func StartInSandbox(dir string, start func() error) (release func(), err error) {
	started, released := make(chan error), make(chan struct{})
	go func() {
		err := nsthread.PrivateMounts(func() {
			err := mountSandbox(dir)
			if err == nil {
				err = start()
			}
			started <- err
			<-released
		})
		if err != nil {
			started <- layer.HostError(err)
		}
	}()
	return func() { close(released) }, <-started
}

// mountSandbox mounts an empty /tmp, and dir in it.
func mountSandbox(dir string) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // dir may be below /tmp
	if err != nil {
		return layer.HostError(fmt.Errorf("open %s: %w", dir, err))
	}
	defer unix.Close(fd)
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return layer.HostError(fmt.Errorf("mount a build's /tmp: %w", err))
	}
	if err := os.Mkdir("/tmp/croft", 0o755); err != nil {
		return layer.HostError(err)
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(fd), "/tmp/croft", "", unix.MS_BIND, ""); err != nil {
		return layer.HostError(fmt.Errorf("mount %s for a build: %w", dir, err))
	}
	return nil
}
