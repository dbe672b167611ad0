package template

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/atomicfile"
	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/registry"
	"croft/template/rootfs"
	"croft/template/transfer"
)

// A BackupTarget is a repository that PushBackup pushes to.
type BackupTarget struct {
	ref  registry.Reference
	repo *registry.Repository
}

// OpenPush reaches the registry of the reference to, with permission to push there. So
// nothing is done for a backup that cannot be pushed. A reference with a digest is
// fail.Usage. There is nothing to close.
func (s *Store) OpenPush(ctx context.Context, to string, o PushOptions) (BackupTarget, error) {
	ref, err := registry.Parse(to)
	if err != nil {
		return BackupTarget{}, err
	}
	if ref.Digest() != "" {
		return BackupTarget{}, fail.New(fail.Usage, "%s has a digest, and a backup gets its digest when it is pushed: give a tag", to)
	}
	repo, err := registry.Open(ctx, ref, registry.Options{Trust: transfer.Trust{Insecure: o.Insecure, CertsDir: s.o.CertsDir}, Push: true})
	return BackupTarget{ref: ref, repo: repo}, err
}

// A PushedBackup is what PushBackup has done.
type PushedBackup struct {
	Reference string // with the digest
	Sent      int64  // bytes of layers that were uploaded
	Shared    int64  // bytes of layers that the registry had
	LeftOut   layer.LeftOut
}

// PushBackup uploads to a registry what Backup writes, as an image with the same digests.
// It uploads only blobs that the registry does not have, and the manifest last. A layer
// that o.Remember knows, and that the registry has, is not read. After an error the
// reference is unchanged, and PushBackup can be repeated.
func (s *Store) PushBackup(ctx context.Context, base string, r rootfs.Rootfs, to BackupTarget, o BackupOptions) (PushedBackup, error) {
	im, st, err := s.linkImage(ctx, base)
	if err != nil {
		return PushedBackup{}, err
	}
	defer st.remove()
	im = im.below(r)
	measure := func(p *packedPart, ctx context.Context, done *int64) error {
		return p.recallOrMeasure(ctx, to.repo, done)
	}
	packed, left, err := s.packParts(ctx, st, im, r, o, measure)
	if err != nil {
		return PushedBackup{}, err
	}
	b := blobPush{store: s, repo: to.repo, seen: map[digest.Digest]bool{}}
	for _, d := range im.manifest.Layers {
		if err := b.push(ctx, fromFile(st.path(blobName(d.Digest))), d); err != nil {
			return PushedBackup{}, err
		}
	}
	for i := range packed {
		p := &packed[i]
		if err := b.push(ctx, p.open(ctx), p.blob); err != nil {
			return PushedBackup{}, err
		}
	}
	if im, err = s.backupImage(st, im, packed, o); err != nil {
		return PushedBackup{}, err
	}
	if _, err := s.pushBlob(ctx, to.repo, fromFile(st.path(blobName(im.config))), im.manifest.Config); err != nil {
		return PushedBackup{}, err
	}
	manifest, err := os.ReadFile(st.path(blobName(im.descriptor.Digest)))
	if err != nil {
		return PushedBackup{}, layer.HostError(err)
	}
	if err := to.repo.PutManifest(ctx, im.descriptor.MediaType, manifest); err != nil {
		return PushedBackup{}, err
	}
	return PushedBackup{Reference: to.ref.String() + "@" + im.descriptor.Digest.String(), Sent: b.sent, Shared: b.shared, LeftOut: left}, nil
}

// A blobPush pushes the layers of an image, and counts them.
type blobPush struct {
	store        *Store
	repo         *registry.Repository
	seen         map[digest.Digest]bool // an image may have a layer twice
	sent, shared int64
}

func (b *blobPush) push(ctx context.Context, open blobContent, d oci.Descriptor) error {
	if b.seen[d.Digest] {
		return nil
	}
	b.seen[d.Digest] = true
	sent, err := b.store.pushBlob(ctx, b.repo, open, d)
	if sent {
		b.sent += d.Size
	} else {
		b.shared += d.Size
	}
	return err
}

// open returns the content of p, which is packed as it is read.
func (p *packedPart) open(ctx context.Context) blobContent {
	return func() (io.ReadCloser, error) {
		out, in := io.Pipe()
		done := make(chan error, 1)
		go func() {
			err := p.write(ctx, in)
			in.CloseWithError(err)
			done <- err
		}()
		reader := &packing{PipeReader: out, part: p, done: done}
		reader.left.Store(p.blob.Size)
		return reader, nil
	}
}

// A packing is a layer that is being packed.
type packing struct {
	*io.PipeReader
	part *packedPart
	left atomic.Int64 // bytes that were not read yet
	done chan error
}

func (p *packing) Read(b []byte) (int, error) {
	n, err := p.PipeReader.Read(b)
	p.left.Add(-int64(n))
	return n, err
}

// Close ends the packing. An error is one of the files.
func (p *packing) Close() error {
	_ = p.PipeReader.Close() // it returns nil
	err := <-p.done
	if !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	if p.left.Load() <= 0 { // there is more than there was
		return p.part.changed()
	}
	return nil // the connection has ended first
}

// rememberedFormat is the format of the files of BackupOptions.Remember.
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
// BackupOptions.Remember, in bytes before compression. It is 0 if it was not pushed.
func RememberedSize(file string) int64 {
	var r remembered
	if readJSON(file, &r) != nil || r.Format != rememberedFormat {
		return 0
	}
	return max(r.TarSize, 1)
}

// recall sets what p has become before. It reports whether that is known.
func (p *packedPart) recall() bool {
	var r remembered
	if p.memory == "" || readJSON(p.memory, &r) != nil {
		return false
	}
	blob, ok := r.Blobs[p.compress]
	if !ok || r.Format != rememberedFormat || r.First != p.files.First || r.Size != p.files.Size || checkDescriptor(blob) != nil || r.DiffID.Validate() != nil {
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
	if readJSON(p.memory, &r) != nil || r.DiffID != p.diffID || r.Blobs == nil { // missing, damaged or old
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
		err := p.store.retrying(ctx, func() (err error) {
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
