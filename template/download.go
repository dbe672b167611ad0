package template

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"croft/template/layer"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/template/registry"
)

// A registrySource is a registry as a source. What it fetches lies in partial/ of the
// store, whole or in part, under the name of its digest and locked by who
// writes it; what is left there by a pull that came to nothing is where the
// next one goes on.
type registrySource struct {
	store          *Store
	repo           *registry.Repository
	root           []byte // the manifest that the reference names
	rootDescriptor oci.Descriptor

	mu    sync.Mutex
	files []*flock.File
}

func (r *registrySource) manifest(ctx context.Context, d oci.Descriptor) ([]byte, oci.Descriptor, error) {
	if d.Digest == r.rootDescriptor.Digest {
		return r.root, r.rootDescriptor, nil
	}
	return r.repo.Manifest(ctx, d.Digest, maxJSON)
}

// close lets go of what was fetched; it stays in partial/ unless it was
// adopted.
func (r *registrySource) close() {
	for _, f := range r.files {
		f.Close()
	}
}

func (r *registrySource) fetch(ctx context.Context, _ *stage, d oci.Descriptor) (string, error) {
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
	if err := p.fill(ctx, r.repo, report); err != nil {
		return "", err
	}
	return p.file.Name(), nil
}

// part is a Progress for the blob d alone.
func (s *Store) partProgress(act string, d oci.Descriptor) func(done int64) {
	name := act + " " + d.Digest.Encoded()[:12]
	return func(done int64) {
		s.progressMu.Lock()
		defer s.progressMu.Unlock()
		s.progress(Update{Step: act, Part: name, Done: done, Total: d.Size})
	}
}

// A partial is a blob that is being fetched, or has been.
type partial struct {
	want  oci.Descriptor
	file  *flock.File
	hash  hash.Hash
	size  int64         // bytes in file, and in hash
	pause time.Duration // before a second try
}

// openPartial opens what there is of the blob d, for the caller alone: one who
// fetches the same waits, and finds it done.
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

// rehash takes the digest of what is there already. More than there can be is
// as good as nothing.
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

// restart forgets all that is there.
func (p *partial) restart() error {
	p.hash.Reset()
	p.size = 0
	if err := p.file.Truncate(0); err != nil {
		return layer.HostError(err)
	}
	_, err := p.file.Seek(0, io.SeekStart)
	return layer.HostError(err)
}

// maxTries is how often a connection may break without a byte having come.
const maxTries = 5

// fill fetches what is missing, going on where a connection broke, and checks
// the digest. On an error what has come stays, unless it is wrong.
func (p *partial) fill(ctx context.Context, repo *registry.Repository, report func(int64)) error {
	tries, fresh := 0, p.size == 0
	for p.size < p.want.Size {
		report(p.size)
		before := p.size
		err := p.fetchRest(ctx, repo, report)
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
		if !fresh { // an earlier pull may have left what a power cut spoilt
			return p.fill(ctx, repo, report)
		}
		return fail.New(fail.Usage, "the registry sends %s for the blob %s", got, p.want.Digest)
	}
	report(p.size)
	return layer.HostError(p.file.Sync())
}

// goesOn adds to why a transfer ended that nothing is lost.
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

// more appends what one request brings.
func (p *partial) fetchRest(ctx context.Context, repo *registry.Repository, report func(int64)) error {
	body, from, err := repo.Blob(ctx, p.want, p.size)
	if err != nil {
		return err
	}
	defer body.Close()
	if from != p.size { // it does not know ranges
		if err := p.restart(); err != nil {
			return err
		}
	}
	buf := make([]byte, 1<<18)
	for {
		n, rerr := body.Read(buf)
		if p.size+int64(n) > p.want.Size {
			return fail.New(fail.Usage, "the registry sends more than the %d bytes of blob %s", p.want.Size, p.want.Digest)
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
