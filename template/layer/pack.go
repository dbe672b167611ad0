package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer/delta"
)

// A Packer writes the files of a directory into a tar archive. Unpack reads it
// back. The archive keeps owners, modes, times to the nanosecond, hard links,
// holes, capabilities, ACLs and user extended attributes. Whiteouts and opaque
// directories of overlayfs become OCI whiteouts. Sockets and device nodes are
// left out.
type Packer struct {
	ctx context.Context
	out io.Writer
	tar *tar.Writer // writes to out
	ids IDs
	// OpenMerged opens a directory of the merged view: this layer over the lower
	// ones. The name is relative to the root. Nil: a renamed directory is an error.
	OpenMerged    func(name string) (int, error)
	ResetIdentity bool                   // leave out files that identify one VPS: treatmentOf
	InLowerLayer  func(name string) bool // reports whether a lower layer has that file; used with ResetIdentity
	Standalone    bool                   // no layers below: a device 0/0 is a device, not a whiteout
	Newest        time.Time              // no file has a later time; zero: each has its own
	MinHoles      int64                  // a file with at least this many bytes of holes becomes a sparse entry
	// Plan says what Pack writes, and LeftOut does not count then; nil: everything.
	Plan *delta.Plan
	// Note is told of each entry, a directory before its content; may be nil.
	Note    func(delta.Entry)
	LeftOut LeftOut           // what Pack has left out
	links   map[FileID]string // the first name of each file with several hard links
	buf     []byte

	plain bool // see PackFile
	skip  func(dir int) bool
	count func(bytes int)
	sum   hash.Hash // of the entry; nil without Note
}

// LeftOut counts files that archives do not have.
type LeftOut struct {
	Sockets int `json:"sockets"` // programs create them when they start
	Devices int `json:"devices"` // device nodes
}

// Add returns the sum of two counts.
func (l LeftOut) Add(o LeftOut) LeftOut {
	return LeftOut{Sockets: l.Sockets + o.Sockets, Devices: l.Devices + o.Devices}
}

// A FileID identifies a file. All hard links to it have the same one.
type FileID struct{ Dev, Ino uint64 }

// NewPacker returns a Packer that writes to w and replaces the host's ids by the
// VPS's. The caller sets the exported fields, then calls Pack once.
func NewPacker(ctx context.Context, w io.Writer, ids IDs) *Packer {
	return &Packer{ctx: ctx, out: w, tar: tar.NewWriter(w), ids: ids, MinHoles: minHoles, links: map[FileID]string{}, buf: make([]byte, 1<<18)}
}

// Pack writes the directory fd as the root of the archive, then the end of the
// archive. It closes fd, also on an error.
func (p *Packer) Pack(fd int) error {
	root := os.NewFile(uintptr(fd), "/")
	defer root.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("read the root directory: %w", err)
	}
	// The time is left out: it is when the VPS was created.
	h := p.header("./", &st)
	h.Typeflag, h.ModTime = tar.TypeDir, time.Unix(0, 0)
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	if err := p.gone("", ""); err != nil {
		return err
	}
	if err := p.entries(root, ""); err != nil {
		return err
	}
	return p.tar.Close()
}

// entries packs all entries of the directory dir in sorted order. name is its
// name in the archive.
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
	if strings.HasPrefix(base, whiteoutPrefix) && !p.plain {
		return fail.New(fail.State, "an image cannot have a file of that name: it would hide a file of the layers below")
	}
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	h := p.header(name, &st)
	if p.ResetIdentity && st.Mode&unix.S_IFMT == unix.S_IFREG {
		switch treatmentOf(name) {
		case emptied:
			h.Typeflag = tar.TypeReg
			return p.tar.WriteHeader(h)
		case removed:
			if p.Standalone || !p.InLowerLayer(name) {
				return nil // overlay would show a whiteout that hides nothing
			}
			return p.whiteout(strings.TrimSuffix(name, base) + whiteoutPrefix + base)
		}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return p.directory(parent, base, h)
	case unix.S_IFCHR:
		if st.Rdev != 0 || p.Standalone {
			p.LeftOut.Devices++
			return nil
		}
		if !p.wants(name) {
			return nil
		}
		p.note(delta.Entry{Path: name, Kind: delta.Whiteout})
		return p.whiteout(strings.TrimSuffix(name, base) + whiteoutPrefix + base)
	case unix.S_IFBLK:
		p.LeftOut.Devices++
		return nil
	case unix.S_IFSOCK:
		p.LeftOut.Sockets++
		return nil
	}
	if !p.wants(name) {
		return nil
	}
	if st.Nlink > 1 {
		this := FileID{Dev: st.Dev, Ino: st.Ino}
		if first, ok := p.links[this]; ok {
			p.note(delta.Entry{Path: name, Kind: delta.Name, Of: first})
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
		return p.bodiless(h)
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
		return p.bodiless(h)
	}
	return p.file(parent, base, h)
}

// header returns a header with the attributes in st. The caller sets the type.
func (p *Packer) header(name string, st *unix.Stat_t) *tar.Header {
	at := time.Unix(st.Mtim.Unix())
	if !p.Newest.IsZero() && at.After(p.Newest) {
		at = p.Newest
	}
	return &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(p.ids.inside(st.Uid)), Gid: int(p.ids.inside(st.Gid)),
		ModTime: at, Format: tar.FormatPAX, PAXRecords: map[string]string{},
	}
}

func (p *Packer) file(parent int, base string, h *tar.Header) error {
	name := h.Name // that of a file with holes changes
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
	p.beginSum(h)
	if err := p.content(f, &st, h); err != nil {
		return err
	}
	p.noteSum(delta.Entry{Path: name, Kind: delta.File, Size: h.Size})
	return nil
}

// content writes the header h of the file f, and its content.
func (p *Packer) content(f *os.File, st *unix.Stat_t, h *tar.Header) error {
	if st.Size-st.Blocks*512 >= p.MinHoles {
		data, err := extents(int(f.Fd()), st.Size, p.MinHoles)
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
		if p.sum != nil {
			p.sum.Write(p.buf[:n])
		}
		left -= int64(n)
		if p.count != nil {
			p.count(n)
		}
	}
	return nil
}

var errChanged = errors.New("it changed while it was read")

func (p *Packer) directory(parent int, base string, h *tar.Header) error {
	name := h.Name
	if !p.wants(name) {
		return nil
	}
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
	p.addXattrs(own, h)
	h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	_, moved := own[XattrRedirect]
	hides := !p.Standalone && (own[XattrOpaque] == "y" || moved)
	p.noteDir(name, h, hides)
	if p.skip != nil && p.skip(fd) {
		return nil
	}
	if p.Plan == nil && hides || p.Plan != nil && p.Plan.Opaque(name) {
		if err := p.whiteout(h.Name + whiteoutOpaque); err != nil {
			return err
		}
	}
	if err := p.gone(name, h.Name); err != nil {
		return err
	}
	if !hides || !moved {
		return p.entries(dir, h.Name)
	}
	return p.mergedEntries(h.Name)
}

// mergedEntries packs a directory that was renamed. Overlay redirects it to a
// lower directory of another name, and OCI layers cannot express that. So it
// becomes an opaque directory with its full merged content.
func (p *Packer) mergedEntries(name string) error {
	if p.OpenMerged == nil {
		return fail.New(fail.Host, "the directory was renamed, and its lower layers are missing")
	}
	fd, err := p.OpenMerged(strings.TrimSuffix(name, "/"))
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	p.Standalone = true
	defer func() { p.Standalone = false }()
	return p.entries(dir, name)
}

func (p *Packer) whiteout(name string) error {
	return p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Format: tar.FormatPAX})
}

func (p *Packer) attributes(fd int, h *tar.Header) error {
	all, err := ReadXattrs(fd)
	if err == nil {
		p.addXattrs(all, h)
	}
	return err
}

// addXattrs adds those of the extended attributes to h that an image may have.
func (p *Packer) addXattrs(all map[string]string, h *tar.Header) {
	for k, v := range all {
		if !KeptXattr(k) {
			continue
		}
		if v, ok := p.ids.Inside(k, v); ok {
			h.PAXRecords["SCHILY.xattr."+k] = v
		}
	}
}
