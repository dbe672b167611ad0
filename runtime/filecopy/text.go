package filecopy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"strings"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
)

// MaxText is the size of the largest file that ReadText reads, in bytes.
const MaxText = 16 << 20

// A Text is the content of a regular file, and what another version of this file
// keeps: its owner, its mode and its extended attributes.
type Text struct {
	Content []byte
	Names   int // hard links of the file, itself included

	uid, gid uint32 // on the host
	mode     uint32
	xattrs   map[string]string
}

// ReadText reads the regular file at name. Links are followed, and do not lead out of
// the tree. A missing file is fail.NotFound; a file of another kind, one of the kernel's
// filesystems, and one with more than MaxText bytes are fail.State.
func (t Tree) ReadText(name string) (Text, error) {
	e, err := t.follow(name)
	if err != nil {
		return Text{}, err
	}
	defer e.close()
	return t.text(name, e)
}

// WriteText gives the file at name, which ReadText has read as was, another content. The
// file is replaced at once: it has the former or the new content, and not a part. It
// keeps owner, mode and extended attributes; its other hard links keep the former
// content. A file that is not any more as it was is fail.State. On an error nothing
// changes.
func (t Tree) WriteText(name string, was Text, content []byte) error {
	e, err := t.follow(name)
	if err != nil {
		return err
	}
	defer e.close()
	tmp := temporaryName(e.base)
	dir := int(e.parent.Fd())
	if err := unix.Unlinkat(dir, tmp, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return t.writeFailure(name, err)
	}
	err = t.create(func() error { return writeNew(dir, tmp, was, content) })
	if err == nil {
		err = t.unchanged(name, e, was)
	}
	if err == nil {
		err = unix.Renameat(dir, tmp, dir, e.base)
	}
	if err == nil {
		return nil
	}
	_ = unix.Unlinkat(dir, tmp, 0)
	if errors.Is(err, unix.EBUSY) {
		return fail.New(fail.State, "%s%s is a mount, and cannot be replaced: %w", t.Name, name, err)
	}
	return t.writeFailure(name, err)
}

// follow finds the file at name, and follows links.
func (t Tree) follow(name string) (*entry, error) {
	const most = 40 // as the kernel (path_resolution(7))
	at := name
	for range most {
		e, err := t.find(at)
		if err != nil {
			return nil, err
		}
		if e.stat.Mode&unix.S_IFMT != unix.S_IFLNK {
			return e, nil
		}
		to, err := e.link()
		e.close()
		if err != nil {
			return nil, t.failure(name, err)
		}
		if !path.IsAbs(to) {
			dir, _ := path.Split(at)
			to = dir + to
		}
		at = to
	}
	return nil, t.failure(name, unix.ELOOP)
}

// link returns what the link e contains.
func (e *entry) link() (string, error) {
	to := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(e.parent.Fd()), e.base, to)
	return string(to[:max(n, 0)]), err
}

// text reads e. What it is is known before it is opened: to open a device can have
// effects, and to open a pipe can block.
func (t Tree) text(name string, e *entry) (Text, error) {
	fd, err := unix.Openat(int(e.parent.Fd()), e.base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return Text{}, t.failure(name, err)
	}
	handle := os.NewFile(uintptr(fd), name)
	defer handle.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Text{}, t.failure(name, err)
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG {
		return Text{}, fail.New(fail.State, "%s%s is %s, and not a regular file", t.Name, name, kindName(kind))
	}
	if err := notVirtual(handle); err != nil {
		return Text{}, t.failure(name, err)
	}
	file, err := pathrs.Reopen(handle, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return Text{}, t.failure(name, err)
	}
	defer file.Close()
	text := Text{Names: int(st.Nlink), uid: st.Uid, gid: st.Gid, mode: st.Mode & 0o7777}
	if text.xattrs, err = keptXattrs(int(file.Fd())); err != nil {
		return Text{}, t.failure(name, err)
	}
	text.Content, err = io.ReadAll(io.LimitReader(file, MaxText+1))
	if err != nil {
		return Text{}, t.failure(name, err)
	}
	if len(text.Content) > MaxText {
		return Text{}, fail.New(fail.State, "%s%s has more than %d MiB", t.Name, name, MaxText>>20)
	}
	return text, nil
}

func kindName(kind uint32) string {
	names := map[uint32]string{
		unix.S_IFDIR: "a directory", unix.S_IFLNK: "a link", unix.S_IFIFO: "a named pipe", unix.S_IFSOCK: "a socket",
		unix.S_IFCHR: "a device node", unix.S_IFBLK: "a device node",
	}
	return names[kind]
}

// keptXattrs returns the extended attributes of a file that another version keeps. Those
// of overlayfs describe layers, and signatures are of the content.
func keptXattrs(fd int) (map[string]string, error) {
	all, err := layer.ReadXattrs(fd)
	maps.DeleteFunc(all, func(name, _ string) bool {
		return strings.HasPrefix(name, "trusted.overlay.") || name == "security.ima" || name == "security.evm"
	})
	return all, err
}

// unchanged is an error if e is not any more as it was.
func (t Tree) unchanged(name string, e *entry, was Text) error {
	now, err := t.text(name, e)
	if err != nil {
		return err
	}
	if !bytes.Equal(now.Content, was.Content) || now.uid != was.uid || now.gid != was.gid || now.mode != was.mode || !maps.Equal(now.xattrs, was.xattrs) {
		return fail.New(fail.State, "%s%s has changed meanwhile, and stays as it is now", t.Name, name)
	}
	return nil
}

// temporaryName is the name of a new version of the file base until it is complete.
func temporaryName(base string) string {
	const most = 200 // of the 255 bytes of a name
	return fmt.Sprintf(".%s.croft-%d", base[:min(len(base), most)], os.Getpid())
}

// writeNew creates the file base, on disk, with the owner, mode and extended attributes
// of like.
func writeNew(dir int, base string, like Text, content []byte) error {
	fd, err := unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), base)
	_, err = file.Write(content)
	if err == nil {
		err = likeness(fd, like)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// likeness gives a new file the owner, mode and extended attributes of like. A change of
// the owner takes capabilities and set-ID bits away, so it comes first.
func likeness(fd int, like Text) error {
	if err := unix.Fchown(fd, int(like.uid), int(like.gid)); err != nil {
		return fmt.Errorf("change its owner: %w", err)
	}
	// From the default ACL of the directory.
	const acl = "system.posix_acl_access"
	if err := unix.Fremovexattr(fd, acl); err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("remove %s: %w", acl, err)
	}
	for name, value := range like.xattrs {
		if err := unix.Fsetxattr(fd, name, []byte(value), 0); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	if err := unix.Fchmod(fd, like.mode); err != nil {
		return fmt.Errorf("change its mode: %w", err)
	}
	return nil
}
