package blobs

import (
	"context"
	"io"
	"os"
	"time"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/template/images"
	"croft/template/layer"
	"croft/template/registry"
)

// A Content opens the content of a blob. An error of Close is one of the content.
type Content func() (io.ReadCloser, error)

// FromFile is the content of a file.
func FromFile(file string) Content {
	return func() (io.ReadCloser, error) {
		f, err := os.Open(file)
		return f, layer.HostError(err)
	}
}

// Push uploads a blob unless the registry has it, and reports whether it has uploaded
// it. After a broken connection it uploads the blob again from the beginning.
func Push(ctx context.Context, s *images.Store, repo *registry.Repository, open Content, d oci.Descriptor) (sent bool, err error) {
	report := s.PartProgress("pushing", d)
	err = Retry(ctx, s, func() error {
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

// Retry calls do until it succeeds, or fails for good or several times.
func Retry(ctx context.Context, s *images.Store, do func() error) error {
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
		case <-time.After(time.Duration(tries*tries) * s.RetryPause):
		}
	}
}

func sendBlob(ctx context.Context, repo *registry.Repository, open Content, d oci.Descriptor, report func(int64)) error {
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
