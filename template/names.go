package template

import (
	"cmp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
)

// maxName is how long a template's name may be.
const maxName = 63

// CheckName says why name cannot be a template's, or nil. Names are
// distribution-release[-variant]: lower-case letters, digits, and between
// them . _ and -.
func CheckName(name string) error {
	bad := func(why string) error {
		return fail.New(fail.Usage, "template name %q: %s", name, why).
			WithHint("a name is like debian-13 or my-web: lower-case letters, digits, and . _ - between them")
	}
	switch {
	case name == "":
		return bad("it is empty")
	case len(name) > maxName:
		return bad("it is longer than 63 characters")
	case !alnum(name[0]) || !alnum(name[len(name)-1]):
		return bad("it has to begin and end with a lower-case letter or a digit")
	}
	for i := range len(name) {
		if c := name[i]; !alnum(c) && !strings.ContainsRune("._-", rune(c)) {
			return bad("it has a character that names do not have")
		}
	}
	return nil
}

func alnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// A ref is what a user may call an image: NAME, NAME@DIGEST, DIGEST.
type ref struct {
	name   string
	digest digest.Digest
}

func parseRef(text string) (ref, error) {
	name, d, at := strings.Cut(text, "@")
	if !at && strings.HasPrefix(text, "sha256:") {
		name, d = "", text
	}
	r := ref{name: name, digest: digest.Digest(d)}
	if d != "" || at {
		if err := r.digest.Validate(); err != nil {
			return ref{}, fail.New(fail.Usage, "template %q: %w", text, err).WithHint("croft template list --json")
		}
	}
	if name == "" && d != "" && !at {
		return r, nil
	}
	return r, CheckName(name)
}

// matches reports whether r means the image that d describes. A bare name
// means the newest image of that name; with a digest, a former one too.
func (r ref) matches(d oci.Descriptor) bool {
	if r.digest == "" {
		return d.Annotations[oci.AnnotationRefName] == r.name
	}
	return d.Digest == r.digest && (r.name == "" || nameOf(d) == r.name)
}

// nameOf is the name that an image has or had.
func nameOf(d oci.Descriptor) string {
	if n, ok := d.Annotations[annotationFormer]; ok {
		return n
	}
	return d.Annotations[oci.AnnotationRefName]
}

// List returns every image in the store by name, the newest of a name before
// the former ones. A store that is not there has none. Images without a name
// (another tool's) are left out.
func (s *Store) List() ([]Image, error) {
	ix, err := s.index()
	if err != nil {
		return nil, err
	}
	all := make([]Image, 0, len(ix.Manifests))
	for _, d := range ix.Manifests {
		if nameOf(d) == "" {
			continue
		}
		im, err := s.read(d)
		if err != nil {
			return nil, err
		}
		all = append(all, im.Image)
	}
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

// Resolve returns the image that ref means: a name, name@digest or a digest.
// One that is not there is fail.NotFound.
func (s *Store) Resolve(text string) (Image, error) {
	r, err := parseRef(text)
	if err != nil {
		return Image{}, err
	}
	im, err := s.find(r)
	return im.Image, err
}

func (s *Store) find(r ref) (stored, error) {
	ix, err := s.index()
	if err != nil {
		return stored{}, err
	}
	for _, d := range ix.Manifests {
		if r.matches(d) {
			return s.read(d)
		}
	}
	return stored{}, noTemplate(r)
}

func noTemplate(r ref) error {
	return fail.New(fail.NotFound, "no template %q", r).WithHint("croft template list")
}

// String is r as a user writes it.
func (r ref) String() string {
	switch {
	case r.digest == "":
		return r.name
	case r.name == "":
		return r.digest.String()
	}
	return r.name + "@" + r.digest.String()
}
