package mounts

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/nsthread"
	"croft/internal/userns"
	"croft/internal/vps"
)

// namespaceFor returns a user namespace with ids if one of all needs it; else nil.
func namespaceFor(all []Mount, ids vps.IDRange) (*os.File, error) {
	for _, m := range all {
		if m.shifts(ids) {
			return userns.New(0, ids.First, ids.Size)
		}
	}
	return nil, nil
}

// trees returns detached mounts for all, in their order, whose flags root of the
// guest cannot change. The caller closes them, also on an error.
func (g Guest) trees(all []Mount) (trees []*os.File, err error) {
	ns, err := namespaceFor(all, g.IDs)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	for _, m := range all {
		tree, err := newTree(m, g.IDs, ns)
		if err != nil {
			return trees, err
		}
		trees = append(trees, tree)
	}
	if g.IDs.Size == 0 {
		return trees, nil // root of a privileged VPS is root of the host
	}
	locked, err := lock(trees, g.Scratch)
	if err != nil {
		return trees, err
	}
	closeAll(trees)
	return locked, nil
}

// newTree returns a detached mount for m. ns has the ids.
func newTree(m Mount, ids vps.IDRange, ns *os.File) (*os.File, error) {
	if m.Kind == vps.MountTmpfs {
		tree, err := newTmpfs(m, ids.First)
		if err != nil {
			return nil, fmt.Errorf("cannot make the tmpfs for %s: %w", m.Target, err)
		}
		return tree, nil
	}
	source, err := openSource(m)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	fd, err := unix.OpenTree(int(source.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fail.New(fail.Host, "cannot clone the mount of %s: %w", m.Path, err)
	}
	tree := os.NewFile(uintptr(fd), m.Path)
	attr := unix.MountAttr{Attr_set: m.attributes(), Propagation: unix.MS_PRIVATE}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr)
	if err != nil {
		tree.Close()
		return nil, fail.New(fail.Host, "cannot set the flags of the mount of %s: %w", m.Path, err)
	}
	if !m.shifts(ids) {
		return tree, nil
	}
	attr = unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		tree.Close()
		return nil, cannotShift(m, source, err)
	}
	return tree, nil
}

// cannotShift returns the error for a filesystem that cannot be mounted with the
// ids of a VPS.
func cannotShift(m Mount, source *os.File, err error) error {
	kind, known := filesystemOf(source)
	if !known {
		kind = "filesystem"
	}
	e := fail.New(fail.Host, "cannot mount %s with the ids of a VPS: the kernel does not support that for its filesystem, %s: %w", m.Path, kind, err)
	if errors.Is(err, unix.EPERM) {
		e = fail.New(fail.Host, "cannot mount %s with the ids of a VPS: its filesystem, %s, is mounted with other ids already: %w", m.Path, kind, err)
	}
	if m.Kind == vps.MountHost {
		return e.WithHint("with the option host-ids its files keep the ids of the host: %s:%s:host-ids", m.Source, m.Target)
	}
	return e.WithHint("croft host check")
}

// filesystemOf returns the type of the filesystem that f is on, such as nfs4.
func filesystemOf(f *os.File) (string, bool) {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return "", false
	}
	all, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) { return uint64(i.ID) != st.Mnt_id, uint64(i.ID) == st.Mnt_id })
	if err != nil || len(all) == 0 {
		return "", false
	}
	return all[0].FSType, true
}

// openSource opens what m mounts. No element of a path of the host may be a link:
// who can write in a directory on the way could lead to any file of the host. The
// directories above a volume belong to croft.
func openSource(m Mount) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	if m.Kind == vps.MountVolume {
		how = unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC}
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, m.Path, &how)
	switch {
	case errors.Is(err, unix.ELOOP):
		if real, err := filepath.EvalSymlinks(m.Path); err == nil {
			return nil, fail.New(fail.State, "cannot mount %s: a symbolic link is on the way, and whoever can change the link chooses what is mounted", m.Path).
				WithHint("the path without links is %s", real)
		}
		return nil, missing(m, "a symbolic link on the way leads nowhere")
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return nil, missing(m, "it does not exist")
	case err != nil:
		return nil, fail.New(fail.Host, "cannot open %s: %w", m.Path, err)
	}
	f := os.NewFile(uintptr(fd), m.Path)
	info, err := f.Stat()
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() && info.Mode().Type() != os.ModeSocket {
		err = fail.New(fail.State, "cannot mount %s: its type is not directory, regular file or socket", m.Path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func missing(m Mount, why string) error {
	if m.Kind == vps.MountVolume {
		return fail.New(fail.State, "cannot mount volume %s: %s", m.Source, why).WithHint("croft volume create %s", m.Source)
	}
	return fail.New(fail.State, "cannot mount %s: %s", m.Path, why)
}

// attributes are the flags of the mount (mount_setattr(2)).
func (m Mount) attributes() uint64 {
	set := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	if m.ReadOnly {
		set |= unix.MOUNT_ATTR_RDONLY
	}
	if m.NoExec {
		set |= unix.MOUNT_ATTR_NOEXEC
	}
	return set
}

// newTmpfs returns a detached tmpfs that belongs to owner.
func newTmpfs(m Mount, owner uint32) (*os.File, error) {
	fd, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	mode := m.Mode
	if mode == "" {
		mode = "0755"
	}
	options := [][2]string{{"source", "tmpfs"}, {"mode", mode}, {"uid", strconv.Itoa(int(owner))}, {"gid", strconv.Itoa(int(owner))}}
	if size := m.size(); size != 0 {
		// As many files as the kernel allows by default for this size: one for each page.
		files := max(1024, size/int64(os.Getpagesize()))
		options = append(options, [2]string{"size", strconv.FormatInt(size, 10)}, [2]string{"nr_inodes", strconv.FormatInt(files, 10)})
	}
	for _, o := range options {
		if err := unix.FsconfigSetString(fd, o[0], o[1]); err != nil {
			return nil, fmt.Errorf("%s=%s: %w", o[0], o[1], err)
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return nil, err
	}
	tree, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, int(m.attributes()))
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(tree), "tmpfs"), nil
}

// lock returns a clone of each tree whose flags are locked for user namespaces.
// The kernel locks flags when a mount namespace is copied into one of another user
// namespace. So the trees are mounted below the directory scratch, in a mount
// namespace that ends with the call, and cloned from its copy.
func lock(trees []*os.File, scratch string) (locked []*os.File, err error) {
	perr := nsthread.PrivateMounts(func() {
		if err = spread(trees, scratch); err != nil {
			return
		}
		var ns *os.File
		if ns, err = userns.LockMounts(); err != nil {
			return
		}
		defer ns.Close()
		err = nsthread.In(int(ns.Fd()), unix.CLONE_NEWNS, func() error {
			for n := range trees {
				fd, err := unix.OpenTree(unix.AT_FDCWD, at(scratch, n), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
				if err != nil {
					return err
				}
				locked = append(locked, os.NewFile(uintptr(fd), trees[n].Name()))
			}
			return nil
		})
	})
	if err = errors.Join(perr, err); err != nil {
		closeAll(locked)
		return nil, fail.New(fail.Host, "cannot lock the flags of mounts: %w", err)
	}
	return locked, nil
}

// spread mounts each tree below the directory scratch.
func spread(trees []*os.File, scratch string) error {
	if err := unix.Mount("croft", scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=700"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	for n, tree := range trees {
		directory, err := isDirectory(tree)
		if err != nil {
			return err
		}
		if directory {
			err = os.Mkdir(at(scratch, n), 0o700)
		} else {
			err = os.WriteFile(at(scratch, n), nil, 0o600)
		}
		if err != nil {
			return err
		}
		if err := unix.MoveMount(int(tree.Fd()), "", unix.AT_FDCWD, at(scratch, n), unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("mount %s: %w", tree.Name(), err)
		}
	}
	return nil
}

func at(scratch string, n int) string { return path.Join(scratch, strconv.Itoa(n)) }
