package template

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

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/template/layer"
	"croft/template/registry"
)

// blobs is a server of blobs: a registry, or another one.
type blobs interface {
	// Blob starts a download of d at the byte offset, and returns the offset at which
	// the content begins. The caller closes the reader and checks the digest.
	Blob(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, int64, error)
}

// downloads keeps blobs from a server. Each blob is in a file of partial/ in the store,
// named after its digest. The file is locked until close. If a pull does not succeed the
// file remains, and the next pull resumes it.
type downloads struct {
	store *Store
	from  blobs

	mu    sync.Mutex
	files []*flock.File
}

// close unlocks the downloaded blobs. They stay in partial/ unless publish has moved
// them into the store.
func (r *downloads) close() {
	for _, f := range r.files {
		f.Close()
	}
}

// remove removes the downloaded blobs, before close.
func (r *downloads) remove() {
	for _, f := range r.files {
		os.Remove(f.Name()) // a leftover is removed by Prune
	}
}

func (r *downloads) fetch(ctx context.Context, _ *stage, d oci.Descriptor) (string, error) {
	p, err := r.store.openPartial(ctx, d)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	r.files = append(r.files, p.file)
	r.mu.Unlock()
	if err := p.rehash(); err != nil {
		return "", err
	}
	report := r.store.partProgress("pulling", d)
	if err := p.fill(ctx, r.from, report); err != nil {
		return "", err
	}
	return p.file.Name(), nil
}

// A registrySource downloads an image from a registry.
type registrySource struct {
	downloads
	repo           *registry.Repository
	root           []byte // the manifest that the reference names
	rootDescriptor oci.Descriptor
}

func (r *registrySource) manifest(ctx context.Context, d oci.Descriptor) ([]byte, oci.Descriptor, error) {
	if d.Digest == r.rootDescriptor.Digest {
		return r.root, r.rootDescriptor, nil
	}
	return r.repo.Manifest(ctx, d.Digest, maxJSON)
}

// partProgress returns a function that reports the progress of the blob d, one of
// several at the same time. act is "pulling" or "pushing".
func (s *Store) partProgress(act string, d oci.Descriptor) func(done int64) {
	name := act + " " + d.Digest.Encoded()[:12]
	return func(done int64) {
		s.progressMu.Lock()
		defer s.progressMu.Unlock()
		s.progress(Update{Step: act, Part: name, Done: done, Total: d.Size})
	}
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
func (s *Store) openPartial(ctx context.Context, d oci.Descriptor) (*partial, error) {
	name := s.path("partial", d.Digest.Encoded())
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
			return &partial{want: d, file: f, hash: sha256.New(), pause: s.retryPause}, nil
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
func (p *partial) fill(ctx context.Context, from blobs, report func(int64)) error {
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
	if got := sum(p.hash); got != p.want.Digest {
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
func (p *partial) fetchRest(ctx context.Context, from blobs, report func(int64)) error {
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
