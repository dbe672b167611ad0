package images

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/recipe"
	"croft/template/registry"
)

// A Ref is a user's reference to an image in the store: NAME, NAME@DIGEST or DIGEST.
// A digest can be shortened, and can omit "sha256:" after a name.
type Ref struct {
	Name   string
	Digest digest.Digest
	Prefix string // of a shortened digest; complete replaces it by digest
}

// minPrefix is the smallest number of digits of a shortened digest: as many as lists
// show. They must be unambiguous.
const minPrefix = 12

// ParseRef parses a reference. An invalid one is fail.Usage.
func ParseRef(text string) (Ref, error) {
	name, d, at := strings.Cut(text, "@")
	if !at && strings.HasPrefix(text, "sha256:") {
		name, d = "", text
	}
	if err := recipe.CheckName(name); err != nil && (name != "" || at) {
		if _, rerr := registry.Parse(text); rerr == nil && strings.ContainsAny(text, "/:") {
			return Ref{}, fail.New(fail.Usage, "%q is the name of an image in a registry, not of a template", text).WithHint("croft template pull %s", text)
		}
		return Ref{}, err
	}
	if d == "" && !at {
		return Ref{Name: name}, recipe.CheckName(name)
	}
	digits := strings.TrimPrefix(d, "sha256:")
	if strings.Trim(digits, "0123456789abcdef") != "" || len(digits) < minPrefix || len(digits) > 64 {
		return Ref{}, fail.New(fail.Usage, "template %q: a digest has 64 hexadecimal digits, of which the first %d are enough", text, minPrefix).
			WithHint("croft template list")
	}
	if len(digits) < 64 {
		return Ref{Name: name, Prefix: digits}, nil
	}
	return Ref{Name: name, Digest: digest.NewDigestFromEncoded(digest.SHA256, digits)}, nil
}

// complete returns r with the complete digest instead of a shortened one. ix has the
// images. It is fail.NotFound if there is no such image, and fail.Usage if there are
// several.
func (r Ref) complete(ix oci.Index) (Ref, error) {
	if r.Prefix == "" {
		return r, nil
	}
	for _, d := range ix.Manifests {
		if !strings.HasPrefix(d.Digest.Encoded(), r.Prefix) || r.Name != "" && NameOf(d) != r.Name {
			continue
		}
		if r.Digest != "" && r.Digest != d.Digest {
			return r, fail.New(fail.Usage, "template %q: several digests begin with these digits", r).WithHint("croft template list --json")
		}
		r.Digest = d.Digest
	}
	if r.Digest == "" {
		return r, noTemplate(r)
	}
	r.Prefix = ""
	return r, nil
}

// matches reports whether r refers to the image that d describes. A name alone refers
// to the newest image of that name. With a digest it can also be a former one.
func (r Ref) matches(d oci.Descriptor) bool {
	if r.Digest == "" {
		return d.Annotations[oci.AnnotationRefName] == r.Name
	}
	return d.Digest == r.Digest && (r.Name == "" || NameOf(d) == r.Name)
}

// NameOf returns the name of an image. A former image keeps its old name.
func NameOf(d oci.Descriptor) string {
	if n, ok := d.Annotations[AnnotationFormer]; ok {
		return n
	}
	return d.Annotations[oci.AnnotationRefName]
}

// An unreadable image is in the index but cannot be read, because of err.
type unreadable struct {
	image oci.Descriptor
	err   error
}

// warnUnreadable warns of images that cannot be read although they are in the index.
// It ignores an image that was removed meanwhile.
func (s *Store) warnUnreadable(damaged []unreadable) {
	if len(damaged) == 0 {
		return
	}
	now, err := s.Index()
	for _, d := range damaged {
		still := func(o oci.Descriptor) bool { return o.Digest == d.image.Digest }
		if err != nil || slices.ContainsFunc(now.Manifests, still) {
			s.Warn(fmt.Sprintf("template %s: %v", NameOf(d.image), d.err))
		}
	}
}

// List returns the images in the store, sorted by name, the newest of a name before
// the former ones. It warns of an image that cannot be read, and leaves it out. It
// also leaves out images without a name, which another tool has added. A missing
// store has no images.
func (s *Store) List() ([]Image, error) {
	ix, err := s.Index()
	if err != nil {
		return nil, err
	}
	all := make([]Image, 0, len(ix.Manifests))
	var damaged []unreadable
	for _, d := range ix.Manifests {
		if NameOf(d) == "" {
			continue
		}
		im, err := s.Read(d)
		if err != nil {
			damaged = append(damaged, unreadable{d, err})
			continue
		}
		all = append(all, im.Image)
	}
	s.warnUnreadable(damaged)
	slices.SortFunc(all, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), compareBool(a.Former, b.Former),
			b.Created.Compare(a.Created), cmp.Compare(a.Digest, b.Digest))
	})
	return all, nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Resolve returns the image that text refers to: NAME, NAME@DIGEST or DIGEST. A
// missing one is fail.NotFound.
func (s *Store) Resolve(text string) (Image, error) {
	r, err := ParseRef(text)
	if err != nil {
		return Image{}, err
	}
	im, err := s.Find(r)
	return im.Image, err
}

// Find returns the image that r refers to. A missing one is fail.NotFound.
func (s *Store) Find(r Ref) (Stored, error) {
	ix, err := s.Index()
	if err != nil {
		return Stored{}, err
	}
	if r, err = r.complete(ix); err != nil {
		return Stored{}, err
	}
	for _, d := range ix.Manifests {
		if r.matches(d) {
			return s.Read(d)
		}
	}
	return Stored{}, noTemplate(r)
}

func noTemplate(r Ref) error {
	return fail.New(fail.NotFound, "no template %q", r).WithHint("croft template list")
}

// String returns r as a user writes it.
func (r Ref) String() string {
	text := r.Digest.String()
	if text == "" && r.Prefix != "" {
		text = "sha256:" + r.Prefix
	}
	switch {
	case text == "":
		return r.Name
	case r.Name == "":
		return text
	}
	return r.Name + "@" + text
}
