// Package diskfile keeps files of a VPS in a file of the host: an image of an ext4
// file system. Its size is the limit of the VPS.
//
// An image is mounted by a loop device. Each image has at most one loop device, so two
// mounts of it, in whatever mount namespaces, are one file system. The device goes away
// with its last user, however that ends (LO_FLAGS_AUTOCLEAR).
package diskfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/flock"
)

// BlockSize is the size of a block of the file system. Sizes of images are multiples of
// it.
const BlockSize = 4096

// bytesPerInode is how many bytes of an image come with one inode, as in mke2fs.conf(5).
const bytesPerInode = 16384

// A Size is what an image has room for.
type Size struct {
	Bytes  int64
	Inodes int64 // 0: as the bytes say
}

// InodeLimit is the number of inodes.
func (s Size) InodeLimit() int64 {
	if s.Inodes > 0 {
		return s.Inodes
	}
	return max(s.Bytes/bytesPerInode, 1024)
}

// Create makes path, which must not exist, a sparse image with an empty file system,
// durably. Its time and its use of the disk hardly depend on the size. After an error
// there is no file.
func Create(ctx context.Context, path string, size Size) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return hostError("create an image", err)
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(path)
		}
	}()
	if err := f.Truncate(size.Bytes / BlockSize * BlockSize); err != nil {
		return hostError("create an image", err)
	}
	if err := makeFS(ctx, path, size); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return hostError("create an image", err)
	}
	return nil
}

// Try makes a small image at path, which must not exist, mounts it for a moment where
// nothing else sees it, and removes it.
func Try(ctx context.Context, path string) error {
	if err := Create(ctx, path, Size{Bytes: 16 << 20}); err != nil {
		return err
	}
	defer os.Remove(path)
	return privately(path, func(string, *os.File) {})
}

// makeFS makes a file system that takes the whole image. Root of the host has no
// reserved blocks: all writes of a VPS count as its writes.
func makeFS(ctx context.Context, path string, size Size) error {
	program, err := findProgram("mkfs.ext4")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, "-q", "-F", "-b", strconv.Itoa(BlockSize), "-I", "256", "-m", "0",
		"-N", strconv.FormatInt(size.InodeLimit(), 10), "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0", path)
	cmd.Env = []string{"PATH=/usr/sbin:/sbin:/usr/bin:/bin", "MKE2FS_SYNC=0"}
	text, err := cmd.CombinedOutput()
	if e := ctx.Err(); e != nil {
		return e
	}
	if err != nil {
		return fail.New(fail.Host, "cannot make a file system of %d bytes with %d inodes: %s", size.Bytes, size.InodeLimit(), lastLine(text, err))
	}
	return nil
}

// findProgram finds a program of e2fsprogs. The PATH of users often has no sbin.
func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path, nil
		}
	}
	return "", fail.New(fail.Host, "%s is not installed; a disk limit needs it (package e2fsprogs)", name).WithHint("croft host check")
}

func lastLine(text []byte, err error) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return err.Error()
}

// Mount mounts the image path on the directory dir in the mount namespace of the calling
// thread. What a VPS deletes there, the kernel gives back to the host, but not always at
// once. A damaged file
// system is fail.State.
func Mount(path, dir string) error {
	device, err := attach(path)
	if err != nil {
		return err
	}
	defer device.Close() // the mount keeps the device
	err = unix.Mount(device.Name(), dir, "ext4", 0, "discard,errors=remount-ro")
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENODEV):
		return fail.New(fail.Host, "mount %s: this kernel has no ext4", path).WithHint("modprobe ext4")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fail.New(fail.Permission, "mount %s: %w", path, err).WithHint("croft host check")
	case errors.Is(err, unix.EUCLEAN), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EIO):
		return fail.New(fail.State, "the file system in %s is damaged: %w; e2fsck -fy repairs it while the VPS is stopped", path, err).
			WithHint("e2fsck -fn %s", path)
	}
	return hostError("mount "+path, err)
}

// Grow makes the file system in the image larger, while it is mounted or not. It
// needs CAP_SYS_RESOURCE of the host: without it, it is fail.Permission, and nothing is
// changed. A second call is a no-op.
func Grow(path string, bytes int64) error {
	image, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return hostError("open an image", err)
	}
	defer image.Close()
	if perr := privately(path, func(dir string, device *os.File) { err = grow(image, dir, device, bytes) }); perr != nil {
		return perr
	}
	return err
}

func grow(image *os.File, dir string, device *os.File, bytes int64) error {
	bytes = bytes / BlockSize * BlockSize
	before, err := image.Stat()
	if err != nil {
		return hostError("grow "+image.Name(), err)
	}
	if bytes > before.Size() {
		if err := setLength(image, device, bytes); err != nil {
			return err
		}
	}
	err = resize(dir, bytes/BlockSize)
	if errors.Is(err, unix.EPERM) {
		err = fail.New(fail.Permission, "cannot make a mounted file system larger without CAP_SYS_RESOURCE of the host: %w", err)
	}
	if err != nil {
		if e := setLength(image, device, before.Size()); e != nil {
			err = errors.Join(err, e)
		}
		return fmt.Errorf("grow %s: %w", image.Name(), err)
	}
	return nil
}

// setLength gives an image and its loop device a length.
func setLength(image, device *os.File, bytes int64) error {
	err := image.Truncate(bytes)
	if err == nil {
		err = unix.IoctlSetInt(int(device.Fd()), unix.LOOP_SET_CAPACITY, 0)
	}
	if err != nil {
		return hostError("change the size of "+image.Name(), err)
	}
	return nil
}

// lock waits until no other process attaches the image. The returned function ends that.
func lock(path string) (func(), error) {
	f, err := flock.OpenAny(path, flock.DiskImage)
	if err != nil {
		return nil, hostError("open an image", err)
	}
	if err := f.Wait(context.Background()); err != nil {
		f.Close()
		return nil, hostError("lock an image", err)
	}
	return f.Drop, nil
}

// hostError says what failed on the host.
func hostError(what string, err error) error {
	return fail.New(fail.Host, "%s: %w", what, err)
}
