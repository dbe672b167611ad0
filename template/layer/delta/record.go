package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
)

// MaxEntries is the largest number of entries of a record. So its file has about 64 MiB at
// most, with paths of usual length.
const MaxEntries = 1 << 20

// maxDeltas is the largest number of layers above the first one of a record.
const maxDeltas = 16

// A Record is what the files of a VPS were at a backup, and of which layers of the image
// they consist.
type Record struct {
	Below   []string `json:"below"`  // the diff ids of the layers below, the lowest first
	Layers  []Layer  `json:"layers"` // the lowest first; at least one
	Entries []Entry  `json:"-"`
}

// A Layer is a layer of an image.
type Layer struct {
	DiffID    string `json:"diffID"`
	MediaType string `json:"mediaType"` // of the blob
	Digest    string `json:"digest"`
	BlobSize  int64  `json:"blobSize"`
	Size      int64  `json:"size"` // of its tar
}

// Fits reports whether r is a record of files above the layers below, of which all layers
// have the media type.
func (r Record) Fits(below []string, mediaType string) bool {
	return slices.Equal(r.Below, below) && !slices.ContainsFunc(r.Layers, func(l Layer) bool { return l.MediaType != mediaType })
}

// Takes reports whether a layer with p goes above those of r: not if there are too
// many, or if all but the first one together would have more than three quarters of the size of
// the files, which is given.
func (r Record) Takes(p *Plan, size int64) bool {
	if p.Empty() {
		return true
	}
	sum := p.Size
	for _, l := range r.Layers[1:] {
		sum += l.Size
	}
	return len(r.Layers) <= maxDeltas && sum <= size/4*3
}

// With returns r with other entries, and another layer above.
func (r Record) With(entries []Entry, above ...Layer) Record {
	r.Layers, r.Entries = append(slices.Clip(r.Layers), above...), entries
	return r
}

// magic begins a record. Another format has another number.
const magic = "croft record 1\n"

var errDamaged = errors.New("the record is damaged, or of another version of croft")

// Encode returns r as bytes for Decode.
func (r Record) Encode() ([]byte, error) {
	head, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	body := append(head, '\n')
	body = binary.AppendUvarint(body, uint64(len(r.Entries)))
	last := ""
	for i := range r.Entries {
		body = r.Entries[i].append(body, last)
		last = r.Entries[i].Path
	}
	sum := sha256.Sum256(body)
	return append([]byte(magic+hex.EncodeToString(sum[:])+"\n"), body...), nil
}

// append appends e to b. last is the path of the entry before it.
func (e *Entry) append(b []byte, last string) []byte {
	same := 0
	for same < len(last) && same < len(e.Path) && last[same] == e.Path[same] {
		same++
	}
	b = append(b, byte(e.Kind))
	b = binary.AppendUvarint(b, uint64(same))
	b = appendText(b, e.Path[same:])
	switch e.Kind {
	case Name:
		b = appendText(b, e.Of)
	case File:
		b = append(b, e.Sum[:]...)
		b = binary.AppendUvarint(b, uint64(e.Size))
	case Dir, Opaque:
		b = append(b, e.Sum[:]...)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Decode reads what Encode has returned. Anything else is an error.
func Decode(b []byte) (Record, error) {
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok {
		return Record{}, errDamaged
	}
	sum, body, _ := bytes.Cut(rest, []byte("\n"))
	if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != string(sum) {
		return Record{}, errDamaged
	}
	head, body, _ := bytes.Cut(body, []byte("\n"))
	var r Record
	if err := json.Unmarshal(head, &r); err != nil || len(r.Layers) == 0 {
		return Record{}, errDamaged
	}
	d := decoder{rest: body}
	count := d.number()
	if count > MaxEntries || count > uint64(len(body)) {
		return Record{}, errDamaged
	}
	r.Entries = make([]Entry, 0, count)
	last := ""
	for range count {
		r.Entries = append(r.Entries, d.entry(last))
		last = r.Entries[len(r.Entries)-1].Path
	}
	if d.bad || len(d.rest) > 0 {
		return Record{}, errDamaged
	}
	return r, nil
}

// A decoder reads entries.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.bad = true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) entry(last string) (e Entry) {
	if kind := d.take(1); len(kind) > 0 {
		e.Kind = Kind(kind[0])
	}
	same := d.number()
	if same > uint64(len(last)) {
		d.bad = true
		return e
	}
	e.Path = last[:same] + string(d.take(d.number()))
	switch e.Kind {
	case Name:
		e.Of = string(d.take(d.number()))
	case File:
		copy(e.Sum[:], d.take(uint64(len(e.Sum))))
		e.Size = int64(d.number())
	case Dir, Opaque:
		copy(e.Sum[:], d.take(uint64(len(e.Sum))))
	case Whiteout:
	default:
		d.bad = true
	}
	return e
}
