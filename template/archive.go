package template

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/rootfs"
)

// dockerManifestFile lists the images in an archive of docker save
// (https://github.com/moby/docker-image-spec, "Combined Image JSON").
const dockerManifestFile = "manifest.json"

// A content is the kind of files in an archive or a directory.
type content int

const (
	rootFiles    content = iota // a root filesystem
	ociLayout                   // an OCI image layout
	dockerImages                // what docker save writes
)

// kindOf returns the kind of files in t, by the names at its top. Since version 25
// docker save also writes an OCI layout, which croft prefers.
func kindOf(t *layer.Tree) content {
	switch {
	case slices.ContainsFunc(rootNames, t.Exists):
		return rootFiles // also if there are other files
	case t.Exists(oci.ImageLayoutFile) && t.Exists(oci.ImageIndexFile):
		return ociLayout
	case t.Exists(dockerManifestFile):
		return dockerImages
	}
	return rootFiles
}

// beginsLikeImages reports whether a tar seems to contain images, by the name of its
// first file. importArchive detects a wrong guess after unpacking; it costs only the
// time for an unneeded layer.
func beginsLikeImages(r *bufio.Reader) bool {
	blocks, _ := r.Peek(4 * layer.BlockSize) // an error means that the archive is shorter
	h, err := tar.NewReader(bytes.NewReader(blocks)).Next()
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+h.Name), "/"), "/")
	switch first {
	case oci.ImageLayoutFile, oci.ImageIndexFile, oci.ImageBlobsDir, dockerManifestFile, "repositories":
		return true
	}
	hex := strings.TrimSuffix(strings.TrimSuffix(first, ".json"), ".tar")
	return len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// importImages makes the template name from an image in t. o.Image selects one of
// several.
func (s *Store) importImages(ctx context.Context, st *stage, name string, t *layer.Tree, kind content, o ImportOptions) (Image, error) {
	if len(o.Env) > 0 {
		return Image{}, fail.New(fail.Usage, "an image has its own environment: --env cannot be used")
	}
	var d stagedImage
	var err error
	w := request{arch: o.architecture(), budget: layer.NewBudget(o.MaxSize)}
	switch kind {
	case ociLayout:
		var root oci.Descriptor
		if root, err = layoutRoot(t, o.Image, w.arch); err == nil {
			d, err = s.stageImage(ctx, st, layoutSource{t}, root, w)
		}
	case dockerImages:
		d, err = s.stageDocker(ctx, st, t, o.Image, w)
	}
	if err != nil {
		return Image{}, err
	}
	d.name = name
	for key, said := range map[string]string{labelDistribution: o.Distribution, labelRelease: o.Release, labelVariant: o.Variant} {
		if said != "" {
			d.manifest.Annotations[key] = said
		}
	}
	delete(d.manifest.Annotations, annotationSourceDigest) // it does not come from a registry
	return s.publish(ctx, st, d)
}

// layoutRoot reads the index of the OCI layout t and returns the descriptor of
// image: a name, a digest, or "" for the only one. If there are several of that name
// for different architectures, it returns the one for arch.
func layoutRoot(t *layer.Tree, image, arch string) (oci.Descriptor, error) {
	var version oci.ImageLayout
	if err := decodeFile(t, oci.ImageLayoutFile, &version); err != nil {
		return oci.Descriptor{}, err
	}
	if !strings.HasPrefix(version.Version, "1.") {
		return oci.Descriptor{}, badImage("unsupported layout version %q", version.Version)
	}
	b, _, err := t.ReadFile(oci.ImageIndexFile, maxJSON)
	if err != nil {
		return oci.Descriptor{}, badImage("its index: %w", err)
	}
	ix, err := parseIndex(b)
	if err != nil {
		return oci.Descriptor{}, err
	}
	names := map[string][]oci.Descriptor{}
	for _, d := range ix.Manifests {
		if d.Digest.String() == image {
			return d, nil
		}
		n := d.Annotations[oci.AnnotationRefName]
		names[n] = append(names[n], d)
	}
	found, err := chooseByName(names, image)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return choose(oci.Index{Manifests: found}, arch)
}

// chooseByName returns names[name], or the only value if name is "". If that is
// not possible, the error lists the names.
func chooseByName[T any](names map[string]T, name string) (T, error) {
	var none T
	if found, ok := names[name]; ok && (name != "" || len(names) == 1) {
		return found, nil
	}
	var all []string
	for n := range names {
		if n != "" {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	switch {
	case len(names) == 0:
		return none, badImage("it contains no image")
	case name == "" && len(names) == 1:
		return names[all[0]], nil
	case name == "":
		return none, fail.New(fail.Usage, "it contains several images: %s", strings.Join(all, ", ")).WithHint("--image chooses one")
	}
	return none, fail.New(fail.NotFound, "it contains no image %q, only %s", name, strings.Join(all, ", "))
}

// decodeFile decodes the small JSON file name of t.
func decodeFile(t *layer.Tree, name string, into any) error {
	b, _, err := t.ReadFile(name, maxJSON)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return badImage("its %s: %w", name, err)
	}
	return nil
}

// A layoutSource is an OCI image layout in a directory. Links cannot lead out of
// it.
type layoutSource struct{ t *layer.Tree }

func layoutBlob(d digest.Digest) string { return oci.ImageBlobsDir + "/" + digestPath(d.String()) }

func (l layoutSource) manifest(_ context.Context, d oci.Descriptor) ([]byte, oci.Descriptor, error) {
	b, _, err := l.t.ReadFile(layoutBlob(d.Digest), maxJSON)
	if err != nil {
		return nil, d, badImage("its manifest %s: %w", d.Digest, err)
	}
	if got := digest.FromBytes(b); got != d.Digest {
		return nil, d, badImage("its manifest %s has digest %s", d.Digest, got)
	}
	return b, d, nil
}

func (l layoutSource) fetch(ctx context.Context, st *stage, d oci.Descriptor) (string, error) {
	f, err := l.t.OpenFile(layoutBlob(d.Digest))
	if err != nil {
		return "", badImage("its blob %s: %w", d.Digest, err)
	}
	defer f.Close()
	to := st.path(blobName(d.Digest))
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", layer.HostError(err)
	}
	sum := digest.SHA256.Digester()
	n, err := io.Copy(io.MultiWriter(out, sum.Hash()), io.LimitReader(withContext(ctx, f), d.Size+1))
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	switch {
	case err != nil:
		return "", layer.HostError(err)
	case n != d.Size:
		return "", badImage("its blob %s does not have the expected size of %d bytes", d.Digest, d.Size)
	case sum.Digest() != d.Digest:
		return "", badImage("its blob %s has digest %s", d.Digest, sum.Digest())
	}
	return to, nil
}

// withContext returns a reader of r that fails when ctx is done. It checks ctx
// before each read.
func withContext(ctx context.Context, r io.Reader) io.Reader { return &contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// A dockerImage is an image in dockerManifestFile.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// stageDocker puts an image of an archive of docker save into st. It compresses the
// layers.
func (s *Store) stageDocker(ctx context.Context, st *stage, t *layer.Tree, image string, w request) (stagedImage, error) {
	var all []dockerImage
	if err := decodeFile(t, dockerManifestFile, &all); err != nil {
		return stagedImage{}, err
	}
	names := map[string]dockerImage{}
	for _, im := range all {
		for _, tag := range append(im.RepoTags, strings.TrimSuffix(im.Config, ".json")) {
			names[tag] = im
		}
	}
	if image == "" && len(all) == 1 {
		names = map[string]dockerImage{"": all[0]}
	}
	im, err := chooseByName(names, image)
	if err != nil {
		return stagedImage{}, err
	}
	text, _, err := t.ReadFile(im.Config, maxJSON)
	if err != nil {
		return stagedImage{}, badImage("its config %s: %w", im.Config, err)
	}
	if len(im.Layers) == 0 || len(im.Layers) > rootfs.MaxLayers {
		return stagedImage{}, fail.New(fail.Usage, "the image has %d layers, and overlay mounts 1 to %d", len(im.Layers), rootfs.MaxLayers)
	}
	c, err := parseConfig(text, len(im.Layers), w.arch)
	if err != nil {
		return stagedImage{}, err
	}
	config, err := st.writeBlob(oci.MediaTypeImageConfig, text)
	if err != nil {
		return stagedImage{}, err
	}
	m := oci.Manifest{Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest, Config: config}
	size, err := s.stageDockerLayers(ctx, st, t, im.Layers, c, &m, w.budget)
	if err != nil {
		return stagedImage{}, err
	}
	return s.describeStaged(st, m, c, size)
}

// stageDockerLayers puts the layers in files of t into st, the lowest first, and
// adds them to m. It returns the total size of their files in bytes.
func (s *Store) stageDockerLayers(ctx context.Context, st *stage, t *layer.Tree, files []string, c oci.Image, m *oci.Manifest, budget *layer.Budget) (int64, error) {
	var total int64
	var below []string
	for i, file := range files {
		f, err := t.OpenFile(file)
		if err != nil {
			return 0, badImage("its layer %s: %w", file, err)
		}
		l, err := s.stagePacked(ctx, st, f, below, budget)
		f.Close()
		if err != nil {
			return 0, err
		}
		if want := c.RootFS.DiffIDs[i]; l.diffID != want {
			return 0, badImage("its layer %s has digest %s, not %s", file, l.diffID, want)
		}
		m.Layers = append(m.Layers, l.blob)
		total += l.size
		below = append([]string{st.path(layerName(l.diffID))}, below...)
	}
	return total, nil
}

// stagePacked is stageLayer of an archive that may be compressed.
func (s *Store) stagePacked(ctx context.Context, st *stage, r io.Reader, below []string, budget *layer.Budget) (stagedLayer, error) {
	plain, err := layer.Decompress(withContext(ctx, r))
	if err != nil {
		return stagedLayer{}, layer.ArchiveFailure(err)
	}
	defer plain.Close()
	return s.stageLayer(ctx, st, plain, below, budget)
}

// describeStaged writes the manifest m into st and returns the complete image. Its
// config c and its layers are in st already.
func (s *Store) describeStaged(st *stage, m oci.Manifest, c oci.Image, size int64) (stagedImage, error) {
	manifest, err := st.writeJSON(oci.MediaTypeImageManifest, m)
	if err != nil {
		return stagedImage{}, err
	}
	found, err := s.describeLayers(st, c.RootFS.DiffIDs)
	if err != nil {
		return stagedImage{}, err
	}
	manifest.Platform = &oci.Platform{OS: "linux", Architecture: c.Architecture, Variant: c.Variant}
	manifest.Annotations = found.annotations(size)
	d := stagedImage{manifest: manifest, layers: c.RootFS.DiffIDs, blobs: map[digest.Digest]string{}}
	for _, b := range append([]oci.Descriptor{manifest, m.Config}, m.Layers...) {
		d.blobs[b.Digest] = st.path(blobName(b.Digest))
	}
	return d, nil
}
