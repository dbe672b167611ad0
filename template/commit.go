package template

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// commit puts an image of one layer, made ready in st, into the store under
// im.Name and returns it. Afterwards it is there whole, or not at all. An
// image that had the name before stays, as a former one.
func (s *Store) commit(ctx context.Context, st *stage, im Image, l layer) (Image, error) {
	im.Layers, im.Size = []string{l.diffID.String()}, l.size
	config, err := st.writeJSON(oci.MediaTypeImageConfig, configOf(im))
	if err != nil {
		return Image{}, err
	}
	manifest, err := st.writeJSON(oci.MediaTypeImageManifest, oci.Manifest{
		Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest,
		Config: config, Layers: []oci.Descriptor{l.blob},
	})
	if err != nil {
		return Image{}, err
	}
	if err := syncFilesystem(st.dir); err != nil {
		return Image{}, err
	}
	unlock, err := s.lock(ctx, storeLock)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	// The index comes last: what is not in it does not count, and is swept.
	if err := s.adopt(st.path(layerName(l.diffID)), s.layerDir(l.diffID.String())); err != nil {
		return Image{}, err
	}
	for _, d := range []oci.Descriptor{l.blob, config, manifest} {
		if err := s.adopt(st.path(blobName(d.Digest)), s.blobPath(d.Digest)); err != nil {
			return Image{}, err
		}
	}
	ix, err := s.index()
	if err != nil {
		return Image{}, err
	}
	manifest.Platform = &oci.Platform{Architecture: im.Architecture, OS: "linux"}
	ix.Manifests = named(ix.Manifests, manifest, im.Name)
	if err := s.putIndex(ix); err != nil {
		return Image{}, err
	}
	stored, err := s.read(ix.Manifests[len(ix.Manifests)-1])
	return stored.Image, err
}

// named returns all with d in it under name, last; whoever had the name is a
// former image of it.
func named(all []oci.Descriptor, d oci.Descriptor, name string) []oci.Descriptor {
	var out []oci.Descriptor
	for _, o := range all {
		if nameOf(o) == name {
			if o.Digest == d.Digest {
				continue
			}
			o.Annotations = map[string]string{annotationFormer: name}
		}
		out = append(out, o)
	}
	d.Annotations = map[string]string{oci.AnnotationRefName: name}
	return append(out, d)
}

// adopt moves what was made ready at from to its place. Its place is named
// after its content, so one that is taken holds the same.
func (s *Store) adopt(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return hostError(err)
	}
	return hostError(os.Rename(from, to))
}

// writeJSON writes v as a blob into the stage and describes it.
func (st *stage) writeJSON(mediaType string, v any) (oci.Descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return oci.Descriptor{}, err
	}
	d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	return d, hostError(os.WriteFile(st.path(blobName(d.Digest)), b, 0o600))
}

func blobName(d digest.Digest) string  { return "blob-" + d.Encoded() }
func layerName(d digest.Digest) string { return "layer-" + d.Encoded() }
