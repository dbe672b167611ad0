package template

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/confine"
	"croft/template/images"
	"croft/template/recipe"
	"croft/template/rootfs"
)

// buildFormat is part of the key of a layer. It changes if the same job gives another layer.
const buildFormat = 1

// baseOf returns the template on which r is a layer. A missing one is pulled, or built with the
// snapshot of with.
func (s *Store) baseOf(ctx context.Context, r recipe.Recipe, with BuildSettings) (Image, error) {
	base, err := s.ensure(ctx, r.From, with)
	if err != nil {
		return Image{}, fmt.Errorf("get template %s, on which %s is a layer: %w", r.From, r.Name, err)
	}
	if base.Architecture != goruntime.GOARCH {
		return Image{}, fail.New(fail.Usage, "template %s is for %s, and this host is linux/%s", r.From, base.Architecture, goruntime.GOARCH)
	}
	if len(base.Layers) >= rootfs.MaxLayers {
		return Image{}, fail.New(fail.State, "template %s has %d layers, and overlay mounts at most %d", r.From, len(base.Layers), rootfs.MaxLayers)
	}
	return base, nil
}

// buildLayer builds the template of a recipe with From: the layers of that template, which it
// shares, and one with the changes of the recipe. No-op if the template was built from the
// same base in the same way, unless o.NoCache is set.
func (s *Store) buildLayer(ctx context.Context, p plan, o BuildOptions) (Image, error) {
	r := p.recipe
	from, st, err := s.LinkImage(ctx, p.base.Digest)
	if err != nil {
		return Image{}, err
	}
	defer st.Remove()
	newest := r.Clamped(from.Created)
	j := recipe.PlanLayer(r, newest)
	key := layerKey(j, r, p.base.Digest, o.BuildSettings)
	if im, ok := s.builtBefore(r.Name, key); ok && !o.NoCache {
		s.Warn(fmt.Sprintf("template %s is unchanged: its recipe and template %s are the same; --no-cache builds it again, with the newest packages", r.Name, r.From))
		return im.Image, s.UnpackMissing(ctx, im)
	}
	l, created, err := s.runLayer(ctx, st, from, newest, j, o)
	if err != nil {
		return Image{}, r.Explain(err)
	}
	return s.commitDerived(ctx, st, from, []images.Layer{l}, derived{
		name: r.Name, by: "croft template build " + r.Name,
		image: func(im Image) Image {
			im.Recipe, im.BuiltWith, im.Variant = r.Name, o.BuildSettings, cmp.Or(r.Variant, im.Variant)
			im.Env = withEnvironment(im.Env, r.Environment)
			if im.Created = from.Created; created.After(im.Created) {
				im.Created = created
			}
			im.Created = r.Clamped(im.Created)
			return im
		},
		labels: map[string]string{images.LabelBuild: key},
	})
}

// layerKey identifies what a layer is made of: the job, what the recipe says about the image,
// the image below, and the settings that the image keeps. The package archive is not part of it.
func layerKey(j recipe.Job, r recipe.Recipe, base string, with images.BuildSettings) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%q\n%q\n%q\n%q\n%q\n", buildFormat, base, j.Shell, j.Env, r.Variant, withEnvironment(nil, r.Environment))
	for _, name := range slices.Sorted(maps.Keys(j.Files)) {
		fmt.Fprintf(h, "%q %q\n", name, j.Files[name])
	}
	for _, name := range slices.Sorted(maps.Keys(with.Set)) {
		fmt.Fprintf(h, "set %q %q\n", name, with.Set[name])
	}
	if with.Snapshot != "" || with.Mirror != "" {
		fmt.Fprintf(h, "snapshot %q %q\n", with.Snapshot, with.Mirror)
	}
	return images.Sum(h).String()
}

// builtBefore returns the template name if it was built with this key.
func (s *Store) builtBefore(name, key string) (images.Stored, bool) {
	im, err := s.Find(images.Ref{Name: name})
	if err != nil {
		return im, false // a build creates it, or reports the error
	}
	var c oci.Image
	err = s.ReadBlob(im.Config, &c)
	return im, err == nil && c.Config.Labels[images.LabelBuild] == key
}

// runLayer runs j over the image from, and stages a layer with what it has changed, without times
// later than newest. It also returns the date of the newest package index.
func (s *Store) runLayer(ctx context.Context, st *images.Stage, from images.Stored, newest time.Time, j recipe.Job, o BuildOptions) (l images.Layer, created time.Time, err error) {
	dirs, err := s.LayerDirs(from.Image)
	if err != nil {
		return l, created, err
	}
	r := rootfs.Rootfs{
		Layers: dirs, Dir: st.Path("changes"), Target: st.Path("root"), Scratch: st.Path("layers"), Whole: true,
		First: s.o.BuildIDs, Size: confine.IDs,
	}
	if err := r.Make(); err != nil {
		return l, created, err
	}
	created, err = s.execute(ctx, st, j, o, r.MountAndOpen, func(_ context.Context, stdout io.Reader) error {
		_, err := io.Copy(io.Discard, stdout)
		return err
	})
	if err != nil {
		return l, created, err
	}
	o.Progress(Update{Step: "storing the image", Done: 85, Total: 100})
	l, err = s.stageChanges(ctx, st, s.LowerDirs(from.Layers), r, packing{newest: newest})
	return l, created, err
}

// withEnvironment returns env with variables that replace those of the same name, sorted.
func withEnvironment(env []string, variables map[string]string) []string {
	out := slices.DeleteFunc(slices.Clone(env), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		_, ok := variables[name]
		return ok
	})
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		out = append(out, name+"="+variables[name])
	}
	return out
}
