package template

import (
	"context"
	goruntime "runtime"
	"strings"

	"github.com/opencontainers/go-digest"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/blobs"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/recipe"
	"croft/template/registry"
	"croft/template/streams"
)

// PullOptions are optional settings of Pull.
type PullOptions struct {
	Name         string   // of the template; "" derives it from the reference: debian-12 from docker.io/library/debian:12
	Replace      bool     // if the name belongs to another image, that becomes a former one
	Architecture string   // OCI's name of it; "" is the host's
	Insecure     bool     // also allow plain HTTP and certificates that cannot be verified
	MaxSize      int64    // the largest size after unpacking, in bytes; 0 is 64 GiB, layer.Unlimited any size
	Remotes      []Remote // more image servers
}

// Pull creates a template from an image in a registry, or of an image server, and returns
// it. text is a reference to the image: the part before its first colon is the name of an
// image server, or else it is a reference to a registry. Another pull of the same reference
// downloads the differences, and the old image becomes a former one; if the image is the same,
// it is a no-op. A name that belongs to another image is fail.Taken unless o.Replace is set.
//
// After an error, and after the end of ctx, the downloaded data are kept. The next
// pull resumes there. Prune removes them.
func (s *Store) Pull(ctx context.Context, text string, o PullOptions) (Image, error) {
	if file, ok, _ := archive.ParseReference(text); ok {
		return Image{}, fail.New(fail.Usage, "%s is a file or directory of this host: only an import reads it", text).WithHint("croft template import NAME %s", file.Path)
	}
	from, err := s.originOf(text, o.Remotes)
	if err != nil {
		return Image{}, err
	}
	return s.pullFrom(ctx, from, o)
}

// pullFrom is Pull of the image from.
func (s *Store) pullFrom(ctx context.Context, from origin, o PullOptions) (_ Image, err error) {
	if o.Name == "" {
		if o.Name, err = from.templateName(); err != nil {
			return Image{}, err
		}
	}
	if err := recipe.CheckName(o.Name); err != nil {
		return Image{}, err
	}
	if err := s.Make(); err != nil {
		return Image{}, err
	}
	unlock, err := s.Lock(ctx, images.NameLock(o.Name))
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if o.Architecture == "" {
		o.Architecture = goruntime.GOARCH
	}
	return from.pull(ctx, o)
}

// An origin is an image outside of the store.
type origin struct {
	source string // the complete reference, as the store records it
	name   string // of a template from it, if it is valid
	// pull is Pull for a caller that has the lock of the template's name.
	pull func(context.Context, PullOptions) (Image, error)
	// newest returns the digest of the image that is there now: SourceDigest of an image
	// that is pulled now. im is one from there.
	newest func(ctx context.Context, im Image, insecure bool) (digest.Digest, error)
}

// originOf returns the image to which text refers, one of an image server, of a registry or in a
// file.
func (s *Store) originOf(text string, extra []Remote) (origin, error) {
	if file, ok, err := archive.ParseReference(text); ok || err != nil {
		return s.originIn(file), err
	}
	remote, at, ok, err := s.remoteFor(text, extra)
	if err != nil {
		return origin{}, err
	}
	if ok {
		return origin{at.String(), at.TemplateName(), func(ctx context.Context, o PullOptions) (Image, error) {
			return s.pullImage(ctx, remote, at, o)
		}, func(ctx context.Context, im Image, insecure bool) (digest.Digest, error) {
			return s.newestAt(ctx, remote, at, im.Architecture, insecure)
		}}, nil
	}
	ref, err := registry.Parse(text)
	if err != nil {
		if at, ok := streams.ParseReference(text); ok {
			err = noRemote(at.Remote)
		}
		return origin{}, err
	}
	return origin{ref.String(), nameFor(ref), func(ctx context.Context, o PullOptions) (Image, error) {
		return s.pull(ctx, ref, o)
	}, func(ctx context.Context, im Image, insecure bool) (digest.Digest, error) {
		return s.newestIn(ctx, ref, im.Architecture, insecure)
	}}, nil
}

// templateName returns the default name of a template. It is fail.Usage if the reference
// gives none that is valid.
func (o origin) templateName() (string, error) {
	if err := recipe.CheckName(o.name); err != nil {
		return "", fail.New(fail.Usage, "cannot make a template name from %s; give a NAME: %w", o.source, err).WithHint("croft help template pull")
	}
	return o.name, nil
}

// pullTarget returns the image that has the name o.Name, empty if there is none. One that
// does not come from source is fail.Taken, unless o.Replace is set.
func (s *Store) pullTarget(o PullOptions, source string) (Image, error) {
	old, err := s.Find(images.Ref{Name: o.Name})
	switch {
	case err == nil && old.Source != source && !o.Replace:
		return Image{}, fail.New(fail.Taken, "a template %q exists that was not pulled from %s; give another name, or --replace", o.Name, source).
			WithHint("croft template inspect %s", o.Name)
	case err != nil && !fail.Is(err, fail.NotFound) && !o.Replace:
		return Image{}, err
	}
	return old.Image, nil
}

// pull is Pull from a registry.
func (s *Store) pull(ctx context.Context, at registry.Reference, o PullOptions) (Image, error) {
	if _, err := s.pullTarget(o, at.String()); err != nil {
		return Image{}, err
	}
	from, err := blobs.OpenRegistry(ctx, s.Store, at, s.trust(o.Insecure))
	if err != nil {
		return Image{}, err
	}
	defer from.Close()
	st, err := s.NewStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.Remove()
	root, signers, err := from.Choose(ctx, o.Architecture, s.policy())
	if err != nil {
		return Image{}, err
	}
	d, err := s.StageImage(ctx, st, from, root, images.Request{Arch: o.Architecture, Budget: layer.NewBudget(o.MaxSize)})
	if err != nil {
		return Image{}, err
	}
	d.Name = o.Name
	d.Manifest.Annotations[images.AnnotationSource] = at.String()
	images.SetSigners(d.Manifest.Annotations, signers)
	return s.Publish(ctx, st, d)
}

// nameFor returns the default name of a template that is pulled from r: the last part
// of the repository and the tag.
func nameFor(r registry.Reference) string {
	name := r.Base()
	if tag := r.Tag(); tag != "" && tag != "latest" {
		name += "-" + tag
	}
	return strings.ToLower(name)
}
