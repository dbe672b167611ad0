package template

import (
	"context"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"

	"croft/internal/fail"
	"croft/template/busybox"
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
	r, err := parseRef(text)
	if err != nil {
		return Image{}, err
	}
	im, err := s.find(r)
	if err == nil {
		return im.Image, s.unpackMissing(ctx, im)
	}
	if !fail.Is(err, fail.NotFound) || r.digest != "" || r.prefix != "" {
		return Image{}, err
	}
	if r.name != busybox.Name {
		if _, rerr := s.cookbook().Read(r.name); fail.Is(rerr, fail.NotFound) {
			return Image{}, fail.New(fail.NotFound, "no template %q, and no recipe to build it from", r.name).
				WithHint("croft template list; croft template recipe")
		} else if rerr != nil {
			return Image{}, rerr
		}
	}
	if err := s.make(); err != nil {
		return Image{}, err
	}
	unlock, err := s.lock(ctx, nameLock(r.name))
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	im, err = s.find(r) // another process may have built it meanwhile
	switch {
	case err == nil:
		return im.Image, s.unpackMissing(ctx, im)
	case !fail.Is(err, fail.NotFound):
		return Image{}, err
	}
	if r.name != busybox.Name {
		s.warn(fmt.Sprintf("template %s does not exist yet; building it", r.name))
	}
	made, err := s.build(ctx, r.name, BuildOptions{})
	if err != nil {
		return Image{}, fmt.Errorf("build template %s: %w", r.name, err)
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
	if err := s.make(); err != nil {
		return Image{}, err
	}
	unlock, err := s.lock(ctx, nameLock(name))
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	ix, err := s.index()
	if err != nil {
		return Image{}, err
	}
	for _, d := range ix.Manifests {
		if _, former := d.Annotations[annotationFormer]; former || d.Annotations[annotationSource] != from.source {
			continue
		}
		im, err := s.read(d)
		if err != nil {
			return Image{}, err
		}
		return im.Image, s.unpackMissing(ctx, im)
	}
	s.warn(fmt.Sprintf("no template is from %s yet; pulling it as %s", text, name))
	im, err := from.pull(ctx, PullOptions{Name: name, Architecture: goruntime.GOARCH})
	if err != nil {
		return Image{}, fmt.Errorf("pull %s: %w", text, err)
	}
	return im, nil
}

// unpackMissing unpacks the layers of im that are not unpacked.
func (s *Store) unpackMissing(ctx context.Context, im stored) error {
	for i, l := range im.manifest.Layers {
		if err := s.unpackBlob(ctx, l, im.diffID(i), s.lowerDirs(im.Layers[:i])); err != nil {
			return err
		}
	}
	return nil
}

// lowerDirs returns the directories of layers as layer.Unpack expects them, the
// topmost first. The argument has the lowest first.
func (s *Store) lowerDirs(layers []string) []string {
	var dirs []string
	for _, l := range slices.Backward(layers) {
		dirs = append(dirs, s.layerDir(l))
	}
	return dirs
}
