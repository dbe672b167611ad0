package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// A packer writes the files of directories into a tar, such as unpack reads:
// owners, modes, times to the nanosecond, hard links, holes, capabilities, ACLs
// and user extended attributes. What of overlay hides lower layers becomes OCI's
// whiteouts. Sockets are left out, and device nodes, as unpack does.
type Packer struct {
	ctx context.Context
	out io.Writer
	tar *tar.Writer // writes to out
	ids IDs
	// merged opens a directory below the root with what the layers below have
	// there. Nil: nothing that is packed needs it.
	Merged   func(name string) (int, error)
	ForMany  bool                   // files by which one VPS is told from others are left out
	Hides    func(name string) bool // with forMany: whether the layers below have that file
	Whole    bool                   // what is packed lies on nothing: a device 0/0 is none of overlay's
	MinHoles int64                  // bytes of holes that make a sparse entry of a file
	links    map[Link]string        // the first name of each file that has several
	buf      []byte
}

// A Link is what all names of one file have in common.
type Link struct{ Dev, Ino uint64 }

func NewPacker(ctx context.Context, w io.Writer, ids IDs) *Packer {
	return &Packer{ctx: ctx, out: w, tar: tar.NewWriter(w), ids: ids, MinHoles: minHoles, links: map[Link]string{}, buf: make([]byte, 1<<18)}
}

// pack writes the directory fd, which it closes, as the root of the archive,
// and the archive's end.
func (p *Packer) Pack(fd int) error {
	root := os.NewFile(uintptr(fd), "/")
	defer root.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("look at the root directory: %w", err)
	}
	// Without its time, which is when the VPS was made.
	h := p.header("./", &st)
	h.Typeflag, h.ModTime = tar.TypeDir, time.Unix(0, 0)
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	if err := p.entries(root, ""); err != nil {
		return err
	}
	return p.tar.Close()
}

// entries packs what is in the directory dir, whose name in the archive is
// name, sorted.
func (p *Packer) entries(dir *os.File, name string) error {
	all, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("read the directory /%s: %w", name, err)
	}
	slices.Sort(all)
	for _, base := range all {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if err := p.entry(int(dir.Fd()), name+base, base); err != nil {
			return fmt.Errorf("pack /%s: %w", name+base, err)
		}
	}
	return nil
}

func (p *Packer) entry(parent int, name, base string) error {
	if strings.HasPrefix(base, whiteoutPrefix) {
		return fail.New(fail.State, "an image cannot have a file of that name: it would take one away from the layers below")
	}
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	h := p.header(name, &st)
	if p.ForMany && st.Mode&unix.S_IFMT == unix.S_IFREG {
		switch identityOf(name) {
		case blanked:
			h.Typeflag = tar.TypeReg
			return p.tar.WriteHeader(h)
		case removed:
			if p.Whole || !p.Hides(name) {
				return nil // overlay shows a whiteout that hides nothing
			}
			return p.whiteout(strings.TrimSuffix(name, base) + whiteoutPrefix + base)
		}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return p.directory(parent, base, h)
	case unix.S_IFCHR:
		if st.Rdev != 0 || p.Whole {
			return nil
		}
		return p.whiteout(strings.TrimSuffix(name, base) + whiteoutPrefix + base)
	case unix.S_IFBLK, unix.S_IFSOCK:
		return nil
	}
	if st.Nlink > 1 {
		this := Link{Dev: st.Dev, Ino: st.Ino}
		if first, ok := p.links[this]; ok {
			return p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: first, Format: tar.FormatPAX})
		}
		p.links[this] = name
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(parent, base, target)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, string(target[:n])
		return p.tar.WriteHeader(h)
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
		return p.tar.WriteHeader(h)
	}
	return p.file(parent, base, h)
}

// header is what st says; the type is still to be set.
func (p *Packer) header(name string, st *unix.Stat_t) *tar.Header {
	return &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(p.ids.inside(st.Uid)), Gid: int(p.ids.inside(st.Gid)),
		ModTime: time.Unix(st.Mtim.Unix()), Format: tar.FormatPAX, PAXRecords: map[string]string{},
	}
}

func (p *Packer) file(parent int, base string, h *tar.Header) error {
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errChanged
	}
	if err := p.attributes(fd, h); err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, st.Size
	if st.Size-st.Blocks*512 >= p.MinHoles {
		data, err := extents(fd, st.Size, p.MinHoles)
		if err != nil {
			return err
		}
		if data != nil {
			return p.sparse(f, h, data)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	return p.copy(p.tar, f, st.Size)
}

// copy writes the next size bytes of f to w.
func (p *Packer) copy(w io.Writer, f io.Reader, size int64) error {
	for left := size; left > 0; {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(p.buf[:min(left, int64(len(p.buf)))])
		if err == io.EOF {
			return errChanged
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(p.buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

var errChanged = errors.New("it changed while it was read")

func (p *Packer) directory(parent int, base string, h *tar.Header) error {
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), base)
	defer dir.Close()
	own, err := ReadXattrs(fd)
	if err != nil {
		return err
	}
	p.keep(own, h)
	h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	_, moved := own[XattrRedirect]
	if p.Whole || own[XattrOpaque] != "y" && !moved {
		return p.entries(dir, h.Name)
	}
	if err := p.whiteout(h.Name + whiteoutOpaque); err != nil {
		return err
	}
	if !moved {
		return p.entries(dir, h.Name)
	}
	return p.mergedEntries(h.Name)
}

// mergedEntries packs a directory that was renamed, and so lies on another one
// than that of its name. No image can say so: it becomes one that lies on
// nothing, with all that is seen in it.
func (p *Packer) mergedEntries(name string) error {
	if p.Merged == nil {
		return fail.New(fail.Host, "the directory was renamed, and what it lies on is not there")
	}
	fd, err := p.Merged(strings.TrimSuffix(name, "/"))
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	p.Whole = true
	defer func() { p.Whole = false }()
	return p.entries(dir, name)
}

func (p *Packer) whiteout(name string) error {
	return p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Format: tar.FormatPAX})
}

func (p *Packer) attributes(fd int, h *tar.Header) error {
	all, err := ReadXattrs(fd)
	if err == nil {
		p.keep(all, h)
	}
	return err
}

// keep puts those attributes into h that an image has.
func (p *Packer) keep(all map[string]string, h *tar.Header) {
	for k, v := range all {
		if !KeptXattr(k) {
			continue
		}
		if v, ok := p.ids.attribute(k, v); ok {
			h.PAXRecords["SCHILY.xattr."+k] = v
		}
	}
}
