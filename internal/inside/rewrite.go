package inside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// A Former is what a file was before it was rewritten.
type Former struct {
	Path    string
	Missing bool   // there was no file
	Content []byte // of the file, or the target of the link
	Link    bool
	Mode    fs.FileMode
	Owner   Owner
}

// Rewrite gives the file name the content, at one instant, and returns what it was. An
// existing file keeps its mode, without set-ID bits, and its group. It must belong to
// by.UID. A missing file gets mode and the owner by. The directory must exist, on the
// guest's root filesystem, and by.UID must be able to write to it. Anything but a
// regular file in the place of name is an error, a link too. Owners are the host's
// ids. On error the file stays as it was.
func (r *Root) Rewrite(name string, mode fs.FileMode, content []byte, by Owner) (Former, error) {
	was, err := r.former(name)
	if err != nil {
		return Former{}, err
	}
	switch {
	case was.Link:
		return Former{}, fmt.Errorf("%s is a link", name)
	case was.Missing:
	case was.Owner.UID != by.UID:
		return Former{}, fmt.Errorf("%s belongs to another user", name)
	default:
		mode, by.GID = was.Mode, was.Owner.GID
	}
	return was, r.write(name, mode, content, by)
}

// Overwrite is Rewrite for a file that may belong to another user, or be a link: it is
// replaced and not followed. A new file or one in the place of a link gets mode and
// belongs to by.
func (r *Root) Overwrite(name string, mode fs.FileMode, content []byte, by Owner) (Former, error) {
	was, err := r.former(name)
	if err != nil {
		return Former{}, err
	}
	if !was.Missing && !was.Link {
		mode = was.Mode
	}
	return was, r.write(name, mode, content, by)
}

// Relink makes name a symbolic link to target, at one instant, and returns what it was:
// missing, a link, or a regular file. It belongs to by.
func (r *Root) Relink(name, target string, by Owner) (Former, error) {
	was, err := r.former(name)
	if err != nil {
		return Former{}, err
	}
	return was, r.link(name, target, by)
}

// Restore makes a file what it was.
func (r *Root) Restore(f Former, by Owner) error {
	switch {
	case f.Missing:
		return r.Remove(f.Path, by.UID)
	case f.Link:
		return r.link(f.Path, string(f.Content), f.Owner)
	}
	return r.write(f.Path, f.Mode, f.Content, f.Owner)
}

// former returns what name is, which is a regular file, a link, or missing.
func (r *Root) former(name string) (Former, error) {
	dir, err := r.directory(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Former{Path: name, Missing: true}, nil
	}
	if err != nil {
		return Former{}, err
	}
	defer dir.Close()
	f, err := openAt(dir, path.Base(name), unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	if errors.Is(err, fs.ErrNotExist) {
		return Former{Path: name, Missing: true}, nil
	}
	if err != nil {
		return Former{}, explain(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Former{}, fmt.Errorf("look at %s: %w", name, err)
	}
	was := Former{Path: name, Mode: fs.FileMode(st.Mode).Perm(), Owner: Owner{st.Uid, st.Gid}}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		to := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(int(f.Fd()), "", to)
		if err != nil {
			return Former{}, fmt.Errorf("read link %s: %w", name, err)
		}
		was.Link, was.Content = true, to[:n]
		return was, nil
	case unix.S_IFREG:
	default:
		return Former{}, fmt.Errorf("%s is not a regular file", name)
	}
	was.Content, err = r.content(dir, name)
	return was, err
}

// content reads the regular file name in dir.
func (r *Root) content(dir *os.File, name string) ([]byte, error) {
	f, err := openAt(dir, path.Base(name), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	if err != nil {
		return nil, explain(err)
	}
	defer f.Close()
	const most = 16 << 20
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return text, nil
}

// directory opens the directory that name is in, on the guest's root filesystem.
func (r *Root) directory(name string) (*os.File, error) {
	dir, err := openAt(r.dir, path.Dir(name), unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_XDEV)
	return dir, explain(err)
}

func (r *Root) write(name string, mode fs.FileMode, content []byte, by Owner) error {
	return asOwner(by, func() error {
		dir, err := r.directory(name)
		if err != nil {
			return err
		}
		defer dir.Close()
		return replaceIn(dir, path.Base(name), mode, content, true)
	})
}

func (r *Root) link(name, target string, by Owner) error {
	return asOwner(by, func() error {
		dir, err := r.directory(name)
		if err != nil {
			return err
		}
		defer dir.Close()
		at, tmp := int(dir.Fd()), "."+path.Base(name)+".croft"
		if err := unix.Unlinkat(at, tmp, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove %s: %w", tmp, err)
		}
		if err := unix.Symlinkat(target, at, tmp); err != nil {
			return fmt.Errorf("create link %s: %w", tmp, err)
		}
		if err := unix.Renameat(at, tmp, at, path.Base(name)); err != nil {
			_ = unix.Unlinkat(at, tmp, 0)
			return err
		}
		return nil
	})
}

// MakeOwned makes the directory name with its mode and owner, and reports whether it
// was missing. An existing one stays as it is. The directory above it must exist, on
// the guest's root filesystem, and maker must be able to write to it: o, or the
// guest's root. Owners are the host's ids.
func (r *Root) MakeOwned(name string, mode fs.FileMode, maker, o Owner) (made bool, err error) {
	err = asOwner(maker, func() error {
		is, err := openAt(r.dir, name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_XDEV)
		if err == nil {
			return is.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return explain(err)
		}
		dir, err := r.directory(name)
		if err != nil {
			return err
		}
		defer dir.Close()
		made, err = makeIn(dir, path.Base(name), mode, o)
		return err
	})
	return made, err
}

// makeIn makes the directory base in dir, and gives it its owner then, which only root
// of the host may. What the guest has put in its place meanwhile is refused, unless it
// is a directory of the maker too.
func makeIn(dir *os.File, base string, mode fs.FileMode, o Owner) (bool, error) {
	var st unix.Stat_t
	err := unix.Mkdirat(int(dir.Fd()), base, 0o700)
	if errors.Is(err, unix.EEXIST) {
		return false, fmt.Errorf("%s is a link that leads nowhere", base)
	}
	if err != nil {
		return false, fmt.Errorf("create %s: %w", base, err)
	}
	made, err := openAt(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return false, explain(err)
	}
	defer made.Close()
	if err := made.Chmod(mode.Perm()); err != nil {
		return false, err
	}
	uid, _ := unix.SetfsuidRetUid(-1) // the maker
	if err := unix.Fstat(int(made.Fd()), &st); err != nil {
		return false, err
	}
	if int(st.Uid) != uid {
		return false, fmt.Errorf("%s belongs to another user", base)
	}
	if st.Uid == o.UID && st.Gid == o.GID {
		return true, nil
	}
	if _, err := unix.SetfsuidRetUid(0); err != nil { // with root's powers, for this descriptor
		return false, err
	}
	defer func() { _, _ = unix.SetfsuidRetUid(uid) }()
	return true, made.Chown(int(o.UID), int(o.GID))
}

// RemoveEmpty removes the directory name if it is empty and maker may remove it.
func (r *Root) RemoveEmpty(name string, maker Owner) error {
	return asOwner(maker, func() error {
		dir, err := r.directory(name)
		if err != nil {
			return err
		}
		defer dir.Close()
		return unix.Unlinkat(int(dir.Fd()), path.Base(name), unix.AT_REMOVEDIR)
	})
}

// ErrLocked means that a program of the guest holds the lock of its account files.
var ErrLocked = errors.New("a program inside holds the lock /etc/.pwd.lock")

// LockAccounts takes the lock of the account files (lckpwdf(3)), which vipw(8),
// passwd(1) and useradd(8) of shadow-utils take, and waits for it until ctx is done.
// The programs of BusyBox do not know it. The caller calls unlock.
func (r *Root) LockAccounts(ctx context.Context, root uint32) (unlock func(), err error) {
	var f *os.File
	err = as(root, func() error {
		dir, err := r.directory("/etc/.pwd.lock")
		if err != nil {
			return err
		}
		defer dir.Close()
		fd, err := unix.Openat2(int(dir.Fd()), ".pwd.lock", &unix.OpenHow{
			Flags: unix.O_RDWR | unix.O_CREAT | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC, Mode: 0o600,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
		if err != nil {
			return fmt.Errorf("open the lock /etc/.pwd.lock: %w", err)
		}
		f = os.NewFile(uintptr(fd), ".pwd.lock")
		return nil
	})
	if err != nil {
		return nil, err
	}
	for {
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EINTR) {
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
			continue
		case <-ctx.Done():
			err = ErrLocked
		}
		break
	}
	f.Close()
	return nil, err
}
