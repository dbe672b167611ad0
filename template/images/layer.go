package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"croft/template/layer"
)

// A Layer is one in a stage, both unpacked and as a blob.
type Layer struct {
	DiffID digest.Digest // of its tar
	Blob   oci.Descriptor
	Size   int64 // bytes of its files
}

// StageLayer reads the tar r once to its end. It unpacks it in st, over the layers
// below, and writes it as a compressed blob.
func (s *Store) StageLayer(ctx context.Context, st *Stage, r io.Reader, below []string, budget *layer.Budget) (Layer, error) {
	tmp := st.Path("unpack")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return Layer{}, layer.HostError(err)
	}
	w, err := newBlobWriter(st.Path("blob"))
	if err != nil {
		return Layer{}, err
	}
	defer w.close()
	t := &Tee{R: r, W: w}
	size, err := UnpackAll(ctx, tmp, below, t, budget)
	if t.WriteErr != nil {
		return Layer{}, layer.HostError(fmt.Errorf("write a layer: %w", t.WriteErr))
	}
	if err != nil {
		return Layer{}, layer.ArchiveFailure(err)
	}
	l := Layer{Size: size, DiffID: w.diffID()}
	return st.finishLayer(l, w, tmp)
}

// StageWritten stages a layer of the tar that write writes.
func (s *Store) StageWritten(ctx context.Context, st *Stage, below []string, budget *layer.Budget, write func(io.Writer) error) (Layer, error) {
	out, in := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(in)
		in.CloseWithError(err)
		written <- err
	}()
	l, err := s.StageLayer(ctx, st, out, below, budget)
	out.CloseWithError(context.Canceled) // ends a writer that still writes
	switch werr := <-written; {
	case ctx.Err() != nil:
		return Layer{}, ctx.Err()
	case werr != nil && !errors.Is(werr, context.Canceled):
		return Layer{}, werr // an invalid archive is a result of this error
	}
	return l, err
}

// StageTree makes the unpacked directory tmp of the stage a layer. size is that of its
// files. It also writes the tar to also.
func (s *Store) StageTree(ctx context.Context, st *Stage, tmp string, size int64, also io.Writer) (Layer, error) {
	w, err := newBlobWriter(st.Path("blob"))
	if err != nil {
		return Layer{}, err
	}
	defer w.close()
	fd, err := unix.Open(tmp, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return Layer{}, layer.HostError(err)
	}
	if err := layer.NewPacker(ctx, io.MultiWriter(w, also), layer.IDs{}).Pack(fd); err != nil {
		return Layer{}, layer.HostError(err)
	}
	l := Layer{Size: size, DiffID: w.diffID()}
	return st.finishLayer(l, w, tmp)
}

// finishLayer gives l its blob, which w has written, and moves it and the unpacked layer at tmp to
// their places.
func (st *Stage) finishLayer(l Layer, w *blobWriter, tmp string) (_ Layer, err error) {
	if l.Blob, err = w.finish(); err != nil {
		return Layer{}, err
	}
	if err := os.Rename(st.Path("blob"), st.Path(BlobName(l.Blob.Digest))); err != nil {
		return Layer{}, layer.HostError(err)
	}
	return l, st.putLayer(tmp, l.DiffID)
}

// putLayer moves the unpacked layer at tmp to its place in the stage. If it is there
// already it removes tmp: an image may have the same layer twice.
func (st *Stage) putLayer(tmp string, diffID digest.Digest) error {
	to := st.Path(LayerName(diffID))
	if _, err := os.Lstat(to); err == nil {
		return RemoveTree(tmp)
	}
	return layer.HostError(os.Rename(tmp, to))
}
