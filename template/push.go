package template

import (
	"context"
	"os"
	"time"

	"croft/template/layer"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/template/registry"
)

// PushOptions is what Push may be told.
type PushOptions struct {
	Insecure bool // by plain HTTP too, and with certificates that nobody vouches for
}

// Push makes to, a reference in a registry, mean the image that text names. It
// sends what the registry does not have, the manifest last, byte for byte: the
// digest there is the one here.
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
	repo, err := registry.Open(ctx, ref, registry.Options{Insecure: o.Insecure, Push: true, CertsDir: s.o.CertsDir})
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

// pushBlob sends a blob unless it is there. A connection that breaks is tried
// again from the start.
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

// A reporting reader tells how far it is.
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

// linkImage gives a stage a link to each blob of the image that text names,
// so that it stays whole for the caller, who removes the stage.
func (s *Store) linkImage(ctx context.Context, text string) (stored, *stage, error) {
	r, err := parseRef(text)
	if err != nil {
		return stored{}, nil, err
	}
	if _, err := s.find(r); err != nil { // nor is there a directory for a stage, perhaps
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
