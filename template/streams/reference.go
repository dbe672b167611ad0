package streams

import (
	"slices"
	"strings"

	"croft/internal/fail"
	"croft/internal/pattern"
)

var remoteName = pattern.New(`^[a-z][a-z0-9-]{0,31}$`)

// schemes are words before a colon that mean something else to users or to other tools.
var schemes = []string{"docker", "docker-archive", "oci", "oci-archive", "dir", "file", "http", "https", "localhost", "ssh", "sha256"}

// CheckRemoteName returns fail.Usage for a name that no image server may have.
func CheckRemoteName(name string) error {
	if !remoteName().MatchString(name) || slices.Contains(schemes, name) {
		return fail.New(fail.Usage, "invalid name of an image server %q (a letter, then letters, digits and hyphens, for example images)", name)
	}
	return nil
}

// A Reference names an image of a server: SERVER:IMAGE, for example images:debian/13.
type Reference struct{ Remote, Image string }

// ParseReference splits a reference; ok is false if the text has not the form of one. The
// form does not tell references to registries with the same name from it.
func ParseReference(text string) (r Reference, ok bool) {
	r.Remote, r.Image, ok = strings.Cut(text, ":")
	return r, ok && CheckRemoteName(r.Remote) == nil && r.Image != "" && !strings.HasPrefix(r.Image, "/")
}

func (r Reference) String() string { return r.Remote + ":" + r.Image }

// TemplateName returns the default name of a template from this image: debian-13 for
// images:debian/13.
func (r Reference) TemplateName() string {
	return strings.ToLower(strings.NewReplacer("/", "-", ":", "-", "_", "-").Replace(r.Image))
}
