package backups

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/layer/delta"
	"croft/template/rootfs"
)

// A Compression is how a backup has the layers of the VPS. Those of its template stay
// as they are in the store.
type Compression string

// Compressions.
const (
	CompressZstd Compression = "zstd"
	CompressGzip Compression = "gzip"
	CompressNone Compression = "none"
)

// compression returns how the layers of the VPS are compressed.
func (o Options) compression() Compression { return cmp.Or(o.Compress, CompressZstd) }

// A packedPart is a frozen layer of a VPS as a layer of an image.
type packedPart struct {
	store    *images.Store
	stage    *images.Stage
	files    rootfs.Rootfs
	compress Compression
	memory   string // see Options.Remember
	diffID   digest.Digest
	size     int64 // of its tar
	blob     oci.Descriptor
	left     layer.LeftOut
	plan     *delta.Plan       // what is packed of files; nil: everything
	note     func(delta.Entry) // is told of what is packed; may be nil
	known    bool              // it is in the registry, and files do not have it
}

// measure packs p without keeping the result, and sets its digests and sizes. It adds
// the bytes of its tar to done.
func (p *packedPart) measure(ctx context.Context, done *int64) error {
	plain, blob := images.NewDigestWriter(io.Discard), images.NewDigestWriter(io.Discard)
	left, err := p.pack(ctx, blob, plain, p.store.Counted("reading changed files", done, 0))
	if err != nil {
		return err
	}
	p.diffID, p.size, p.left = plain.Digest(), plain.Size(), left
	p.blob = oci.Descriptor{MediaType: p.compress.mediaType(), Digest: blob.Digest(), Size: blob.Size()}
	return nil
}

// write packs p into w.
func (p *packedPart) write(ctx context.Context, w io.Writer) error {
	out := images.NewDigestWriter(w)
	_, err := p.pack(ctx, out, io.Discard)
	if err == nil && out.Digest() != p.blob.Digest || errors.Is(err, tar.ErrWriteTooLong) {
		return p.changed()
	}
	return err
}

func (p *packedPart) changed() error {
	return fail.New(fail.State, "%s has changed while it was read", p.files.Top())
}

// pack writes the compressed tar of p to out, and the tar itself to all of plain.
func (p *packedPart) pack(ctx context.Context, out io.Writer, plain ...io.Writer) (layer.LeftOut, error) {
	zip, err := p.compress.writer(out)
	if err != nil {
		return layer.LeftOut{}, fmt.Errorf("start the compressor: %w", err)
	}
	var packer *layer.Packer
	err = rootfs.PackTop(ctx, p.files, p.stage.Path("merged"), p.stage.Path("shifted"), io.MultiWriter(append(plain, zip)...), func(l *layer.Packer) {
		packer = l
		l.Plan, l.Note = p.plan, p.note
	})
	if cerr := zip.Close(); err == nil {
		err = cerr
	}
	if ctx.Err() != nil {
		return layer.LeftOut{}, ctx.Err()
	}
	if err != nil {
		return layer.LeftOut{}, layer.HostError(err)
	}
	return packer.LeftOut, nil
}

func (c Compression) mediaType() string {
	switch c {
	case CompressGzip:
		return oci.MediaTypeImageLayerGzip
	case CompressNone:
		return oci.MediaTypeImageLayer
	}
	return oci.MediaTypeImageLayerZstd
}

// writer returns a compressor into w. The same data give the same result.
func (c Compression) writer(w io.Writer) (io.WriteCloser, error) {
	switch c {
	case CompressGzip:
		return gzip.NewWriter(w), nil
	case CompressNone:
		return layer.NopCloser(w), nil
	}
	// With one goroutine the same tar gives the same blob.
	return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
}
