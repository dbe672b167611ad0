package rootfs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
)

// Mounted reports whether something is mounted at Target in the mount namespace
// of the calling thread.
func (r Rootfs) Mounted() (bool, error) {
	return isMountPoint(r.Target)
}

// Release is Unmount for a mount that processes may use. If one does, Release is
// fail.Busy and unmounts nothing. It does not see processes in other mount
// namespaces. No-op if nothing is mounted.
func (r Rootfs) Release() error {
	if err := release(r.Target); err != nil {
		return err
	}
	return r.Unmount()
}

// release unmounts target, unless a process uses it. No-op if nothing is mounted.
func release(target string) error {
	err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		return fail.New(fail.Busy, "%s is in use", target).WithHint("fuser -vm %s", target)
	}
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	return nil
}

// View calls do with a directory in which r can be read, with ids as they are
// stored on disk. The mount is private and ends with the call. r must not be
// mounted for writing anywhere meanwhile.
func (r Rootfs) View(do func(root string) error) error {
	if r.Plain() {
		return r.Within(func() error { return do(r.Own().Dir) })
	}
	// Inits of VPSs pass through the directories above Target.
	if err := os.MkdirAll(r.Target, 0o755); err != nil {
		return layer.HostError(fmt.Errorf("read a root filesystem: %w", err))
	}
	dirs := []string{r.Upper()}
	for _, l := range r.lowers() {
		dirs = append(dirs, l.dir)
	}
	if r.Image == "" {
		return WithMerged(r.Target, dirs, do)
	}
	return r.privately(func() error { return mountMerged(r.Target, dirs, do) })
}

// UnmountBelow unmounts everything below dir in the mount namespace of the
// calling thread. A mount that is in use ends when it is no longer used. No-op if
// nothing is mounted.
func UnmountBelow(dir string) error {
	all, err := mountinfo.GetMounts(below(dir))
	if err != nil {
		return fmt.Errorf("list mounts below %s: %w", dir, err)
	}
	for _, m := range slices.Backward(all) { // the last mounted first
		if err := unmount(m.Mountpoint); err != nil {
			return err
		}
	}
	return nil
}

// below selects the mounts below dir, without one at dir itself.
func below(dir string) mountinfo.FilterFunc {
	return func(m *mountinfo.Info) (skip, stop bool) { return !strings.HasPrefix(m.Mountpoint, dir+"/"), false }
}
