package images

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/layer"
)

// UnpackAll is layer.Unpack, and reads r to its end: bytes after the end of the
// archive are part of its digest.
func UnpackAll(ctx context.Context, dir string, below []string, r io.Reader, budget *layer.Budget) (int64, error) {
	size, err := layer.Unpack(ctx, dir, below, r, budget)
	if err == nil {
		_, err = io.Copy(io.Discard, budget.Stream(r))
	}
	return size, err
}

// UnpackMissing unpacks the layers of im that are not unpacked.
func (s *Store) UnpackMissing(ctx context.Context, im Stored) error {
	for i, l := range im.Manifest.Layers {
		if err := s.unpackBlob(ctx, l, im.DiffID(i), s.LowerDirs(im.Layers[:i])); err != nil {
			return err
		}
	}
	return nil
}

// unpackBlob unpacks a layer from its blob into the store. No-op if it is unpacked.
func (s *Store) unpackBlob(ctx context.Context, d oci.Descriptor, diffID digest.Digest, below []string) error {
	to := s.LayerDir(diffID.String())
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	st, err := s.NewStage(ctx)
	if err != nil {
		return err
	}
	defer st.Remove()
	tmp := st.Path("unpack")
	if _, err := unpackFile(ctx, s.BlobPath(d.Digest), tmp, d.Digest, diffID, below, nil); errors.Is(err, fs.ErrNotExist) {
		return fail.New(fail.State, "the template store %s is damaged: blob %s is missing", s.dir, d.Digest)
	} else if err != nil {
		return fail.New(fail.State, "the template store %s is damaged: %w", s.dir, err)
	}
	if err := SyncFilesystem(st.Dir); err != nil {
		return err
	}
	unlock, err := s.Lock(ctx, StoreLock)
	if err != nil {
		return err
	}
	defer unlock()
	return s.moveIntoStore(tmp, to)
}

// unpackFile creates the directory tmp and unpacks the blob in file into it, over
// the layers below. A wrong digest of the blob or of the tar is an error. It returns
// the total size of the files in bytes.
func unpackFile(ctx context.Context, file, tmp string, blob, diffID digest.Digest, below []string, budget *layer.Budget) (int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, layer.HostError(err)
	}
	defer f.Close()
	blobSum, tarSum := sha256.New(), sha256.New()
	plain, err := layer.Decompress(io.TeeReader(f, blobSum))
	if err != nil {
		return 0, layer.ArchiveFailure(err)
	}
	defer plain.Close()
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return 0, layer.HostError(err)
	}
	size, err := UnpackAll(ctx, tmp, below, io.TeeReader(plain, tarSum), budget)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		return 0, layer.ArchiveFailure(err)
	}
	io.Copy(blobSum, f) // the decompressor may leave a rest; after an error the digest is wrong
	if got := Sum(blobSum); got != blob {
		return 0, fail.New(fail.Usage, "blob %s has digest %s", blob, got)
	}
	if got := Sum(tarSum); got != diffID {
		return 0, fail.New(fail.Usage, "layer %s has digest %s", diffID, got)
	}
	return size, nil
}

// LayerDirs returns the absolute directories of img's layers, the topmost first, as
// overlay's lowerdir expects them. If an image has a layer several times, only the
// topmost is in the list. A layer that is not unpacked is fail.State; Ensure unpacks
// it.
func (s *Store) LayerDirs(img Image) ([]string, error) {
	var dirs []string
	for i := len(img.Layers) - 1; i >= 0; i-- {
		d := digest.Digest(img.Layers[i])
		if err := d.Validate(); err != nil {
			return nil, fail.New(fail.State, "template %s: layer %q: %w", img.Name, d, err)
		}
		if slices.Contains(img.Layers[i+1:], img.Layers[i]) {
			continue // overlay takes no directory twice
		}
		dir := s.LayerDir(d.String())
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			return nil, fail.New(fail.State, "layer %s of template %s is missing", d, img.Name).WithHint("croft template inspect %s", img.Name)
		}
		dirs = append(dirs, dir)
	}
	if len(dirs) == 0 {
		return nil, fail.New(fail.State, "template %s has no layers", img.Name)
	}
	return dirs, nil
}

// LowerDirs returns the directories of layers as layer.Unpack expects them, the
// topmost first. The argument has the lowest first.
func (s *Store) LowerDirs(layers []string) []string {
	var dirs []string
	for _, l := range slices.Backward(layers) {
		dirs = append(dirs, s.LayerDir(l))
	}
	return dirs
}
