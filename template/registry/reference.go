package registry

import (
	"errors"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"

	"croft/internal/fail"
)

// A Reference names an image in a registry: [HOST/]REPOSITORY[:TAG][@DIGEST]. The
// default host is docker.io. The default tag is latest if there is no digest.
type Reference struct {
	repo   name.Repository
	tag    string
	digest digest.Digest
}

// Parse parses a reference. An invalid one is fail.Usage.
func Parse(text string) (Reference, error) {
	bad := func(err error) (Reference, error) {
		return Reference{}, fail.New(fail.Usage, "invalid reference to an image %q: %w", text, err).
			WithHint("for example docker.io/library/debian:12 or registry.example/team/web@sha256:...")
	}
	if strings.Contains(text, "://") {
		return bad(errors.New("a reference has no scheme such as https://"))
	}
	rest, d, _ := strings.Cut(text, "@")
	tag, err := name.NewTag(rest)
	if err != nil {
		return bad(err)
	}
	r := Reference{repo: tag.Repository, tag: tag.TagStr()}
	if len(rest) != len(text) {
		r.digest = digest.Digest(d)
		if err := r.digest.Validate(); err != nil {
			return bad(err)
		}
		if r.digest.Algorithm() != digest.SHA256 {
			return Reference{}, fail.New(fail.Usage, "%q: only sha256 digests are supported", text)
		}
		if rest == tag.Repository.String() || !strings.HasSuffix(rest, ":"+r.tag) {
			r.tag = ""
		}
	}
	return r, nil
}

// Digest returns the digest in the reference, or "" if it has only a tag.
func (r Reference) Digest() digest.Digest { return r.digest }

// Tag returns the tag, or "" if the reference has only a digest.
func (r Reference) Tag() string { return r.tag }

// Repository returns the host and the repository, without tag and digest.
func (r Reference) Repository() string { return r.host() + "/" + r.repo.RepositoryStr() }

// Base returns the last part of the repository's name.
func (r Reference) Base() string {
	path := r.repo.RepositoryStr()
	return path[strings.LastIndexByte(path, '/')+1:]
}

// String returns the complete reference, with host and tag or digest. The store
// records an image's source in this form.
func (r Reference) String() string { return r.host() + "/" + r.short() }

func (r Reference) short() string {
	s := r.repo.RepositoryStr()
	if r.tag != "" {
		s += ":" + r.tag
	}
	if r.digest != "" {
		s += "@" + r.digest.String()
	}
	return s
}

func (r Reference) host() string { return r.repo.RegistryStr() }

func (r Reference) repository() name.Repository { return r.repo }
