// Package filecopy copies files between the host, the root filesystem of a VPS
// and tar archives. Owners, modes, times, hard links, holes, capabilities, ACLs
// and user extended attributes are kept. It is for root of the host, while
// processes of the VPS change the same files: each name is resolved from the
// descriptor of a root directory, so no link and no rename leads out of it.
package filecopy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
)

// A Tree is the files below a root directory.
type Tree struct {
	Root *os.File  // opened with O_PATH; the caller closes it
	IDs  layer.IDs // the ids that owners of its files have on the host
	Name string    // for messages: "web:", "" for the host
}

// An entry is an existing file of a tree: its directory, and its name there.
type entry struct {
	parent *os.File
	base   string // "." is the directory parent itself
	stat   unix.Stat_t
}

func (e *entry) close() { e.parent.Close() }

func (e *entry) dir() bool { return e.stat.Mode&unix.S_IFMT == unix.S_IFDIR }

// same reports whether both are one file.
func (e *entry) same(o *unix.Stat_t) bool { return e.stat.Dev == o.Dev && e.stat.Ino == o.Ino }

// openDir opens the directory at name, following links inside the tree.
func (t Tree) openDir(name string) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	const most = 128 // a guest may rename forever
	var err error
	for range most {
		var fd int
		fd, err = unix.Openat2(int(t.Root.Fd()), "./"+name, &how)
		if err == nil {
			dir := os.NewFile(uintptr(fd), name)
			if err = notVirtual(dir); err != nil {
				dir.Close()
				return nil, t.failure(name, err)
			}
			return dir, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return nil, t.failure(name, err)
}

// find opens the file at name: a link itself, unless name ends with "/", "/."
// or "/..", which only a directory's name can. A missing one is fail.NotFound.
func (t Tree) find(name string) (*entry, error) {
	parent, base := path.Split(name)
	if base == "" || base == "." || base == ".." {
		parent, base = name, "."
	}
	dir, err := t.openDir(parent)
	if err != nil {
		return nil, err
	}
	e := &entry{parent: dir, base: base}
	if err := unix.Fstatat(int(dir.Fd()), base, &e.stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		dir.Close()
		return nil, t.failure(name, err)
	}
	return e, nil
}

// target describes what a copy to name finds there, after links. A link that
// leads nowhere counts as a file: the copy replaces it.
func (t Tree) target(name string) (Target, error) {
	to := Target{Path: name}
	dir, err := t.openDir(name)
	if err == nil {
		to.Exists, to.Dir = true, true
		return to, dir.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		return to, err
	}
	e, err := t.find(strings.TrimRight(name, "/"))
	if fail.Is(err, fail.NotFound) {
		return to, nil
	}
	if err != nil {
		return to, err
	}
	defer e.close()
	to.Exists = true
	return to, nil
}

// within reports whether the directory dir of t is the directory e, or below
// it.
func (t Tree) within(dir *os.File, e *entry) (bool, error) {
	var root, at unix.Stat_t
	if err := unix.Fstat(int(t.Root.Fd()), &root); err != nil {
		return false, err
	}
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer func() { unix.Close(fd) }()
	for range unix.PathMax { // a guest may move directories meanwhile
		if err := unix.Fstat(fd, &at); err != nil {
			return false, err
		}
		if e.same(&at) {
			return true, nil
		}
		if at.Dev == root.Dev && at.Ino == root.Ino {
			return false, nil
		}
		up, err := unix.Openat(fd, "..", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return false, err
		}
		var above unix.Stat_t
		err = unix.Fstat(up, &above)
		unix.Close(fd)
		fd = up
		if err != nil {
			return false, err
		}
		if above.Dev == at.Dev && above.Ino == at.Ino {
			return false, nil // the root of this mount namespace
		}
	}
	return false, nil
}

// virtual are filesystems that show the kernel and not files: what root of the
// host reads or writes there concerns the whole host, whoever's they are.
var virtual = map[int64]string{
	unix.PROC_SUPER_MAGIC: "proc", unix.SYSFS_MAGIC: "sysfs", unix.CGROUP_SUPER_MAGIC: "cgroup",
	unix.CGROUP2_SUPER_MAGIC: "cgroup2", unix.DEVPTS_SUPER_MAGIC: "devpts", unix.DEBUGFS_MAGIC: "debugfs",
	unix.TRACEFS_MAGIC: "tracefs", unix.SECURITYFS_MAGIC: "securityfs", unix.BPF_FS_MAGIC: "bpf",
	unix.NSFS_MAGIC: "nsfs", unix.BINFMTFS_MAGIC: "binfmt_misc", unix.SELINUX_MAGIC: "selinuxfs",
	unix.EFIVARFS_MAGIC: "efivarfs", unix.PSTOREFS_MAGIC: "pstore",
}

// notVirtual is an error if dir is on a filesystem that is virtual.
func notVirtual(dir *os.File) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		return err
	}
	if name, ok := virtual[int64(st.Type)]; ok {
		return fail.New(fail.State, "it is on a filesystem of the kernel (%s), whose files cannot be copied", name)
	}
	return nil
}

// onKernelFilesystem reports whether the directory fd is on a filesystem that
// is virtual.
func onKernelFilesystem(fd int) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil {
		return false
	}
	_, is := virtual[int64(st.Type)]
	return is
}

// failure is err about the file at name, classified.
func (t Tree) failure(name string, err error) error {
	what := t.Name + name
	switch {
	case errors.Is(err, unix.ENOENT):
		return fail.New(fail.NotFound, "%s does not exist: %w", what, err)
	case errors.Is(err, unix.ENOTDIR):
		return fail.New(fail.NotFound, "%s is not a directory: %w", what, err)
	case errors.Is(err, unix.ELOOP):
		return fail.New(fail.State, "%s: too many links, or one of /proc: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// writeFailure is err about a file at name that could not be written, classified
// unless it is already.
func (t Tree) writeFailure(name string, err error) error {
	var said *fail.Error
	switch {
	case errors.As(err, &said):
		return err
	case errors.Is(err, unix.EROFS):
		return fail.New(fail.State, "%s%s is on a read-only filesystem: %w", t.Name, name, err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fail.New(fail.Host, "write to %s%s: the disk is full: %w", t.Name, name, err)
	}
	return fmt.Errorf("write to %s%s: %w", t.Name, name, err)
}
