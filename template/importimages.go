package template

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/rootfs"
	"croft/template/trust"
)

// importImages makes the template name from an image in t. o.Image selects one of
// several.
func (s *Store) importImages(ctx context.Context, st *images.Stage, name string, t *layer.Tree, kind archive.Content, o ImportOptions) (Image, error) {
	if len(o.Env) > 0 {
		return Image{}, fail.New(fail.Usage, "an image has its own environment: --env cannot be used")
	}
	if err := s.policy().File(o.transport(kind), cmp.Or(o.Dir, o.File), o.Image); err != nil {
		return Image{}, err
	}
	var d images.Staged
	var err error
	w := images.Request{Arch: o.architecture(), Budget: layer.NewBudget(o.MaxSize)}
	switch kind {
	case archive.OCILayout:
		var root oci.Descriptor
		if root, err = archive.LayoutRoot(t, o.Image, w.Arch); err == nil {
			d, err = s.StageImage(ctx, st, archive.Layout{Tree: t}, root, w)
		}
	case archive.DockerImages:
		d, err = s.stageDocker(ctx, st, t, o.Image, w)
	}
	if err != nil {
		return Image{}, err
	}
	d.Name = name
	for key, said := range map[string]string{images.LabelDistribution: o.Distribution, images.LabelRelease: o.Release, images.LabelVariant: o.Variant} {
		if said != "" {
			d.Manifest.Annotations[key] = said
		}
	}
	delete(d.Manifest.Annotations, images.AnnotationSourceDigest) // it does not come from a registry
	maps.Copy(d.Manifest.Annotations, o.origin)
	return s.Publish(ctx, st, d)
}

// transport returns by which way an archive or a directory of images enters the store.
func (o ImportOptions) transport(kind archive.Content) trust.Transport {
	switch {
	case kind == archive.DockerImages:
		return trust.DockerArchive
	case o.Dir != "":
		return trust.OCI
	}
	return trust.OCIArchive
}

// stageDocker puts an image of an archive of docker save into st. It compresses the
// layers.
func (s *Store) stageDocker(ctx context.Context, st *images.Stage, t *layer.Tree, image string, w images.Request) (images.Staged, error) {
	im, err := archive.ChooseDocker(t, image)
	if err != nil {
		return images.Staged{}, err
	}
	text, _, err := t.ReadFile(im.Config, images.MaxJSON)
	if err != nil {
		return images.Staged{}, images.BadImage("its config %s: %w", im.Config, err)
	}
	if len(im.Layers) == 0 || len(im.Layers) > rootfs.MaxLayers {
		return images.Staged{}, fail.New(fail.Usage, "the image has %d layers, and overlay mounts 1 to %d", len(im.Layers), rootfs.MaxLayers)
	}
	c, err := images.ParseConfig(text, len(im.Layers), w.Arch)
	if err != nil {
		return images.Staged{}, err
	}
	config, err := st.WriteBlob(oci.MediaTypeImageConfig, text)
	if err != nil {
		return images.Staged{}, err
	}
	m := oci.Manifest{Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest, Config: config}
	size, err := s.stageDockerLayers(ctx, st, t, im.Layers, c, &m, w.Budget)
	if err != nil {
		return images.Staged{}, err
	}
	return s.describeStaged(st, m, c, size)
}

// stageDockerLayers puts the layers in files of t into st, the lowest first, and
// adds them to m. It returns the total size of their files in bytes.
func (s *Store) stageDockerLayers(ctx context.Context, st *images.Stage, t *layer.Tree, files []string, c oci.Image, m *oci.Manifest, budget *layer.Budget) (int64, error) {
	var total int64
	var below []string
	for i, file := range files {
		f, err := t.OpenFile(file)
		if err != nil {
			return 0, images.BadImage("its layer %s: %w", file, err)
		}
		l, err := s.stagePacked(ctx, st, f, below, budget)
		f.Close()
		if err != nil {
			return 0, err
		}
		if want := c.RootFS.DiffIDs[i]; l.DiffID != want {
			return 0, images.BadImage("its layer %s has digest %s, not %s", file, l.DiffID, want)
		}
		m.Layers = append(m.Layers, l.Blob)
		total += l.Size
		below = append([]string{st.Path(images.LayerName(l.DiffID))}, below...)
	}
	return total, nil
}

// stagePacked is StageLayer of an archive that may be compressed.
func (s *Store) stagePacked(ctx context.Context, st *images.Stage, r io.Reader, below []string, budget *layer.Budget) (images.Layer, error) {
	plain, err := layer.Decompress(archive.WithContext(ctx, r))
	if err != nil {
		return images.Layer{}, layer.ArchiveFailure(err)
	}
	defer plain.Close()
	return s.StageLayer(ctx, st, plain, below, budget)
}

// describeStaged writes the manifest m into st and returns the complete image. Its
// config c and its layers are in st already.
func (s *Store) describeStaged(st *images.Stage, m oci.Manifest, c oci.Image, size int64) (images.Staged, error) {
	manifest, err := st.WriteJSON(oci.MediaTypeImageManifest, m)
	if err != nil {
		return images.Staged{}, err
	}
	found, err := s.DescribeLayers(st, c.RootFS.DiffIDs)
	if err != nil {
		return images.Staged{}, err
	}
	manifest.Platform = &oci.Platform{OS: "linux", Architecture: c.Architecture, Variant: c.Variant}
	manifest.Annotations = found.Annotations(size)
	d := images.Staged{Manifest: manifest, Layers: c.RootFS.DiffIDs, Blobs: map[digest.Digest]string{}}
	for _, b := range append([]oci.Descriptor{manifest, m.Config}, m.Layers...) {
		d.Blobs[b.Digest] = st.Path(images.BlobName(b.Digest))
	}
	return d, nil
}

// importUnified creates the template name from such files.
func (s *Store) importUnified(ctx context.Context, st *images.Stage, name string, t *layer.Tree, o ImportOptions) (Image, error) {
	meta, err := archive.MetadataIn(t)
	if err != nil {
		return Image{}, err
	}
	budget := layer.NewBudget(o.MaxSize)
	root, err := s.StageWritten(ctx, st, nil, budget, func(w io.Writer) error {
		fd, err := t.OpenPlain("rootfs")
		if err != nil {
			return layer.HostError(err)
		}
		p := layer.NewPacker(ctx, w, layer.IDs{})
		p.Standalone = true
		return p.Pack(fd)
	})
	if err != nil {
		return Image{}, err
	}
	layers, err := s.withStatic(ctx, st, root, meta, budget)
	if err != nil {
		return Image{}, err
	}
	found, err := s.describeNew(st, layers)
	if err != nil {
		return Image{}, err
	}
	im := o.describe(name, found)
	im.Variant = cmp.Or(im.Variant, meta.Properties["variant"])
	if o.Created.IsZero() {
		im.Created = meta.Created()
	}
	return s.commitImported(ctx, st, im, o, layers...)
}

// withStatic returns the layer root, and over it a layer of the files that the image's
// templates make in each VPS alike, if there are any.
func (s *Store) withStatic(ctx context.Context, st *images.Stage, root images.Layer, meta archive.Metadata, budget *layer.Budget) ([]images.Layer, error) {
	static, ignored, err := meta.Files(meta.Texts)
	if err != nil {
		return nil, err
	}
	if len(ignored) > 0 {
		s.Warn(fmt.Sprintf("croft does not fill in the image's templates of %s", strings.Join(ignored, ", ")))
	}
	if len(static) == 0 {
		return []images.Layer{root}, nil
	}
	below := []string{st.Path(images.LayerName(root.DiffID))}
	l, err := s.StageLayer(ctx, st, bytes.NewReader(archive.Tar(static, meta.Created())), below, budget)
	return []images.Layer{root, l}, err
}

// describeNew describes the files of staged layers, the lowest first.
func (s *Store) describeNew(st *images.Stage, layers []images.Layer) (Image, error) {
	var ids []digest.Digest
	for _, l := range layers {
		ids = append(ids, l.DiffID)
	}
	return s.DescribeLayers(st, ids)
}
