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
// /tmp is empty except for dir at /tmp/croft. mount, if it is not nil, mounts a root
// filesystem there and opens it; the process sees it at RootDir. It returns when start has
// returned, with its error. The thread ends when the caller calls release, also after an
// error. The kernel then kills the process that start has started with Pdeathsig.
//
// The thread makes the mounts, and not the build's first process, because only
// the host's root may enter the directories above dir.
func StartInSandbox(dir string, mount func() (*os.File, error), start func() error) (release func(), err error) {
	started, released := make(chan error), make(chan struct{})
	go func() {
		err := nsthread.PrivateMounts(func() {
			err := mountSandbox(dir, mount)
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

// mountSandbox mounts an empty /tmp, and in it dir, and what mount has opened.
func mountSandbox(dir string, mount func() (*os.File, error)) error {
	top, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0) // dir may be below /tmp
	if err != nil {
		return layer.HostError(fmt.Errorf("open a build's directory: %w", err))
	}
	defer top.Close()
	var root *os.File
	if mount != nil {
		if root, err = mount(); err != nil {
			return err
		}
		defer root.Close()
	}
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return layer.HostError(fmt.Errorf("mount a build's /tmp: %w", err))
	}
	if err := bindAt(top, "/tmp/croft"); err != nil || root == nil {
		return err
	}
	return bindAt(root, RootDir)
}

// bindAt mounts the open directory dir at the new directory at.
func bindAt(dir *os.File, at string) error {
	if err := os.Mkdir(at, 0o755); err != nil {
		return layer.HostError(err)
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(int(dir.Fd())), at, "", unix.MS_BIND, ""); err != nil {
		return layer.HostError(fmt.Errorf("mount %s for a build: %w", at, err))
	}
	return nil
}
