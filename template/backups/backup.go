// Package backups writes and reads backups of VPSs. A backup is an OCI image with the layers
// of a template and one for each frozen layer of a VPS. An annotation of its manifest has
// the settings of the VPS. It is an OCI image layout as a tar, or an image in a registry.
//
// In an archive each snapshot of the VPS can be another such image. They share layers. Only
// the image of the VPS is in the index, so other tools find one image; its manifest names
// those of the snapshots.
package backups

import (
	"context"
	"encoding/json"
	"io"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/rootfs"
)

// Options describe a backup.
type Options struct {
	Name     string          // of the image in the archive
	Settings json.RawMessage // of the VPS
	Created  time.Time
	Compress Compression // "" is CompressZstd
	// Remember returns the file in which Push remembers what the frozen layer in the
	// directory dir becomes; "" if it shall not. Who changes the layer removes the file
	// first. May be nil.
	Remember func(dir string) string
	// Records is the directory in which Push keeps records of the topmost frozen layer, a copy
	// of files that only this backup has: the next Push sends what has changed since. It is
	// created; the one above it exists. "": that layer is like the others.
	Records   string
	Snapshots []Snapshot // of Write and of Begin

	refs []snapshotRef
}

// Write writes a backup to w: the image base, which is a digest, and the frozen layers
// of r. Of a plain root filesystem it has one layer with all files. The files of r's upper directory are not part of it. The layers must not change
// meanwhile: they are packed twice, because their digest comes before them, and a
// difference is an error. Sockets and device nodes are left out, and counted. Layers that
// snapshots share are written once. After an error w has received a part.
func Write(ctx context.Context, s *images.Store, base string, r rootfs.Rootfs, w io.Writer, o Options) (layer.LeftOut, error) {
	im, st, err := s.LinkImage(ctx, base)
	if err != nil {
		return layer.LeftOut{}, err
	}
	defer st.Remove()
	b := backingUp{store: s, stage: st, measured: map[rootfs.Frozen]packedPart{}}
	snapshots, refs, err := b.snapshots(ctx, o)
	if err != nil {
		return b.left, err
	}
	o.refs = refs
	if im, err = b.image(ctx, im, r, o); err != nil {
		return b.left, err
	}
	files, err := archive.LayoutFiles(st, im, snapshots...)
	if err != nil {
		return b.left, err
	}
	return b.left, archive.WriteTar(ctx, written(s, w, files), indexFirst(streamParts(files, b.packed)))
}

// backingUp is one Write.
type backingUp struct {
	store    *images.Store
	stage    *images.Stage
	measured map[rootfs.Frozen]packedPart // by the topmost layer: what is below that is always the same
	packed   []packedPart
	left     layer.LeftOut
}

// image returns the image with the frozen layers of r over base.
func (b *backingUp) image(ctx context.Context, base images.Stored, r rootfs.Rootfs, o Options) (images.Stored, error) {
	base = base.Below(r)
	packed, left, err := packParts(ctx, b.store, b.stage, base, r, o, b.measure)
	b.left = b.left.Add(left)
	if err != nil {
		return base, err
	}
	b.packed = append(b.packed, packed...)
	return backupImage(b.store, b.stage, base, packed, o)
}

// measure is packedPart.measure, once for each layer.
func (b *backingUp) measure(p *packedPart, ctx context.Context, done *int64) error {
	key := p.files.Frozen[0]
	if was, ok := b.measured[key]; ok {
		p.diffID, p.size, p.blob = was.diffID, was.size, was.blob
		return nil
	}
	err := p.measure(ctx, done)
	b.measured[key] = *p
	return err
}

// packParts returns the frozen layers of r, whose digests measure finds out.
func packParts(ctx context.Context, s *images.Store, st *images.Stage, base images.Stored, r rootfs.Rootfs, o Options, measure func(*packedPart, context.Context, *int64) error) ([]packedPart, layer.LeftOut, error) {
	var left layer.LeftOut
	// A file whose data are not on the disk yet can show other holes the second time.
	if err := images.SyncFilesystem(st.Dir); err != nil {
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
		p := packedPart{store: s, stage: st, files: part, compress: o.compression()}
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

// backupImage returns the image base with the packed layers and the settings. Its
// manifest and config are in st.
func backupImage(s *images.Store, st *images.Stage, base images.Stored, packed []packedPart, o Options) (images.Stored, error) {
	var c oci.Image
	if err := s.ReadBlob(base.Config, &c); err != nil {
		return base, err
	}
	created := o.Created.UTC().Truncate(time.Second)
	c.Created = &created
	if len(base.Manifest.Layers) == 0 {
		c.RootFS.DiffIDs, c.History = nil, nil
	}
	blobs := base.Manifest.Layers[:len(base.Manifest.Layers):len(base.Manifest.Layers)]
	for _, p := range packed {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, p.diffID)
		c.History = append(c.History, oci.History{Created: &created, CreatedBy: "croft backup of " + o.Name})
		blobs = append(blobs, p.blob)
	}
	config, err := st.WriteJSON(oci.MediaTypeImageConfig, c)
	if err != nil {
		return base, err
	}
	m := oci.Manifest{
		Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest, Config: config, Layers: blobs,
		Annotations: map[string]string{images.AnnotationVPS: string(o.Settings), oci.AnnotationCreated: created.Format(time.RFC3339)},
	}
	if len(o.refs) > 0 {
		refs, err := json.Marshal(o.refs)
		if err != nil {
			return base, err
		}
		m.Annotations[images.AnnotationSnapshots] = string(refs)
	}
	manifest, err := st.WriteJSON(oci.MediaTypeImageManifest, m)
	manifest.Platform = &c.Platform
	base.Name, base.Descriptor, base.Manifest, base.Config = o.Name, manifest, m, config.Digest
	return base, err
}

// streamParts makes files have the content of packed, which are not in the stage.
func streamParts(files []archive.File, packed []packedPart) []archive.File {
	for i, f := range files {
		for _, p := range packed {
			if f.Name == archive.BlobName(p.blob.Digest) {
				files[i] = archive.File{Name: f.Name, Stream: p.write, Size: p.blob.Size}
			}
		}
	}
	return files
}

// indexFirst moves the index before the blobs: who reads the archive as a stream knows
// then which blob is the manifest.
func indexFirst(files []archive.File) []archive.File {
	last := len(files) - 1
	return append([]archive.File{files[0], files[last]}, files[1:last]...)
}

// written returns a writer into w that reports how much of files is written.
func written(s *images.Store, w io.Writer, files []archive.File) io.Writer {
	var done, total int64
	for _, f := range files {
		total += f.Size
	}
	return io.MultiWriter(w, s.Counted("writing the archive", &done, total))
}
