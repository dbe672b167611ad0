package signatures

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

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

// Types of other signatures.
const (
	bundleType = "application/vnd.dev.sigstore.bundle" // of cosign 3, with a version at its end
	notaryType = "application/vnd.cncf.notary.signature"
)

// Limits of what is read of signatures, which are not checked yet.
const (
	maxManifest   = 1 << 20
	maxSignature  = 1 << 20
	maxSignatures = 100 // of one image
)

// signatureTag returns the tag of the signatures of a manifest.
func signatureTag(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() + ".sig" }

// attached returns the signatures of sigstore for the manifests with these digests: those under the
// tag, and those that the registry lists as referrers.
func attached(ctx context.Context, repo *registry.Repository, digests []digest.Digest) (trust.Signatures, error) {
	var all trust.Signatures
	for _, d := range digests {
		b, _, err := repo.Tagged(signatureTag(d)).Manifest(ctx, "", maxManifest)
		if err == nil {
			err = addSignatures(ctx, repo, &all, b)
		}
		if err != nil && !fail.Is(err, fail.NotFound) {
			return all, err
		}
		others, err := repo.Referrers(ctx, d, maxManifest)
		if err != nil {
			return all, err
		}
		for _, o := range others {
			if err := addReferrer(ctx, repo, &all, o); err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// addReferrer adds the signatures in a referrer, if it has any. Older registries say of its type only that of its
// config.
func addReferrer(ctx context.Context, repo *registry.Repository, all *trust.Signatures, o oci.Descriptor) error {
	kind := o.ArtifactType
	if kind == notaryType && !slices.Contains(all.Unread, kind) {
		all.Unread = append(all.Unread, kind)
	}
	mayBe := kind == signatureType || strings.HasPrefix(kind, bundleType) || kind == oci.MediaTypeEmptyJSON
	if !mayBe || o.Digest.Validate() != nil {
		return nil
	}
	b, _, err := repo.Manifest(ctx, o.Digest, maxManifest)
	if err != nil {
		return err
	}
	return addSignatures(ctx, repo, all, b)
}

// addSignatures adds to all the signatures in a manifest of cosign.
func addSignatures(ctx context.Context, repo *registry.Repository, all *trust.Signatures, manifest []byte) error {
	var m oci.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return fail.New(fail.Usage, "a manifest of signatures in the registry is damaged: %w", err)
	}
	for _, l := range m.Layers {
		signature, err := base64.StdEncoding.DecodeString(l.Annotations[signatureKey])
		one := l.MediaType == payloadType && err == nil && len(signature) > 0
		bundle := strings.HasPrefix(l.MediaType, bundleType)
		if !one && !bundle || l.Digest.Validate() != nil {
			continue // it is no signature of this kind
		}
		if len(all.Sigstore)+len(all.Bundles) == maxSignatures {
			return fail.New(fail.Usage, "the image has more than %d signatures", maxSignatures)
		}
		text, err := repo.SmallBlob(ctx, l, maxSignature)
		if err != nil {
			return err
		}
		if bundle {
			all.Bundles = append(all.Bundles, text)
			continue
		}
		all.Sigstore = append(all.Sigstore, trust.Sigstore{
			Payload: text, Signature: signature,
			Certificate: []byte(l.Annotations[certificateKey]), Chain: []byte(l.Annotations[chainKey]), Entry: []byte(l.Annotations[entryKey]),
		})
	}
	return nil
}
