package backups

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/rootfs"
	"croft/template/rootfs/tree"
)

// A Parcel is a backup that is sent to another store, which may have a part of its blobs
// already. It can get another layer after a first part was sent, so that a VPS runs
// during most of the copy. The caller closes it.
type Parcel struct {
	store  *images.Store
	stage  *images.Stage
	base   images.Stored // the template
	image  images.Stored // with all layers; valid after seal
	packed []packedPart
	o      Options

	snapshots []images.Stored // until SnapshotsSent
	frozen    []packedPart    // their layers
}

// A Blob is a part of a parcel.
type Blob struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// Begin begins a parcel with the image base, which is a digest, and the frozen layers of
// r, and with snapshots, as Write does. These layers must not change until the parcel is closed.
func Begin(ctx context.Context, s *images.Store, base string, r rootfs.Rootfs, o Options) (_ *Parcel, err error) {
	im, st, err := s.LinkImage(ctx, base)
	if err != nil {
		return nil, err
	}
	p := &Parcel{store: s, stage: st, base: im, o: o}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if err := images.SyncFilesystem(st.Dir); err != nil { // see Write
		return nil, err
	}
	parts := r.Parts()
	parts = parts[:len(parts)-1]
	if n := len(im.Layers) + len(parts) + 1; n > rootfs.MaxLayers {
		return nil, fail.New(fail.State, "it would have %d layers, and overlay mounts at most %d", n, rootfs.MaxLayers)
	}
	b := backingUp{store: s, stage: st, measured: map[rootfs.Frozen]packedPart{}}
	if p.snapshots, p.o.refs, err = b.snapshots(ctx, o); err != nil {
		return nil, err
	}
	p.frozen = b.packed
	var done int64
	for _, part := range parts {
		one := packedPart{store: s, stage: st, files: part, compress: o.Compress}
		if err := b.measure(&one, ctx, &done); err != nil {
			return nil, err
		}
		p.packed = append(p.packed, one)
	}
	return p, p.seal()
}

// SnapshotsSent leaves the snapshots out of the archives that follow, because the other
// store has them.
func (p *Parcel) SnapshotsSent() error {
	p.snapshots, p.frozen, p.o.refs = nil, nil, nil
	return p.seal()
}

// seal makes the manifest.
func (p *Parcel) seal() (err error) {
	p.image, err = backupImage(p.store, p.stage, p.base, p.packed, p.o)
	return err
}

// Close removes what the parcel has on disk. It can be called again.
func (p *Parcel) Close() { p.stage.Remove() }

// Changed finds what has changed in the files of a VPS since they were copied:
// tree.LiveCopy.
type Changed interface {
	Changes(ctx context.Context, at string, old, new []rootfs.Frozen, do func(root *os.File, each func(emit func(tree.Change) error) error) error) error
}

// Add puts a layer above the others, with what has changed from the tree that the layers
// old show to that of now, and replaces the settings. old are those of the parcel. The
// trees are mounted as by rootfs.WithViews, at the directory at.
func (p *Parcel) Add(ctx context.Context, settings json.RawMessage, c Changed, at string, old, now []rootfs.Frozen) error {
	var made packedPart
	err := c.Changes(ctx, at, old, now, func(root *os.File, each func(emit func(tree.Change) error) error) (err error) {
		made, err = p.pack(ctx, root, func(add func(layer.Difference) error) error {
			return each(func(c tree.Change) error {
				return add(layer.Difference{Name: c.Path, Was: c.Kind != tree.Added, Is: c.Kind != tree.Deleted})
			})
		})
		return err
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return layer.HostError(err)
	}
	p.packed = append(p.packed, made)
	p.o.Settings = settings
	return p.seal()
}

// pack makes a layer with differences. Its blob is in the stage.
func (p *Parcel) pack(ctx context.Context, root *os.File, each func(add func(layer.Difference) error) error) (one packedPart, err error) {
	tmp := p.stage.Path("changes")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return one, err
	}
	defer f.Close()
	file := bufio.NewWriterSize(f, 1<<20)
	blob, plain := images.NewDigestWriter(file), images.NewDigestWriter(io.Discard)
	zip, err := p.o.Compress.writer(blob)
	if err != nil {
		return one, fmt.Errorf("start the compressor: %w", err)
	}
	err = layer.NewPacker(ctx, io.MultiWriter(plain, zip), layer.IDs{}).PackDifferences(root, each)
	err = errors.Join(err, zip.Close(), file.Flush(), f.Close())
	if err != nil {
		return one, err
	}
	one = packedPart{store: p.store, stage: p.stage, compress: p.o.Compress, diffID: plain.Digest()}
	one.blob.MediaType, one.blob.Digest, one.blob.Size = p.o.Compress.mediaType(), blob.Digest(), blob.Size()
	return one, os.Rename(tmp, p.stage.Path(images.BlobName(one.blob.Digest)))
}

// Settle replaces the settings.
func (p *Parcel) Settle(settings json.RawMessage) error {
	p.o.Settings = settings
	return p.seal()
}

// Blobs returns the layers of the parcel, each once: those of the VPS, the lowest first,
// and those that only snapshots have.
func (p *Parcel) Blobs() []Blob {
	var all []Blob
	for _, im := range append([]images.Stored{p.image}, p.snapshots...) {
		for _, d := range im.Manifest.Layers {
			if b := (Blob{Digest: d.Digest.String(), Size: d.Size}); !slices.Contains(all, b) {
				all = append(all, b)
			}
		}
	}
	return all
}

// Write writes the archive to w, without the layers that the other store has. step names
// this for the progress. After an error w has received a part.
func (p *Parcel) Write(ctx context.Context, w io.Writer, step string, has func(digest string) bool) error {
	files, err := archive.LayoutFiles(p.stage, p.image, p.snapshots...)
	if err != nil {
		return err
	}
	files = indexFirst(streamParts(files, p.streamed()))
	there := map[string]bool{} // by names of files
	for _, b := range p.Blobs() {
		there[archive.BlobName(digest.Digest(b.Digest))] = has(b.Digest)
	}
	var wanted []archive.File
	var total int64
	for _, f := range files {
		if !there[f.Name] {
			wanted, total = append(wanted, f), total+f.Size
		}
	}
	var done int64
	return archive.WriteTar(ctx, io.MultiWriter(w, p.store.Counted(step, &done, total)), wanted)
}

// streamed returns the parts that are packed again when they are written. A layer that
// Add has made is a file of the stage.
func (p *Parcel) streamed() []packedPart {
	var all []packedPart
	for _, one := range slices.Concat(p.packed, p.frozen) {
		if _, err := os.Lstat(p.stage.Path(images.BlobName(one.blob.Digest))); err != nil {
			all = append(all, one)
		}
	}
	return all
}
