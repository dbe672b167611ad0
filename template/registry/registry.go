// Package registry talks to OCI registries
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md):
// manifests and blobs, there and back. It keeps nothing; what it is given and
// gives is bytes, and who calls checks their digests.
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
	Insecure bool   // by plain HTTP too, and with certificates that nobody vouches for
	Push     bool   // ask for the right to push
	CertsDir string // beside the usual ones, for tests; "" is none
}

// A Repository is one repository of a registry, with the right to read it or
// to push to it.
type Repository struct {
	ref    Reference
	client *http.Client
	base   string // https://HOST/v2/REPOSITORY
	host   string
}

// Open shakes hands with ref's registry. Credentials are those of docker login
// or podman login, by their files or credential helpers; without any it asks
// for what everybody may have. A registry that cannot be reached is fail.Host.
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
	// The transport changes the scheme to the one that has answered.
	return &Repository{ref: ref, host: ref.host(), base: "https://" + ref.host() + "/v2/" + ref.repository().RepositoryStr(),
		client: &http.Client{Transport: t}}, nil
}

// accepted are the manifests that an image can have, newest form first.
func accepted() []string {
	return []string{oci.MediaTypeImageIndex, oci.MediaTypeImageManifest, DockerIndex, DockerManifest}
}

// Docker's own names for what became OCI's index, manifest and config
// (https://distribution.github.io/distribution/spec/manifest-v2-2).
const (
	DockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerConfig   = "application/vnd.docker.container.image.v1+json"
	DockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
)

// Manifest fetches the manifest or index that the reference names, or the one
// with this digest, of at most limit bytes. Its digest is checked where there
// is one to check. None is fail.NotFound.
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
		return nil, oci.Descriptor{}, fail.New(fail.Usage, "%s: the manifest %s came with digest %s", r.ref, want, got)
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return b, oci.Descriptor{MediaType: strings.TrimSpace(kind), Digest: got, Size: int64(len(b))}, nil
}

// Blob opens the blob d from byte offset on. It returns the offset that what
// comes really begins at: 0 where the registry does not know ranges. The
// caller closes it. An interrupted one is an error of its Read.
func (r *Repository) Blob(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	header := http.Header{"Accept-Encoding": {"identity"}} // or what comes is not what the digest is of
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
		err = fail.New(fail.Usage, "%s: it was asked for bytes from %d on and sends %q", r.ref, offset, resp.Header.Get("Content-Range"))
	}
	if err != nil {
		resp.Body.Close()
		cancel(nil)
		return nil, 0, err
	}
	if resp.StatusCode == http.StatusOK {
		offset = 0
	}
	return newStalling(resp.Body, cancel), offset, nil
}

// stallAfter is how long a registry may send nothing.
const stallAfter = time.Minute

// ErrStalled is a transfer that a registry has stopped without ending it.
var ErrStalled = fmt.Errorf("nothing came for %v", stallAfter)

// A stalling is the body of an answer, which ends when nothing comes any more.
type stalling struct {
	io.ReadCloser
	watch  *time.Timer
	cancel context.CancelCauseFunc
}

func newStalling(r io.ReadCloser, cancel context.CancelCauseFunc) *stalling {
	return &stalling{r, time.AfterFunc(stallAfter, func() { cancel(ErrStalled) }), cancel}
}

func (s *stalling) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.watch.Reset(stallAfter)
	return n, err
}

func (s *stalling) Close() error {
	s.watch.Stop()
	s.cancel(nil)
	return s.ReadCloser.Close()
}

// do sends a request and returns the answer, whatever it says.
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

// check classifies an answer that has none of the statuses.
func (r *Repository) check(resp *http.Response, statuses ...int) error {
	if err := transport.CheckError(resp, statuses...); err != nil {
		return failure(r.ref, err)
	}
	return nil
}

// IsTemporary reports whether trying again may help: the connection broke, or
// the registry says that it is busy.
func IsTemporary(err error) bool {
	var said *transport.Error
	switch {
	case errors.Is(err, context.Canceled) && !errors.Is(err, ErrStalled), errors.Is(err, errPlain):
		return false
	case errors.As(err, &said):
		return said.StatusCode == http.StatusRequestTimeout || said.StatusCode == http.StatusTooManyRequests || said.StatusCode >= 500
	case errors.Is(err, os.ErrNotExist):
		return false
	}
	return isConnection(err)
}
