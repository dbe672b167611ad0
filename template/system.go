package template

import (
	"context"
	"errors"
	"io"
	"os"
	goruntime "runtime"
	"slices"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
)

// A System is the root filesystem of a container of another tool: a directory or a part of
// an archive.
type System struct {
	Name    string   // of the former image
	Dir     *os.File // the directory; nil: Archive. It is only read
	Archive io.Reader
	Part    layer.Part // of the archive, and the ids of the container on its host
	MaxSize int64      // the largest size after unpacking: see ImportOptions
	// What the image runs if it has no init.
	Entrypoint, Cmd, Env         []string
	User, WorkingDir, StopSignal string
}

// ImportSystem puts an image of the files of y into the store, as a former image, and calls
// use, which gives the image a user: see BackupUse, also for used. Files that are no root
// filesystem are fail.Usage. After an error the store has no new image; a killed import
// leaves at most one that RemoveAbandoned removes.
func (s *Store) ImportSystem(ctx context.Context, y System, use func(im Image) error, used func() (map[string][]string, error)) error {
	if err := s.make(); err != nil {
		return err
	}
	st, err := s.newStage(ctx)
	if err != nil {
		return err
	}
	defer st.remove()
	d, err := s.stageSystem(ctx, st, y)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return s.publishBackup(ctx, st, d, BackupUse{Use: use, Used: used})
}

// stageSystem stages an image of the files of y.
func (s *Store) stageSystem(ctx context.Context, st *stage, y System) (stagedImage, error) {
	l, err := s.stageFiles(ctx, st, y)
	if err != nil {
		return stagedImage{}, err
	}
	t, err := layer.OpenTree(st.path(layerName(l.diffID)))
	if err != nil {
		return stagedImage{}, err
	}
	defer t.Close()
	if !slices.ContainsFunc(rootNames, t.Exists) {
		return stagedImage{}, fail.New(fail.Usage, "there is no root filesystem: bin, sbin, usr and etc are missing at its top")
	}
	im := describeTree(t)
	im.Architecture, im.Layers, im.Size = goruntime.GOARCH, []string{l.diffID.String()}, l.size
	im.Entrypoint, im.Cmd, im.Env = y.Entrypoint, y.Cmd, y.Env
	im.User, im.WorkingDir, im.StopSignal = y.User, y.WorkingDir, y.StopSignal
	return st.image(y.Name, configOf(im), []oci.Descriptor{l.blob})
}

// stageFiles stages the files of y as a layer.
func (s *Store) stageFiles(ctx context.Context, st *stage, y System) (stagedLayer, error) {
	if y.Dir != nil {
		return s.stageDirectory(ctx, st, y)
	}
	in := cancellable(ctx, y.Archive)
	defer in.Close()
	tmp := st.path("unpack")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return stagedLayer{}, layer.HostError(err)
	}
	counted := &counting{r: in, step: "unpacking the files", to: s.o.Progress}
	budget := layer.NewBudget(y.MaxSize)
	size, err := layer.UnpackPart(ctx, tmp, counted, budget, &y.Part)
	if err == nil {
		_, err = io.Copy(io.Discard, budget.Stream(counted)) // the writer of a pipe ends without an error
	}
	if err != nil {
		return stagedLayer{}, layer.ArchiveFailure(err)
	}
	return s.stageTree(ctx, st, tmp, size)
}

// stageTree makes the unpacked directory tmp of the stage a layer. size is that of its
// files.
func (s *Store) stageTree(ctx context.Context, st *stage, tmp string, size int64) (stagedLayer, error) {
	w, err := newBlobWriter(st.path("blob"))
	if err != nil {
		return stagedLayer{}, err
	}
	defer w.close()
	fd, err := unix.Open(tmp, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return stagedLayer{}, layer.HostError(err)
	}
	var done int64
	if err := layer.NewPacker(ctx, io.MultiWriter(w, &reported{store: s, step: "packing the files", done: &done}), layer.IDs{}).Pack(fd); err != nil {
		return stagedLayer{}, layer.HostError(err)
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

// stageDirectory stages the files of a directory of the host, which something else may
// change meanwhile: then it is an error.
func (s *Store) stageDirectory(ctx context.Context, st *stage, y System) (stagedLayer, error) {
	fd, err := unix.Openat(int(y.Dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return stagedLayer{}, layer.HostError(err)
	}
	var top unix.Stat_t
	if err := unix.Fstat(fd, &top); err != nil {
		unix.Close(fd)
		return stagedLayer{}, layer.HostError(err)
	}
	ids := y.Part.IDs.Of(top.Uid)
	out, in := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		var done int64
		p := layer.NewPacker(ctx, io.MultiWriter(in, &reported{store: s, step: "reading the files", done: &done}), ids)
		p.Standalone = true
		err := p.Pack(fd)
		in.CloseWithError(err)
		packed <- err
	}()
	l, err := s.stageLayer(ctx, st, out, nil, layer.NewBudget(y.MaxSize))
	out.CloseWithError(context.Canceled) // ends a packer that still writes
	switch perr := <-packed; {
	case ctx.Err() != nil:
		return stagedLayer{}, ctx.Err()
	case perr != nil && !errors.Is(perr, context.Canceled):
		return stagedLayer{}, layer.HostError(perr) // an invalid archive is a result of this error
	}
	return l, err
}
