package template

import (
	"context"
	"fmt"
	goruntime "runtime"
	"strings"

	"croft/internal/fail"
	"croft/template/busybox"
	"croft/template/images"
	"croft/template/recipe"
)

// Ensure returns the image that text names, with all its layers unpacked. If there
// is no template of that name it is built first: busybox from the binary, others
// from the recipe of that name. If several processes ask for one name, one of them
// builds it and the others wait. A name without template and recipe, and a missing
// digest, are fail.NotFound.
//
// text may also be a reference to an image of a registry or of an image server. If no
// template was pulled from there, it is pulled.
func (s *Store) Ensure(ctx context.Context, text string) (Image, error) {
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
		if _, rerr := s.cookbook().Read(r.Name); fail.Is(rerr, fail.NotFound) {
			return Image{}, fail.New(fail.NotFound, "no template %q, and no recipe to build it from", r.Name).
				WithHint("croft template list; croft template recipe")
		}
	}
	p, err := s.plan(ctx, r.Name, BuildOptions{})
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
	made, err := s.build(ctx, p, BuildOptions{})
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
	ix, err := s.Index()
	if err != nil {
		return Image{}, err
	}
	for _, d := range ix.Manifests {
		if _, former := d.Annotations[images.AnnotationFormer]; former || d.Annotations[images.AnnotationSource] != from.source {
			continue
		}
		im, err := s.Read(d)
		if err != nil {
			return Image{}, err
		}
		return im.Image, s.UnpackMissing(ctx, im)
	}
	s.Warn(fmt.Sprintf("no template is from %s yet; pulling it as %s", text, name))
	im, err := from.pull(ctx, PullOptions{Name: name, Architecture: goruntime.GOARCH})
	if err != nil {
		return Image{}, fmt.Errorf("pull %s: %w", text, err)
	}
	return im, nil
}
