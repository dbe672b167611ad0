package backups

import (
	"context"
	"encoding/json"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/atomicfile"
	"croft/template/blobs"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/registry"
)

// rememberedFormat is the format of the files of Options.Remember.
const rememberedFormat = 1

// remembered is what a frozen layer has become.
type remembered struct {
	Format  int           `json:"format"`
	First   uint32        `json:"first"` // the ids with which it was packed
	Size    uint32        `json:"size"`
	DiffID  digest.Digest `json:"diffID"`
	TarSize int64         `json:"tarSize"`
	// Blobs are the compressed layer, by the kind of compression.
	Blobs   map[Compression]oci.Descriptor `json:"blobs"`
	LeftOut layer.LeftOut                  `json:"leftOut"`
}

// RememberedSize returns the size of the layer that was pushed according to the file of
// Options.Remember, in bytes before compression. It is 0 if it was not pushed.
func RememberedSize(file string) int64 {
	var r remembered
	if images.ReadJSON(file, &r) != nil || r.Format != rememberedFormat {
		return 0
	}
	return max(r.TarSize, 1)
}

// recall sets what p has become before. It reports whether that is known.
func (p *packedPart) recall() bool {
	var r remembered
	if p.memory == "" || images.ReadJSON(p.memory, &r) != nil {
		return false
	}
	blob, ok := r.Blobs[p.compress]
	if !ok || r.Format != rememberedFormat || r.First != p.files.First || r.Size != p.files.Size || images.CheckDescriptor(blob) != nil || r.DiffID.Validate() != nil {
		return false
	}
	p.diffID, p.size, p.blob, p.left = r.DiffID, r.TarSize, blob, r.LeftOut
	return true
}

// remember writes down what p has become. No-op if it shall not be remembered.
func (p *packedPart) remember() error {
	if p.memory == "" {
		return nil
	}
	r := remembered{Blobs: map[Compression]oci.Descriptor{}}
	if images.ReadJSON(p.memory, &r) != nil || r.DiffID != p.diffID || r.Blobs == nil { // missing, damaged or old
		r.Blobs = map[Compression]oci.Descriptor{}
	}
	r.Format, r.First, r.Size, r.DiffID, r.TarSize, r.LeftOut = rememberedFormat, p.files.First, p.files.Size, p.diffID, p.size, p.left
	r.Blobs[p.compress] = p.blob
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return layer.HostError(atomicfile.ReplaceShared(p.memory, 0o600, b))
}

// recallOrMeasure sets the digests and sizes of p. A layer that is remembered, but that the
// registry does not have, is measured again: another compressor gives other bytes.
func (p *packedPart) recallOrMeasure(ctx context.Context, repo *registry.Repository, done *int64) error {
	if p.recall() {
		has := false
		err := blobs.Retry(ctx, p.store, func() (err error) {
			has, err = repo.Has(ctx, p.blob.Digest)
			return err
		})
		if err != nil || has {
			return err
		}
	}
	if err := p.measure(ctx, done); err != nil {
		return err
	}
	return p.remember()
}
