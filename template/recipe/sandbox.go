package recipe

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
	"croft/template/layer"
)

// startInSandbox calls start on a thread whose mount namespace is its own, with
// dir at /tmp/croft and nothing else in /tmp. The thread lives on until release
// is called: the kernel then ends what was started with Pdeathsig.
//
// The thread does this and not the build's first process, because dir's path
// leads through directories that only the host's root may enter.
func StartInSandbox(dir string, start func() error) (release func(), err error) {
	started, released := make(chan error), make(chan struct{})
	go nsthread.Do(func() {
		err := enterSandbox(dir)
		if err == nil {
			err = start()
		}
		started <- err
		<-released
	})
	return func() { close(released) }, <-started
}

func enterSandbox(dir string) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return layer.HostError(fmt.Errorf("make a mount namespace: %w", err))
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return layer.HostError(fmt.Errorf("make the mounts of a build private: %w", err))
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // before /tmp covers it, where the store is there
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
