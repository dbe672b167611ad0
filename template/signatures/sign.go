package signatures

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/registry"
	"croft/template/trust"
)

// Sign signs the image ref, which has this digest: into its repository as cosign does, or with a key of OpenPGP
// into the directory for the signatures of that registry. Other signatures stay. No-op if the key has signed the
// same before.
func (p Policy) Sign(ctx context.Context, repo *registry.Repository, ref registry.Reference, d digest.Digest, key trust.Key) error {
	name, err := trust.ParseReference(ref.String())
	if err != nil {
		return fail.New(fail.Usage, "%w", err)
	}
	if key.OpenPGP() {
		return lookaside{dir: p.Lookasides}.sign(ctx, name, d, key)
	}
	made, err := key.Sign(name, d)
	if err != nil {
		return err
	}
	at := repo.Tagged(signatureTag(d))
	m, err := signed(ctx, at)
	if err != nil {
		return err
	}
	layer := oci.Descriptor{
		MediaType: payloadType, Digest: digest.FromBytes(made.Payload), Size: int64(len(made.Payload)),
		Annotations: map[string]string{signatureKey: base64.StdEncoding.EncodeToString(made.Signature)},
	}
	if slices.ContainsFunc(m.Layers, func(l oci.Descriptor) bool {
		before, err := base64.StdEncoding.DecodeString(l.Annotations[signatureKey])
		return err == nil && l.Digest == layer.Digest && key.Made(trust.Sigstore{Payload: made.Payload, Signature: before})
	}) {
		return nil
	}
	m.Layers = append(m.Layers, layer)
	return putSignatures(ctx, at, m, made.Payload)
}

// signed returns the manifest of the signatures that an image has; a new one has none.
func signed(ctx context.Context, at *registry.Repository) (oci.Manifest, error) {
	m := oci.Manifest{Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest}
	b, got, err := at.Manifest(ctx, "", maxManifest)
	if fail.Is(err, fail.NotFound) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil || got.MediaType != oci.MediaTypeImageManifest {
		return m, fail.New(fail.State, "the signatures in the registry have an unknown format (%s)", got.MediaType)
	}
	return m, nil
}

// putSignatures uploads a manifest of signatures, and the text of the last one.
func putSignatures(ctx context.Context, at *registry.Repository, m oci.Manifest, text []byte) error {
	c := oci.Image{RootFS: oci.RootFS{Type: "layers"}}
	for _, l := range m.Layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.Digest)
	}
	config, err := json.Marshal(c)
	if err != nil {
		return err
	}
	m.Config = oci.Descriptor{MediaType: oci.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))}
	for _, b := range [][]byte{text, config} {
		if err := at.PutBlob(ctx, oci.Descriptor{Digest: digest.FromBytes(b), Size: int64(len(b))}, bytes.NewReader(b)); err != nil {
			return err
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return at.PutManifest(ctx, oci.MediaTypeImageManifest, b)
}
