package images

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/template/layer"
)

// Commit puts an image with staged layers, the lowest first, into the store under im.Name
// and returns it: see Publish.
func (s *Store) Commit(ctx context.Context, st *Stage, im Image, layers ...Layer) (Image, error) {
	blobs := im.SetLayers(layers)
	return s.CommitImage(ctx, st, im.Name, ConfigOf(im), blobs)
}

// SetLayers gives im these layers, and returns their blobs.
func (im *Image) SetLayers(layers []Layer) (blobs []oci.Descriptor) {
	im.Layers, im.Size = nil, 0
	for _, l := range layers {
		im.Layers, im.Size, blobs = append(im.Layers, l.DiffID.String()), im.Size+l.Size, append(blobs, l.Blob)
	}
	return blobs
}

// CommitImage is commit of an image with the config c and any number of layers,
// whose blobs are in st.
func (s *Store) CommitImage(ctx context.Context, st *Stage, name string, c oci.Image, layers []oci.Descriptor) (Image, error) {
	d, err := st.Image(name, c, layers)
	if err != nil {
		return Image{}, err
	}
	return s.Publish(ctx, st, d)
}

// Image stages an image with the config c and any number of layers, whose blobs are in st.
func (st *Stage) Image(name string, c oci.Image, layers []oci.Descriptor) (Staged, error) {
	config, err := st.WriteJSON(oci.MediaTypeImageConfig, c)
	if err != nil {
		return Staged{}, err
	}
	manifest, err := st.WriteJSON(oci.MediaTypeImageManifest, oci.Manifest{
		Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest,
		Config: config, Layers: layers,
	})
	if err != nil {
		return Staged{}, err
	}
	manifest.Platform = &c.Platform
	d := Staged{Name: name, Manifest: manifest, Blobs: map[digest.Digest]string{}, Layers: c.RootFS.DiffIDs}
	for _, b := range append([]oci.Descriptor{config, manifest}, layers...) {
		d.Blobs[b.Digest] = st.Path(BlobName(b.Digest))
	}
	return d, nil
}

// A Staged image is a complete one that Publish can put into the store.
type Staged struct {
	Name     string
	Former   bool                     // it gets no name, unless it has one
	Manifest oci.Descriptor           // its annotations are kept
	Blobs    map[digest.Digest]string // the files of blobs that may be missing in the store
	Layers   []digest.Digest          // diff ids; unpacked layers are in the stage or in the store
}

// Publish puts an image into the store under its name and returns it. The change is
// atomic: after an error or a power cut the store has the old image or the new one.
// An old image of that name becomes a former one.
func (s *Store) Publish(ctx context.Context, st *Stage, d Staged) (Image, error) {
	if err := SyncFilesystem(st.Dir); err != nil {
		return Image{}, err
	}
	unlock, err := s.Lock(ctx, StoreLock)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	// The index comes last: files that it does not mention are removed later.
	for _, l := range d.Layers {
		err := s.moveIntoStore(st.Path(LayerName(l)), s.LayerDir(l.String()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // Ensure unpacks a missing one
			return Image{}, err
		}
	}
	for b, from := range d.Blobs {
		if err := s.moveIntoStore(from, s.BlobPath(b)); err != nil {
			return Image{}, err
		}
	}
	ix, err := s.Index()
	if err != nil {
		return Image{}, err
	}
	if d.Former {
		return s.publishFormer(ix, d)
	}
	ix.Manifests = addToIndex(ix.Manifests, d.Manifest, d.Name)
	if err := s.putIndex(ix); err != nil {
		return Image{}, err
	}
	stored, err := s.Read(ix.Manifests[len(ix.Manifests)-1])
	return stored.Image, err
}

// publishFormer adds an image to the index ix as a former one of its name. No-op if the
// image is there under any name.
func (s *Store) publishFormer(ix oci.Index, d Staged) (Image, error) {
	for _, o := range ix.Manifests {
		if o.Digest == d.Manifest.Digest {
			stored, err := s.Read(o)
			return stored.Image, err
		}
	}
	d.Manifest.Annotations = setName(d.Manifest.Annotations, AnnotationFormer, d.Name)
	ix.Manifests = append(ix.Manifests, d.Manifest)
	if err := s.putIndex(ix); err != nil {
		return Image{}, err
	}
	stored, err := s.Read(d.Manifest)
	return stored.Image, err
}

// addToIndex returns the entries all with d added under name at the end. An entry
// that has the name becomes a former image.
func addToIndex(all []oci.Descriptor, d oci.Descriptor, name string) []oci.Descriptor {
	var out []oci.Descriptor
	for _, o := range all {
		if NameOf(o) == name {
			if o.Digest == d.Digest {
				continue
			}
			o.Annotations = setName(o.Annotations, AnnotationFormer, name)
		}
		out = append(out, o)
	}
	d.Annotations = setName(d.Annotations, oci.AnnotationRefName, name)
	return append(out, d)
}

// setName returns a copy of annotations with the name under key, and no other name.
func setName(annotations map[string]string, key, name string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, annotations)
	delete(out, oci.AnnotationRefName)
	delete(out, AnnotationFormer)
	out[key] = name
	return out
}

// moveIntoStore moves the staged file or directory from to its place in the store.
// The name of the place is the digest of the content, so it is a no-op if the place
// exists.
func (s *Store) moveIntoStore(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return layer.HostError(err)
	}
	return layer.HostError(os.Rename(from, to))
}

// WriteJSON writes v as a blob into the stage and returns its descriptor.
func (st *Stage) WriteJSON(mediaType string, v any) (oci.Descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return oci.Descriptor{}, err
	}
	return st.WriteBlob(mediaType, b)
}

// WriteBlob writes b as a blob into the stage and returns its descriptor. One that is
// there already stays: it may be a link to a blob of the store.
func (st *Stage) WriteBlob(mediaType string, b []byte) (oci.Descriptor, error) {
	d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	if _, err := os.Lstat(st.Path(BlobName(d.Digest))); err == nil {
		return d, nil
	}
	return d, layer.HostError(os.WriteFile(st.Path(BlobName(d.Digest)), b, 0o600))
}

// BlobName is the name of the blob d in a stage.
func BlobName(d digest.Digest) string { return "blob-" + d.Encoded() }

// LayerName is the name of the directory of an unpacked layer in a stage. d is its diff id.
func LayerName(d digest.Digest) string { return "layer-" + d.Encoded() }
