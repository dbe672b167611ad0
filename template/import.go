package template

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"time"

	"croft/internal/fail"
)

// ImportOptions is what Import may be told. What is empty is read from the
// archive's files.
type ImportOptions struct {
	Replace      bool // a taken name goes to the new image; the old one becomes a former one
	Distribution string
	Release      string
	Variant      string
	Architecture string // as OCI calls it; "" is the host's
	Env          []string
	ContainerEnv string
	Entrypoint   []string
	Cmd          []string
	MaxSize      int64     // how much it may unpack to; 0 is DefaultMaxSize, Unlimited anything
	Created      time.Time // zero is the time of the newest file of the archive's os-release
}

// Import makes the template name of a root filesystem's tar, plain or
// compressed by gzip, bzip2, xz or zstd; which, its first bytes say. A name
// that is taken is fail.Taken unless o.Replace, an archive that is damaged or
// holds no root filesystem fail.Usage. On an error nothing is left.
func (s *Store) Import(ctx context.Context, name string, r io.Reader, o ImportOptions) (Image, error) {
	if err := CheckName(name); err != nil {
		return Image{}, err
	}
	if err := s.make(); err != nil {
		return Image{}, err
	}
	unlock, err := s.lock(ctx, nameLock(name))
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if err := s.free(name, o.Replace); err != nil {
		return Image{}, err
	}
	st, err := s.newStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.remove()
	in := cancellable(ctx, r)
	defer in.Close()
	plain, err := decompress(&counting{r: in, step: "importing " + name, to: s.o.Progress})
	if err != nil {
		return Image{}, archiveFailure(err)
	}
	defer plain.Close()
	l, err := s.stageLayer(ctx, st, plain, nil, newBudget(o.MaxSize))
	if ctx.Err() != nil {
		return Image{}, ctx.Err()
	}
	if err != nil {
		return Image{}, err
	}
	im, err := describe(st.path(layerName(l.diffID)))
	if err != nil {
		return Image{}, err
	}
	return s.commit(ctx, st, o.apply(name, im), l)
}

// free says why name cannot be given to a new image, or nil.
func (s *Store) free(name string, replace bool) error {
	_, err := s.find(ref{name: name})
	switch {
	case err == nil && !replace:
		return fail.New(fail.Taken, "there is a template %q already", name).WithHint("croft template remove %s", name)
	case err == nil, fail.Is(err, fail.NotFound), replace:
		return nil
	}
	return err
}

// apply lets what the user said come before what the files say.
func (o ImportOptions) apply(name string, im Image) Image {
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

// rootNames are directories of which every root filesystem has one.
var rootNames = []string{"bin", "sbin", "usr", "etc", "nix"}

// describe reads from the files of an unpacked root filesystem what it is.
func describe(dir string) (Image, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Image{}, hostError(err)
	}
	defer root.Close()
	for _, n := range []string{"oci-layout", "manifest.json"} {
		if _, err := root.Lstat(n); err == nil {
			return Image{}, fail.New(fail.Usage, "the archive holds an OCI or Docker image (%s), not a root filesystem", n).
				WithHint("export a container made from it as a plain tar of its files")
		}
	}
	if !hasAny(root, rootNames) {
		return Image{}, fail.New(fail.Usage, "the archive holds no root filesystem: there is none of bin sbin usr etc at its top")
	}
	t, err := openTree(dir)
	if err != nil {
		return Image{}, err
	}
	defer t.close()
	return describeTree(t), nil
}

func hasAny(root *os.Root, names []string) bool {
	for _, n := range names {
		if _, err := root.Lstat(n); err == nil {
			return true
		}
	}
	return false
}

// cancellable returns r, ending with ctx even while r blocks (a terminal, a
// pipe). Closing it lets go of r.
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

// counting tells a Progress how much has been read.
type counting struct {
	r     io.Reader
	step  string
	to    Progress
	total int64
	done  int64
	told  int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	if c.to != nil && (c.done-c.told >= 1<<20 || errors.Is(err, io.EOF)) {
		c.told = c.done
		c.to(Update{Step: c.step, Done: c.done, Total: c.total})
	}
	return n, err
}

// The inits that croft tells apart by their files.
const (
	initSystemd  = "systemd"
	initSysV     = "sysvinit"
	initOpenRC   = "openrc"
	initBusybox  = "busybox"
	initRunit    = "runit"
	initUpstart  = "upstart"
	initS6       = "s6"
	initOther    = "other"
	maxOSRelease = 64 << 10
)

// initOf says which init the root filesystem t boots, "" if it has none.
func initOf(t *tree) string {
	for _, name := range []string{"sbin/init", "etc/init", "bin/init", "init"} {
		target, ok := t.realName(name)
		if !ok {
			continue
		}
		switch base := filepath.Base(target); {
		case base == "systemd":
			return initSystemd
		case base == "busybox":
			return openRCOr(t, initBusybox)
		case base == "openrc-init":
			return initOpenRC
		case base == "runit-init", base == "runit":
			return initRunit
		case base == "s6-svscan", base == "s6-linux-init", base == "s6-overlay-suexec":
			return initS6
		case base == "upstart", t.exists("etc/init/rc-sysinit.conf"):
			return initUpstart
		case t.exists("etc/inittab"):
			return openRCOr(t, initSysV)
		}
		return initOther
	}
	return ""
}

// openRCOr is OpenRC where its rc comes with the init that starts it, else that.
func openRCOr(t *tree, kind string) string {
	if t.exists("sbin/openrc") || t.exists("usr/sbin/openrc") {
		return initOpenRC
	}
	return kind
}
