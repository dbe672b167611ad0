package archive

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/template/images"
	"croft/template/layer"
)

// LayoutRoot reads the index of the OCI layout t and returns the descriptor of
// image: a name, a digest, or "" for the only one. If there are several of that name
// for different architectures, it returns the one for arch.
func LayoutRoot(t *layer.Tree, image, arch string) (oci.Descriptor, error) {
	var version oci.ImageLayout
	if err := decodeFile(t, oci.ImageLayoutFile, &version); err != nil {
		return oci.Descriptor{}, err
	}
	if !strings.HasPrefix(version.Version, "1.") {
		return oci.Descriptor{}, images.BadImage("unsupported layout version %q", version.Version)
	}
	b, _, err := t.ReadFile(oci.ImageIndexFile, images.MaxJSON)
	if err != nil {
		return oci.Descriptor{}, images.BadImage("its index: %w", err)
	}
	ix, err := images.ParseIndex(b)
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
	return images.Choose(oci.Index{Manifests: found}, arch)
}

// A Layout is an images.Source: an OCI image layout in a directory. Links cannot lead out of
// it.
type Layout struct{ Tree *layer.Tree }

// BlobName is the name of the blob d in an OCI image layout.
func BlobName(d digest.Digest) string { return oci.ImageBlobsDir + "/" + images.DigestPath(d.String()) }

// Manifest returns the manifest or index that d describes, its digest checked.
func (l Layout) Manifest(_ context.Context, d oci.Descriptor) ([]byte, oci.Descriptor, error) {
	b, _, err := l.Tree.ReadFile(BlobName(d.Digest), images.MaxJSON)
	if err != nil {
		return nil, d, images.BadImage("its manifest %s: %w", d.Digest, err)
	}
	if got := digest.FromBytes(b); got != d.Digest {
		return nil, d, images.BadImage("its manifest %s has digest %s", d.Digest, got)
	}
	return b, d, nil
}

// Fetch copies the blob d into the stage, checks its digest and returns its path.
func (l Layout) Fetch(ctx context.Context, st *images.Stage, d oci.Descriptor) (string, error) {
	f, err := l.Tree.OpenFile(BlobName(d.Digest))
	if err != nil {
		return "", images.BadImage("its blob %s: %w", d.Digest, err)
	}
	defer f.Close()
	to := st.Path(images.BlobName(d.Digest))
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", layer.HostError(err)
	}
	sum := digest.SHA256.Digester()
	n, err := io.Copy(io.MultiWriter(out, sum.Hash()), io.LimitReader(WithContext(ctx, f), d.Size+1))
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	switch {
	case err != nil:
		return "", layer.HostError(err)
	case n != d.Size:
		return "", images.BadImage("its blob %s does not have the expected size of %d bytes", d.Digest, d.Size)
	case sum.Digest() != d.Digest:
		return "", images.BadImage("its blob %s has digest %s", d.Digest, sum.Digest())
	}
	return to, nil
}
