package template

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"

	"github.com/opencontainers/go-digest"

	"croft/template/layer"

	ocispec "github.com/opencontainers/image-spec/specs-go"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// commit puts an image of one layer, made ready in st, into the store under
// im.Name and returns it: see publish.
func (s *Store) commit(ctx context.Context, st *stage, im Image, l stagedLayer) (Image, error) {
	im.Layers, im.Size = []string{l.diffID.String()}, l.size
	return s.commitImage(ctx, st, im.Name, configOf(im), []oci.Descriptor{l.blob})
}

// commitImage is commit of an image whose config is c and whose layers are blobs.
func (s *Store) commitImage(ctx context.Context, st *stage, name string, c oci.Image, layers []oci.Descriptor) (Image, error) {
	config, err := st.writeJSON(oci.MediaTypeImageConfig, c)
	if err != nil {
		return Image{}, err
	}
	manifest, err := st.writeJSON(oci.MediaTypeImageManifest, oci.Manifest{
		Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest,
		Config: config, Layers: layers,
	})
	if err != nil {
		return Image{}, err
	}
	manifest.Platform = &c.Platform
	d := stagedImage{name: name, manifest: manifest, blobs: map[digest.Digest]string{}, layers: c.RootFS.DiffIDs}
	for _, b := range append([]oci.Descriptor{config, manifest}, layers...) {
		d.blobs[b.Digest] = st.path(blobName(b.Digest))
	}
	return s.publish(ctx, st, d)
}

// A stagedImage is an image that lies ready to be put into the store.
type stagedImage struct {
	name     string
	manifest oci.Descriptor           // its annotations are kept
	blobs    map[digest.Digest]string // where each lies that is not in the store
	layers   []digest.Digest          // diff ids; those that are unpacked lie in the stage, or are in the store
}

// publish puts an image into the store under its name and returns it.
// Afterwards it is there whole, or not at all. An image that had the name
// before stays, as a former one.
func (s *Store) publish(ctx context.Context, st *stage, d stagedImage) (Image, error) {
	if err := syncFilesystem(st.dir); err != nil {
		return Image{}, err
	}
	unlock, err := s.lock(ctx, storeLock)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	// The index comes last: what is not in it does not count, and is swept.
	for _, l := range d.layers {
		err := s.moveIntoStore(st.path(layerName(l)), s.layerDir(l.String()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // else Ensure unpacks it
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
	ix.Manifests = addToIndex(ix.Manifests, d.manifest, d.name)
	if err := s.putIndex(ix); err != nil {
		return Image{}, err
	}
	stored, err := s.read(ix.Manifests[len(ix.Manifests)-1])
	return stored.Image, err
}

// named returns all with d in it under name, last; whoever had the name is a
// former image of it.
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

// renamed returns annotations with the name in that of key alone.
func setName(annotations map[string]string, key, name string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, annotations)
	delete(out, oci.AnnotationRefName)
	delete(out, annotationFormer)
	out[key] = name
	return out
}

// adopt moves what was made ready at from to its place. Its place is named
// after its content, so one that is taken holds the same.
func (s *Store) moveIntoStore(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return layer.HostError(err)
	}
	return layer.HostError(os.Rename(from, to))
}

// writeJSON writes v as a blob into the stage and describes it.
func (st *stage) writeJSON(mediaType string, v any) (oci.Descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return oci.Descriptor{}, err
	}
	return st.writeBlob(mediaType, b)
}

// writeBlob writes b as a blob into the stage and describes it.
func (st *stage) writeBlob(mediaType string, b []byte) (oci.Descriptor, error) {
	d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	return d, layer.HostError(os.WriteFile(st.path(blobName(d.Digest)), b, 0o600))
}

func blobName(d digest.Digest) string  { return "blob-" + d.Encoded() }
func layerName(d digest.Digest) string { return "layer-" + d.Encoded() }
