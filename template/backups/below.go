package backups

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/images"
)

// UseBelow calls u.Use with the image of the n lowest layers of a backup, which is in the
// store as the image with this digest: a template that has just these layers, or else a
// former image. The rest is as for Import, without u.Check.
func UseBelow(ctx context.Context, s *images.Store, digest string, n int, u Use) error {
	im, st, err := s.LinkImage(ctx, digest)
	if err != nil {
		return err
	}
	defer st.Remove()
	if n < 1 || n > len(im.Layers) {
		return fail.New(fail.Usage, "the backup has %d layers, and its template %d", len(im.Layers), n)
	}
	same, err := withLayers(s, im.Layers[:n])
	if err != nil {
		return err
	}
	if same != "" {
		return useAgain(ctx, s, same, u)
	}
	d, err := stageBelow(s, st, im, n)
	if err != nil {
		return err
	}
	return s.PublishFor(ctx, st, d, u.Use, u.Used)
}

// useAgain calls u.Use with an image of the store.
func useAgain(ctx context.Context, s *images.Store, digest string, u Use) error {
	im, st, err := s.LinkImage(ctx, digest)
	if err != nil {
		return err
	}
	defer st.Remove()
	return s.PublishFor(ctx, st, staged(im, st), u.Use, u.Used)
}

// withLayers returns the digest of an image that is no backup and has just these layers;
// "" if there is none. A template comes before a former image.
func withLayers(s *images.Store, layers []string) (found string, err error) {
	ix, err := s.Index()
	if err != nil {
		return "", err
	}
	for _, d := range ix.Manifests {
		im, err := s.Read(d)
		if err != nil {
			return "", err
		}
		if _, backup := im.Manifest.Annotations[images.AnnotationVPS]; backup || !slices.Equal(im.Layers, layers) {
			continue
		}
		if !im.Former {
			return im.Digest, nil
		}
		found = im.Digest
	}
	return found, nil
}

// staged returns im, whose blobs are in st, as an image to publish.
func staged(im images.Stored, st *images.Stage) images.Staged {
	d := images.Staged{Name: im.Name, Manifest: im.Descriptor, Blobs: map[digest.Digest]string{}}
	for _, b := range append([]oci.Descriptor{im.Descriptor, im.Manifest.Config}, im.Manifest.Layers...) {
		d.Blobs[b.Digest] = st.Path(images.BlobName(b.Digest))
	}
	return d
}

// stageBelow makes an image of the n lowest layers of im, whose blobs are in st.
func stageBelow(s *images.Store, st *images.Stage, im images.Stored, n int) (images.Staged, error) {
	var c oci.Image
	if err := s.ReadBlob(im.Manifest.Config.Digest, &c); err != nil {
		return images.Staged{}, err
	}
	c.RootFS.DiffIDs = c.RootFS.DiffIDs[:n]
	for above := len(im.Layers) - n; above > 0 && len(c.History) > 0; {
		last := len(c.History) - 1
		if !c.History[last].EmptyLayer {
			above--
		}
		c.History = c.History[:last]
	}
	if len(c.History) > 0 { // that of the backup is another one each time
		c.Created = c.History[len(c.History)-1].Created
	}
	var size int64
	for _, l := range im.Manifest.Layers[:n] {
		size += l.Size
	}
	d, err := st.Image(im.Name, c, im.Manifest.Layers[:n])
	if err != nil {
		return d, err
	}
	found, err := s.DescribeLayers(st, c.RootFS.DiffIDs)
	d.Manifest.Annotations = found.Annotations(size)
	return d, err
}
