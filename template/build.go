package template

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/template/busybox"
	"croft/template/confine"
	"croft/template/egress"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/recipe"
)

// BuildOptions are optional settings of Build.
type BuildOptions struct {
	BuildSettings           // the image keeps them, for Refresh
	Progress      Progress  // nil is that of the store
	RecipeFile    string    // a recipe in any file; "" is the recipe with the template's name
	Log           io.Writer // receives every line that the tool prints; may be nil
	NoCache       bool      // build a layer again that is the same as before
}

// Build builds the template name from its recipe and returns it. busybox is created
// from the binary. If the template exists already it is built again, and the old
// image becomes a former one, unless the new image is the same. Two builds of one
// name wait for each other. The end of ctx kills all processes of the build. After
// an error nothing of the build is left.
//
// The distribution's tool and the packages' scripts run as root of a user namespace
// that has none of the host's own users, and in mount, pid, ipc, uts and network namespaces
// of their own. The network has nothing but a proxy for downloads (egress).
func (s *Store) Build(ctx context.Context, name string, o BuildOptions) (Image, error) {
	p, err := s.plan(ctx, name, o)
	if err != nil {
		return Image{}, err
	}
	unlock, err := s.LockName(ctx, name)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	return s.build(ctx, p, o)
}

// A plan is what is known about a build before it has the lock of its name.
type plan struct {
	recipe recipe.Recipe // of busybox only the name
	mirror string        // of the packages, with the date of a snapshot
	base   Image         // the template on which it is a layer, if the recipe has From
}

// plan reads the recipe of a template and checks that it can be built. A template on which it
// is a layer is built or pulled first, because a process has the lock of one name at a time.
func (s *Store) plan(ctx context.Context, name string, o BuildOptions) (plan, error) {
	if err := recipe.CheckName(name); err != nil {
		return plan{}, err
	}
	if o.Mirror != "" && (!strings.Contains(o.Mirror, "://") || strings.ContainsAny(o.Mirror, " \t\n")) {
		return plan{}, fail.New(fail.Usage, "mirror: invalid URL %q", o.Mirror)
	}
	if name == busybox.Name && o.RecipeFile == "" {
		switch {
		case len(o.Set) > 0:
			return plan{}, fail.New(fail.Usage, "template %s is created from croft itself and has no variables", name)
		case o.Mirror != "" || o.Snapshot != "":
			return plan{}, fail.New(fail.Usage, "template %s is created from croft itself and uses no mirror", name)
		}
		return plan{recipe: recipe.Recipe{Name: name}}, nil
	}
	r, err := s.cookbook().Read(name)
	if o.RecipeFile != "" {
		r, err = s.cookbook().ReadFile(name, o.RecipeFile)
	}
	if err != nil {
		return plan{}, err
	}
	if r.Abstract {
		return plan{}, fail.New(fail.Usage, "recipe %s can only be extended", name).WithHint("croft template recipe")
	}
	if r, err = r.With(o.Set); err != nil {
		return plan{}, err
	}
	if r, err = r.SourceDate(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return plan{}, err
	}
	p := plan{}
	if p.recipe, p.mirror, err = s.freeze(r, o); err != nil {
		return plan{}, err
	}
	if r.From != "" && p.mirror != "" && p.mirror == o.Mirror {
		return plan{}, fail.New(fail.Usage, "template %s is a layer over %s, and has its package archives: --mirror needs --snapshot, and {{snapshot}} in the URL", name, r.From)
	}
	if os.Geteuid() != 0 {
		return plan{}, fail.New(fail.Permission, "only root can build templates")
	}
	if r.From != "" {
		date, _ := recipe.ParseSnapshot(cmp.Or(o.Snapshot, r.Snapshot)) // freeze has checked it
		p.base, err = s.baseOf(ctx, r, BuildSettings{Mirror: o.Mirror, Snapshot: date})
	}
	return p, err
}

// freeze returns r with the package archive of the date of a snapshot, if o or r has one, and
// the mirror with the date in it.
func (s *Store) freeze(r recipe.Recipe, o BuildOptions) (recipe.Recipe, string, error) {
	distribution := r.Distribution
	if r.From != "" {
		distribution = s.distributionOf(r.From)
	}
	return r.Frozen(o.Snapshot, o.Mirror, distribution)
}

// distributionOf returns the distribution of a template, which may be missing yet; "" is unknown.
func (s *Store) distributionOf(name string) string {
	if im, err := s.Find(images.Ref{Name: name}); err == nil {
		return im.Distribution
	}
	r, err := s.cookbook().Read(name)
	if err == nil && r.From != "" && r.From != name {
		return s.distributionOf(r.From)
	}
	return r.Distribution
}

// build builds p for a caller that has the name's lock.
func (s *Store) build(ctx context.Context, p plan, o BuildOptions) (Image, error) {
	if o.Progress == nil {
		o.Progress = s.Report
	}
	r := p.recipe
	switch {
	case r.From != "":
		return s.buildLayer(ctx, p, o)
	case r.Distribution == "":
		return s.makeBusybox(ctx)
	}
	tool, err := recipe.Builder(r)
	if err != nil {
		return Image{}, err
	}
	j, err := recipe.Plan(r, tool, p.mirror)
	if err != nil {
		return Image{}, err
	}
	st, err := s.NewStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.Remove()
	im := builtImage(r)
	im.BuiltWith = o.BuildSettings
	l, created, err := s.run(ctx, st, j, o)
	if err != nil {
		return Image{}, r.Explain(err)
	}
	if im.Created = created; created.IsZero() {
		im.Created, _ = r.Epoch() // checked with the recipe
	}
	im.Created = r.Clamped(im.Created)
	return s.Commit(ctx, st, im, l)
}

func (s *Store) cookbook() recipe.Cookbook { return recipe.OpenCookbook(s.o.Recipes) }

// builtImage returns the facts about an image that its recipe r determines.
func builtImage(r recipe.Recipe) Image {
	im := Image{
		Name: r.Name, Distribution: r.Distribution, Release: r.Release, Variant: r.Variant,
		Architecture: recipe.GoArch(r.DebianArch()), Init: r.Init, Recipe: r.Name, ContainerEnv: r.ContainerEnv,
	}
	for k, v := range r.Environment {
		im.Env = append(im.Env, k+"="+v)
	}
	slices.Sort(im.Env)
	return im
}

// run runs j and stages a layer from the tar that j prints. It also returns the
// date of the newest package index.
func (s *Store) run(ctx context.Context, st *images.Stage, j recipe.Job, o BuildOptions) (l images.Layer, created time.Time, err error) {
	created, err = s.execute(ctx, st, j, o, nil, func(ctx context.Context, stdout io.Reader) (err error) {
		l, err = s.StageLayer(ctx, st, stdout, nil, nil)
		return err
	})
	return l, created, err
}

// execute runs j. mount mounts a root filesystem for it, see confine.Sandbox. use reads what j prints. execute
// returns the date of the newest package index.
func (s *Store) execute(ctx context.Context, st *images.Stage, j recipe.Job, o BuildOptions, mount func() (*os.File, error), use func(ctx context.Context, stdout io.Reader) error) (newest time.Time, err error) {
	if err := buildDir(st, j, s.o.BuildIDs); err != nil {
		return newest, err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	network := egress.New(egress.Options{Upstream: j.Proxy, Named: j.Archives})
	defer network.Close()
	cmd := confine.Command(inner, j.Shell, slices.Concat(j.Env, egress.Env()), s.o.BuildIDs)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return newest, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return newest, err
	}
	begin, err := cmd.StdinPipe()
	if err != nil {
		return newest, err
	}
	t := &toolOutput{tool: j.Tool, marks: j.Marks, to: o.Progress, log: o.Log, refused: network.Refused}
	sandbox := confine.Sandbox{Dir: st.Path(buildDirName), Archives: j.Archives, Mount: mount, Enter: network.Enter}
	release, err := sandbox.Start(cmd.Start)
	defer release()
	if err != nil {
		return newest, startFailure(j.Tool, err)
	}
	unbound := s.bound(ctx, cmd.Process.Pid, "this build")
	defer unbound()
	begin.Close() // it waits for this
	read := make(chan struct{})
	go func() {
		t.read(stderr)
		close(read)
	}()
	err = use(inner, stdout)
	if err != nil && !fail.Is(err, fail.Usage) {
		cancel() // croft failed, not the tool
	}
	io.Copy(io.Discard, stdout) // until the tool ends: it reports the reason on stderr
	<-read
	if werr := cmd.Wait(); werr != nil && (err == nil || fail.Is(err, fail.Usage)) {
		err = t.failure(werr)
	}
	if ctx.Err() != nil {
		err = ctx.Err() // other errors are results of the kill
	}
	return t.newest, err
}

// bound limits the processes of what, which pid is the first of, and returns what takes that
// back. A host where that cannot be gets a warning.
func (s *Store) bound(ctx context.Context, pid int, what string) (remove func()) {
	if s.o.Bound == nil {
		return func() {}
	}
	remove, err := s.o.Bound(ctx, pid)
	if err != nil {
		s.Warn(fmt.Sprintf("%s has no limits of memory and processes: %v", what, err))
		return func() {}
	}
	return remove
}

func startFailure(tool string, err error) error {
	if fail.KindOf(err) != fail.Internal {
		return err
	}
	return fail.New(fail.Host, "start %s in its namespaces: %w", tool, err).
		WithHint("sysctl user.max_user_namespaces must be above 0")
}

// buildDirName is the build's directory in a stage.
const buildDirName = "build"

// buildDir creates the directory of the job j with its files. It belongs to the root
// of the build's user namespace, which is the host's id first.
func buildDir(st *images.Stage, j recipe.Job, first uint32) error {
	dir := st.Path(buildDirName)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return layer.HostError(err)
	}
	for name, text := range j.Files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return layer.HostError(err)
		}
	}
	return layer.HostError(os.Lchown(dir, int(first), int(first)))
}
