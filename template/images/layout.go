package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"croft/internal/atomicfile"
	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/rootfs"
)

// Below returns what of the image is below the frozen layers of r: nothing if these have
// all files.
func (im Stored) Below(r rootfs.Rootfs) Stored {
	if r.Plain() && len(r.Frozen) > 0 {
		im.Layers, im.Manifest.Layers, im.Size = nil, nil, 0
	}
	return im
}

// MaxJSON is the largest size of an index, manifest or config, in bytes: they may
// come from untrusted images.
const MaxJSON = 8 << 20

// DigestPath returns the digest d as a relative path: sha256/HEX.
func DigestPath(d string) string { return strings.Replace(d, ":", "/", 1) }

// BlobPath returns the path of the blob d, which the store may have.
func (s *Store) BlobPath(d digest.Digest) string { return s.Path("blobs", DigestPath(d.String())) }

// writeLayoutFile marks the directory as an OCI image layout. No-op if it is marked.
func (s *Store) writeLayoutFile() error {
	name := s.Path(oci.ImageLayoutFile)
	if _, err := os.Lstat(name); err == nil {
		return nil
	}
	b, err := json.Marshal(oci.ImageLayout{Version: oci.ImageLayoutVersion})
	if err != nil {
		return err
	}
	return layer.HostError(atomicfile.ReplaceShared(name, 0o644, b)) // without a lock
}

// replaceFile is atomicfile.Replace. The caller has the lock of the store.
func replaceFile(name string, b []byte) error {
	return layer.HostError(atomicfile.Replace(name, 0o644, b))
}

// SyncFilesystem waits until the disk has all data written to dir's filesystem. It is
// cheaper than an fsync for each of a layer's ten thousand files.
func SyncFilesystem(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return layer.HostError(err)
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return layer.HostError(fmt.Errorf("sync the filesystem of %s: %w", dir, err))
	}
	return nil
}

// Index reads index.json. A missing file gives an empty index.
func (s *Store) Index() (oci.Index, error) {
	ix := oci.Index{Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex}
	err := ReadJSON(s.Path(oci.ImageIndexFile), &ix)
	if errors.Is(err, fs.ErrNotExist) {
		return ix, nil
	}
	for _, d := range ix.Manifests {
		if derr := d.Digest.Validate(); derr != nil && err == nil {
			err = fail.New(fail.State, "the template index %s is damaged: digest %q: %w", s.Path(oci.ImageIndexFile), d.Digest, derr)
		}
	}
	return ix, err
}

// putIndex replaces index.json. The caller has the store's lock.
func (s *Store) putIndex(ix oci.Index) error {
	b, err := json.MarshalIndent(ix, "", "  ")
	if err != nil {
		return err
	}
	// Remove files of a killed writer. The store is locked, so there is no other.
	if left, err := filepath.Glob(s.Path("." + oci.ImageIndexFile + "-*")); err == nil {
		for _, file := range left {
			_ = os.Remove(file)
		}
	}
	return replaceFile(s.Path(oci.ImageIndexFile), append(b, '\n'))
}

// ReadJSON reads the JSON file name into a value. One that is damaged or too large is
// fail.State.
func ReadJSON(name string, into any) error {
	st, err := os.Stat(name)
	if err != nil {
		return layer.HostError(err)
	}
	if st.Size() > MaxJSON {
		return fail.New(fail.State, "%s is damaged: it is too large (%d bytes)", name, st.Size())
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return layer.HostError(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fail.New(fail.State, "%s is damaged: %w", name, err)
	}
	return nil
}

// A Stored image is an Image with its descriptor, manifest and config.
type Stored struct {
	Image
	Descriptor oci.Descriptor // of its manifest, as in index.json
	Manifest   oci.Manifest
	Config     digest.Digest
}

// Read reads the image that d describes.
func (s *Store) Read(d oci.Descriptor) (Stored, error) {
	im := Stored{Descriptor: d}
	if err := s.ReadBlob(d.Digest, &im.Manifest); err != nil {
		return im, err
	}
	var c oci.Image
	im.Config = im.Manifest.Config.Digest
	if err := s.ReadBlob(im.Config, &c); err != nil {
		return im, err
	}
	if len(c.RootFS.DiffIDs) != len(im.Manifest.Layers) {
		return im, fail.New(fail.State, "template %s is damaged: %d layers and %d diff ids", d.Digest, len(im.Manifest.Layers), len(c.RootFS.DiffIDs))
	}
	im.Image = imageOf(c, im.Manifest, d.Annotations)
	im.Source, im.SourceDigest = d.Annotations[AnnotationSource], d.Annotations[AnnotationSourceDigest]
	im.SourceFile = d.Annotations[AnnotationSourceFile]
	im.ImportedWith = parseImportSettings(d.Annotations[AnnotationImportedWith])
	im.SignedBy = strings.Fields(d.Annotations[annotationSigners])
	im.Digest = d.Digest.String()
	im.Name = d.Annotations[oci.AnnotationRefName]
	if former, ok := d.Annotations[AnnotationFormer]; ok {
		im.Name, im.Former = former, true
	}
	for _, l := range im.Layers {
		if err := digest.Digest(l).Validate(); err != nil {
			return im, fail.New(fail.State, "template %s is damaged: diff id %q: %w", d.Digest, l, err)
		}
	}
	return im, nil
}

// ReadBlob reads the JSON blob d of the store. A missing one is fail.State.
func (s *Store) ReadBlob(d digest.Digest, into any) error {
	if err := d.Validate(); err != nil {
		return fail.New(fail.State, "the template store %s is damaged: digest %q: %w", s.dir, d, err)
	}
	err := ReadJSON(s.BlobPath(d), into)
	if errors.Is(err, fs.ErrNotExist) {
		return fail.New(fail.State, "the template store %s is damaged: blob %s is missing", s.dir, d)
	}
	return err
}

// DiffID returns the diff id of im's layer i. read has checked that it is valid.
func (im Stored) DiffID(i int) digest.Digest { return digest.Digest(im.Layers[i]) }
