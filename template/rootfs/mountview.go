package rootfs

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
)

// A MountedView is a view that MountView has mounted.
type MountedView struct {
	Source string // as /proc/self/mountinfo names it
	Target string
}

// MountView mounts a stack of layers, the topmost first, as one read-only tree on the
// directory target, in the mount namespace of the calling thread. Owners are the ids
// inside the VPS, as in WithViews. source is the name of the mount for Views. The
// layers must not change before ReleaseView. at is the directory of WithViews. If the
// process is killed, the tree is mounted completely or not at all.
func MountView(at, source string, stack []Frozen, target string) error {
	on, err := os.OpenFile(target, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return fail.New(fail.Usage, "mount on %s: %w", target, errors.Unwrap(err))
	}
	defer on.Close()
	var tree int
	err = WithLayers(at, 0, func(v *Layered) error {
		root, err := v.mount(source, stack)
		if err == nil {
			tree, err = unix.OpenTree(unix.AT_FDCWD, root, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
		}
		return err
	})
	if err != nil {
		return layer.HostError(err)
	}
	defer unix.Close(tree)
	err = unix.MoveMount(tree, "", int(on.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return layer.HostError(fmt.Errorf("mount on %s: %w", target, err))
	}
	return nil
}

// Views returns the mounts of MountView whose source begins with prefix, in the mount
// namespace of the calling thread.
func Views(prefix string) ([]MountedView, error) {
	all, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.FSType != "overlay" || !strings.HasPrefix(m.Source, prefix), false
	})
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var views []MountedView
	for _, m := range all {
		views = append(views, MountedView{Source: m.Source, Target: m.Mountpoint})
	}
	return views, nil
}

// ReleaseView undoes MountView. If a process uses the tree, it is fail.Busy and stays
// mounted.
func ReleaseView(target string) error { return release(target) }
