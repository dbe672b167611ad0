// Package registry talks to OCI registries
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md):
// it downloads and uploads manifests and blobs. It stores nothing. It checks the
// digests of manifests; the caller checks those of blobs.
package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/transfer"
)

// Options say how a registry is reached.
type Options struct {
	transfer.Trust
	Push bool // ask for permission to push too
}

// A Repository is one repository of a registry, with permission to read it or to
// push to it. Several goroutines may use it at once.
type Repository struct {
	ref    Reference
	client *http.Client
	base   string // https://HOST/v2/REPOSITORY
	host   string
	stall  time.Duration // transfer.StallAfter, except in tests
}

// Open connects to the registry of ref and authenticates. It uses the credentials
// of docker login or podman login, from their files or credential helpers.
// Without credentials it asks for anonymous access. A registry that cannot be
// reached is fail.Host, one that refuses the credentials fail.Permission. There
// is nothing to close.
func Open(ctx context.Context, ref Reference, o Options) (*Repository, error) {
	base, err := o.Transport(ref.host())
	if err != nil {
		return nil, err
	}
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, ref.repository())
	if err != nil {
		return nil, fail.New(fail.State, "read the credentials for %s: %w", ref.host(), err).WithHint("docker login %s, or podman login %s", ref.host(), ref.host())
	}
	var options []name.Option
	if o.Insecure {
		options = append(options, name.Insecure)
	}
	reg, err := name.NewRegistry(ref.host(), options...)
	if err != nil {
		return nil, fail.New(fail.Usage, "registry %q: %w", ref.host(), err)
	}
	action := transport.PullScope
	if o.Push {
		action = transport.PushScope
	}
	t, err := transport.NewWithContext(ctx, reg, auth, base, []string{ref.repository().Scope(action)})
	if err != nil {
		return nil, failure(ref, err)
	}
	// The transport changes the scheme to the one that the registry answered to.
	return &Repository{ref: ref, host: ref.host(), base: "https://" + ref.host() + "/v2/" + ref.repository().RepositoryStr(),
		client: &http.Client{Transport: t}, stall: transfer.StallAfter}, nil
}

// accepted returns the media types of manifests that croft can read, the
// preferred first.
func accepted() []string {
	return []string{oci.MediaTypeImageIndex, oci.MediaTypeImageManifest, DockerIndex, DockerManifest}
}

// Docker's media types of what OCI calls index, manifest, config and layer
// (https://distribution.github.io/distribution/spec/manifest-v2-2).
const (
	DockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerConfig   = "application/vnd.docker.container.image.v1+json"
	DockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
)

// Manifest downloads the manifest or index with the digest d, or, if d is "", the
// one that the reference names. It is fail.Usage if it has more than limit bytes,
// or another digest than d or the reference says. A missing one is fail.NotFound.
func (r *Repository) Manifest(ctx context.Context, d digest.Digest, limit int64) ([]byte, oci.Descriptor, error) {
	want := d
	if want == "" {
		want = r.ref.Digest()
	}
	id := want.String()
	if id == "" {
		id = r.ref.Tag()
	}
	resp, err := r.do(ctx, http.MethodGet, r.base+"/manifests/"+id, http.Header{"Accept": accepted()}, nil)
	if err != nil {
		return nil, oci.Descriptor{}, err
	}
	defer resp.Body.Close()
	if err := r.check(resp, http.StatusOK); err != nil {
		return nil, oci.Descriptor{}, err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, oci.Descriptor{}, failure(r.ref, err)
	}
	if int64(len(b)) > limit {
		return nil, oci.Descriptor{}, fail.New(fail.Usage, "%s: the manifest is larger than %d bytes", r.ref, limit)
	}
	got := digest.FromBytes(b)
	if want != "" && got != want {
		return nil, oci.Descriptor{}, fail.New(fail.Usage, "%s: the registry sent the manifest %s with digest %s", r.ref, want, got)
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return b, oci.Descriptor{MediaType: strings.TrimSpace(kind), Digest: got, Size: int64(len(b))}, nil
}

// Blob starts a download of the blob d at the byte offset. It returns the offset
// at which the content really begins: 0 if the registry does not support ranges.
// The caller closes the reader, and checks the digest. A connection that breaks,
// or that sends nothing for transfer.StallAfter, is an error of Read.
func (r *Repository) Blob(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	part := transfer.Part{Subject: r.ref.String(), Offset: offset, Size: d.Size, Stall: r.stall}
	return part.Get(ctx, func(ctx context.Context, header http.Header) (*http.Response, error) {
		resp, err := r.do(ctx, http.MethodGet, r.base+"/blobs/"+d.Digest.String(), header, nil)
		if err != nil {
			return nil, err
		}
		if err := r.check(resp, http.StatusOK, http.StatusPartialContent); err != nil {
			resp.Body.Close()
			return nil, err
		}
		return resp, nil
	})
}

// do sends a request and returns the response of any status.
func (r *Repository) do(ctx context.Context, method, url string, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, fail.New(fail.Usage, "%s: %w", r.ref, err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if length := header.Get("Content-Length"); length != "" {
		if req.ContentLength, err = strconv.ParseInt(length, 10, 64); err != nil {
			return nil, err
		}
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, failure(r.ref, err)
	}
	return resp, nil
}

// check returns a classified error unless the response has one of the statuses.
func (r *Repository) check(resp *http.Response, statuses ...int) error {
	if err := transport.CheckError(resp, statuses...); err != nil {
		return failure(r.ref, err)
	}
	return nil
}

// IsTemporary reports whether a retry may help: the connection broke, or the
// registry is busy or has an internal error.
func IsTemporary(err error) bool {
	var said *transport.Error
	if errors.As(err, &said) {
		return transfer.IsBusy(said.StatusCode)
	}
	return transfer.IsTemporary(err)
}
