// Package registry talks to OCI registries
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md):
// it downloads and uploads manifests and blobs. It stores nothing. It checks the
// digests of manifests; the caller checks those of blobs.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
)

// Options say how a registry is reached.
type Options struct {
	Insecure bool   // also allow plain HTTP and certificates that cannot be verified
	Push     bool   // ask for permission to push too
	CertsDir string // another directory of certificates in addition to the usual ones, for tests; may be empty
}

// A Repository is one repository of a registry, with permission to read it or to
// push to it. Several goroutines may use it at once.
type Repository struct {
	ref    Reference
	client *http.Client
	base   string // https://HOST/v2/REPOSITORY
	host   string
	stall  time.Duration // stallAfter, except in tests
}

// Open connects to the registry of ref and authenticates. It uses the credentials
// of docker login or podman login, from their files or credential helpers.
// Without credentials it asks for anonymous access. A registry that cannot be
// reached is fail.Host, one that refuses the credentials fail.Permission. There
// is nothing to close.
func Open(ctx context.Context, ref Reference, o Options) (*Repository, error) {
	base, err := o.transport(ref.host())
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
		client: &http.Client{Transport: t}, stall: stallAfter}, nil
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
// or that sends nothing for stallAfter, is an error of Read.
func (r *Repository) Blob(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	header := http.Header{"Accept-Encoding": {"identity"}} // the digest is that of the blob as it is stored
	if offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, d.Size-1))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	resp, err := r.do(ctx, http.MethodGet, r.base+"/blobs/"+d.Digest.String(), header, nil)
	if err != nil {
		cancel(nil)
		return nil, 0, err
	}
	err = r.check(resp, http.StatusOK, http.StatusPartialContent)
	if err == nil && resp.StatusCode == http.StatusPartialContent && !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
		err = fail.New(fail.Usage, "%s: the registry sent the range %q instead of bytes from %d on", r.ref, resp.Header.Get("Content-Range"), offset)
	}
	if err != nil {
		resp.Body.Close()
		cancel(nil)
		return nil, 0, err
	}
	if resp.StatusCode == http.StatusOK {
		offset = 0
	}
	watch := time.AfterFunc(r.stall, func() { cancel(errStalled) })
	return &watchedBody{resp.Body, watch, r.stall, cancel}, offset, nil
}

// stallAfter is how long a download may receive nothing.
const stallAfter = time.Minute

// errStalled ends a download that receives nothing, although its connection is
// open.
var errStalled = errors.New("the registry stopped sending")

// A watchedBody is the body of a response. It cancels its request when nothing is
// received for the time stall.
type watchedBody struct {
	io.ReadCloser
	watch  *time.Timer
	stall  time.Duration
	cancel context.CancelCauseFunc
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.watch.Reset(b.stall)
	return n, err
}

func (b *watchedBody) Close() error {
	b.watch.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
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
	switch {
	case errors.Is(err, context.Canceled) && !errors.Is(err, errStalled), errors.Is(err, errPlain):
		return false
	case errors.As(err, &said):
		return said.StatusCode == http.StatusRequestTimeout || said.StatusCode == http.StatusTooManyRequests || said.StatusCode >= 500
	case errors.Is(err, os.ErrNotExist):
		return false
	}
	return isConnection(err)
}
