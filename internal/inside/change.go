package inside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Replace makes name inside a regular file with that content and mode, owned by
// the guest's root, whose id on the host is owner. Directories that are missing
// are created. What stood at name is replaced and never followed: a link there
// is gone afterwards, a directory is an error. Only the guest's root filesystem
// is changed, and only what owner may change; on error what stood at name stays.
func (r *Root) Replace(name string, mode fs.FileMode, content []byte, owner uint32) error {
	return as(owner, func() error {
		dir, err := r.ownDirectory(path.Dir(name))
		if err != nil {
			return err
		}
		defer dir.Close()
		return replaceIn(dir, path.Base(name), mode, content, false)
	})
}

// replaceIn replaces base in dir. If durable is set, a power cut leaves the former
// content or the new one.
func replaceIn(dir *os.File, base string, mode fs.FileMode, content []byte, durable bool) error {
	tmp := "." + base + ".croft"
	if err := unix.Unlinkat(int(dir.Fd()), tmp, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %s: %w", tmp, err)
	}
	fd, err := unix.Openat(int(dir.Fd()), tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(mode.Perm()))
	if err != nil {
		return fmt.Errorf("create %s: %w", tmp, err)
	}
	file := os.NewFile(uintptr(fd), tmp)
	_, err = file.Write(content)
	if err == nil && durable {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = unix.Renameat(int(dir.Fd()), tmp, int(dir.Fd()), base)
	}
	if err != nil {
		_ = unix.Unlinkat(int(dir.Fd()), tmp, 0)
	}
	return err
}

// Remove removes the file name inside, a link itself. An absent one is a no-op.
// Only what owner may remove is removed, and only on the guest's root filesystem.
func (r *Root) Remove(name string, owner uint32) error {
	return as(owner, func() error {
		dir, err := openAt(r.dir, path.Dir(name), unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_XDEV)
		if leadsNowhere(err) {
			return nil
		}
		if err != nil {
			return explain(err)
		}
		defer dir.Close()
		if err := unix.Unlinkat(int(dir.Fd()), path.Base(name), 0); !errors.Is(err, unix.ENOENT) {
			return err
		}
		return nil
	})
}

// MakeDirectory creates the directory name inside, owned by the guest's root,
// with those above it that are missing. One that exists is a no-op.
func (r *Root) MakeDirectory(name string, owner uint32) error {
	return as(owner, func() error {
		dir, err := r.ownDirectory(name)
		if err != nil {
			return err
		}
		return dir.Close()
	})
}

// ownDirectory opens the directory name on the guest's root filesystem, and
// creates it, with those above it, if it is missing. It has the caller's ids.
func (r *Root) ownDirectory(name string) (*os.File, error) {
	find := func() (*os.File, error) {
		return openAt(r.dir, name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_XDEV)
	}
	dir, err := find()
	if err == nil {
		return dir, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || path.Dir(name) == name {
		return nil, explain(err)
	}
	parent, err := r.ownDirectory(path.Dir(name))
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	err = unix.Mkdirat(int(parent.Fd()), path.Base(name), 0o755)
	if errors.Is(err, unix.EEXIST) { // made by the guest meanwhile, or a link
		if dir, err = find(); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is a link that leads nowhere", name)
		}
		return dir, explain(err)
	}
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	dir, err = openAt(parent, path.Base(name), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW,
		unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV|unix.RESOLVE_NO_SYMLINKS)
	return dir, explain(err)
}

// explain says in words what openat2(2) means by its errors.
func explain(err error) error {
	var at *fs.PathError
	if !errors.As(err, &at) {
		return err
	}
	switch {
	case errors.Is(err, unix.EXDEV):
		return fmt.Errorf("%s is on a mount and not on the root filesystem", at.Path)
	case errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%s is not a directory", at.Path)
	case errors.Is(err, unix.ELOOP):
		return fmt.Errorf("%s is a loop of links", at.Path)
	}
	return err
}

// MakeMountPoints makes each of all, which are single elements below the root, a
// directory that can be mounted on, owned by the host's id owner where it creates
// it. What is something else, such as a file or a link, is renamed; moved says
// from where to where. A link to a directory could lead below another mount.
// Nothing may run in the guest.
func (r *Root) MakeMountPoints(owner uint32, all ...string) (moved [][2]string, err error) {
	for _, name := range all {
		to, err := r.makeMountPoint(owner, name)
		if err != nil {
			return moved, fmt.Errorf("make directory /%s inside: %w", name, err)
		}
		if to != "" {
			moved = append(moved, [2]string{"/" + name, "/" + to})
		}
	}
	return moved, nil
}

func (r *Root) makeMountPoint(owner uint32, name string) (to string, err error) {
	if dir, err := r.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW); err == nil {
		return "", dir.Close()
	}
	root := int(r.dir.Fd())
	for n := 0; ; n++ {
		err := unix.Mkdirat(root, name, 0o755)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EEXIST) {
			return "", err
		}
		to = fmt.Sprintf("%s.moved-%d", name, n)
		err = unix.Renameat2(root, name, root, to, unix.RENAME_NOREPLACE)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return "", err
		}
	}
	dir, err := openAt(r.dir, name, unix.O_DIRECTORY|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	return to, errors.Join(dir.Chmod(0o755), dir.Chown(int(owner), int(owner)))
}
