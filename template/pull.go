package template

import (
	"context"

	"croft/template/layer"
	"croft/template/recipe"

	goruntime "runtime"
	"strings"

	"croft/internal/fail"
	"croft/template/registry"
)

// PullOptions is what Pull may be told.
type PullOptions struct {
	Name         string // of the template; "" is made of the reference: debian-12 of docker.io/library/debian:12
	Replace      bool   // a name that another image has goes to this one; that becomes a former one
	Architecture string // as OCI calls it; "" is the host's
	Insecure     bool   // by plain HTTP too, and with certificates that nobody vouches for
	MaxSize      int64  // how much it may unpack to; 0 is DefaultMaxSize, Unlimited anything
}

// Pull makes a template of the image that text names in a registry. Pulling
// again fetches what has changed there; the image of before becomes a former
// one. A name that is another image's is fail.Taken unless o.Replace.
//
// What a pull that fails or is called off has fetched is kept, and the next
// one goes on from there; Prune removes it.
func (s *Store) Pull(ctx context.Context, text string, o PullOptions) (Image, error) {
	ref, err := registry.Parse(text)
	if err != nil {
		return Image{}, err
	}
	if o.Name == "" {
		if o.Name, err = nameFor(ref); err != nil {
			return Image{}, err
		}
	}
	if err := recipe.CheckName(o.Name); err != nil {
		return Image{}, err
	}
	if err := s.make(); err != nil {
		return Image{}, err
	}
	unlock, err := s.lock(ctx, nameLock(o.Name))
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	return s.pull(ctx, ref, o)
}

// pull is Pull with the name's lock held.
func (s *Store) pull(ctx context.Context, at registry.Reference, o PullOptions) (Image, error) {
	if o.Architecture == "" {
		o.Architecture = goruntime.GOARCH
	}
	old, err := s.find(ref{name: o.Name})
	switch {
	case err == nil && old.Source != at.String() && !o.Replace:
		return Image{}, fail.New(fail.Taken, "a template %q exists that was not pulled from %s; give another name, or --replace", o.Name, at).
			WithHint("croft template inspect %s", o.Name)
	case err != nil && !fail.Is(err, fail.NotFound) && !o.Replace:
		return Image{}, err
	}
	repo, err := registry.Open(ctx, at, registry.Options{Insecure: o.Insecure, CertsDir: s.o.CertsDir})
	if err != nil {
		return Image{}, err
	}
	from := &registrySource{store: s, repo: repo}
	defer from.close()
	if from.root, from.rootDescriptor, err = repo.Manifest(ctx, "", maxJSON); err != nil {
		return Image{}, err
	}
	st, err := s.newStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.remove()
	d, err := s.stageImage(ctx, st, from, from.rootDescriptor, request{o.Architecture, layer.NewBudget(o.MaxSize)})
	if err != nil {
		return Image{}, err
	}
	d.name = o.Name
	d.manifest.Annotations[annotationSource] = at.String()
	return s.publish(ctx, st, d)
}

// nameFor is the name of a template that is pulled from r and is not named:
// the last part of the repository and the tag.
func nameFor(r registry.Reference) (string, error) {
	name := r.Base()
	if tag := r.Tag(); tag != "" && tag != "latest" {
		name += "-" + tag
	}
	name = strings.ToLower(name)
	if err := recipe.CheckName(name); err != nil {
		return "", fail.New(fail.Usage, "cannot make a template name from %s; give a NAME: %w", r, err).WithHint("croft help template pull")
	}
	return name, nil
}
