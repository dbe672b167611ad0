package layer

import (
	"archive/tar"
	"context"
	"io"
	"path"
	"strings"
)

// A Part is the part of an archive that UnpackPart writes: the root filesystem of a
// container, whose files can have the ids of its host.
type Part struct {
	Root string   // the directory of the archive with the files; "" is its top
	Skip []string // names below Root that are left out, with everything below them
	// IDs are the ids that the container has on its host. The files get those that they
	// have inside, if the first entry below Root has an id of the host. With Size 0 only
	// the entry of Root itself tells: if it belongs to an id of shiftedFrom or higher, that
	// is the first id. An id outside of IDs becomes 65534 then.
	IDs IDs

	seen bool // the first entry
}

// shiftedFrom is the smallest first id of a container: containers get whole ranges of ids,
// and smaller ids are those of users inside.
const shiftedFrom = 1 << 16

// UnpackPart is Unpack of a part of an archive. An archive without an entry below p.Root
// is an error of the archive. Hard links lead to files of the part only.
func UnpackPart(ctx context.Context, dir string, r io.Reader, budget *Budget, p *Part) (int64, error) {
	t, err := OpenLayers(dir, nil)
	if err != nil {
		return 0, err
	}
	defer t.Close()
	u := newUnpacker(ctx, t, budget)
	u.part = p
	err = u.unpack(r)
	return u.size, err
}

// take reports whether the entry h belongs to the part, and gives it the name and the
// owner that it has there.
func (p *Part) take(h *tar.Header) bool {
	name, ok := p.below(h.Name)
	if !ok {
		return false
	}
	for _, skip := range p.Skip {
		if name == skip || strings.HasPrefix(name, skip+"/") {
			return false
		}
	}
	h.Name = name
	if h.Typeflag == tar.TypeLink {
		h.Linkname, _ = p.below(h.Linkname) // "" is no file: an error
	}
	p.look(name, h)
	p.unshift(h)
	return true
}

// below returns the name below Root.
func (p *Part) below(name string) (string, bool) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if p.Root == "" {
		return name, true
	}
	if name == p.Root {
		return "", true
	}
	return strings.CutPrefix(name, p.Root+"/")
}

// look decides by the first entry whether the files have the ids of the host.
func (p *Part) look(name string, h *tar.Header) {
	if p.seen {
		return
	}
	p.seen = true
	if p.IDs.Size == 0 && name != "" || h.Uid < 0 || int64(h.Uid) >= 1<<32 {
		return
	}
	p.IDs = p.IDs.Of(uint32(h.Uid))
}

// Of returns the ids that the files of a container have whose root directory belongs to
// owner: those of m, or none if owner is not one of them. With Size 0 the owner is the
// first id, unless it is an id that users inside have.
func (m IDs) Of(owner uint32) IDs {
	switch {
	case m.Size == 0 && owner >= shiftedFrom && owner < 1<<32-shiftedFrom:
		return IDs{First: owner, Size: shiftedFrom}
	case owner < m.First || owner-m.First >= m.Size:
		return IDs{}
	}
	return m
}

// unshift gives h the owner and the attributes that it has inside.
func (p *Part) unshift(h *tar.Header) {
	if p.IDs.Size == 0 {
		return
	}
	for _, id := range []*int{&h.Uid, &h.Gid} {
		if *id >= 0 && int64(*id) < 1<<32-1 { // else unpack refuses it
			*id = int(p.IDs.inside(uint32(*id)))
		}
	}
	for k, v := range h.PAXRecords {
		name, ok := strings.CutPrefix(k, "SCHILY.xattr.")
		if !ok {
			continue
		}
		if v, ok := p.IDs.Inside(name, v); ok {
			h.PAXRecords[k] = v
		} else {
			delete(h.PAXRecords, k)
		}
	}
}
