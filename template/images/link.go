package images

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/template/layer"
)

// HasBlob reports whether the store has a blob. It may be removed at any time, unless an
// image that has it is in use.
func (s *Store) HasBlob(text string) bool {
	d, err := digest.Parse(text)
	if err != nil || d.Algorithm() != digest.SHA256 {
		return false
	}
	_, err = os.Lstat(s.BlobPath(d))
	return err == nil && path.Base(text) == text
}

// LinkImage creates a stage with a hard link to each blob of the image that text
// names, so that another process cannot remove them. The caller removes the stage.
func (s *Store) LinkImage(ctx context.Context, text string) (Stored, *Stage, error) {
	r, err := ParseRef(text)
	if err != nil {
		return Stored{}, nil, err
	}
	if _, err := s.Find(r); err != nil { // the store may be missing: a stage needs it
		return Stored{}, nil, err
	}
	st, err := s.NewStage(ctx)
	if err != nil {
		return Stored{}, nil, err
	}
	im, err := s.LinkInto(ctx, st, r)
	if err != nil {
		st.Remove()
		return Stored{}, nil, err
	}
	return im, st, nil
}

// LinkInto is LinkImage for a stage that can have other images.
func (s *Store) LinkInto(ctx context.Context, st *Stage, r Ref) (Stored, error) {
	unlock, err := s.Lock(ctx, StoreLock)
	if err != nil {
		return Stored{}, err
	}
	defer unlock()
	im, err := s.Find(r)
	if err != nil {
		return Stored{}, err
	}
	linked := map[string]bool{}
	for _, d := range append([]oci.Descriptor{im.Descriptor, im.Manifest.Config}, im.Manifest.Layers...) {
		if linked[d.Digest.String()] {
			continue
		}
		linked[d.Digest.String()] = true
		err := os.Link(s.BlobPath(d.Digest), st.Path(BlobName(d.Digest)))
		if err != nil && !errors.Is(err, fs.ErrExist) { // another image in the stage has it too
			return Stored{}, layer.HostError(err)
		}
	}
	return im, nil
}

// LinkBlob makes a hard link in the stage to a blob of the store, so that the blob
// cannot be removed meanwhile. It returns the path of the link, or "" if neither the
// store nor the stage has the blob.
func (s *Store) LinkBlob(ctx context.Context, st *Stage, d oci.Descriptor) (string, error) {
	unlock, err := s.Lock(ctx, StoreLock)
	if err != nil {
		return "", err
	}
	defer unlock()
	to := st.Path(BlobName(d.Digest))
	if _, err := os.Lstat(to); err == nil {
		return to, nil
	}
	switch err := os.Link(s.BlobPath(d.Digest), to); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", layer.HostError(err)
	}
	return to, nil
}
