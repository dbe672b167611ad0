package template

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

// commit puts an image with staged layers, the lowest first, into the store under im.Name
// and returns it: see publish.
func (s *Store) commit(ctx context.Context, st *stage, im Image, layers ...stagedLayer) (Image, error) {
	blobs := im.setLayers(layers)
	return s.commitImage(ctx, st, im.Name, configOf(im), blobs)
}

// setLayers gives im these layers, and returns their blobs.
func (im *Image) setLayers(layers []stagedLayer) (blobs []oci.Descriptor) {
	im.Layers, im.Size = nil, 0
	for _, l := range layers {
		im.Layers, im.Size, blobs = append(im.Layers, l.diffID.String()), im.Size+l.size, append(blobs, l.blob)
	}
	return blobs
}

// commitImage is commit of an image with the config c and any number of layers,
// whose blobs are in st.
func (s *Store) commitImage(ctx context.Context, st *stage, name string, c oci.Image, layers []oci.Descriptor) (Image, error) {
	d, err := st.image(name, c, layers)
	if err != nil {
		return Image{}, err
	}
	return s.publish(ctx, st, d)
}

// image stages an image with the config c and any number of layers, whose blobs are in st.
func (st *stage) image(name string, c oci.Image, layers []oci.Descriptor) (stagedImage, error) {
	config, err := st.writeJSON(oci.MediaTypeImageConfig, c)
	if err != nil {
		return stagedImage{}, err
	}
	manifest, err := st.writeJSON(oci.MediaTypeImageManifest, oci.Manifest{
		Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest,
		Config: config, Layers: layers,
	})
	if err != nil {
		return stagedImage{}, err
	}
	manifest.Platform = &c.Platform
	d := stagedImage{name: name, manifest: manifest, blobs: map[digest.Digest]string{}, layers: c.RootFS.DiffIDs}
	for _, b := range append([]oci.Descriptor{config, manifest}, layers...) {
		d.blobs[b.Digest] = st.path(blobName(b.Digest))
	}
	return d, nil
}

// A stagedImage is a complete image that publish can put into the store.
type stagedImage struct {
	name     string
	former   bool                     // it gets no name, unless it has one
	manifest oci.Descriptor           // its annotations are kept
	blobs    map[digest.Digest]string // the files of blobs that may be missing in the store
	layers   []digest.Digest          // diff ids; unpacked layers are in the stage or in the store
}

// publish puts an image into the store under its name and returns it. The change is
// atomic: after an error or a power cut the store has the old image or the new one.
// An old image of that name becomes a former one.
func (s *Store) publish(ctx context.Context, st *stage, d stagedImage) (Image, error) {
	if err := syncFilesystem(st.dir); err != nil {
		return Image{}, err
	}
	unlock, err := s.lock(ctx, storeLock)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	// The index comes last: files that it does not mention are removed later.
	for _, l := range d.layers {
		err := s.moveIntoStore(st.path(layerName(l)), s.layerDir(l.String()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // Ensure unpacks a missing one
			return Image{}, err
		}
	}
	for b, from := range d.blobs {
		if err := s.moveIntoStore(from, s.blobPath(b)); err != nil {
			return Image{}, err
		}
	}
	ix, err := s.index()
	if err != nil {
		return Image{}, err
	}
	if d.former {
		return s.publishFormer(ix, d)
	}
	ix.Manifests = addToIndex(ix.Manifests, d.manifest, d.name)
	if err := s.putIndex(ix); err != nil {
		return Image{}, err
	}
	stored, err := s.read(ix.Manifests[len(ix.Manifests)-1])
	return stored.Image, err
}

// publishFormer adds an image to the index ix as a former one of its name. No-op if the
// image is there under any name.
func (s *Store) publishFormer(ix oci.Index, d stagedImage) (Image, error) {
	for _, o := range ix.Manifests {
		if o.Digest == d.manifest.Digest {
			stored, err := s.read(o)
			return stored.Image, err
		}
	}
	d.manifest.Annotations = setName(d.manifest.Annotations, annotationFormer, d.name)
	ix.Manifests = append(ix.Manifests, d.manifest)
	if err := s.putIndex(ix); err != nil {
		return Image{}, err
	}
	stored, err := s.read(d.manifest)
	return stored.Image, err
}

// addToIndex returns the entries all with d added under name at the end. An entry
// that has the name becomes a former image.
func addToIndex(all []oci.Descriptor, d oci.Descriptor, name string) []oci.Descriptor {
	var out []oci.Descriptor
	for _, o := range all {
		if nameOf(o) == name {
			if o.Digest == d.Digest {
				continue
			}
			o.Annotations = setName(o.Annotations, annotationFormer, name)
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
	delete(out, annotationFormer)
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

// writeJSON writes v as a blob into the stage and returns its descriptor.
func (st *stage) writeJSON(mediaType string, v any) (oci.Descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return oci.Descriptor{}, err
	}
	return st.writeBlob(mediaType, b)
}

// writeBlob writes b as a blob into the stage and returns its descriptor. One that is
// there already stays: it may be a link to a blob of the store.
func (st *stage) writeBlob(mediaType string, b []byte) (oci.Descriptor, error) {
	d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	if _, err := os.Lstat(st.path(blobName(d.Digest))); err == nil {
		return d, nil
	}
	return d, layer.HostError(os.WriteFile(st.path(blobName(d.Digest)), b, 0o600))
}

func blobName(d digest.Digest) string  { return "blob-" + d.Encoded() }
func layerName(d digest.Digest) string { return "layer-" + d.Encoded() }
