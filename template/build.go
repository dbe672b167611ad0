package template

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/template/busybox"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/recipe"
)

// BuildOptions are optional settings of Build.
type BuildOptions struct {
	Progress   Progress  // nil is that of the store
	RecipeFile string    // a recipe in any file; "" is the recipe with the template's name
	Mirror     string    // URL of the distribution's packages; "" is the tool's default, with the release's updates
	Log        io.Writer // receives every line that the tool prints; may be nil
}

// Build builds the template name from its recipe and returns it. busybox is created
// from the binary. If the template exists already it is built again, and the old
// image becomes a former one, unless the new image is the same. Two builds of one
// name wait for each other. The end of ctx kills all processes of the build. After
// an error nothing of the build is left.
//
// The distribution's tool and the packages' scripts run as root of a user namespace
// that has none of the host's own users, and in mount, pid, ipc and uts namespaces
// of their own. They use the host's network, for the download of packages.
func (s *Store) Build(ctx context.Context, name string, o BuildOptions) (Image, error) {
	unlock, err := s.LockName(ctx, name)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	return s.build(ctx, name, o)
}

// build is Build for a caller that has the name's lock.
func (s *Store) build(ctx context.Context, name string, o BuildOptions) (Image, error) {
	if o.Progress == nil {
		o.Progress = s.Report
	}
	if o.Mirror != "" && (!strings.Contains(o.Mirror, "://") || strings.ContainsAny(o.Mirror, " \t\n")) {
		return Image{}, fail.New(fail.Usage, "mirror: invalid URL %q", o.Mirror)
	}
	if name == busybox.Name && o.RecipeFile == "" {
		if o.Mirror != "" {
			return Image{}, fail.New(fail.Usage, "template %s is created from croft itself and uses no mirror", name)
		}
		return s.makeBusybox(ctx)
	}
	r, err := s.cookbook().Read(name)
	if o.RecipeFile != "" {
		r, err = s.cookbook().ReadFile(name, o.RecipeFile)
	}
	if err != nil {
		return Image{}, err
	}
	if r.Abstract {
		return Image{}, fail.New(fail.Usage, "recipe %s can only be extended", name).WithHint("croft template recipe")
	}
	if os.Geteuid() != 0 {
		return Image{}, fail.New(fail.Permission, "only root can build templates")
	}
	tool, err := recipe.Builder()
	if err != nil {
		return Image{}, err
	}
	j, err := recipe.Plan(r, tool, o.Mirror)
	if err != nil {
		return Image{}, err
	}
	st, err := s.NewStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.Remove()
	im := builtImage(r)
	l, created, err := s.run(ctx, st, j, o)
	if err != nil {
		return Image{}, r.Explain(err)
	}
	if im.Created = created; created.IsZero() {
		im.Created, _ = r.Epoch() // checked with the recipe
	}
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
	if err := buildDir(st, j, s.o.BuildIDs); err != nil {
		return l, created, err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := j.Command(inner, s.o.BuildIDs)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return l, created, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return l, created, err
	}
	t := &toolOutput{tool: j.Tool, to: o.Progress, log: o.Log}
	release, err := recipe.StartInSandbox(st.Path(buildDirName), cmd.Start)
	defer release()
	if err != nil {
		return l, created, startFailure(j.Tool, err)
	}
	read := make(chan struct{})
	go func() {
		t.read(stderr)
		close(read)
	}()
	l, err = s.StageLayer(inner, st, stdout, nil, nil)
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
	return l, t.newest, err
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

// A toolOutput interprets the lines that a tool prints on stderr.
type toolOutput struct {
	tool     string
	to       Progress
	log      io.Writer
	newest   time.Time // the newest date of a package index
	last     string    // the last line that is not empty
	errors   []string  // error messages of the tool and of scripts, at most 10
	missing  recipe.MissingPackages
	full     bool   // the disk is full
	reported Update // the last one
}

// maxLine is the largest length of a line; a longer one is split.
const maxLine = 64 << 10

func (t *toolOutput) read(r io.Reader) {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := b.ReadSlice('\n')
		if len(line) > 0 {
			t.line(strings.TrimRight(string(line), "\r\n"))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// line interprets one line of the tool.
func (t *toolOutput) line(line string) {
	if t.log != nil {
		fmt.Fprintln(t.log, line)
	}
	if date, ok := strings.CutPrefix(line, "croft-date: "); ok {
		// As in a Release file: "Sat, 10 Jun 2023 08:53:33 UTC".
		if at, err := time.Parse("Mon, 02 Jan 2006 15:04:05 MST", date); err == nil && at.After(t.newest) {
			t.newest = at.UTC()
		}
		return
	}
	if script, ok := strings.CutPrefix(line, "croft-failed: "); ok {
		t.errors = append(t.errors, fmt.Sprintf("the recipe's %s script: %s", script, t.last))
		return
	}
	if strings.Contains(line, "No space left on device") {
		t.full = true
	}
	if why, ok := strings.CutPrefix(line, "E: "); ok && len(t.errors) < 10 {
		t.errors = append(t.errors, why)
		t.missing.Add(why)
	}
	if strings.TrimSpace(line) != "" {
		t.last = strings.TrimSpace(line)
	}
	if u, ok := stepOf(line); ok && u != t.reported {
		t.reported = u
		t.to(u)
	}
}

// failure returns the reason why the tool ended with err, as one line.
func (t *toolOutput) failure(err error) error {
	if t.full {
		return layer.HostError(fmt.Errorf("%s: %w", t.tool, syscall.ENOSPC))
	}
	if len(t.missing) > 0 {
		return t.missing
	}
	why := t.last
	if len(t.errors) > 0 {
		why = t.errors[0]
	}
	failed := fail.New(fail.Host, "%s: %s (%w)", t.tool, cmp.Or(why, "it printed nothing"), err)
	if strings.Contains(why, "is expired") || strings.Contains(why, "not valid yet") {
		return failed.WithHint("check the clock; a recipe with check-valid-until: false accepts expired package indexes")
	}
	return failed.WithHint("check that this host can reach the package archive, or use another one with --mirror; the template busybox needs no archive")
}

// stepOf returns the progress of a tool that prints this line, and false if the line
// does not tell. The percentages are shares of the time of a typical build.
func stepOf(line string) (Update, bool) {
	for _, s := range []struct {
		in, step string
		percent  int64
	}{
		{"I: running apt-get update", "reading package lists", 5},
		{"I: Retrieving InRelease", "reading package lists", 5},
		{"I: downloading packages", "downloading the base system", 15},
		{"I: Resolving dependencies", "downloading the base system", 10},
		{"I: extracting archives", "unpacking the base system", 35},
		{"I: Extracting", "unpacking the base system", 35},
		{"I: installing essential packages", "installing the base system", 40},
		{"I: Configuring required packages", "installing the base system", 45},
		{"I: installing remaining packages", "installing packages", 50},
		{"I: installing packages", "installing packages", 50},
		{"I: cleaning package lists", "cleaning up", 80},
		{"I: creating tarball", "storing the image", 85},
	} {
		if strings.HasPrefix(line, s.in) {
			return Update{Step: s.step, Done: s.percent, Total: 100}, true
		}
	}
	return Update{}, false
}

// makeBusybox creates the template busybox. The same binary gives the same digest.
func (s *Store) makeBusybox(ctx context.Context) (Image, error) {
	program, err := busybox.Program()
	if err != nil {
		return Image{}, err
	}
	s.Report(Update{Step: "creating busybox from this program"})
	archive, err := busybox.Rootfs(ctx, program)
	if err != nil {
		return Image{}, err
	}
	st, err := s.NewStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.Remove()
	l, err := s.StageLayer(ctx, st, bytes.NewReader(archive), nil, nil)
	if err != nil {
		return Image{}, err
	}
	return s.Commit(ctx, st, Image{
		Name: busybox.Name, Distribution: busybox.Name, Release: busybox.Version(program), Architecture: goruntime.GOARCH,
		Init: string(initkind.Busybox), Recipe: busybox.Name, Created: busybox.Time(),
	}, l)
}
