package rootfs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
)

// Mounted reports whether something is mounted at Target, in the mount
// namespace of the calling thread (statx(2), Linux 5.8).
func (r Rootfs) Mounted() (bool, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, r.Target, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether %s is mounted: %w", r.Target, err)
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}

// Release is Unmount for what others may be using: then it is fail.Busy, and
// stays mounted as it is. What a process holds in another mount namespace is
// not seen.
func (r Rootfs) Release() error {
	err := unix.Unmount(r.Target, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		return fail.New(fail.Busy, "%s is in use", r.Target).WithHint("fuser -vm %s", r.Target)
	}
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", r.Target, err)
	}
	return r.Unmount()
}

// View calls do with a directory in which r can be read, with ids as they are
// stored. Nobody else sees it, and it ends with the call. r must not be mounted
// anywhere for writing meanwhile.
func (r Rootfs) View(do func(root string) error) error {
	// Inits of VPSs pass through the directories above it.
	if err := os.MkdirAll(r.Target, 0o755); err != nil {
		return layer.HostError(fmt.Errorf("look into a root filesystem: %w", err))
	}
	return WithMerged(r.Target, append([]string{r.Upper()}, r.Layers...), do)
}

// UnmountBelow takes away all that is mounted below dir, in the mount namespace
// of the calling thread. What is in use there goes when it no longer is.
func UnmountBelow(dir string) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, at := range mountsBelow(string(text), dir) {
		if err := unmount(at); err != nil {
			return err
		}
	}
	return nil
}

// mountsBelow are the mount points below dir in a text as that of
// /proc/self/mountinfo (proc_pid_mountinfo(5)), the last mounted first.
func mountsBelow(mountinfo, dir string) []string {
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var below []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if at := plain.Replace(fields[4]); strings.HasPrefix(at, dir+"/") {
			below = append(below, at)
		}
	}
	slices.Reverse(below)
	return below
}
