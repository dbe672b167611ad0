package template

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"croft/template/layer"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/internal/flock"
)

// A Used tells which images VPSs are made from: digest to the names of VPSs.
// It is asked with the store locked, so that a VPS cannot take an image that
// is just being removed.
type Used func() (map[string][]string, error)

// Confirm returns nil if img and its layers are in the store. A Remove or Prune
// that is under way has ended by then, so an image that its caller has made
// known to Used before is kept from then on. Otherwise it is fail.NotFound.
func (s *Store) Confirm(ctx context.Context, img Image) error {
	unlock, err := s.lock(ctx, storeLock)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.Resolve(img.Digest); err != nil {
		return err
	}
	_, err = s.LayerDirs(img)
	return err
}

// Remove removes the image that ref means; of a bare name the former images
// that nothing uses, too. Unpacked layers and blobs that no image needs any more
// go with it. If the image has other names, only this one is removed. It is
// refused, fail.State, while a VPS uses the image and no other name keeps it.
// An absent one is fail.NotFound.
func (s *Store) Remove(ctx context.Context, text string, used func() (map[string][]string, error)) error {
	r, err := parseRef(text)
	if err != nil {
		return err
	}
	if ix, err := s.index(); err != nil {
		return err
	} else if r, err = r.complete(ix); err != nil {
		return err
	} else if !slices.ContainsFunc(ix.Manifests, r.matches) { // nor is there a directory to lock in, perhaps
		return noTemplate(r)
	}
	if r.name != "" {
		unlock, err := s.lock(ctx, nameLock(r.name)) // not under a build or import of it
		if err != nil {
			return err
		}
		defer unlock()
	}
	unlock, err := s.lock(ctx, storeLock)
	if err != nil {
		return err
	}
	defer unlock()
	ix, err := s.index()
	if err != nil {
		return err
	}
	users, err := used()
	if err != nil {
		return err
	}
	found := false
	var keep []oci.Descriptor
	for _, d := range ix.Manifests {
		names := users[d.Digest.String()]
		switch {
		case r.matches(d) && len(names) > 0 && !slices.ContainsFunc(ix.Manifests, r.otherName(d)):
			return inUse(r, d, names)
		case r.matches(d):
			found = true
		case r.digest == "" && nameOf(d) == r.name && len(names) == 0:
		default:
			keep = append(keep, d)
		}
	}
	if !found {
		return noTemplate(r)
	}
	return s.keepOnly(ix, keep)
}

// otherName reports of an entry of the index whether it gives the image d a name
// that r does not mean.
func (r ref) otherName(d oci.Descriptor) func(oci.Descriptor) bool {
	return func(other oci.Descriptor) bool {
		_, former := other.Annotations[annotationFormer]
		return other.Digest == d.Digest && !former && nameOf(other) != "" && !r.matches(other)
	}
}

func inUse(r ref, d oci.Descriptor, names []string) error {
	slices.Sort(names)
	return fail.New(fail.State, "template %q is in use by %s", r, strings.Join(names, ", ")).
		WithHint("croft list --filter digest=%s", d.Digest.Encoded()[:12])
}

// Prune removes former images that nothing uses, what interrupted commands
// left, and what pulls that came to nothing have fetched. It may be run at any time and again.
func (s *Store) Prune(ctx context.Context, used func() (map[string][]string, error)) error {
	if _, err := os.Stat(s.path("locks")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := s.lock(ctx, storeLock)
	if err != nil {
		return err
	}
	defer unlock()
	if err := errors.Join(s.sweepStages(), s.sweepPartials()); err != nil {
		return err
	}
	ix, err := s.index()
	if err != nil {
		return err
	}
	users, err := used()
	if err != nil {
		return err
	}
	var keep []oci.Descriptor
	for _, d := range ix.Manifests {
		if _, former := d.Annotations[annotationFormer]; !former || len(users[d.Digest.String()]) > 0 {
			keep = append(keep, d)
		}
	}
	return s.keepOnly(ix, keep)
}

// sweepPartials removes the blobs in partial/ that nobody is at work on.
func (s *Store) sweepPartials() error {
	all, err := os.ReadDir(s.path("partial"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return layer.HostError(err)
	}
	for _, e := range all {
		f, err := lockDir(s.path("partial", e.Name()), flock.Partial)
		if fail.Is(err, fail.Busy) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = os.Remove(f.Name())
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return layer.HostError(err)
		}
	}
	return nil
}

// drop makes keep all the images there are, then removes what no image needs.
// If that is interrupted, the next drop goes on. The caller has the store's
// lock.
func (s *Store) keepOnly(ix oci.Index, keep []oci.Descriptor) error {
	blobs, layers := map[string]bool{}, map[string]bool{}
	for _, d := range keep {
		im, err := s.read(d)
		if err != nil {
			return err // what a damaged image needs is not known: keep all
		}
		blobs[d.Digest.Encoded()], blobs[im.config.Encoded()] = true, true
		for _, l := range im.manifest.Layers {
			blobs[l.Digest.Encoded()] = true
		}
		for _, l := range im.Layers {
			layers[strings.TrimPrefix(l, "sha256:")] = true
		}
	}
	if len(keep) != len(ix.Manifests) {
		ix.Manifests = keep
		if err := s.putIndex(ix); err != nil {
			return err
		}
	}
	return errors.Join(s.removeUnused(s.path("blobs", "sha256"), blobs), s.removeUnused(s.path("layers", "sha256"), layers))
}

// sweep removes what is in dir and not in keep.
func (s *Store) removeUnused(dir string, keep map[string]bool) error {
	all, err := os.ReadDir(dir)
	if err != nil {
		return layer.HostError(err)
	}
	for _, e := range all {
		if keep[e.Name()] {
			continue
		}
		// Away under another name first: a layer that is half removed must not count.
		gone := s.path("tmp", "gone-"+e.Name())
		if err := removeTree(gone); err != nil {
			return err
		}
		if err := os.Rename(dir+"/"+e.Name(), gone); err != nil {
			return layer.HostError(err)
		}
		if err := removeTree(gone); err != nil {
			return err
		}
	}
	return nil
}
