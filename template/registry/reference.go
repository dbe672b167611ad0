package registry

import (
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"

	"croft/internal/fail"
)

// A Reference names an image in a registry: HOST/REPOSITORY[:TAG][@DIGEST],
// with docker.io as the host and latest as the tag that need not be said.
type Reference struct {
	repo   name.Repository
	tag    string
	digest digest.Digest
}

// Parse reads a reference, fail.Usage if it is none.
func Parse(text string) (Reference, error) {
	bad := func(err error) (Reference, error) {
		return Reference{}, fail.New(fail.Usage, "invalid reference to an image %q: %w", text, err).
			WithHint("for example docker.io/library/debian:12 or registry.example/team/web@sha256:...")
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
			return Reference{}, fail.New(fail.Usage, "%q: only sha256 digests are known", text)
		}
		if rest == tag.Repository.String() || !strings.HasSuffix(rest, ":"+r.tag) {
			r.tag = ""
		}
	}
	return r, nil
}

// Digest is the digest that the reference names, "" if a tag says which.
func (r Reference) Digest() digest.Digest { return r.digest }

// Tag is the tag, "" if only a digest is named.
func (r Reference) Tag() string { return r.tag }

// Base is the last part of the repository's name.
func (r Reference) Base() string {
	path := r.repo.RepositoryStr()
	return path[strings.LastIndexByte(path, '/')+1:]
}

// String is the reference with everything said: what is written down of it.
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
