// Package layer turns tar archives into directories and directories into tar
// archives, as layers of an image and as root filesystems. Names are resolved
// inside the directory, whatever the archive contains. Owners, modes, times,
// hard links, holes, capabilities, ACLs and user attributes are kept, and OCI's
// whiteouts become overlay's.
package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Unpack writes the files of the tar archive r into the empty directory dir and
// returns the total size of the files in bytes. Ids, modes, times, hard links,
// capabilities, ACLs and user extended attributes are kept. OCI whiteouts become
// those of overlayfs. Device nodes are left out: a VPS has a /dev of its own, and
// may not open others. On an error dir holds a part of the archive. Unpack reads
// r to the end of the archive, which may come before the end of r.
//
// No archive can write outside of dir: every path is resolved by openat2(2) with
// RESOLVE_IN_ROOT, as if dir were "/". So ".." ends at dir, and so does a
// symbolic link in the archive. The files are subtracted from budget. It is an
// error if the budget is too small.
//
// below are the directories of the lower layers, the topmost first: see MakeAll.
func Unpack(ctx context.Context, dir string, below []string, r io.Reader, budget *Budget) (int64, error) {
	t, err := OpenLayers(dir, below)
	if err != nil {
		return 0, err
	}
	defer t.Close()
	u := newUnpacker(ctx, t, budget)
	err = u.unpack(r)
	return u.size, err
}

func newUnpacker(ctx context.Context, t *Tree, budget *Budget) *unpacker {
	return &unpacker{ctx: ctx, tree: t, budget: budget, dirs: map[string]dirAttributes{}, buf: make([]byte, 1<<18), zeros: make([]byte, 1<<18)}
}

// unpack writes all files of the tar r into the tree.
func (u *unpacker) unpack(r io.Reader) error {
	end := &zeroTail{r: u.budget.Stream(r)}
	in := tar.NewReader(newSparseFilter(end))
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = u.ctx.Err()
		} else if u.ctx.Err() == nil {
			err = brokenArchive(err)
		}
		if err == nil {
			err = u.entry(h, in)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case end.zeros < BlockSize:
		return badArchive("it is cut off: %w", io.ErrUnexpectedEOF)
	case u.entries == 0:
		return badArchive("it has no files")
	}
	return u.finishDirs()
}

// BlockSize is the block size of tar(5). A block of zeros ends an archive.
// archive/tar also accepts an archive that is cut off between two files, so
// Unpack looks for the zeros itself.
const BlockSize = 512

// zeroTail counts the zeros that the bytes read so far end with.
type zeroTail struct {
	r     io.Reader
	zeros int
}

func (z *zeroTail) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	i := n
	for i > 0 && p[i-1] == 0 && n-i < BlockSize {
		i--
	}
	if i > 0 {
		z.zeros = 0
	}
	z.zeros += n - i
	return n, err
}

type unpacker struct {
	ctx     context.Context
	tree    *Tree
	budget  *Budget
	dirs    map[string]dirAttributes // set at the end, after the last write
	buf     []byte
	zeros   []byte // as long as buf
	size    int64
	entries int
	files   *Files // not nil: the archive has files and not a layer
	part    *Part  // not nil: a part of the archive is unpacked
}

// dirAttributes are the mode and the time of a directory.
type dirAttributes struct {
	mode uint32
	time time.Time
}

// entry creates the file of one header.
func (u *unpacker) entry(h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	sparse, err := revealSparse(h)
	if err != nil {
		return err
	}
	if u.part != nil && !u.part.take(h) {
		return nil
	}
	u.entries++
	if err := u.budget.spend(h); err != nil {
		return err
	}
	name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
	if name == "" {
		return nil // a VPS's own root directory has its own owner and mode
	}
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) >= 1<<32-1 || int64(h.Gid) >= 1<<32-1 {
		return badArchive("%q: invalid owner %d:%d", h.Name, h.Uid, h.Gid)
	}
	if u.files != nil {
		if err := u.files.adapt(h); err != nil {
			return err
		}
	}
	parent, err := u.tree.parent(path.Dir(name))
	if err != nil {
		return atEntry(h.Name, err)
	}
	base := path.Base(name)
	if strings.HasPrefix(base, whiteoutPrefix) && u.files == nil {
		return atEntry(h.Name, u.whiteout(parent, base))
	}
	return atEntry(h.Name, u.make(parent, name, base, h, body, sparse))
}

func (u *unpacker) make(parent int, name, base string, h *tar.Header, body io.Reader, sparse bool) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return u.dir(parent, name, base, h)
	//lint:ignore SA1019 old archives have TypeRegA
	case tar.TypeReg, tar.TypeRegA, tar.TypeCont, tar.TypeGNUSparse:
		return u.file(parent, base, h, body, sparse)
	case tar.TypeSymlink:
		if err := u.tree.removeEntry(parent, base); err != nil {
			return err
		}
		if err := unix.Symlinkat(h.Linkname, parent, base); err != nil {
			return fmt.Errorf("link: %w", err)
		}
		return u.ownAndTime(parent, base, h)
	case tar.TypeLink:
		return u.hardLink(parent, base, h)
	case tar.TypeFifo:
		if err := u.tree.removeEntry(parent, base); err != nil {
			return err
		}
		if err := unix.Mknodat(parent, base, unix.S_IFIFO|uint32(h.Mode&0o777), 0); err != nil {
			return fmt.Errorf("mknod: %w", err)
		}
		if err := u.dropACLsOf(parent, base, h); err != nil {
			return err
		}
		return u.ownAndTime(parent, base, h)
	case tar.TypeChar, tar.TypeBlock:
		return nil
	}
	return badArchive("unknown entry type %q", h.Typeflag)
}

// dropACLsOf is dropACLs for the new pipe base in the directory parent, and gives it the
// mode of h again, which the ACL has changed.
func (u *unpacker) dropACLsOf(parent int, base string, h *tar.Header) error {
	if u.files != nil {
		return nil
	}
	fd, err := unix.Openat(parent, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	none := func(string) bool { return false }
	if err := dropACLs(none, func(name string) error { return unix.Removexattr(path, name) }); err != nil {
		return err
	}
	if err := unix.Chmod(path, uint32(h.Mode&0o777)); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return nil
}

func (u *unpacker) dir(parent int, name, base string, h *tar.Header) error {
	err := unix.Mkdirat(parent, base, 0o700)
	opaque := false
	if errors.Is(err, unix.EEXIST) {
		var st unix.Stat_t
		opaque = isWhiteoutAt(parent, base)
		if err = unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			if err = u.tree.removeEntry(parent, base); err == nil {
				err = unix.Mkdirat(parent, base, 0o700)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("mkdir: %w", err)
	}
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Fchown(fd, h.Uid, h.Gid); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	if opaque { // the directory replaces a whiteout, which hid the lower directory
		if err := SetOpaque(fd); err != nil {
			return err
		}
	}
	u.dirs[name] = dirAttributes{uint32(h.Mode & 0o7777), h.ModTime}
	return u.setXattrs(fd, h)
}

func (u *unpacker) file(parent int, base string, h *tar.Header, body io.Reader, sparse bool) error {
	if u.files != nil {
		return u.replaceFile(parent, base, h, body, sparse)
	}
	if err := u.tree.removeEntry(parent, base); err != nil {
		return err
	}
	return u.newFile(parent, base, h, body, sparse)
}

// newFile creates the regular file base of the directory parent.
func (u *unpacker) newFile(parent int, base string, h *tar.Header, body io.Reader, sparse bool) error {
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer unix.Close(fd)
	if sparse {
		err = u.fillSparse(fd, body, h.Size)
	} else {
		err = u.fill(fd, body)
	}
	if err != nil {
		return err
	}
	// In this order: chown clears capabilities and the set-user-id bit.
	if err := unix.Fchown(fd, h.Uid, h.Gid); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	if err := u.setXattrs(fd, h); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, uint32(h.Mode&0o7777)); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return setTime(parent, base, h)
}

// minHole is the smallest run of zeros that becomes a hole, in bytes: a page.
const minHole = 4096

// fill writes body to the new file fd and sets its size.
func (u *unpacker) fill(fd int, body io.Reader) error {
	size, err := u.copy(fd, body)
	if err != nil {
		return err
	}
	if err := unix.Ftruncate(fd, size); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	u.size += size
	return nil
}

// copy writes body at the offset of the file fd and returns the number of bytes.
// Zeros become holes: a small archive can have a file of many gigabytes
// (/var/log/lastlog, for example).
func (u *unpacker) copy(fd int, body io.Reader) (int64, error) {
	var size int64
	for {
		n, rerr := body.Read(u.buf)
		var err error
		if n >= minHole && bytes.Equal(u.buf[:n], u.zeros[:n]) {
			_, err = unix.Seek(fd, int64(n), io.SeekCurrent)
		} else {
			err = writeAll(fd, u.buf[:n])
		}
		size += int64(n)
		if u.files != nil && u.files.Count != nil {
			u.files.Count(n)
		}
		if err != nil {
			return size, fmt.Errorf("write: %w", err)
		}
		if rerr == io.EOF {
			return size, nil
		}
		if rerr != nil {
			return size, brokenArchive(rerr)
		}
		if err := u.ctx.Err(); err != nil {
			return size, err
		}
	}
}

func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		p = p[max(n, 0):]
	}
	return nil
}

func (u *unpacker) hardLink(parent int, base string, h *tar.Header) error {
	target := strings.TrimPrefix(path.Clean("/"+h.Linkname), "/")
	if target == "" {
		return badArchive("invalid target of a hard link: %q", h.Linkname)
	}
	// Opening the other directory may close the cached parent.
	here, err := unix.FcntlInt(uintptr(parent), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("duplicate a descriptor: %w", err)
	}
	defer unix.Close(here)
	there, err := u.tree.open(path.Dir(target))
	if err != nil {
		return badArchive("hard link to %q, which is not in the archive before it", h.Linkname)
	}
	defer unix.Close(there)
	var from, to unix.Stat_t
	if err := unix.Fstatat(there, path.Base(target), &from, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return badArchive("hard link to %q, which is not in the archive before it", h.Linkname)
	}
	if from.Mode&unix.S_IFMT == unix.S_IFDIR {
		return badArchive("hard link to the directory %q", h.Linkname)
	}
	if unix.Fstatat(here, base, &to, unix.AT_SYMLINK_NOFOLLOW) == nil && from.Ino == to.Ino && from.Dev == to.Dev {
		return nil // a link to itself: removing the entry would lose the file
	}
	if err := u.tree.removeEntry(here, base); err != nil {
		return err
	}
	if err := unix.Linkat(there, path.Base(target), here, base, 0); err != nil {
		return fmt.Errorf("hard link to %q: %w", h.Linkname, err)
	}
	return nil
}

// finishDirs sets the modes and times of directories, the deepest first. Creating
// an entry in a directory changes its time.
func (u *unpacker) finishDirs() error {
	names := slices.Sorted(maps.Keys(u.dirs))
	for _, name := range slices.Backward(names) {
		end := u.dirs[name]
		fd, err := u.tree.OpenPlain(name)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
			continue // a later entry replaced it
		}
		if err != nil {
			return fmt.Errorf("open directory %q: %w", name, err)
		}
		err = unix.Fchmod(fd, end.mode)
		if err == nil {
			err = futimens(fd, end.time)
		}
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("finish directory %q: %w", name, err)
		}
	}
	return nil
}
