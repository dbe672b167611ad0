package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
)

// An overlay is a mount of directories over others.
type overlay struct {
	source      string   // in /proc/self/mountinfo; "" is "overlay"
	lowers      []string // the topmost first
	upper, work string   // "" for a read-only one
	flags       uintptr  // of mount(2)
	volatile    bool     // nothing waits until files are on the disk (Linux 5.10)
}

// mountOverlay mounts r over lowers.
func (r Rootfs) mountOverlay(lowers []string) error {
	o := overlay{lowers: lowers, upper: r.Upper(), work: r.work(), flags: r.flags(), volatile: r.Volatile}
	if r.Volatile {
		// The kernel marks a volatile overlay, and refuses to mount it again: after a crash
		// of the host files can be missing. A VPS with such files does not survive a crash.
		if err := os.RemoveAll(filepath.Join(r.work(), "work", "incompat")); err != nil {
			return layer.HostError(fmt.Errorf("mount a root filesystem: %w", err))
		}
	}
	return o.mount(r.Target)
}

// mount mounts o at target. mount(2) accepts one page of options. If the layers do not
// fit, each is passed by fsconfig(2).
func (o overlay) mount(target string) error {
	if o.source == "" {
		o.source = "overlay"
	}
	data := o.options()
	var err error
	if len(data) < os.Getpagesize() {
		err = unix.Mount(o.source, target, "overlay", o.flags, data)
	} else {
		err = o.mountManyLayers(target)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENODEV):
		return fail.New(fail.Host, "mount %s: this kernel has no overlay filesystem", target).WithHint("modprobe overlay")
	case errors.Is(err, unix.EINVAL):
		return fail.New(fail.Host, "mount an overlay on %s: %w", target, err).
			WithHint("overlay over a VPS's layers needs Linux 5.19 or newer, 6.8 for more than about 100 layers, and no overlay under --root; dmesg says more")
	}
	return layer.HostError(fmt.Errorf("mount an overlay on %s: %w", target, err))
}

// options returns the options in the form of mount(8)'s -o. redirect_dir
// keeps the kernel's default. metacopy is off, so that each file in the upper
// directory has its own data. index is off, whatever the default of the host is: with an
// index the kernel refuses an upper directory whose lower ones have changed, as they do
// after a snapshot.
func (o overlay) options() string {
	colons := strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`)
	commas := strings.NewReplacer(`\`, `\\`, `,`, `\,`)
	var low []string
	for _, l := range o.lowers {
		low = append(low, colons.Replace(l))
	}
	if o.upper == "" { // read-only
		return "lowerdir=" + strings.Join(low, ":") + ",index=off"
	}
	text := "lowerdir=" + strings.Join(low, ":") + ",upperdir=" + commas.Replace(o.upper) + ",workdir=" + commas.Replace(o.work) + ",metacopy=off,index=off"
	if o.volatile {
		text += ",volatile"
	}
	return text
}

// mountManyLayers mounts an overlay by fsopen(2) with one option lowerdir+ for
// each layer (Linux 6.8).
func (o overlay) mountManyLayers(target string) error {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	set := func(key, value string) {
		if err == nil {
			err = unix.FsconfigSetString(fd, key, value)
		}
	}
	set("source", o.source)
	for _, l := range o.lowers {
		set("lowerdir+", l)
	}
	if o.upper != "" {
		set("upperdir", o.upper)
		set("workdir", o.work)
		set("metacopy", "off")
	}
	set("index", "off")
	if err == nil && o.upper != "" && o.volatile {
		err = unix.FsconfigSetFlag(fd, "volatile")
	}
	if err == nil {
		err = unix.FsconfigCreate(fd)
	}
	if err != nil {
		return err
	}
	attrs := 0
	for flag, attr := range map[uintptr]int{
		unix.MS_RDONLY: unix.MOUNT_ATTR_RDONLY, unix.MS_NODEV: unix.MOUNT_ATTR_NODEV,
		unix.MS_NOEXEC: unix.MOUNT_ATTR_NOEXEC, unix.MS_NOSUID: unix.MOUNT_ATTR_NOSUID,
	} {
		if o.flags&flag != 0 {
			attrs |= attr
		}
	}
	m, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return err
	}
	defer unix.Close(m)
	return unix.MoveMount(m, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}
