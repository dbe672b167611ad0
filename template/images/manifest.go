package images

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/registry"
	"croft/template/rootfs"
)

// maxNested is how many indexes may contain each other.
const maxNested = 4

// BadImage reports an invalid manifest, index or config of another tool. It is
// fail.Usage, because the user has chosen the image.
func BadImage(format string, args ...any) error {
	return fail.New(fail.Usage, "the image is damaged or its format is unknown: "+format, args...)
}

// isIndex reports whether the document b is an index of images: by its media type, or
// by its content if the media type does not tell.
func isIndex(mediaType string, b []byte) bool {
	switch mediaType {
	case oci.MediaTypeImageIndex, registry.DockerIndex:
		return true
	case oci.MediaTypeImageManifest, registry.DockerManifest:
		return false
	}
	var probe struct {
		Manifests json.RawMessage `json:"manifests"`
	}
	return json.Unmarshal(b, &probe) == nil && probe.Manifests != nil
}

// ParseIndex parses an index. It checks the descriptors in it.
func ParseIndex(b []byte) (oci.Index, error) {
	var ix oci.Index
	if err := json.Unmarshal(b, &ix); err != nil {
		return ix, BadImage("its index is not valid JSON: %w", err)
	}
	for _, d := range ix.Manifests {
		if err := CheckDescriptor(d); err != nil {
			return ix, BadImage("its index: %w", err)
		}
	}
	return ix, nil
}

// CheckDescriptor returns an error if croft cannot fetch d: an invalid digest or
// size, or another algorithm than SHA-256.
func CheckDescriptor(d oci.Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", d.Digest, err)
	}
	if d.Digest.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest %s: only sha256 is supported", d.Digest)
	}
	if d.Size < 0 {
		return fmt.Errorf("%s has a size of %d", d.Digest, d.Size)
	}
	return nil
}

// Choose returns the image for arch in an index: the manifest for that platform, or
// the only manifest if it has no platform. Manifests for unknown/unknown are
// attestations, not images, and are ignored.
func Choose(ix oci.Index, arch string) (oci.Descriptor, error) {
	var plain, images []oci.Descriptor
	var known []string
	for _, d := range ix.Manifests {
		switch p := d.Platform; {
		case p == nil:
			plain = append(plain, d)
		case p.OS == "linux" && p.Architecture == arch:
			images = append(images, d)
		case p.OS != "unknown":
			known = append(known, PlatformText(*p))
		}
	}
	switch {
	case len(images) > 0:
		return bestVariant(images), nil
	case len(plain) == 1 && len(known) == 0:
		return plain[0], nil
	case len(plain) > 1 && len(known) == 0:
		return oci.Descriptor{}, BadImage("its index has %d images without platforms", len(plain))
	case len(known) == 0:
		return oci.Descriptor{}, BadImage("its index has no image")
	}
	return oci.Descriptor{}, fail.New(fail.NotFound, "it contains no image for linux/%s, only for %s", arch, strings.Join(known, ", ")).
		WithHint("choose another one with --architecture")
}

// bestVariant returns the image without a variant, which every machine of the
// architecture can run. If there is none, it returns the first: the publisher decides
// the order.
func bestVariant(all []oci.Descriptor) oci.Descriptor {
	for _, d := range all {
		if d.Platform.Variant == "" {
			return d
		}
	}
	return all[0]
}

// PlatformText returns a platform as text: OS/ARCHITECTURE, and a variant.
func PlatformText(p oci.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// ParseManifest parses the manifest of an image. It checks all descriptors, and that
// croft can unpack the layers. It replaces Docker's media types by those of OCI.
func ParseManifest(b []byte) (oci.Manifest, error) {
	var m oci.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return m, BadImage("its manifest is not valid JSON: %w", err)
	}
	if m.SchemaVersion != 2 {
		return m, BadImage("unsupported schema version %d of its manifest", m.SchemaVersion)
	}
	if err := CheckDescriptor(m.Config); err != nil {
		return m, BadImage("its config: %w", err)
	}
	switch m.Config.MediaType {
	case oci.MediaTypeImageConfig:
	case registry.DockerConfig:
		m.Config.MediaType = oci.MediaTypeImageConfig
	default:
		return m, BadImage("it contains %q instead of a root filesystem", m.Config.MediaType)
	}
	switch {
	case len(m.Layers) == 0:
		return m, BadImage("it has no layers")
	case len(m.Layers) > rootfs.MaxLayers:
		return m, fail.New(fail.Usage, "the image has %d layers, and overlay mounts at most %d", len(m.Layers), rootfs.MaxLayers)
	}
	for i, l := range m.Layers {
		if err := CheckDescriptor(l); err != nil {
			return m, BadImage("layer %d: %w", i, err)
		}
		kind, err := layerType(l.MediaType)
		if err != nil {
			return m, BadImage("layer %d: %w", i, err)
		}
		m.Layers[i].MediaType = kind
	}
	m.MediaType, m.Versioned = oci.MediaTypeImageManifest, ocispec.Versioned{SchemaVersion: 2}
	return m, nil
}

// layerType returns OCI's name of a media type for layers. It is an error if croft
// cannot unpack such a layer.
func layerType(t string) (string, error) {
	switch t {
	case oci.MediaTypeImageLayer, oci.MediaTypeImageLayerGzip, oci.MediaTypeImageLayerZstd:
		return t, nil
	case registry.DockerLayer:
		return oci.MediaTypeImageLayer, nil
	case registry.DockerLayer + ".gzip":
		return oci.MediaTypeImageLayerGzip, nil
	case registry.DockerLayer + ".zstd":
		return oci.MediaTypeImageLayerZstd, nil
	}
	switch {
	case strings.HasSuffix(t, "+encrypted"):
		return "", fmt.Errorf("it is encrypted (%s)", t)
	case strings.Contains(t, "nondistributable"), strings.Contains(t, "foreign"):
		return "", fmt.Errorf("it may not be distributed (%s)", t)
	}
	return "", fmt.Errorf("croft cannot unpack a layer of the type %q", t)
}

// ParseConfig parses the config of an image for arch with that number of layers. It
// checks the diff ids.
func ParseConfig(b []byte, layers int, arch string) (oci.Image, error) {
	var c oci.Image
	if err := json.Unmarshal(b, &c); err != nil {
		return c, BadImage("its config is not valid JSON: %w", err)
	}
	if c.OS != "" && c.OS != "linux" {
		return c, fail.New(fail.Usage, "the image is for %s", PlatformText(c.Platform))
	}
	if c.Architecture != "" && c.Architecture != arch {
		return c, fail.New(fail.Usage, "the image is for %s, not for linux/%s", PlatformText(c.Platform), arch).
			WithHint("--architecture %s allows it", c.Architecture)
	}
	if len(c.RootFS.DiffIDs) != layers {
		return c, BadImage("it has %d layers and %d diff ids", layers, len(c.RootFS.DiffIDs))
	}
	for _, d := range c.RootFS.DiffIDs {
		if err := CheckDescriptor(oci.Descriptor{Digest: d}); err != nil {
			return c, BadImage("its config: %w", err)
		}
	}
	return c, nil
}
