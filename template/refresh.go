package template

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"croft/internal/fail"
	"croft/template/blobs"
	"croft/template/busybox"
	"croft/template/images"
	"croft/template/registry"
	"croft/template/streams"
)

// RefreshOptions are optional settings of Refresh and Check.
type RefreshOptions struct {
	BuildSettings           // of a build; they replace those of the image
	Log           io.Writer // receives every line of a tool that builds; may be nil
	Insecure      bool      // also allow plain HTTP and certificates that cannot be verified
}

// Refresh makes the template name anew from where it came: it pulls the image again, or
// builds it from the recipe of that name, or imports its file, with the settings of the time before. The old image becomes a former one; if the new
// one is the same, it is a no-op. A template from a stream, from a VPS, or from a recipe
// that is not there is fail.State; a file that is not there is fail.NotFound.
func (s *Store) Refresh(ctx context.Context, name string, o RefreshOptions) (Image, error) {
	im, err := s.Resolve(name)
	if err != nil {
		return Image{}, err
	}
	switch {
	case im.Former || im.Name != name:
		return Image{}, fail.New(fail.Usage, "%q: only a template's name can be updated, and not a digest", name).WithHint("croft template list")
	case im.Source != "" && !o.BuildSettings.Empty():
		return Image{}, fail.New(fail.Usage, "template %s is from %s: only one that was built from a recipe has settings of a build", name, im.Source)
	case im.Source != "":
		from, err := s.originOf(im.Source, nil)
		if err != nil {
			return Image{}, err
		}
		return s.pullFrom(ctx, from, PullOptions{Name: name, Architecture: im.Architecture, Insecure: o.Insecure})
	}
	if err := s.buildable(im); err != nil {
		return Image{}, err
	}
	return s.Build(ctx, name, BuildOptions{BuildSettings: im.BuiltWith.With(o.BuildSettings), Log: o.Log, NoCache: true})
}

// buildable returns nil if a recipe that croft finds makes im with the settings of its build, and
// else fail.State.
func (s *Store) buildable(im Image) error {
	if im.Recipe == busybox.Name && im.Name == busybox.Name {
		return nil
	}
	if im.Recipe == "" {
		return fail.New(fail.State, "%s was imported from standard input, or created from a VPS: croft does not know where a newer one is", im.Name).
			WithHint("croft template inspect %s", im.Name)
	}
	if im.Recipe != im.Name {
		return fail.New(fail.State, "%s was built from the recipe %s and has another name: croft builds a recipe under its own name", im.Name, im.Recipe).
			WithHint("croft template recipe")
	}
	r, err := s.cookbook().Read(im.Recipe)
	if fail.Is(err, fail.NotFound) {
		return fail.New(fail.State, "%s was built from a file: there is no recipe of that name", im.Name).WithHint("croft help template build")
	}
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(im.BuiltWith.Set)) {
		if _, ok := r.Variables[name]; !ok {
			return fail.New(fail.State, "%s was built with a value of the variable %s, which its recipe does not have now", im.Name, name).
				WithHint("croft template recipe %s", im.Name)
		}
	}
	return nil
}

// A Freshness says whether there is a newer image than one of the store.
type Freshness string

// The values of Freshness.
const (
	Current  Freshness = "current"
	Outdated Freshness = "outdated" // there is a newer one where it came from
	Unknown  Freshness = "unknown"  // it cannot be said: see its reason
)

// A Checked template is what Check found.
type Checked struct {
	Name      string    `json:"name"`
	Digest    string    `json:"digest"` // of the image in the store
	Freshness Freshness `json:"freshness"`
	Origin    string    `json:"origin"` // a reference, or the name of a recipe; "" if croft does not know it
	Reason    string    `json:"reason"` // in words; "" for a current one
}

// Check says whether there is a newer image where the template name came from. It
// downloads no image. A missing template is fail.NotFound. An origin that does not answer
// is an error.
func (s *Store) Check(ctx context.Context, name string, o RefreshOptions) (Checked, error) {
	im, err := s.Resolve(name)
	if err != nil {
		return Checked{}, err
	}
	c := Checked{Name: im.Name, Digest: im.Digest, Freshness: Unknown, Origin: im.Source}
	if im.Source == "" {
		return c, s.checkRecipe(im, &c)
	}
	from, err := s.originOf(im.Source, nil)
	if err != nil {
		return Checked{}, err
	}
	newest, err := from.newest(ctx, im, o.Insecure)
	file, isFile := FileOf(im.Source)
	switch {
	case isFile && fail.Is(err, fail.NotFound):
		c.Reason = err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			c.Reason = file + " is gone"
		}
	case err != nil:
		return Checked{}, err
	case newest.String() == im.SourceDigest:
		c.Freshness = Current
	default:
		c.Freshness, c.Reason = Outdated, "there is "+newest.String()
	}
	return c, nil
}

// checkRecipe completes the answer of Check for an image that was not pulled.
func (s *Store) checkRecipe(im Image, c *Checked) error {
	c.Origin = im.Recipe
	if err := s.buildable(im); fail.Is(err, fail.State) {
		c.Reason = err.Error()
		return nil
	} else if err != nil {
		return err
	}
	if im.Recipe != busybox.Name {
		c.Reason = fmt.Sprintf("built from packages of %s; only a build says whether there are newer ones", im.Created.Format("2006-01-02"))
		return nil
	}
	program, err := busybox.Program()
	if err != nil {
		return err
	}
	c.Freshness = Current
	if v := busybox.Version(program); v != im.Release {
		c.Freshness, c.Reason = Outdated, "this croft has busybox "+v
	}
	return nil
}

// newestIn returns the digest of the image of a registry for arch.
func (s *Store) newestIn(ctx context.Context, at registry.Reference, arch string, insecure bool) (digest.Digest, error) {
	from, err := blobs.OpenRegistry(ctx, s.Store, at, s.trust(insecure))
	if err != nil {
		return "", err
	}
	defer from.Close()
	_, d, err := images.PickManifest(ctx, from, from.Root, arch)
	return d.Digest, err
}

// newestAt returns the digest of the newest image of an image server for arch.
func (s *Store) newestAt(ctx context.Context, remote Remote, at streams.Reference, arch string, insecure bool) (digest.Digest, error) {
	im, _, err := s.findImage(ctx, remote, at, arch, insecure, nil)
	return im.Digest, err
}
