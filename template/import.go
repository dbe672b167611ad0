package template

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
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
	Dir          string    // a directory with an OCI image layout or an unpacked archive of docker save, instead of the reader; may be empty
	Image        string    // selects one of several images: a name or a digest; "" is the only one
	MaxSize      int64     // the largest size after unpacking, in bytes; 0 is 64 GiB, layer.Unlimited any size
	Created      time.Time // zero is the time of the archive's os-release file
}

// Import creates the template name from a tar archive and returns it. The archive
// contains a root filesystem, an OCI image layout, the output of docker save, or an image of
// Incus or LXD with its metadata; its files tell which. It may be compressed by gzip, bzip2, xz
// or zstd. An image of squashfs with a root filesystem is imported too. An existing name
// is fail.Taken unless o.Replace is set, an invalid archive fail.Usage. After an error
// the store has no new image.
func (s *Store) Import(ctx context.Context, name string, r io.Reader, o ImportOptions) (Image, error) {
	unlock, err := s.lockName(ctx, name)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if err := s.checkFree(name, o.Replace); err != nil {
		return Image{}, err
	}
	st, err := s.newStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.remove()
	if o.Dir != "" {
		return s.importDir(ctx, st, name, o)
	}
	in := cancellable(ctx, r)
	defer in.Close()
	plain, err := layer.Decompress(&counting{r: in, step: "importing " + name, to: s.o.Progress})
	if err != nil {
		return Image{}, layer.ArchiveFailure(err)
	}
	defer plain.Close()
	im, err := s.importArchive(ctx, st, name, bufio.NewReaderSize(plain, 1<<16), o)
	if ctx.Err() != nil {
		return Image{}, ctx.Err()
	}
	return im, err
}

// importArchive creates the template name from the tar r of images or of a root
// filesystem.
func (s *Store) importArchive(ctx context.Context, st *stage, name string, r *bufio.Reader, o ImportOptions) (Image, error) {
	if beginsLikeImages(r) {
		dir := st.path("images")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return Image{}, layer.HostError(err)
		}
		if _, err := unpackAll(ctx, dir, nil, r, layer.NewBudget(o.MaxSize)); err != nil {
			return Image{}, layer.ArchiveFailure(err)
		}
		return s.importUnpacked(ctx, st, name, dir, o)
	}
	l, err := s.stageArchive(ctx, st, r, layer.NewBudget(o.MaxSize))
	if err != nil {
		return Image{}, err
	}
	dir := st.path(layerName(l.diffID))
	t, err := layer.OpenTree(dir)
	if err != nil {
		return Image{}, err
	}
	defer t.Close()
	switch {
	case kindOf(t) != rootFiles:
		return s.importImages(ctx, st, name, t, kindOf(t), o)
	case isUnified(t) && o.Image == "":
		return s.importUnified(ctx, st, name, t, o)
	case o.Image != "":
		return Image{}, fail.New(fail.Usage, "the archive contains no images, so %q cannot be chosen", o.Image)
	case !slices.ContainsFunc(rootNames, t.Exists):
		return Image{}, fail.New(fail.Usage, "the archive contains no root filesystem: bin, sbin, usr and etc are missing at its top")
	}
	im, err := s.commit(ctx, st, o.describe(name, describeTree(t)), l)
	if err == nil && mergesLater(t) {
		s.warn(fmt.Sprintf("template %s: /bin is a directory of its own, and an upgrade that merges it with /usr/bin fails on an overlay: use croft create --storage plain for VPSs that are upgraded", name))
	}
	return im, err
}

// stageArchive stages a layer of the files of a tar archive or of an image of squashfs.
func (s *Store) stageArchive(ctx context.Context, st *stage, r *bufio.Reader, budget *layer.Budget) (stagedLayer, error) {
	if magic, _ := r.Peek(len(squashfsMagic)); string(magic) != squashfsMagic {
		return s.stageLayer(ctx, st, r, nil, budget)
	}
	file := st.path("squashfs")
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return stagedLayer{}, layer.HostError(err)
	}
	_, err = io.Copy(f, budget.Stream(r))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return stagedLayer{}, layer.ArchiveFailure(err)
	}
	return s.stageSquashfs(ctx, st, file, budget)
}

// mergesLater reports whether the root filesystem t is one of Debian or a relative without
// a merged /usr. The package usrmerge of a later release refuses to merge it on overlayfs.
func mergesLater(t *layer.Tree) bool {
	for _, dir := range []string{"bin", "usr/bin", "var/lib/dpkg"} {
		fd, err := t.OpenPlain(dir)
		if err != nil {
			return false // a link, or missing
		}
		unix.Close(fd)
	}
	return true
}

// importDir creates the template name from an image in the directory o.Dir.
func (s *Store) importDir(ctx context.Context, st *stage, name string, o ImportOptions) (Image, error) {
	s.progress(Update{Step: "importing " + name})
	return s.importUnpacked(ctx, st, name, o.Dir, o)
}

func (s *Store) importUnpacked(ctx context.Context, st *stage, name, dir string, o ImportOptions) (Image, error) {
	t, err := layer.OpenTree(dir)
	if err != nil {
		return Image{}, layer.HostError(err)
	}
	defer t.Close()
	kind := kindOf(t)
	if kind == rootFiles {
		return Image{}, fail.New(fail.Usage, "it contains no image: oci-layout and index.json, or manifest.json, are missing at its top").
			WithHint("tar -C DIR -c . | croft template import %s -", name)
	}
	return s.importImages(ctx, st, name, t, kind, o)
}

// checkFree returns fail.Taken if name exists and replace is false.
func (s *Store) checkFree(name string, replace bool) error {
	_, err := s.find(ref{name: name})
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

// rootNames are names at the top of a root filesystem: each has at least one of them.
var rootNames = []string{"bin", "sbin", "usr", "etc", "nix"}

// cancellable returns a reader of r that fails when ctx is done, also while r blocks
// (a terminal, a pipe). After Close it reads no more from r.
func cancellable(ctx context.Context, r io.Reader) *io.PipeReader {
	out, in := io.Pipe()
	stop := context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(in, r)
		stop()
		in.CloseWithError(err)
	}()
	return out
}

// counting reports to a Progress how much has been read.
type counting struct {
	r        io.Reader
	step     string
	to       Progress
	total    int64
	done     int64
	reported int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	if c.to != nil && (c.done-c.reported >= 1<<20 || errors.Is(err, io.EOF)) {
		c.reported = c.done
		c.to(Update{Step: c.step, Done: c.done, Total: c.total})
	}
	return n, err
}
