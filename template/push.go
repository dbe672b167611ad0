package template

import (
	"context"
	"io"
	"os"
	"time"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/template/layer"
	"croft/template/registry"
	"croft/template/transfer"
)

// PushOptions are optional settings of Push.
type PushOptions struct {
	Insecure bool // also allow plain HTTP and certificates that cannot be verified
}

// Push uploads the image that text names to a registry, under the reference to. It
// uploads only blobs that the registry does not have, and the manifest last. The
// image has the same digest there. After an error the reference is unchanged, and
// Push can be repeated.
func (s *Store) Push(ctx context.Context, text, to string, o PushOptions) error {
	ref, err := registry.Parse(to)
	if err != nil {
		return err
	}
	im, st, err := s.linkImage(ctx, text)
	if err != nil {
		return err
	}
	defer st.remove()
	repo, err := registry.Open(ctx, ref, registry.Options{Trust: transfer.Trust{Insecure: o.Insecure, CertsDir: s.o.CertsDir}, Push: true})
	if err != nil {
		return err
	}
	sent := map[string]bool{}
	for _, d := range append([]oci.Descriptor{im.manifest.Config}, im.manifest.Layers...) {
		if sent[d.Digest.String()] {
			continue
		}
		sent[d.Digest.String()] = true
		if _, err := s.pushBlob(ctx, repo, fromFile(st.path(blobName(d.Digest))), d); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(st.path(blobName(im.descriptor.Digest)))
	if err != nil {
		return layer.HostError(err)
	}
	return repo.PutManifest(ctx, im.descriptor.MediaType, b)
}

// A blobContent opens the content of a blob. An error of Close is one of the content.
type blobContent func() (io.ReadCloser, error)

// fromFile is the content of a file.
func fromFile(file string) blobContent {
	return func() (io.ReadCloser, error) {
		f, err := os.Open(file)
		return f, layer.HostError(err)
	}
}

// pushBlob uploads a blob unless the registry has it, and reports whether it has uploaded
// it. After a broken connection it uploads the blob again from the beginning.
func (s *Store) pushBlob(ctx context.Context, repo *registry.Repository, open blobContent, d oci.Descriptor) (sent bool, err error) {
	report := s.partProgress("pushing", d)
	err = s.retrying(ctx, func() error {
		has, err := repo.Has(ctx, d.Digest)
		if err == nil && !has {
			sent = true
			err = sendBlob(ctx, repo, open, d, report)
		}
		return err
	})
	if err == nil {
		report(d.Size)
	}
	return sent, err
}

// retrying calls do until it succeeds, or fails for good or several times.
func (s *Store) retrying(ctx context.Context, do func() error) error {
	for tries := 1; ; tries++ {
		err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if tries >= maxTries || !registry.IsTemporary(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(tries*tries) * s.retryPause):
		}
	}
}

func sendBlob(ctx context.Context, repo *registry.Repository, open blobContent, d oci.Descriptor, report func(int64)) error {
	f, err := open()
	if err != nil {
		return err
	}
	err = repo.PutBlob(ctx, d, &reporting{f, report, 0})
	if cerr := f.Close(); cerr != nil {
		err = cerr
	}
	return err
}

// A reporting reader reports how many bytes it has read.
type reporting struct {
	f      io.Reader
	report func(int64)
	done   int64
}

func (r *reporting) Read(p []byte) (int, error) {
	n, err := r.f.Read(p)
	r.done += int64(n)
	r.report(r.done)
	return n, err
}

// linkImage creates a stage with a hard link to each blob of the image that text
// names, so that another process cannot remove them. The caller removes the stage.
func (s *Store) linkImage(ctx context.Context, text string) (stored, *stage, error) {
	r, err := parseRef(text)
	if err != nil {
		return stored{}, nil, err
	}
	if _, err := s.find(r); err != nil { // the store may be missing: a stage needs it
		return stored{}, nil, err
	}
	st, err := s.newStage(ctx)
	if err != nil {
		return stored{}, nil, err
	}
	im, err := s.linkBlobs(ctx, st, r)
	if err != nil {
		st.remove()
		return stored{}, nil, err
	}
	return im, st, nil
}

func (s *Store) linkBlobs(ctx context.Context, st *stage, r ref) (stored, error) {
	unlock, err := s.lock(ctx, storeLock)
	if err != nil {
		return stored{}, err
	}
	defer unlock()
	im, err := s.find(r)
	if err != nil {
		return stored{}, err
	}
	linked := map[string]bool{}
	for _, d := range append([]oci.Descriptor{im.descriptor, im.manifest.Config}, im.manifest.Layers...) {
		if linked[d.Digest.String()] {
			continue
		}
		linked[d.Digest.String()] = true
		if err := os.Link(s.blobPath(d.Digest), st.path(blobName(d.Digest))); err != nil {
			return stored{}, layer.HostError(err)
		}
	}
	return im, nil
}
