package template

import (
	"context"
	"io"
	"os"
	goruntime "runtime"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/facts"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/trust"
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
// use, which gives the image a user: see images.Store.PublishFor, also for used. Files that
// are no root filesystem are fail.Usage, and an archive that the policy of signatures refuses
// fail.Permission. After an error the store has no new image; a killed
// import leaves at most one that RemoveAbandoned removes.
func (s *Store) ImportSystem(ctx context.Context, y System, use func(im Image) error, used func() (map[string][]string, error)) error {
	if y.Dir == nil {
		if err := s.policy().File(trust.Tarball, "", ""); err != nil {
			return err
		}
	}
	if err := s.Make(); err != nil {
		return err
	}
	st, err := s.NewStage(ctx)
	if err != nil {
		return err
	}
	defer st.Remove()
	d, err := s.stageSystem(ctx, st, y)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return s.PublishFor(ctx, st, d, use, used)
}

// stageSystem stages an image of the files of y.
func (s *Store) stageSystem(ctx context.Context, st *images.Stage, y System) (images.Staged, error) {
	l, err := s.stageFiles(ctx, st, y)
	if err != nil {
		return images.Staged{}, err
	}
	t, err := layer.OpenTree(st.Path(images.LayerName(l.DiffID)))
	if err != nil {
		return images.Staged{}, err
	}
	defer t.Close()
	if !facts.IsRoot(t) {
		return images.Staged{}, fail.New(fail.Usage, "there is no root filesystem: bin, sbin, usr and etc are missing at its top")
	}
	im := images.DescribeTree(t)
	im.Architecture, im.Layers, im.Size = goruntime.GOARCH, []string{l.DiffID.String()}, l.Size
	im.Entrypoint, im.Cmd, im.Env = y.Entrypoint, y.Cmd, y.Env
	im.User, im.WorkingDir, im.StopSignal = y.User, y.WorkingDir, y.StopSignal
	return st.Image(y.Name, images.ConfigOf(im), []oci.Descriptor{l.Blob})
}

// stageFiles stages the files of y as a layer.
func (s *Store) stageFiles(ctx context.Context, st *images.Stage, y System) (images.Layer, error) {
	if y.Dir != nil {
		return s.stageDirectory(ctx, st, y)
	}
	in := archive.Cancellable(ctx, y.Archive)
	defer in.Close()
	tmp := st.Path("unpack")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return images.Layer{}, layer.HostError(err)
	}
	counted := s.CountedReader("unpacking the files", in)
	budget := layer.NewBudget(y.MaxSize)
	size, err := layer.UnpackPart(ctx, tmp, counted, budget, &y.Part)
	if err == nil {
		_, err = io.Copy(io.Discard, budget.Stream(counted)) // the writer of a pipe ends without an error
	}
	if err != nil {
		return images.Layer{}, layer.ArchiveFailure(err)
	}
	var done int64
	return s.StageTree(ctx, st, tmp, size, s.Counted("packing the files", &done, 0))
}

// stageDirectory stages the files of a directory of the host, which something else may
// change meanwhile: then it is an error.
func (s *Store) stageDirectory(ctx context.Context, st *images.Stage, y System) (images.Layer, error) {
	fd, err := unix.Openat(int(y.Dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return images.Layer{}, layer.HostError(err)
	}
	var top unix.Stat_t
	if err := unix.Fstat(fd, &top); err != nil {
		unix.Close(fd)
		return images.Layer{}, layer.HostError(err)
	}
	ids := y.Part.IDs.Of(top.Uid)
	return s.StageWritten(ctx, st, nil, layer.NewBudget(y.MaxSize), func(w io.Writer) error {
		var done int64
		p := layer.NewPacker(ctx, io.MultiWriter(w, s.Counted("reading the files", &done, 0)), ids)
		p.Standalone = true
		return layer.HostError(p.Pack(fd))
	})
}
