package template

import (
	"context"
	goruntime "runtime"
	"strings"

	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/recipe"
	"croft/template/registry"
	"croft/template/transfer"
)

// PullOptions are optional settings of Pull.
type PullOptions struct {
	Name         string // of the template; "" derives it from the reference: debian-12 from docker.io/library/debian:12
	Replace      bool   // if the name belongs to another image, that becomes a former one
	Architecture string // OCI's name of it; "" is the host's
	Insecure     bool   // also allow plain HTTP and certificates that cannot be verified
	MaxSize      int64  // the largest size after unpacking, in bytes; 0 is 64 GiB, layer.Unlimited any size
}

// Pull creates a template from an image in a registry and returns it. text is a
// reference to the image. Another pull of the same reference downloads the
// differences, and the old image becomes a former one. A name that belongs to another
// image is fail.Taken unless o.Replace is set.
//
// After an error, and after the end of ctx, the downloaded data are kept. The next
// pull resumes there. Prune removes them.
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

// pull is Pull for a caller that has the name's lock.
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
	repo, err := registry.Open(ctx, at, registry.Options{Trust: transfer.Trust{Insecure: o.Insecure, CertsDir: s.o.CertsDir}})
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

// nameFor returns the default name of a template that is pulled from r: the last part
// of the repository and the tag.
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
