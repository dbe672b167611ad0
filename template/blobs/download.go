// Package blobs moves blobs between the store of images and a server: downloads resume,
// uploads are tried again.
package blobs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/registry"
	"croft/template/signatures"
	"croft/template/transfer"
)

// A Server has blobs: a registry, or another one.
type Server interface {
	// Blob starts a download of d at the byte offset, and returns the offset at which
	// the content begins. The caller closes the reader and checks the digest.
	Blob(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, int64, error)
}

// Downloads keep blobs from a server. Each blob is in a file of partial/ in the store,
// named after its digest. The file is locked until Close. If a pull does not succeed the
// file remains, and the next pull resumes it.
type Downloads struct {
	store *images.Store
	from  Server

	mu    sync.Mutex
	files []*flock.File
}

// NewDownloads returns downloads from a server into the store. The caller closes them.
func NewDownloads(s *images.Store, from Server) *Downloads { return &Downloads{store: s, from: from} }

// Close unlocks the downloaded blobs. They stay in partial/ unless Publish has moved
// them into the store.
func (r *Downloads) Close() {
	for _, f := range r.files {
		f.Close()
	}
}

// Remove removes the downloaded blobs, before Close.
func (r *Downloads) Remove() {
	for _, f := range r.files {
		os.Remove(f.Name()) // a leftover is removed by Prune
	}
}

// Fetch downloads the blob d and returns the path of its file: see images.Source.
func (r *Downloads) Fetch(ctx context.Context, _ *images.Stage, d oci.Descriptor) (string, error) {
	p, err := openPartial(ctx, r.store, d)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	r.files = append(r.files, p.file)
	r.mu.Unlock()
	if err := p.rehash(); err != nil {
		return "", err
	}
	report := r.store.PartProgress("pulling", d)
	if err := p.fill(ctx, r.from, report); err != nil {
		return "", err
	}
	return p.file.Name(), nil
}

// A Registry is an images.Source: it downloads an image from a registry.
type Registry struct {
	*Downloads
	Root  oci.Descriptor // of the manifest that the reference names
	ref   registry.Reference
	trust transfer.Trust
	repo  *registry.Repository

	mu    sync.Mutex
	known map[digest.Digest]document // that were read
}

// A document is a manifest or an index.
type document struct {
	text       []byte
	descriptor oci.Descriptor
}

// OpenRegistry reads the manifest or index that ref names. The caller closes the downloads.
func OpenRegistry(ctx context.Context, s *images.Store, ref registry.Reference, trust transfer.Trust) (*Registry, error) {
	repo, err := registry.Open(ctx, ref, registry.Options{Trust: trust})
	if err != nil {
		return nil, err
	}
	r := &Registry{Downloads: NewDownloads(s, repo), ref: ref, trust: trust, repo: repo}
	b, root, err := repo.Manifest(ctx, "", images.MaxJSON)
	if err != nil {
		return nil, err
	}
	r.Root, r.known = root, map[digest.Digest]document{root.Digest: {b, root}}
	return r, nil
}

// Choose returns the manifest of the image for arch, and who has signed it, as far as the policy asks.
// An image that the policy refuses is fail.Permission; no more of it than its manifest was read.
func (r *Registry) Choose(ctx context.Context, arch string, p signatures.Policy) (oci.Descriptor, []string, error) {
	_, d, way, err := images.FollowManifests(ctx, r, r.Root, arch)
	if err != nil {
		return d, nil, err
	}
	signers, err := p.Registry(ctx, r.repo, r.ref, way, r.trust)
	return d, signers, err
}

// Manifest returns the manifest or index that d describes: see images.Source.
func (r *Registry) Manifest(ctx context.Context, d oci.Descriptor) ([]byte, oci.Descriptor, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if is, ok := r.known[d.Digest]; ok {
		return is.text, is.descriptor, nil
	}
	b, got, err := r.repo.Manifest(ctx, d.Digest, images.MaxJSON)
	if err == nil {
		r.known[d.Digest] = document{b, got}
	}
	return b, got, err
}

// A partial is a blob that is partly or completely downloaded.
type partial struct {
	want  oci.Descriptor
	file  *flock.File
	hash  hash.Hash
	size  int64         // bytes in file, all of them also in hash
	pause time.Duration // before the second attempt
}

// openPartial opens and locks the file of the blob d. It waits while another pull
// has the lock. A file of an interrupted pull has the first part of the blob.
func openPartial(ctx context.Context, s *images.Store, d oci.Descriptor) (*partial, error) {
	name := s.Path("partial", d.Digest.Encoded())
	for {
		f, err := flock.Open(name, flock.Partial)
		if err != nil {
			return nil, layer.HostError(err)
		}
		if err := f.Wait(ctx); err != nil {
			f.Close()
			return nil, err
		}
		if f.At(name) { // its former holder may have moved it into place
			return &partial{want: d, file: f, hash: sha256.New(), pause: s.RetryPause}, nil
		}
		f.Close()
	}
}

// rehash adds the content of the file to the hash. A file that is longer than the
// blob is invalid, and emptied.
func (p *partial) rehash() error {
	n, err := io.Copy(p.hash, p.file)
	if err != nil {
		return layer.HostError(fmt.Errorf("read a partial blob: %w", err))
	}
	if p.size = n; n > p.want.Size {
		return p.restart()
	}
	return nil
}

// restart empties the file.
func (p *partial) restart() error {
	p.hash.Reset()
	p.size = 0
	if err := p.file.Truncate(0); err != nil {
		return layer.HostError(err)
	}
	_, err := p.file.Seek(0, io.SeekStart)
	return layer.HostError(err)
}

// maxTries is how many requests in a row may fail without receiving a byte.
const maxTries = 5

// fill downloads the rest of the blob and checks its digest. It continues after a
// broken connection. After an error the file keeps the received data, unless the
// digest is wrong.
func (p *partial) fill(ctx context.Context, from Server, report func(int64)) error {
	tries, fresh := 0, p.size == 0
	for p.size < p.want.Size {
		report(p.size)
		before := p.size
		err := p.fetchRest(ctx, from, report)
		if p.size > before {
			tries = 0
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if tries++; tries >= maxTries || !registry.IsTemporary(err) {
			return withResumeHint(p.want, p.size, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(tries*tries) * p.pause):
		}
	}
	if got := images.Sum(p.hash); got != p.want.Digest {
		if err := p.restart(); err != nil {
			return err
		}
		if !fresh { // a power cut may have damaged the file of an earlier pull
			return p.fill(ctx, from, report)
		}
		return fail.New(fail.Usage, "the server sent the blob %s with digest %s", p.want.Digest, got)
	}
	report(p.size)
	return layer.HostError(p.file.Sync())
}

// withResumeHint adds to an error of a download that it can be resumed.
func withResumeHint(d oci.Descriptor, size int64, err error) error {
	var said *fail.Error
	if errors.As(err, &said) && (said.Hint != "" || size == 0) {
		return err
	}
	kind := fail.KindOf(err)
	if registry.IsTemporary(err) {
		kind = fail.Host
	}
	return fail.New(kind, "blob %s after %d of %d bytes: %w", d.Digest.Encoded()[:12], size, d.Size, err).
		WithHint("run the command again to resume")
}

// fetchRest sends one request for the rest of the blob and appends the received data.
func (p *partial) fetchRest(ctx context.Context, from Server, report func(int64)) error {
	body, begin, err := from.Blob(ctx, p.want, p.size)
	if err != nil {
		return err
	}
	defer body.Close()
	if begin != p.size { // the server does not support ranges
		if err := p.restart(); err != nil {
			return err
		}
	}
	buf := make([]byte, 1<<18)
	for {
		n, rerr := body.Read(buf)
		if p.size+int64(n) > p.want.Size {
			return fail.New(fail.Usage, "the server sent more than the %d bytes of blob %s", p.want.Size, p.want.Digest)
		}
		if _, err := p.file.Write(buf[:n]); err != nil {
			return layer.HostError(fmt.Errorf("write a blob: %w", err))
		}
		p.hash.Write(buf[:n])
		p.size += int64(n)
		report(p.size)
		switch {
		case rerr == io.EOF && p.size < p.want.Size:
			return io.ErrUnexpectedEOF
		case rerr == io.EOF:
			return nil
		case rerr != nil:
			return rerr
		}
	}
}
