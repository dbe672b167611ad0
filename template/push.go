package template

import (
	"context"
	"os"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/template/blobs"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/registry"
	"croft/template/trust"
)

// PushOptions are optional settings of Push.
type PushOptions struct {
	Insecure bool       // also allow plain HTTP and certificates that cannot be verified
	SignKey  *trust.Key `json:",omitempty"` // signs the image; nil: it gets no signature
}

// Push uploads the image that text names to a registry, under the reference to. It
// uploads only blobs that the registry does not have, then the signature, and the manifest last.
// The image has the same digest there. After an error the reference is unchanged, and
// Push can be repeated.
func (s *Store) Push(ctx context.Context, text, to string, o PushOptions) error {
	ref, err := registry.Parse(to)
	if err != nil {
		return err
	}
	im, st, err := s.LinkImage(ctx, text)
	if err != nil {
		return err
	}
	defer st.Remove()
	repo, err := registry.Open(ctx, ref, registry.Options{Trust: s.trust(o.Insecure), Push: true})
	if err != nil {
		return err
	}
	sent := map[string]bool{}
	for _, d := range append([]oci.Descriptor{im.Manifest.Config}, im.Manifest.Layers...) {
		if sent[d.Digest.String()] {
			continue
		}
		sent[d.Digest.String()] = true
		if _, err := blobs.Push(ctx, s.Store, repo, blobs.FromFile(st.Path(images.BlobName(d.Digest))), d); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(st.Path(images.BlobName(im.Descriptor.Digest)))
	if err != nil {
		return layer.HostError(err)
	}
	if o.SignKey != nil { // before the manifest: the reference never leads to an image without its signature
		if err := s.policy().Sign(ctx, repo, ref, im.Descriptor.Digest, *o.SignKey); err != nil {
			return err
		}
	}
	return repo.PutManifest(ctx, im.Descriptor.MediaType, b)
}
