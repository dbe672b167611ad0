package template

import (
	"context"
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
		if err := s.pushBlob(ctx, repo, st.path(blobName(d.Digest)), d); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(st.path(blobName(im.descriptor.Digest)))
	if err != nil {
		return layer.HostError(err)
	}
	return repo.PutManifest(ctx, im.descriptor.MediaType, b)
}

// pushBlob uploads a blob unless the registry has it. After a broken connection it
// uploads the blob again from the beginning.
func (s *Store) pushBlob(ctx context.Context, repo *registry.Repository, file string, d oci.Descriptor) error {
	report := s.partProgress("pushing", d)
	for tries := 1; ; tries++ {
		has, err := repo.Has(ctx, d.Digest)
		if err == nil && !has {
			err = sendBlob(ctx, repo, file, d, report)
		}
		if err == nil {
			report(d.Size)
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

func sendBlob(ctx context.Context, repo *registry.Repository, file string, d oci.Descriptor, report func(int64)) error {
	f, err := os.Open(file)
	if err != nil {
		return layer.HostError(err)
	}
	defer f.Close()
	return repo.PutBlob(ctx, d, &reporting{f, report, 0})
}

// A reporting reader reports how many bytes it has read.
type reporting struct {
	f      *os.File
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
