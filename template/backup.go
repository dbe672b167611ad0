package template

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/rootfs"
)

// A backup is an OCI image layout as a tar: an image with the layers of a template and
// one for each frozen layer of a VPS. An annotation of its manifest has the settings of
// the VPS.

// annotationVPS in the manifest of a backup has the settings of the VPS.
const annotationVPS = "croft.vps"

// A Compression is how a backup has the layers of the VPS. Those of its template stay
// as they are in the store.
type Compression string

// Compressions.
const (
	CompressZstd Compression = "zstd"
	CompressGzip Compression = "gzip"
	CompressNone Compression = "none"
)

// BackupOptions describe a backup.
type BackupOptions struct {
	Name     string          // of the image in the archive
	Settings json.RawMessage // of the VPS
	Created  time.Time
	Compress Compression // "" is CompressZstd
	// Remember returns the file in which PushBackup remembers what the frozen layer in the
	// directory dir becomes; "" if it shall not. Who changes the layer removes the file
	// first. May be nil.
	Remember func(dir string) string
}

// Backup writes a backup to w: the image base, which is a digest, and the frozen layers
// of r. Of a plain root filesystem it has one layer with all files. The files of r's upper directory are not part of it. The layers must not change
// meanwhile: they are packed twice, because their digest comes before them, and a
// difference is an error. Sockets and device nodes are left out, and counted. After an
// error w has received a part.
func (s *Store) Backup(ctx context.Context, base string, r rootfs.Rootfs, w io.Writer, o BackupOptions) (layer.LeftOut, error) {
	im, st, err := s.linkImage(ctx, base)
	if err != nil {
		return layer.LeftOut{}, err
	}
	defer st.remove()
	im = im.below(r)
	packed, left, err := s.packParts(ctx, st, im, r, o, (*packedPart).measure)
	if err != nil {
		return left, err
	}
	if im, err = s.backupImage(st, im, packed, o); err != nil {
		return left, err
	}
	files, err := layoutFiles(st, im)
	if err != nil {
		return left, err
	}
	return left, writeTar(ctx, s.written(w, files), indexFirst(streamParts(files, packed)))
}

// below returns what of the image is below the frozen layers of r: nothing if these have
// all files.
func (im stored) below(r rootfs.Rootfs) stored {
	if r.Plain() {
		im.Layers, im.manifest.Layers, im.Size = nil, nil, 0
	}
	return im
}

// packParts returns the frozen layers of r, whose digests measure finds out.
func (s *Store) packParts(ctx context.Context, st *stage, base stored, r rootfs.Rootfs, o BackupOptions, measure func(*packedPart, context.Context, *int64) error) ([]packedPart, layer.LeftOut, error) {
	var left layer.LeftOut
	// A file whose data are not on the disk yet can show other holes the second time.
	if err := syncFilesystem(st.dir); err != nil {
		return nil, left, err
	}
	parts := r.Parts()
	parts = parts[:len(parts)-1]
	if n := len(base.Layers) + len(parts); n > rootfs.MaxLayers {
		return nil, left, fail.New(fail.State, "it would have %d layers, and overlay mounts at most %d", n, rootfs.MaxLayers)
	}
	var packed []packedPart
	var done int64
	for _, part := range parts {
		p := packedPart{store: s, stage: st, files: part, compress: cmp.Or(o.Compress, CompressZstd)}
		if o.Remember != nil {
			p.memory = o.Remember(part.Top())
		}
		if err := measure(&p, ctx, &done); err != nil {
			return nil, left, err
		}
		packed, left = append(packed, p), left.Add(p.left)
	}
	return packed, left, nil
}

// A packedPart is a frozen layer of a VPS as a layer of an image.
type packedPart struct {
	store    *Store
	stage    *stage
	files    rootfs.Rootfs
	compress Compression
	memory   string // see BackupOptions.Remember
	diffID   digest.Digest
	size     int64 // of its tar
	blob     oci.Descriptor
	left     layer.LeftOut
}

// measure packs p without keeping the result, and sets its digests and sizes. It adds
// the bytes of its tar to done.
func (p *packedPart) measure(ctx context.Context, done *int64) error {
	plain, blob := &hashed{w: io.Discard, hash: sha256.New()}, &hashed{w: io.Discard, hash: sha256.New()}
	left, err := p.pack(ctx, blob, plain, &reported{store: p.store, step: "reading changed files", done: done})
	if err != nil {
		return err
	}
	p.diffID, p.size, p.left = sum(plain.hash), plain.size, left
	p.blob = oci.Descriptor{MediaType: p.compress.mediaType(), Digest: sum(blob.hash), Size: blob.size}
	return nil
}

// write packs p into w.
func (p *packedPart) write(ctx context.Context, w io.Writer) error {
	out := &hashed{w: w, hash: sha256.New()}
	_, err := p.pack(ctx, out, io.Discard)
	if err == nil && sum(out.hash) != p.blob.Digest || errors.Is(err, tar.ErrWriteTooLong) {
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
	err = packTop(ctx, p.stage, p.files, io.MultiWriter(append(plain, zip)...), func(l *layer.Packer) { packer = l })
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

// packTop packs the topmost files of r into w, with what set sets.
func packTop(ctx context.Context, st *stage, r rootfs.Rootfs, w io.Writer, set func(*layer.Packer)) error {
	fd, err := openTop(r)
	if err != nil {
		return err
	}
	merged := lazyMerged{r: r}
	merged.r.Target, merged.r.Scratch = st.path("merged"), st.path("shifted")
	defer merged.close()
	ids := layer.IDs{First: r.First, Size: r.Size}
	if r.Plain() {
		ids.First = 0
	}
	p := layer.NewPacker(ctx, w, ids)
	p.OpenMerged = merged.open
	set(p)
	return p.Pack(fd)
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
		return nopCloser{w}, nil
	}
	// With one goroutine the same tar gives the same blob.
	return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
}

// backupImage returns the image base with the packed layers and the settings. Its
// manifest and config are in st.
func (s *Store) backupImage(st *stage, base stored, packed []packedPart, o BackupOptions) (stored, error) {
	var c oci.Image
	if err := s.readBlob(base.config, &c); err != nil {
		return base, err
	}
	created := o.Created.UTC().Truncate(time.Second)
	c.Created = &created
	if len(base.manifest.Layers) == 0 {
		c.RootFS.DiffIDs, c.History = nil, nil
	}
	blobs := base.manifest.Layers[:len(base.manifest.Layers):len(base.manifest.Layers)]
	for _, p := range packed {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, p.diffID)
		c.History = append(c.History, oci.History{Created: &created, CreatedBy: "croft backup of " + o.Name})
		blobs = append(blobs, p.blob)
	}
	config, err := st.writeJSON(oci.MediaTypeImageConfig, c)
	if err != nil {
		return base, err
	}
	m := oci.Manifest{
		Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest, Config: config, Layers: blobs,
		Annotations: map[string]string{annotationVPS: string(o.Settings), oci.AnnotationCreated: created.Format(time.RFC3339)},
	}
	manifest, err := st.writeJSON(oci.MediaTypeImageManifest, m)
	manifest.Platform = &c.Platform
	base.Name, base.descriptor, base.manifest, base.config = o.Name, manifest, m, config.Digest
	return base, err
}

// streamParts makes files have the content of packed, which are not in the stage.
func streamParts(files []exportFile, packed []packedPart) []exportFile {
	for i, f := range files {
		for _, p := range packed {
			if f.name == layoutBlob(p.blob.Digest) {
				files[i] = exportFile{name: f.name, stream: p.write, size: p.blob.Size}
			}
		}
	}
	return files
}

// indexFirst moves the index before the blobs: who reads the archive as a stream knows
// then which blob is the manifest.
func indexFirst(files []exportFile) []exportFile {
	last := len(files) - 1
	return append([]exportFile{files[0], files[last]}, files[1:last]...)
}

// written returns a writer into w that reports how much of files is written.
func (s *Store) written(w io.Writer, files []exportFile) io.Writer {
	var done, total int64
	for _, f := range files {
		total += f.size
	}
	return io.MultiWriter(w, &reported{store: s, step: "writing the archive", done: &done, total: total})
}

// reported reports how much is written to it.
type reported struct {
	store       *Store
	step        string
	done        *int64
	total, said int64
}

func (r *reported) Write(p []byte) (int, error) {
	*r.done += int64(len(p))
	if *r.done-r.said >= 1<<20 {
		r.said = *r.done
		r.store.progress(Update{Step: r.step, Done: *r.done, Total: max(r.total, 0)})
	}
	return len(p), nil
}
