package signatures

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/registry"
	"croft/template/trust"
)

// Names of cosign for its signatures in a registry
// (https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md).
const (
	payloadType    = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureType  = "application/vnd.dev.cosign.artifact.sig.v1+json" // of a referrer
	signatureKey   = "dev.cosignproject.cosign/signature"
	certificateKey = "dev.sigstore.cosign/certificate"
	chainKey       = "dev.sigstore.cosign/chain"
	entryKey       = "dev.sigstore.cosign/bundle"
)

// Limits of what is read of signatures, which are not checked yet.
const (
	maxManifest   = 1 << 20
	maxSignature  = 1 << 20
	maxSignatures = 100 // of one image
)

// signatureTag returns the tag of the signatures of a manifest.
func signatureTag(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() + ".sig" }

// attached returns the signatures of cosign for the manifests with these digests: those under the
// tag, and those that the registry lists as referrers.
func attached(ctx context.Context, repo *registry.Repository, digests []digest.Digest) ([]trust.Sigstore, error) {
	var all []trust.Sigstore
	for _, d := range digests {
		b, _, err := repo.Tagged(signatureTag(d)).Manifest(ctx, "", maxManifest)
		if err == nil {
			all, err = addSignatures(ctx, repo, all, b)
		}
		if err != nil && !fail.Is(err, fail.NotFound) {
			return nil, err
		}
		others, err := repo.Referrers(ctx, d, maxManifest)
		if err != nil {
			return nil, err
		}
		for _, o := range others {
			if o.ArtifactType != signatureType || o.Digest.Validate() != nil {
				continue
			}
			b, _, err := repo.Manifest(ctx, o.Digest, maxManifest)
			if err == nil {
				all, err = addSignatures(ctx, repo, all, b)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// addSignatures adds to all the signatures in a manifest of cosign.
func addSignatures(ctx context.Context, repo *registry.Repository, all []trust.Sigstore, manifest []byte) ([]trust.Sigstore, error) {
	var m oci.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return all, fail.New(fail.Usage, "a manifest of signatures in the registry is damaged: %w", err)
	}
	for _, l := range m.Layers {
		signature, err := base64.StdEncoding.DecodeString(l.Annotations[signatureKey])
		if l.MediaType != payloadType || err != nil || len(signature) == 0 || l.Digest.Validate() != nil {
			continue // it is no signature of this kind
		}
		if len(all) == maxSignatures {
			return all, fail.New(fail.Usage, "the image has more than %d signatures", maxSignatures)
		}
		payload, err := repo.SmallBlob(ctx, l, maxSignature)
		if err != nil {
			return all, err
		}
		all = append(all, trust.Sigstore{
			Payload: payload, Signature: signature,
			Certificate: []byte(l.Annotations[certificateKey]), Chain: []byte(l.Annotations[chainKey]), Entry: []byte(l.Annotations[entryKey]),
		})
	}
	return all, nil
}
