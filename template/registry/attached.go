package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
)

// Tagged returns the same repository with another tag in its reference.
func (r *Repository) Tagged(tag string) *Repository {
	other := *r
	other.ref.tag, other.ref.digest = tag, ""
	return &other
}

// SmallBlob downloads the blob d whole. It is fail.Usage if it has more than limit bytes, or
// another digest.
func (r *Repository) SmallBlob(ctx context.Context, d oci.Descriptor, limit int64) ([]byte, error) {
	if d.Size < 0 || d.Size > limit {
		return nil, fail.New(fail.Usage, "%s: the blob %s is larger than %d bytes", r.ref, d.Digest, limit)
	}
	body, from, err := r.Blob(ctx, d, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, d.Size+1))
	if err != nil {
		return nil, failure(r.ref, err)
	}
	if got := digest.FromBytes(b); from != 0 || got != d.Digest {
		return nil, fail.New(fail.Usage, "%s: the registry sent the blob %s with digest %s", r.ref, d.Digest, got)
	}
	return b, nil
}

// Referrers returns the manifests in the repository that refer to the manifest d, as far as the
// registry tells in one answer of at most limit bytes. Where the registry has no API for that, they
// are those in the index that OCI's tag for them leads to; there may be none.
func (r *Repository) Referrers(ctx context.Context, d digest.Digest, limit int64) ([]oci.Descriptor, error) {
	resp, err := r.do(ctx, http.MethodGet, r.base+"/referrers/"+d.String(), http.Header{"Accept": {oci.MediaTypeImageIndex}}, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var said *transport.Error
	err = transport.CheckError(resp, http.StatusOK)
	if errors.As(err, &said) && said.StatusCode != http.StatusTooManyRequests {
		return r.taggedReferrers(ctx, d, limit)
	}
	if err != nil {
		return nil, failure(r.ref, err)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, failure(r.ref, err)
	}
	if int64(len(b)) > limit {
		return nil, fail.New(fail.Usage, "%s: the list of referrers of %s is larger than %d bytes", r.ref, d, limit)
	}
	return r.referrersIn(b, d)
}

// taggedReferrers returns what the tag for the referrers of d leads to
// (https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema).
func (r *Repository) taggedReferrers(ctx context.Context, d digest.Digest, limit int64) ([]oci.Descriptor, error) {
	b, _, err := r.Tagged(d.Algorithm().String()+"-"+d.Encoded()).Manifest(ctx, "", limit)
	if fail.Is(err, fail.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.referrersIn(b, d)
}

func (r *Repository) referrersIn(text []byte, d digest.Digest) ([]oci.Descriptor, error) {
	var ix oci.Index
	if err := json.Unmarshal(text, &ix); err != nil {
		return nil, fail.New(fail.Usage, "%s: the registry sent an invalid list of referrers of %s: %w", r.ref, d, err)
	}
	return ix.Manifests, nil
}
