// Package rootfs mounts the root filesystem of a VPS with the ids of the VPS: an overlay
// of the VPS's own files over the layers of a template, or a plain tree of files.
package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/trace"
	"croft/template/layer"
)

// A Rootfs is the root filesystem of one VPS: an overlay of the VPS's own files
// over the layers of a template, or a plain tree.
type Rootfs struct {
	// Tree is "" for an overlay. A plain root filesystem is the directory Tree in Dir: it
	// has all files, with the ids inside the VPS as their owners. Then Layers are those of
	// the template that the VPS was created from, and Frozen is empty.
	Tree    string
	Frozen  []Frozen // layers between the VPS's own files and the template, the topmost first
	Layers  []string // directories, the topmost first: Store.LayerDirs
	Dir     string   // contains the VPS's own files: upper/ and work/, or Tree
	Image   string   // a file with the file system that is mounted on Dir, or a directory that is; "": Dir has the files itself
	Target  string   // the mount point
	Scratch string   // a directory in which the layers are mounted for this VPS
	Whole   bool     // all directories are on the overlay, also those of DataPaths: no container engine runs in it
	// Volatile is an overlay whose files are not kept when the host crashes. A program that
	// waits until its files are on the disk does not wait. A plain tree ignores it.
	Volatile bool
	// The VPS's ids 0..Size-1 are the host's from First on. Both zero: the VPS has
	// no user namespace, and its ids are the host's.
	First, Size uint32
}

// Upper returns the directory of the VPS's own files: overlay's upper directory.
func (r Rootfs) Upper() string { return filepath.Join(r.Dir, "upper") }
func (r Rootfs) work() string  { return filepath.Join(r.Dir, "work") }

// Make creates the upper directory, owned by the VPS's root, and overlay's work
// directory. If they exist, it only sets owner and mode of the upper one. The time
// does not depend on the size of the template.
func (r Rootfs) Make() error {
	defer trace.Span("make the root filesystem")()
	for _, d := range []string{r.Upper(), r.work()} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return layer.HostError(fmt.Errorf("create a root filesystem: %w", err))
		}
	}
	// The root directory of an overlay has the owner and mode of the upper one.
	err := os.Chmod(r.Upper(), 0o755)
	if err == nil {
		err = os.Lchown(r.Upper(), int(r.First), int(r.First))
	}
	if errors.Is(err, unix.EINVAL) { // no such id in the user namespace of this process
		return fail.New(fail.Host, "this host has no user id %d: it is a container with too few ids: %w", r.First, err).
			WithHint("croft host check")
	}
	if err != nil {
		return layer.HostError(fmt.Errorf("create a root filesystem: %w", err))
	}
	return nil
}

// Mount mounts r at Target in the mount namespace of the calling thread. First it
// mounts the image on Dir, if r has one, and a clone of each layer with the VPS's ids in Scratch. The upper directory
// is used directly, because its files have the VPS's ids on disk. (With an idmapped
// upper directory overlay mounts read-only: the mounter's id is not in the map.)
// Target and Scratch are created if they are missing. On an error nothing stays
// mounted.
//
// Device nodes in the files of a VPS can be opened only if it has no user
// namespace.
func (r Rootfs) Mount() (err error) {
	defer trace.Span("mount the root filesystem")()
	if r.Plain() {
		if err := r.mountImage(); err != nil {
			return err
		}
		if err := r.mountPlain(); err != nil {
			return errors.Join(err, r.Unmount())
		}
		return nil
	}
	if n := len(r.Frozen) + len(r.Layers); len(r.Layers) == 0 || n > MaxLayers {
		return fail.New(fail.State, "mount %s: %d layers; overlay takes 1 to %d", r.Target, n, MaxLayers)
	}
	for _, d := range []string{r.Target, r.Scratch} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return layer.HostError(fmt.Errorf("mount a root filesystem: %w", err))
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Unmount())
		}
	}()
	if err := r.mountImage(); err != nil {
		return err
	}
	lowers, err := r.shiftLayers()
	if err != nil {
		return err
	}
	if !r.Whole {
		if err := r.makeDataDirs(lowers); err != nil {
			return err
		}
	}
	return r.mountOverlay(lowers)
}

func (r Rootfs) flags() uintptr {
	if r.Size == 0 {
		return 0
	}
	return unix.MS_NODEV
}

// MaxLayers is the largest number of lower directories that overlay accepts:
// OVL_MAX_STACK in fs/overlayfs/params.h.
const MaxLayers = 500

// mountShifted mounts dir read-only at to with the ids of the user namespace ns.
// Idmapped mounts need Linux 5.12; as layers of an overlay they need 5.19.
func mountShifted(dir, to string, ns int) error {
	fd, err := openShifted(dir, ns)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount the layer %s: %w", dir, err)
	}
	return nil
}

// openShifted is mountShifted that returns a detached mount, which the caller closes.
func openShifted(dir string, ns int) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return -1, fmt.Errorf("clone the layer %s: %w", dir, err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP | unix.MOUNT_ATTR_RDONLY, Propagation: unix.MS_PRIVATE, Userns_fd: uint64(ns)}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr)
	if err == nil {
		return fd, nil
	}
	unix.Close(fd)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return -1, fail.New(fail.Host, "the filesystem of %s cannot be mounted with a VPS's ids: %w", dir, err).
			WithHint("this needs Linux 5.19 or newer, and ext4, xfs, btrfs or tmpfs under --root")
	}
	return -1, fmt.Errorf("give the layer %s a VPS's ids: %w", dir, err)
}

// Unmount undoes Mount in the mount namespace of the calling thread. The
// filesystem ends when its last open file is closed. Unmount is a no-op if nothing
// is mounted. The directories of Make stay. What is free in an image goes back to the host.
func (r Rootfs) Unmount() error {
	defer trace.Span("unmount the root filesystem")()
	err := unmount(r.Target)
	left, rerr := os.ReadDir(r.Scratch)
	if rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	for _, e := range left {
		if _, nerr := strconv.Atoi(e.Name()); nerr != nil {
			continue // not a mount point of shiftLayers
		}
		dir := filepath.Join(r.Scratch, e.Name())
		if uerr := unmount(dir); uerr != nil {
			err = errors.Join(err, uerr)
		} else if derr := os.Remove(dir); derr != nil && !errors.Is(derr, fs.ErrNotExist) {
			err = errors.Join(err, derr)
		}
	}
	if r.Image != "" {
		err = errors.Join(err, r.unmountImage())
	}
	return err
}

// unmount unmounts everything at dir. No-op if nothing is mounted there.
func unmount(dir string) error {
	for {
		err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		switch {
		case err == nil:
			continue // another mount may be below it
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		}
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
}
