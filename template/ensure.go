package template

import (
	"context"
	"fmt"
	goruntime "runtime"
	"strings"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/busybox"
	"croft/template/images"
	"croft/template/recipe"
	"croft/template/transfer"
)

// Ensure returns the image that text names, with all its layers unpacked. If there
// is no template of that name it is built first: busybox from the binary, others
// from the recipe of that name. If several processes ask for one name, one of them
// builds it and the others wait. A name without template and recipe, and a missing
// digest, are fail.NotFound.
//
// text may also be a reference to an image of a registry or of an image server. If no
// template was pulled from there, it is pulled. It may name a file or a directory too, as
// archive.Reference: that is imported, unless there is a template from it and it has not changed.
func (s *Store) Ensure(ctx context.Context, text string) (Image, error) {
	if file, ok, err := archive.ParseReference(text); ok || err != nil {
		if err != nil {
			return Image{}, err
		}
		return s.ensureFile(ctx, file)
	}
	return s.ensure(ctx, text, BuildSettings{})
}

// ensure is Ensure of what is no file. A template that is built has the settings with, if its recipe
// has no snapshot of its own.
func (s *Store) ensure(ctx context.Context, text string, with BuildSettings) (Image, error) {
	if refersElsewhere(text) {
		return s.ensurePulled(ctx, text)
	}
	r, err := images.ParseRef(text)
	if err != nil {
		return Image{}, err
	}
	im, err := s.Find(r)
	if err == nil {
		return im.Image, s.UnpackMissing(ctx, im)
	}
	if !fail.Is(err, fail.NotFound) || r.Digest != "" || r.Prefix != "" {
		return Image{}, err
	}
	if r.Name != busybox.Name {
		own, rerr := s.cookbook().Read(r.Name)
		if own.Snapshot != "" {
			with = BuildSettings{}
		}
		switch {
		case fail.Is(rerr, fail.NotFound) && isFile(r.Name):
			return Image{}, fail.New(fail.NotFound, "no template %q; the file of this name is ./%s", r.Name, r.Name).WithHint("--template ./%s", r.Name)
		case fail.Is(rerr, fail.NotFound):
			return Image{}, fail.New(fail.NotFound, "no template %q, and no recipe to build it from", r.Name).
				WithHint("croft template list; croft template recipe")
		}
	}
	o := BuildOptions{BuildSettings: with}
	if r.Name == busybox.Name {
		o = BuildOptions{}
	}
	p, err := s.plan(ctx, r.Name, o)
	if err != nil {
		return Image{}, err
	}
	if err := s.Make(); err != nil {
		return Image{}, err
	}
	unlock, err := s.Lock(ctx, images.NameLock(r.Name))
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	im, err = s.Find(r) // another process may have built it meanwhile
	switch {
	case err == nil:
		return im.Image, s.UnpackMissing(ctx, im)
	case !fail.Is(err, fail.NotFound):
		return Image{}, err
	}
	if r.Name != busybox.Name {
		s.Warn(fmt.Sprintf("template %s does not exist yet; building it", r.Name))
	}
	made, err := s.build(ctx, p, o)
	if err != nil {
		return Image{}, fmt.Errorf("build template %s: %w", r.Name, err)
	}
	return made, nil
}

// refersElsewhere reports whether text cannot name a template of the store, and may be a
// reference to an image elsewhere.
func refersElsewhere(text string) bool {
	name, _, _ := strings.Cut(text, "@")
	return recipe.CheckName(name) != nil && strings.ContainsAny(name, "/:") && !strings.HasPrefix(text, "sha256:")
}

// ensurePulled is Ensure for a reference to an image elsewhere.
func (s *Store) ensurePulled(ctx context.Context, text string) (Image, error) {
	from, err := s.originOf(text, nil)
	if err != nil {
		return Image{}, err
	}
	name, err := from.templateName()
	if err != nil {
		return Image{}, err
	}
	if err := s.Make(); err != nil {
		return Image{}, err
	}
	unlock, err := s.Lock(ctx, images.NameLock(name))
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if im, ok, err := s.madeFrom(from.source); ok || err != nil {
		if err != nil {
			return Image{}, err
		}
		return im.Image, s.UnpackMissing(ctx, im)
	}
	s.Warn(fmt.Sprintf("no template is from %s yet; pulling it as %s", text, name))
	im, err := from.pull(ctx, PullOptions{Name: name, Architecture: goruntime.GOARCH})
	switch {
	case err != nil && isFile(text):
		return Image{}, fail.New(fail.KindOf(err), "pull %s: %w", text, err).WithHint("--template ./%s is the file", text)
	case err != nil && transfer.IsConnection(err):
		return Image{}, fail.New(fail.KindOf(err), "pull %s: %w", text, err).WithHint("%s", strings.Join([]string{"croft template list --all", fail.HintOf(err)}, "; ")) // those need no server
	case err != nil:
		return Image{}, fmt.Errorf("pull %s: %w", text, err)
	}
	return im, nil
}

// madeFrom returns the image of a name that comes from source; ok is false if there is none. One
// that was imported with settings is not what the source alone names.
func (s *Store) madeFrom(source string) (im images.Stored, ok bool, err error) {
	ix, err := s.Index()
	if err != nil {
		return im, false, err
	}
	for _, d := range ix.Manifests {
		_, former := d.Annotations[images.AnnotationFormer]
		if _, with := d.Annotations[images.AnnotationImportedWith]; !former && !with && d.Annotations[images.AnnotationSource] == source {
			im, err = s.Read(d)
			return im, err == nil, err
		}
	}
	return im, false, nil
}
