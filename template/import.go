package template

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	goruntime "runtime"
	"time"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/facts"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/trust"
)

// ImportOptions are optional settings of Import. Empty facts are read from the files
// of the archive.
type ImportOptions struct {
	Replace      bool // if the name exists, the old image becomes a former one
	Distribution string
	Release      string
	Variant      string
	Architecture string // OCI's name of it; "" is the host's
	Env          []string
	ContainerEnv string
	Entrypoint   []string
	Cmd          []string
	File         string    // the path of the archive, for the policy of signatures; "" is a stream
	Dir          string    // a directory with an OCI image layout or an unpacked archive of docker save, instead of the reader; may be empty
	Image        string    // selects one of several images: a name or a digest; "" is the only one
	MaxSize      int64     // the largest size after unpacking, in bytes; 0 is 64 GiB, layer.Unlimited any size
	Created      time.Time // zero is the time of the archive's os-release file

	form   string            // that the files must have: see archive.Reference
	origin map[string]string // annotations of the image
}

// Import creates the template name from a tar archive and returns it. The archive
// contains a root filesystem, an OCI image layout, the output of docker save, or an image of
// Incus or LXD with its metadata; its files tell which. It may be compressed by gzip, bzip2, xz
// or zstd. An image of squashfs, of a disk or of a file system is imported too. An existing name
// is fail.Taken unless o.Replace is set, an invalid archive fail.Usage, one that the policy of
// signatures refuses fail.Permission. The image keeps which file or directory it is from, and the
// options, for Refresh and Check. After an error the store has no new image.
func (s *Store) Import(ctx context.Context, name string, r io.Reader, o ImportOptions) (Image, error) {
	unlock, err := s.LockName(ctx, name)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if err := s.checkFree(name, o.Replace); err != nil {
		return Image{}, err
	}
	if from, ok, err := s.sourceOf(ctx, o); err != nil {
		return Image{}, err
	} else if ok {
		o.origin = from.origin(o.given())
	}
	return s.importAs(ctx, name, r, o)
}

// given returns the options that the next import of the file needs too.
func (o ImportOptions) given() images.ImportSettings {
	return images.ImportSettings{Image: o.Image, Distribution: o.Distribution, Release: o.Release, Variant: o.Variant, Env: o.Env, MaxSize: o.MaxSize}
}

// optionsOf returns the options of an import with these settings.
func optionsOf(g images.ImportSettings) ImportOptions {
	return ImportOptions{Image: g.Image, Distribution: g.Distribution, Release: g.Release, Variant: g.Variant, Env: g.Env, MaxSize: g.MaxSize}
}

// importAs is Import for a caller that has the name's lock, and may replace an image.
func (s *Store) importAs(ctx context.Context, name string, r io.Reader, o ImportOptions) (Image, error) {
	st, err := s.NewStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.Remove()
	if o.Dir != "" {
		return s.importDir(ctx, st, name, o)
	}
	in := archive.Cancellable(ctx, r)
	defer in.Close()
	plain, err := layer.Decompress(s.CountedReader("importing "+name, in))
	if err != nil {
		return Image{}, layer.ArchiveFailure(err)
	}
	defer plain.Close()
	im, err := s.importArchive(ctx, st, name, bufio.NewReaderSize(plain, 1<<17), o)
	if ctx.Err() != nil {
		return Image{}, ctx.Err()
	}
	return im, err
}

// importArchive creates the template name from the tar r of images or of a root
// filesystem.
func (s *Store) importArchive(ctx context.Context, st *images.Stage, name string, r *bufio.Reader, o ImportOptions) (Image, error) {
	if archive.BeginsLikeImages(r) {
		dir := st.Path("images")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return Image{}, layer.HostError(err)
		}
		if _, err := images.UnpackAll(ctx, dir, nil, r, layer.NewBudget(o.MaxSize)); err != nil {
			return Image{}, layer.ArchiveFailure(err)
		}
		return s.importUnpacked(ctx, st, name, dir, o)
	}
	if archive.IsSquashfs(r) || archive.IsDisk(r) { // the kernel reads it
		if err := s.policy().File(trust.Tarball, o.File, ""); err != nil {
			return Image{}, err
		}
	}
	l, err := s.stageArchive(ctx, st, r, layer.NewBudget(o.MaxSize))
	if err != nil {
		return Image{}, err
	}
	dir := st.Path(images.LayerName(l.DiffID))
	t, err := layer.OpenTree(dir)
	if err != nil {
		return Image{}, err
	}
	defer t.Close()
	kind, err := archive.KindAs(t, o.form)
	if err != nil {
		return Image{}, err
	}
	if kind != archive.RootFiles {
		return s.importImages(ctx, st, name, t, kind, o)
	}
	if err := s.policy().File(trust.Tarball, o.File, ""); err != nil {
		return Image{}, err
	}
	switch {
	case archive.IsUnified(t) && o.Image == "":
		return s.importUnified(ctx, st, name, t, o)
	case o.Image != "":
		return Image{}, fail.New(fail.Usage, "the archive contains no images, so %q cannot be chosen", o.Image)
	case !facts.IsRoot(t):
		return Image{}, fail.New(fail.Usage, "the archive contains no root filesystem: bin, sbin, usr and etc are missing at its top")
	}
	im, err := s.commitImported(ctx, st, o.describe(name, images.DescribeTree(t)), o, l)
	if err == nil && facts.MergesLater(t) {
		s.Warn(fmt.Sprintf("template %s: /bin is a directory of its own, and an upgrade that merges it with /usr/bin fails on an overlay: use croft create --storage plain for VPSs that are upgraded", name))
	}
	return im, err
}

// stageArchive stages a layer of the files of a tar archive, of an image of squashfs, or of
// an image of a disk.
func (s *Store) stageArchive(ctx context.Context, st *images.Stage, r *bufio.Reader, budget *layer.Budget) (images.Layer, error) {
	var pack func(ctx context.Context, w io.Writer, file string) error
	switch {
	case archive.IsSquashfs(r):
		pack = archive.PackSquashfs
	case archive.IsQcow2(r):
		return s.stageQcow2(ctx, st, r, budget)
	case archive.IsDisk(r):
		pack = archive.PackDisk
	default:
		return s.StageLayer(ctx, st, r, nil, budget)
	}
	file := st.Path("image")
	if err := copyImage(file, budget.Stream(r)); err != nil {
		return images.Layer{}, err
	}
	return s.StageWritten(ctx, st, nil, budget, func(w io.Writer) error { return pack(ctx, w, file) })
}

// importDir creates the template name from an image in the directory o.Dir.
func (s *Store) importDir(ctx context.Context, st *images.Stage, name string, o ImportOptions) (Image, error) {
	s.Report(Update{Step: "importing " + name})
	return s.importUnpacked(ctx, st, name, o.Dir, o)
}

func (s *Store) importUnpacked(ctx context.Context, st *images.Stage, name, dir string, o ImportOptions) (Image, error) {
	t, err := layer.OpenTree(dir)
	if err != nil {
		return Image{}, layer.HostError(err)
	}
	defer t.Close()
	kind, err := archive.KindAs(t, o.form)
	if err != nil {
		return Image{}, err
	}
	switch {
	case kind == archive.RootFiles && dir == o.Dir && facts.IsRoot(t):
		return Image{}, rootDir(dir, name)
	case kind == archive.RootFiles:
		return Image{}, fail.New(fail.Usage, "it contains no image: oci-layout and index.json, or manifest.json, are missing at its top")
	}
	return s.importImages(ctx, st, name, t, kind, o)
}

// commitImported puts an image with staged layers, the lowest first, into the store.
func (s *Store) commitImported(ctx context.Context, st *images.Stage, im Image, o ImportOptions, layers ...images.Layer) (Image, error) {
	blobs := im.SetLayers(layers)
	d, err := st.Image(im.Name, images.ConfigOf(im), blobs)
	if err != nil {
		return Image{}, err
	}
	d.Manifest.Annotations = maps.Clone(o.origin)
	return s.Publish(ctx, st, d)
}

// checkFree returns fail.Taken if name exists and replace is false.
func (s *Store) checkFree(name string, replace bool) error {
	_, err := s.Find(images.Ref{Name: name})
	switch {
	case err == nil && !replace:
		return fail.New(fail.Taken, "a template %q exists; --replace replaces it", name).WithHint("croft template inspect %s", name)
	case err == nil, fail.Is(err, fail.NotFound), replace:
		return nil
	}
	return err
}

func (o ImportOptions) architecture() string {
	if o.Architecture == "" {
		return goruntime.GOARCH
	}
	return o.Architecture
}

// describe returns im, the facts found in the files, with the name and the facts that
// the user has given.
func (o ImportOptions) describe(name string, im Image) Image {
	im.Name = name
	for _, f := range []struct {
		to   *string
		said string
	}{
		{&im.Distribution, o.Distribution}, {&im.Release, o.Release}, {&im.Variant, o.Variant},
		{&im.Architecture, o.Architecture}, {&im.ContainerEnv, o.ContainerEnv},
	} {
		if f.said != "" {
			*f.to = f.said
		}
	}
	if im.Architecture == "" {
		im.Architecture = goruntime.GOARCH
	}
	if !o.Created.IsZero() {
		im.Created = o.Created
	}
	im.Env, im.Entrypoint, im.Cmd = o.Env, o.Entrypoint, o.Cmd
	return im
}
