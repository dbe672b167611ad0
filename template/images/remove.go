package images

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/template/layer"
)

// Confirm returns nil if img and its layers are in the store, and fail.NotFound or
// fail.State if not. It waits for a Remove or Prune that has begun. So an image stays
// in the store if the caller has recorded its use, for the function used of Remove
// and Prune, before it calls Confirm.
func (s *Store) Confirm(ctx context.Context, img Image) error {
	unlock, err := s.Lock(ctx, StoreLock)
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

// Remove removes the image that text refers to, and layers and blobs that no other
// image needs. For a name alone it also removes unused former images of that name. If
// the image has other names, only this name is removed. An image that a VPS uses is
// fail.State, unless it has another name. A missing image is fail.NotFound.
//
// used returns the names of the VPSs that use an image, by its digest. Remove calls it
// with the store locked, so that a VPS cannot begin to use an image that is being
// removed.
func (s *Store) Remove(ctx context.Context, text string, used func() (map[string][]string, error)) error {
	r, err := ParseRef(text)
	if err != nil {
		return err
	}
	if ix, err := s.Index(); err != nil {
		return err
	} else if r, err = r.complete(ix); err != nil {
		return err
	} else if !slices.ContainsFunc(ix.Manifests, r.matches) { // the store may be missing: a lock needs it
		return noTemplate(r)
	}
	if r.Name != "" {
		unlock, err := s.Lock(ctx, NameLock(r.Name)) // waits for a build or import of this name
		if err != nil {
			return err
		}
		defer unlock()
	}
	unlock, err := s.Lock(ctx, StoreLock)
	if err != nil {
		return err
	}
	defer unlock()
	ix, err := s.Index()
	if err != nil {
		return err
	}
	users, err := used()
	if err != nil {
		return err
	}
	users = s.withPinned(users)
	found := false
	var keep []oci.Descriptor
	for _, d := range ix.Manifests {
		names := users[d.Digest.String()]
		switch {
		case r.matches(d) && len(names) > 0 && !slices.ContainsFunc(ix.Manifests, r.otherName(d)):
			return inUse(r, d, names)
		case r.matches(d):
			found = true
		case r.Digest == "" && NameOf(d) == r.Name && len(names) == 0:
		default:
			keep = append(keep, d)
		}
	}
	if !found {
		return noTemplate(r)
	}
	return s.keepOnly(ix, keep)
}

// otherName returns a function that reports whether an entry of the index gives the
// image d another name than r.
func (r Ref) otherName(d oci.Descriptor) func(oci.Descriptor) bool {
	return func(other oci.Descriptor) bool {
		_, former := other.Annotations[AnnotationFormer]
		return other.Digest == d.Digest && !former && NameOf(other) != "" && !r.matches(other)
	}
}

func inUse(r Ref, d oci.Descriptor, names []string) error {
	slices.Sort(names)
	return fail.New(fail.State, "template %q is in use by %s", r, strings.Join(names, ", ")).
		WithHint("croft list --filter digest=%s", d.Digest.Encoded()[:12])
}

// Prune removes former images that no VPS uses, the files of killed commands, and the
// downloads of failed pulls. It can be called at any time. used is that of Remove.
func (s *Store) Prune(ctx context.Context, used func() (map[string][]string, error)) error {
	if _, err := os.Stat(s.Path("locks")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := s.RemoveAbandoned(ctx, used); err != nil {
		return err
	}
	unlock, err := s.Lock(ctx, StoreLock)
	if err != nil {
		return err
	}
	defer unlock()
	if err := errors.Join(s.sweepStages(), s.sweepPartials(), RemoveTree(s.Path("catalogues"))); err != nil {
		return err
	}
	ix, err := s.Index()
	if err != nil {
		return err
	}
	users, err := used()
	if err != nil {
		return err
	}
	users = s.withPinned(users)
	var keep []oci.Descriptor
	for _, d := range ix.Manifests {
		if _, former := d.Annotations[AnnotationFormer]; !former || len(users[d.Digest.String()]) > 0 {
			keep = append(keep, d)
		}
	}
	return s.keepOnly(ix, keep)
}

// sweepPartials removes the blobs in partial/ that no command downloads.
func (s *Store) sweepPartials() error {
	all, err := os.ReadDir(s.Path("partial"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return layer.HostError(err)
	}
	for _, e := range all {
		f, err := lockDir(s.Path("partial", e.Name()), flock.Partial)
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

// keepOnly removes all images except keep from the index ix, then the layers and
// blobs that no image needs. If it is interrupted, the next call removes the rest. The
// caller has the store's lock.
func (s *Store) keepOnly(ix oci.Index, keep []oci.Descriptor) error {
	blobs, layers := map[string]bool{}, map[string]bool{}
	for _, d := range keep {
		im, err := s.Read(d)
		if err != nil {
			return err // it may need any layer: remove nothing
		}
		blobs[d.Digest.Encoded()], blobs[im.Config.Encoded()] = true, true
		for _, l := range im.Manifest.Layers {
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
	return errors.Join(s.removeUnused(s.Path("blobs", "sha256"), blobs), s.removeUnused(s.Path("layers", "sha256"), layers))
}

// removeUnused removes the entries of dir that are not in keep.
func (s *Store) removeUnused(dir string, keep map[string]bool) error {
	all, err := os.ReadDir(dir)
	if err != nil {
		return layer.HostError(err)
	}
	for _, e := range all {
		if keep[e.Name()] {
			continue
		}
		// It is renamed first: a partly removed layer must not be used.
		gone := s.Path("tmp", "gone-"+e.Name())
		if err := RemoveTree(gone); err != nil {
			return err
		}
		if err := os.Rename(dir+"/"+e.Name(), gone); err != nil {
			return layer.HostError(err)
		}
		if err := RemoveTree(gone); err != nil {
			return err
		}
	}
	return nil
}
