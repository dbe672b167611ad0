package registry

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
)

// Has reports whether the repository has the blob d.
func (r *Repository) Has(ctx context.Context, d digest.Digest) (bool, error) {
	resp, err := r.do(ctx, http.MethodHead, r.base+"/blobs/"+d.String(), nil, nil)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return false, nil
	}
	return true, r.check(resp, http.StatusOK)
}

// PutBlob uploads the blob d and reads its content from body. The registry checks
// the digest. An upload can be repeated, also after an error.
func (r *Repository) PutBlob(ctx context.Context, d oci.Descriptor, body io.Reader) error {
	resp, err := r.do(ctx, http.MethodPost, r.base+"/blobs/uploads/", http.Header{"Content-Length": {"0"}}, nil)
	if err != nil {
		return err
	}
	err = r.check(resp, http.StatusAccepted) // reads what the registry says
	resp.Body.Close()
	if err != nil {
		return err
	}
	to, err := r.location(resp)
	if err != nil {
		return err
	}
	q := to.Query()
	q.Set("digest", d.Digest.String())
	to.RawQuery = q.Encode()
	header := http.Header{"Content-Type": {"application/octet-stream"}, "Content-Length": {strconv.FormatInt(d.Size, 10)}}
	if resp, err = r.do(ctx, http.MethodPut, to.String(), header, io.LimitReader(body, d.Size)); err != nil {
		return err
	}
	defer resp.Body.Close()
	return r.check(resp, http.StatusCreated)
}

// location returns the absolute URL to which the registry wants the upload.
func (r *Repository) location(resp *http.Response) (*url.URL, error) {
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, fail.New(fail.Host, "%s: it returned an invalid upload location %q", r.ref, resp.Header.Get("Location"))
	}
	to = resp.Request.URL.ResolveReference(to)
	if to.Host == r.host {
		to.Scheme = "https" // the transport changes it if needed; registries behind a proxy often return http
	}
	return to, nil
}

// PutManifest uploads the manifest b under the tag of the reference, or under its
// digest if it has no tag. All blobs that b names must be in the repository. A
// registry that stores it with another digest is an error.
func (r *Repository) PutManifest(ctx context.Context, mediaType string, b []byte) error {
	id := r.ref.Tag()
	if id == "" {
		id = r.ref.Digest().String()
	}
	header := http.Header{"Content-Type": {mediaType}, "Content-Length": {strconv.Itoa(len(b))}}
	resp, err := r.do(ctx, http.MethodPut, r.base+"/manifests/"+id, header, bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := r.check(resp, http.StatusCreated, http.StatusOK); err != nil {
		return err
	}
	if said := resp.Header.Get("Docker-Content-Digest"); said != "" && said != digest.FromBytes(b).String() {
		return fail.New(fail.Host, "%s: the registry stored the manifest as %s, expected %s", r.ref, said, digest.FromBytes(b))
	}
	return nil
}
