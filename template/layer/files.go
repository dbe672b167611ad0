package layer

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// Files says how UnpackFiles writes files to a tree that is in use.
type Files struct {
	IDs   IDs     // of the tree
	Owner *[2]int // user and group id inside of all files; nil: those of the archive
	// DropSetID removes set-user-ID and set-group-ID bits and capabilities of
	// files. Dropped is how many files had one.
	DropSetID bool
	Dropped   int
	Count     func(bytes int) // is told of bytes that were written; may be nil
}

// UnpackFiles writes the files of the tar r into the directory dir, which
// processes may change at the same time. Names are resolved inside dir as by
// Unpack. Entries are files and no part of a layer: whiteouts are ordinary names.
// A regular file replaces another one atomically. Directories that the archive
// does not name belong to the root of the tree. An owner that the tree has no id
// for is fail.State. On an error the files that came before it stay.
func UnpackFiles(ctx context.Context, dir *os.File, r io.Reader, f *Files) error {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	t := &Tree{root: fd, cached: -1, owner: f.IDs.First}
	defer t.Close()
	u := newUnpacker(ctx, t, nil)
	u.files = f
	return u.unpack(r)
}

// BadArchive reports whether err is a fault of the archive that was read.
func BadArchive(err error) bool {
	var bad *archiveError
	return errors.As(err, &bad)
}

// adapt makes the entry h one of the tree: its owner, its attributes.
func (f *Files) adapt(h *tar.Header) error {
	if f.Owner != nil {
		h.Uid, h.Gid = f.Owner[0], f.Owner[1]
	}
	for _, id := range []*int{&h.Uid, &h.Gid} {
		outside, ok := f.IDs.outside(*id)
		if !ok {
			return fail.New(fail.State, "%s: the VPS has no user or group id %d", h.Name, *id).
				WithHint("--owner 0 gives all files to root")
		}
		*id = int(outside)
	}
	for k, v := range h.PAXRecords {
		name, ok := strings.CutPrefix(k, "SCHILY.xattr.")
		if !ok {
			continue
		}
		v, ok := f.IDs.Outside(name, v)
		if ok {
			h.PAXRecords[k] = v
		} else {
			delete(h.PAXRecords, k)
		}
	}
	if f.DropSetID && h.Typeflag != tar.TypeDir {
		const capability = "SCHILY.xattr." + xattrCapability
		_, capable := h.PAXRecords[capability]
		if h.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 || capable {
			h.Mode &^= unix.S_ISUID | unix.S_ISGID
			delete(h.PAXRecords, capability)
			f.Dropped++
		}
	}
	return nil
}

// replaceFile creates the regular file base of the directory parent, or
// replaces what stands there. A reader sees the former content or the new one.
func (u *unpacker) replaceFile(parent int, base string, h *tar.Header, body io.Reader, sparse bool) error {
	tmp := "." + base
	if len(tmp) > 200 {
		tmp = tmp[:200]
	}
	tmp = fmt.Sprintf("%s.croft-%d", tmp, os.Getpid())
	if err := u.tree.removeEntry(parent, tmp); err != nil {
		return err
	}
	err := u.newFile(parent, tmp, h, body, sparse)
	if err == nil {
		err = unix.Renameat(parent, tmp, parent, base)
	}
	if err != nil {
		_ = unix.Unlinkat(parent, tmp, 0)
		return err
	}
	return nil
}

// outside returns the host's id that the VPS's id is, false if it has no such id.
func (m IDs) outside(id int) (uint32, bool) {
	switch {
	case id < 0 || int64(id) >= 1<<32-1:
		return 0, false
	case m.Size == 0:
		return uint32(id), true
	}
	return m.First + uint32(id), uint32(id) < m.Size
}

// Outside is the reverse of Inside: the value on the host of an
// extended attribute inside. It is false if no value means the same.
func (m IDs) Outside(name, value string) (string, bool) {
	if m.Size == 0 {
		return value, true
	}
	switch name {
	case xattrCapability:
		return m.capabilityOutside(value)
	case xattrACL, xattrDefaultACL:
		return m.aclOutside(value)
	}
	return value, true
}

// capabilityOutside names the root of the VPS's user namespace in file
// capabilities (vfs_ns_cap_data, Linux 4.14).
func (m IDs) capabilityOutside(v string) (string, bool) {
	if len(v) != capSize2 && len(v) != capSize3 {
		return "", false
	}
	b := []byte(v)
	magic := binary.LittleEndian.Uint32(b)
	root := uint32(0)
	switch {
	case magic&capRevisionMask == capRevision2 && len(v) == capSize2:
	case magic&capRevisionMask == capRevision3 && len(v) == capSize3:
		root = binary.LittleEndian.Uint32(b[capSize2:])
	default:
		return "", false
	}
	host, ok := m.outside(int(root))
	if !ok {
		return "", false
	}
	binary.LittleEndian.PutUint32(b, magic&^capRevisionMask|capRevision3)
	return string(binary.LittleEndian.AppendUint32(b[:capSize2:capSize2], host)), true
}

func (m IDs) aclOutside(v string) (string, bool) {
	if len(v) < aclHeader || (len(v)-aclHeader)%aclEntry != 0 {
		return "", false
	}
	b := []byte(v)
	for e := b[aclHeader:]; len(e) > 0; e = e[aclEntry:] {
		tag := binary.LittleEndian.Uint16(e)
		if tag != aclUser && tag != aclGroup {
			continue
		}
		host, ok := m.outside(int(binary.LittleEndian.Uint32(e[4:])))
		if !ok {
			return "", false
		}
		binary.LittleEndian.PutUint32(e[4:], host)
	}
	return string(b), true
}

// PackFile writes the file base of the directory parent to the archive, as
// name, with everything below it. With name "" base is a directory, whose content
// goes to the top of the archive. Files are written as they are, and no part of a
// layer. skip tells which directories stay empty, and count is told of bytes that
// were read; both may be nil. Finish writes the end of the archive.
func (p *Packer) PackFile(parent *os.File, base, name string, skip func(dir int) bool, count func(bytes int)) error {
	p.plain, p.Standalone, p.MinHoles, p.skip, p.count = true, true, MinHolesRootfs, skip, count
	if name != "" {
		if err := p.entry(int(parent.Fd()), name, base); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		return nil
	}
	fd, err := unix.Openat(int(parent.Fd()), base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), path.Base(base))
	defer dir.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	h := p.header("./", &st)
	h.Typeflag = tar.TypeDir
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	return p.entries(dir, "")
}

// Finish writes the end of the archive.
func (p *Packer) Finish() error { return p.tar.Close() }
