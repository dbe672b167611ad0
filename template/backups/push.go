package backups

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/blobs"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/registry"
	"croft/template/rootfs"
	"croft/template/signatures"
	"croft/template/transfer"
	"croft/template/trust"
)

// A Target is a repository that Push pushes to.
type Target struct {
	ref    registry.Reference
	repo   *registry.Repository
	key    *trust.Key        // signs the backup; nil: it gets no signature
	policy signatures.Policy // says where signatures are
}

// OpenTarget reaches the registry of the reference to, with permission to push there. So
// nothing is done for a backup that cannot be pushed. A reference with a digest is
// fail.Usage. There is nothing to close.
func OpenTarget(ctx context.Context, to string, servers transfer.Trust, key *trust.Key, p signatures.Policy) (Target, error) {
	ref, err := registry.Parse(to)
	if err != nil {
		return Target{}, err
	}
	if ref.Digest() != "" {
		return Target{}, fail.New(fail.Usage, "%s has a digest, and a backup gets its digest when it is pushed: give a tag", to)
	}
	repo, err := registry.Open(ctx, ref, registry.Options{Trust: servers, Push: true})
	return Target{ref: ref, repo: repo, key: key, policy: p}, err
}

// A Pushed is what Push has done.
type Pushed struct {
	Reference string // with the digest
	Sent      int64  // bytes of layers that were uploaded
	Shared    int64  // bytes of layers that the registry had
	LeftOut   layer.LeftOut
}

// Push uploads to a registry what Write writes, as an image with the same digests.
// It uploads only blobs that the registry does not have, then the signature, and the manifest last. A layer
// that o.Remember knows, and that the registry has, is not read. With o.Records the topmost
// layer can be several: those of an earlier push, and what has changed since. After an error the
// reference is unchanged, and Push can be repeated.
func Push(ctx context.Context, s *images.Store, base string, r rootfs.Rootfs, to Target, o Options) (Pushed, error) {
	im, st, err := s.LinkImage(ctx, base)
	if err != nil {
		return Pushed{}, err
	}
	defer st.Remove()
	im = im.Below(r)
	measure := func(p *packedPart, ctx context.Context, done *int64) error {
		return p.recallOrMeasure(ctx, to.repo, done)
	}
	copied := copiedPart{store: s, stage: st, to: to, base: im, all: r, o: o}
	if o.Records != "" {
		r.Frozen = r.Frozen[1:]
	}
	packed, left, err := packParts(ctx, s, st, im, r, o, measure)
	if err == nil && o.Records != "" {
		packed, left, err = copied.pack(ctx, packed, left)
	}
	if err != nil {
		return Pushed{}, err
	}
	b := blobPush{store: s, repo: to.repo, seen: map[digest.Digest]bool{}}
	for _, d := range im.Manifest.Layers {
		if err := b.push(ctx, blobs.FromFile(st.Path(images.BlobName(d.Digest))), d); err != nil {
			return Pushed{}, err
		}
	}
	for i := range packed {
		p := &packed[i]
		if p.known {
			b.shared += p.blob.Size
		} else if err := b.push(ctx, p.open(ctx), p.blob); err != nil {
			return Pushed{}, err
		}
	}
	if im, err = backupImage(s, st, im, packed, o); err != nil {
		return Pushed{}, err
	}
	if _, err := blobs.Push(ctx, s, to.repo, blobs.FromFile(st.Path(images.BlobName(im.Config))), im.Manifest.Config); err != nil {
		return Pushed{}, err
	}
	manifest, err := os.ReadFile(st.Path(images.BlobName(im.Descriptor.Digest)))
	if err != nil {
		return Pushed{}, layer.HostError(err)
	}
	if to.key != nil {
		if err := to.policy.Sign(ctx, to.repo, to.ref, im.Descriptor.Digest, *to.key); err != nil {
			return Pushed{}, err
		}
	}
	if err := to.repo.PutManifest(ctx, im.Descriptor.MediaType, manifest); err != nil {
		return Pushed{}, err
	}
	copied.remember()
	return Pushed{Reference: to.ref.String() + "@" + im.Descriptor.Digest.String(), Sent: b.sent, Shared: b.shared, LeftOut: left}, nil
}

// A blobPush pushes the layers of an image, and counts them.
type blobPush struct {
	store        *images.Store
	repo         *registry.Repository
	seen         map[digest.Digest]bool // an image may have a layer twice
	sent, shared int64
}

func (b *blobPush) push(ctx context.Context, open blobs.Content, d oci.Descriptor) error {
	if b.seen[d.Digest] {
		return nil
	}
	b.seen[d.Digest] = true
	sent, err := blobs.Push(ctx, b.store, b.repo, open, d)
	if sent {
		b.sent += d.Size
	} else {
		b.shared += d.Size
	}
	return err
}

// open returns the content of p, which is packed as it is read.
func (p *packedPart) open(ctx context.Context) blobs.Content {
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
