package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"

	"croft/network/guest"
)

// hostGuests is guests on the real host.
type hostGuests struct{}

// A guestLook is what a root filesystem holds, as far as a start has to know.
type guestLook struct {
	Init    string // path of its init, "" if it has none
	Kind    initKind
	Inittab string // its text; "" if it has none
}

// openInside opens name inside root: links are resolved as the VPS would
// resolve them, and never lead out.
func openInside(root, name string, flags int) (*os.File, error) {
	handle, err := pathrs.OpenInRoot(root, name)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	return pathrs.Reopen(handle, flags|unix.O_CLOEXEC|unix.O_NOCTTY)
}

// existsInside reports whether there is such a file.
func existsInside(root, name string) bool {
	handle, err := pathrs.OpenInRoot(root, name)
	if err != nil {
		return false
	}
	handle.Close()
	return true
}

// readInside returns a regular file's content, and nil for anything else: a
// VPS may have put a FIFO there that would never end.
func readInside(root, name string) ([]byte, error) {
	const most = 1 << 20 // bytes; nothing that croft reads in there is larger
	handle, err := pathrs.OpenInRoot(root, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s inside: %w", name, err)
	}
	defer handle.Close()
	info, err := handle.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil, err
	}
	f, err := pathrs.Reopen(handle, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("read %s inside: %w", name, err)
	}
	defer f.Close()
	data := make([]byte, info.Size())
	n, err := f.ReadAt(data, 0)
	if n == len(data) {
		err = nil
	}
	return data[:n], err
}

func (hostGuests) Look(root string) (guestLook, error) {
	var look guestLook
	for _, name := range inits() {
		handle, err := pathrs.OpenInRoot(root, name)
		if err != nil {
			continue
		}
		info, err := handle.Stat()
		exe, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", handle.Fd()))
		handle.Close()
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			look.Init, look.Kind = name, kindOfInit(exe)
			break
		}
	}
	inittab, err := readInside(root, "/etc/inittab")
	if err != nil {
		return guestLook{}, err
	}
	look.Inittab = string(inittab)
	return look, nil
}

func (hostGuests) Configure(root string, first uint32, s guest.Settings) error {
	changes, err := guest.Files(rootFS(root), s)
	if err != nil {
		return err
	}
	return change(root, first, changes)
}

func (hostGuests) Hosts(root string, first uint32, all []guest.Host) error {
	changes, err := guest.Hosts(rootFS(root), all)
	if err != nil {
		return err
	}
	return change(root, first, changes)
}

func change(root string, first uint32, changes guest.Changes) error {
	for _, f := range changes.Files {
		if err := writeInside(root, first, f); err != nil {
			return fmt.Errorf("write %s inside: %w", f.Path, err)
		}
	}
	for _, name := range changes.Remove {
		if err := removeInside(root, name); err != nil {
			return fmt.Errorf("remove %s inside: %w", name, err)
		}
	}
	return nil
}

// removeInside removes a file of the guest's; an absent one is success.
func removeInside(root, name string) error {
	dir, err := pathrs.OpenInRoot(root, path.Dir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Unlinkat(int(dir.Fd()), path.Base(name), 0); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// writeInside replaces one file of the guest's. The directory is resolved
// inside; the last element is replaced and never followed, so a link there is
// gone afterwards.
func writeInside(root string, first uint32, f guest.File) error {
	dir, err := directoryInside(root, path.Dir(f.Path), first)
	if err != nil {
		return err
	}
	defer dir.Close()
	tmp := "." + path.Base(f.Path) + ".croft"
	if err := unix.Unlinkat(int(dir.Fd()), tmp, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	fd, err := unix.Openat(int(dir.Fd()), tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(f.Mode.Perm()))
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), tmp)
	_, err = file.Write(f.Content)
	err = errors.Join(err, file.Chown(int(first), int(first)), file.Chmod(f.Mode.Perm()), file.Close())
	if err == nil {
		err = unix.Renameat(int(dir.Fd()), tmp, int(dir.Fd()), path.Base(f.Path))
	}
	if err != nil {
		_ = unix.Unlinkat(int(dir.Fd()), tmp, 0)
	}
	return err
}

// directoryInside opens a directory of the guest's, and makes it, owned by its
// root, if it is not there.
func directoryInside(root, dir string, first uint32) (*os.File, error) {
	handle, err := pathrs.OpenInRoot(root, dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || dir == "/" {
		return handle, err
	}
	parent, err := directoryInside(root, path.Dir(dir), first)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	if err := unix.Mkdirat(int(parent.Fd()), path.Base(dir), 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	if err := unix.Fchownat(int(parent.Fd()), path.Base(dir), int(first), int(first), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	return pathrs.OpenInRoot(root, dir)
}

// BootID lays the file at path over the boot id of the VPS whose init is pid.
// The file is the host's: root of the host has no id in the VPS's own tmpfs
// and could not make one there.
func (hostGuests) BootID(pid int, path string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("give the VPS a boot id: %w", err)
	}
	defer unix.Close(tree)
	return inMountNamespace(pid, func() error {
		const target = "/proc/sys/kernel/random/boot_id"
		if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("give the VPS a boot id: %w", err)
		}
		return nil
	})
}

func (hostGuests) FreeConsole(master *os.File) error { return freeTerminal(master) }

// NewConsole lays a new terminal over the VPS's /dev/console. Who had the old
// one open has seen its end, and opens it again.
func (hostGuests) NewConsole(pid int, first uint32) (master *os.File, err error) {
	const target = "/dev/console"
	err = inMountNamespace(pid, func() error {
		ptmx, err := os.OpenFile("/dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("make console: %w", err)
		}
		n, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
		if err == nil {
			err = unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0)
		}
		if err == nil {
			slave := fmt.Sprintf("/dev/pts/%d", n)
			_ = unix.Unmount(target, unix.MNT_DETACH) // the old one; a VPS may have done so itself
			err = errors.Join(os.Chown(slave, int(first), int(first)), unix.Mount(slave, target, "", unix.MS_BIND, ""))
		}
		if err != nil {
			ptmx.Close()
			return fmt.Errorf("make console: %w", err)
		}
		master = ptmx
		return nil
	})
	return master, err
}
