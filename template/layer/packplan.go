package layer

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"

	"croft/template/layer/delta"
)

// wants reports whether the archive gets the entry name.
func (p *Packer) wants(name string) bool { return p.Plan == nil || p.Plan.Has(name) }

// gone writes whiteouts for what the directory path does not have any more. prefix is
// its name in the archive. No-op without a plan.
func (p *Packer) gone(path, prefix string) error {
	if p.Plan == nil {
		return nil
	}
	for _, base := range p.Plan.Gone(path) {
		if err := p.whiteout(prefix + whiteoutPrefix + base); err != nil {
			return err
		}
	}
	return nil
}

// bodiless writes an entry without content.
func (p *Packer) bodiless(h *tar.Header) error {
	p.beginSum(h)
	p.noteSum(delta.Entry{Path: h.Name, Kind: delta.File})
	return p.tar.WriteHeader(h)
}

// noteDir tells of the directory name with the header h.
func (p *Packer) noteDir(name string, h *tar.Header, hides bool) {
	p.beginSum(h)
	e := delta.Entry{Path: name, Kind: delta.Dir}
	if hides {
		e.Kind = delta.Opaque
	}
	p.noteSum(e)
}

func (p *Packer) note(e delta.Entry) {
	if p.Note != nil {
		p.Note(e)
	}
}

// beginSum begins the sum of an entry with the header h, which has all its attributes.
// What p.copy copies belongs to it until noteSum. No-op without a receiver.
func (p *Packer) beginSum(h *tar.Header) {
	if p.Note == nil {
		return
	}
	p.sum = sha256.New()
	fmt.Fprintf(p.sum, "%c %o %d %d %d %d %q %d\n", h.Typeflag, h.Mode, h.Uid, h.Gid, h.ModTime.Unix(), h.ModTime.Nanosecond(), h.Linkname, h.Size)
	for _, key := range slices.Sorted(maps.Keys(h.PAXRecords)) {
		fmt.Fprintf(p.sum, "%q=%q\n", key, h.PAXRecords[key])
	}
	io.WriteString(p.sum, "\n")
}

// noteSum tells of e, which gets the sum.
func (p *Packer) noteSum(e delta.Entry) {
	if p.sum == nil {
		return
	}
	p.sum.Sum(e.Sum[:0])
	p.sum = nil
	p.note(e)
}
