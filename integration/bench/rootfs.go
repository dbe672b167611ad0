package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// rootfs returns a directory with the files of a template that a container may write to: an overlay, as a
// VPS has one. close unmounts it.
func (b *bench) rootfs(name string) (dir string, close func(context.Context) error, err error) {
	lower, err := b.files(name)
	if err != nil {
		return "", nil, err
	}
	top := b.at(b.next("rootfs"))
	dir = filepath.Join(top, "merged")
	for _, d := range []string{"upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(top, d), 0o755); err != nil {
			return "", nil, err
		}
	}
	info, err := os.Stat(lower)
	if err != nil {
		return "", nil, err
	}
	upper := filepath.Join(top, "upper")
	if err := os.Chown(upper, owner(info), owner(info)); err != nil {
		return "", nil, err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, filepath.Join(top, "work"))
	if err := unix.Mount("overlay", dir, "overlay", 0, options); err != nil {
		return "", nil, fmt.Errorf("mount an overlay of %s: %w", name, err)
	}
	return dir, func(context.Context) error {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
		return os.RemoveAll(top)
	}, nil
}

func owner(info os.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return 0
}
