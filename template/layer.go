package template

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/layer"
)

// A stagedLayer is a layer in a stage, both unpacked and as a blob.
type stagedLayer struct {
	diffID digest.Digest // of its tar
	blob   oci.Descriptor
	size   int64 // bytes of its files
}

// stageLayer reads the tar r once to its end. It unpacks it in st, over the layers
// below, and writes it as a compressed blob.
func (s *Store) stageLayer(ctx context.Context, st *stage, r io.Reader, below []string, budget *layer.Budget) (stagedLayer, error) {
	tmp := st.path("unpack")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return stagedLayer{}, layer.HostError(err)
	}
	w, err := newBlobWriter(st.path("blob"))
	if err != nil {
		return stagedLayer{}, err
	}
	defer w.close()
	t := &tee{r: r, w: w}
	size, err := unpackAll(ctx, tmp, below, t, budget)
	if t.werr != nil {
		return stagedLayer{}, layer.HostError(fmt.Errorf("write a layer: %w", t.werr))
	}
	if err != nil {
		return stagedLayer{}, layer.ArchiveFailure(err)
	}
	l := stagedLayer{size: size, diffID: w.diffID()}
	if l.blob, err = w.finish(); err != nil {
		return stagedLayer{}, err
	}
	if err := os.Rename(st.path("blob"), st.path(blobName(l.blob.Digest))); err != nil {
		return stagedLayer{}, layer.HostError(err)
	}
	return l, st.putLayer(tmp, l.diffID)
}

// putLayer moves the unpacked layer at tmp to its place in the stage. If it is there
// already it removes tmp: an image may have the same layer twice.
func (st *stage) putLayer(tmp string, diffID digest.Digest) error {
	to := st.path(layerName(diffID))
	if _, err := os.Lstat(to); err == nil {
		return removeTree(tmp)
	}
	return layer.HostError(os.Rename(tmp, to))
}

// unpackAll is layer.Unpack, and reads r to its end: bytes after the end of the
// archive are part of its digest.
func unpackAll(ctx context.Context, dir string, below []string, r io.Reader, budget *layer.Budget) (int64, error) {
	size, err := layer.Unpack(ctx, dir, below, r, budget)
	if err == nil {
		_, err = io.Copy(io.Discard, budget.Stream(r))
	}
	return size, err
}

// unpackBlob unpacks a layer from its blob into the store. No-op if it is unpacked.
func (s *Store) unpackBlob(ctx context.Context, d oci.Descriptor, diffID digest.Digest, below []string) error {
	to := s.layerDir(diffID.String())
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	st, err := s.newStage(ctx)
	if err != nil {
		return err
	}
	defer st.remove()
	tmp := st.path("unpack")
	if _, err := unpackFile(ctx, s.blobPath(d.Digest), tmp, d.Digest, diffID, below, nil); errors.Is(err, fs.ErrNotExist) {
		return fail.New(fail.State, "the template store %s is damaged: blob %s is missing", s.dir, d.Digest)
	} else if err != nil {
		return fail.New(fail.State, "the template store %s is damaged: %w", s.dir, err)
	}
	if err := syncFilesystem(st.dir); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, storeLock)
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
	size, err := unpackAll(ctx, tmp, below, io.TeeReader(plain, tarSum), budget)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		return 0, layer.ArchiveFailure(err)
	}
	io.Copy(blobSum, f) // the decompressor may leave a rest; after an error the digest is wrong
	if got := sum(blobSum); got != blob {
		return 0, fail.New(fail.Usage, "blob %s has digest %s", blob, got)
	}
	if got := sum(tarSum); got != diffID {
		return 0, fail.New(fail.Usage, "layer %s has digest %s", diffID, got)
	}
	return size, nil
}

func sum(h hash.Hash) digest.Digest { return digest.NewDigest(digest.SHA256, h) }

// tee is io.TeeReader, but keeps an error of the writer in werr.
type tee struct {
	r    io.Reader
	w    io.Writer
	werr error
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if n > 0 {
		if _, werr := t.w.Write(p[:n]); werr != nil {
			t.werr = werr
			return n, werr
		}
	}
	return n, err
}

// A blobWriter compresses a tar into a file. It takes the digests of the tar and of
// the file.
type blobWriter struct {
	file     *os.File
	buffered *bufio.Writer
	zip      *zstd.Encoder
	tar, out hash.Hash
	size     int64
}

func newBlobWriter(name string) (*blobWriter, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, layer.HostError(err)
	}
	w := &blobWriter{file: f, buffered: bufio.NewWriterSize(f, 1<<18), tar: sha256.New(), out: sha256.New()}
	// With one goroutine the same tar gives the same blob.
	w.zip, err = zstd.NewWriter(compressed{w}, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("start the compressor: %w", err)
	}
	return w, nil
}

func (w *blobWriter) Write(p []byte) (int, error) {
	w.tar.Write(p)
	return w.zip.Write(p)
}

// compressed receives the output of a blobWriter's compressor.
type compressed struct{ w *blobWriter }

func (c compressed) Write(p []byte) (int, error) {
	n, err := c.w.buffered.Write(p)
	c.w.out.Write(p[:n])
	c.w.size += int64(n)
	return n, err
}

func (w *blobWriter) diffID() digest.Digest { return sum(w.tar) }

// finish writes the rest, closes the file and returns its descriptor.
func (w *blobWriter) finish() (oci.Descriptor, error) {
	err := w.zip.Close()
	if err == nil {
		err = w.buffered.Flush()
	}
	if err == nil {
		err = w.file.Close()
	}
	if err != nil {
		return oci.Descriptor{}, layer.HostError(fmt.Errorf("write a layer: %w", err))
	}
	return oci.Descriptor{MediaType: oci.MediaTypeImageLayerZstd, Digest: sum(w.out), Size: w.size}, nil
}

// close closes the file. No-op after finish.
func (w *blobWriter) close() {
	w.zip.Close()
	w.file.Close()
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
		dir := s.layerDir(d.String())
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
