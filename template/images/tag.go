package images

import (
	"context"
	"slices"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/recipe"
)

// Tag gives the image that text refers to one more name, and returns it under that name.
// No-op if it has the name. A name of another image is fail.Taken, unless replace is set:
// that one becomes a former image. A missing image is fail.NotFound.
func (s *Store) Tag(ctx context.Context, text, name string, replace bool) (Image, error) {
	r, err := ParseRef(text)
	if err != nil {
		return Image{}, err
	}
	if err := recipe.CheckName(name); err != nil {
		return Image{}, err
	}
	if _, err := s.Find(r); err != nil { // the store may be missing: a lock needs it
		return Image{}, err
	}
	unlock, err := s.Lock(ctx, NameLock(name)) // waits for a build or import of this name
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	unlockStore, err := s.Lock(ctx, StoreLock)
	if err != nil {
		return Image{}, err
	}
	defer unlockStore()
	ix, err := s.Index()
	if err != nil {
		return Image{}, err
	}
	if r, err = r.complete(ix); err != nil {
		return Image{}, err
	}
	at := slices.IndexFunc(ix.Manifests, r.matches)
	if at < 0 {
		return Image{}, noTemplate(r)
	}
	image := ix.Manifests[at]
	if owner := slices.IndexFunc(ix.Manifests, named(name)); owner >= 0 && ix.Manifests[owner].Digest != image.Digest && !replace {
		return Image{}, fail.New(fail.Taken, "another template has the name %q; give another name, or --replace", name).WithHint("croft template inspect %s", name)
	}
	ix.Manifests = addToIndex(ix.Manifests, image, name)
	if err := s.putIndex(ix); err != nil {
		return Image{}, err
	}
	stored, err := s.Read(ix.Manifests[len(ix.Manifests)-1])
	return stored.Image, err
}

// Untag takes a name from an image that has other names. The only name of an image is
// fail.State: Remove removes the image. A missing name is fail.NotFound.
func (s *Store) Untag(ctx context.Context, name string) error {
	if err := recipe.CheckName(name); err != nil {
		return err
	}
	r := Ref{Name: name}
	if _, err := s.Find(r); err != nil {
		return err
	}
	unlock, err := s.Lock(ctx, NameLock(name))
	if err != nil {
		return err
	}
	defer unlock()
	unlockStore, err := s.Lock(ctx, StoreLock)
	if err != nil {
		return err
	}
	defer unlockStore()
	ix, err := s.Index()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(ix.Manifests, named(name))
	if at < 0 {
		return noTemplate(r)
	}
	if !slices.ContainsFunc(ix.Manifests, r.otherName(ix.Manifests[at])) {
		return fail.New(fail.State, "%q is the only name of its template", name).WithHint("croft template list")
	}
	ix.Manifests = slices.Delete(ix.Manifests, at, at+1)
	return s.putIndex(ix)
}

// named returns a function that reports whether an entry of the index has the name.
func named(name string) func(oci.Descriptor) bool {
	return func(d oci.Descriptor) bool { return d.Annotations[oci.AnnotationRefName] == name }
}

// Superseded returns the digests of images without a name of their own, whose former name
// another image has now: a VPS that uses one is outdated. The value is that name.
func (s *Store) Superseded() (map[string]string, error) {
	ix, err := s.Index()
	if err != nil {
		return nil, err
	}
	owned, has := map[string]bool{}, map[string]bool{}
	for _, d := range ix.Manifests {
		if name := d.Annotations[oci.AnnotationRefName]; name != "" {
			owned[name], has[d.Digest.String()] = true, true
		}
	}
	out := map[string]string{}
	for _, d := range ix.Manifests {
		if name := d.Annotations[AnnotationFormer]; owned[name] && !has[d.Digest.String()] {
			out[d.Digest.String()] = name
		}
	}
	return out, nil
}
