package rootfs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
	"croft/template/layer"
)

// withMerged calls do with a directory in which the layers dirs, the topmost
// first, are one read-only tree, as a VPS sees them but with ids as they are.
// It is mounted at the directory at, which is made, in a mount namespace that
// ends with the call, so nobody else sees it. It takes root.
func WithMerged(at string, dirs []string, do func(root string) error) error {
	if len(dirs) == 1 {
		return do(dirs[0]) // overlay takes no single one
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		return layer.HostError(err)
	}
	var err error
	nsthread.Do(func() { err = mountMerged(at, dirs, do) })
	return err
}

func mountMerged(at string, dirs []string, do func(root string) error) error {
	if err := PrivateMounts(); err != nil {
		return err
	}
	if err := MountOverlay(at, dirs, "", "", unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOEXEC); err != nil {
		return err
	}
	err := do(at)
	if uerr := unmount(at); err == nil {
		err = uerr
	}
	return err
}

// privateMounts gives the calling thread a mount namespace of its own, out of
// which nothing is seen.
func PrivateMounts() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return layer.HostError(fmt.Errorf("make a mount namespace: %w", err))
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return layer.HostError(fmt.Errorf("make mounts private: %w", err))
	}
	return nil
}
