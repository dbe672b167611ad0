package images

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/template/layer"
)

// PublishFor puts the staged image d into the store, as a former one, and calls use, which
// gives the image a user. No Remove or Prune removes the image before use returns. After an
// error the image is removed again. used is that of Remove.
func (s *Store) PublishFor(ctx context.Context, st *Stage, d Staged, use func(im Image) error, used func() (map[string][]string, error)) error {
	p := s.Publishing(st, used)
	im, err := p.Publish(ctx, d)
	if err == nil {
		err = use(im)
	}
	return p.End(ctx, err)
}

// A Publishing puts several images into the store that get their users together: see
// PublishFor. The caller calls End before it removes the stage.
type Publishing struct {
	store *Store
	stage *Stage
	used  func() (map[string][]string, error)
	pins  []string
}

// Publishing begins to publish images of the stage. used is that of Remove.
func (s *Store) Publishing(st *Stage, used func() (map[string][]string, error)) *Publishing {
	return &Publishing{store: s, stage: st, used: used}
}

// Publish puts the staged image d into the store, as a former one. No Remove or Prune
// removes it while the stage is in use.
func (p *Publishing) Publish(ctx context.Context, d Staged) (Image, error) {
	pin := p.stage.Path(pinPrefix + d.Manifest.Digest.Encoded())
	if err := os.WriteFile(pin, nil, 0o600); err != nil {
		return Image{}, layer.HostError(err)
	}
	p.pins = append(p.pins, pin)
	d.Former = true
	return p.store.Publish(ctx, p.stage, d)
}

// End returns err. If that is an error, images without a user are removed again.
func (p *Publishing) End(ctx context.Context, err error) error {
	if err == nil || len(p.pins) == 0 {
		return err
	}
	unlock, e := p.store.Lock(context.WithoutCancel(ctx), StoreLock)
	if e != nil {
		return errors.Join(err, e)
	}
	defer unlock()
	for _, pin := range p.pins {
		err = errors.Join(err, p.store.unpin(pin, p.used))
	}
	return err
}

// pinPrefix and the digest of an image are the name of a file in a stage: that image
// gets a user, and must not be removed while the stage is in use.
const pinPrefix = "pin-"

// withPinned returns users with the images that commands are giving a user.
func (s *Store) withPinned(users map[string][]string) map[string][]string {
	all := map[string][]string{}
	maps.Copy(all, users)
	for _, file := range s.pins() {
		d := pinOf(file).String()
		all[d] = append(slices.Clone(all[d]), "an import")
	}
	return all
}

func (s *Store) pins() []string {
	all, _ := filepath.Glob(s.Path("tmp", "stage-*", pinPrefix+"*")) // the pattern is valid
	return all
}

// RemoveAbandoned removes what killed commands have left, and the images of imports that
// were killed before the images had a user. used is that of Remove.
func (s *Store) RemoveAbandoned(ctx context.Context, used func() (map[string][]string, error)) error {
	if stages, _ := filepath.Glob(s.Path("tmp", "stage-*")); len(stages) == 0 { // the pattern is valid
		return nil
	}
	unlock, err := s.Lock(ctx, StoreLock)
	if err != nil {
		return err
	}
	defer unlock()
	for _, pin := range s.pins() {
		f, err := lockDir(filepath.Dir(pin), flock.Stage)
		if fail.Is(err, fail.Busy) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = s.unpin(pin, used)
			f.Close()
		}
		if err != nil {
			return err
		}
	}
	return s.sweepStages()
}

// unpin removes a pin, and its former image if that has no user. The caller has the
// store's lock.
func (s *Store) unpin(pin string, used func() (map[string][]string, error)) error {
	if err := os.Remove(pin); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return layer.HostError(err)
	}
	ix, err := s.Index()
	if err != nil {
		return err
	}
	users, err := used()
	if err != nil {
		return errors.Join(err, layer.HostError(os.WriteFile(pin, nil, 0o600)))
	}
	users = s.withPinned(users)
	var keep []oci.Descriptor
	for _, o := range ix.Manifests {
		if _, former := o.Annotations[AnnotationFormer]; !former || o.Digest != pinOf(pin) || len(users[o.Digest.String()]) > 0 {
			keep = append(keep, o)
		}
	}
	return s.keepOnly(ix, keep)
}

// pinOf returns the image that the file pin is for.
func pinOf(pin string) digest.Digest {
	return digest.NewDigestFromEncoded(digest.SHA256, strings.TrimPrefix(filepath.Base(pin), pinPrefix))
}
