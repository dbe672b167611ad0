package trust

import (
	"fmt"
	"strings"

	"croft/template/reference"
)

// An Identity says which name of an image a signature must have.
type Identity struct {
	Kind             IdentityKind
	Reference        string // of ExactReference, or the repository of ExactRepository
	Prefix, ToPrefix string // of RemapIdentity: the names here, and those in the signatures
}

// An IdentityKind is a kind of Identity.
type IdentityKind string

// The kinds of identities.
const (
	MatchExact             IdentityKind = "matchExact"
	MatchRepoDigestOrExact IdentityKind = "matchRepoDigestOrExact"
	MatchRepository        IdentityKind = "matchRepository"
	ExactReference         IdentityKind = "exactReference"
	ExactRepository        IdentityKind = "exactRepository"
	RemapIdentity          IdentityKind = "remapIdentity"
	MatchDigest            IdentityKind = "matchDigest" // any name, or none; other tools do not have this one
)

// Check returns an error unless signed, the name in a signature, is one that the image may have. image
// is nil if it has no name.
func (i Identity) Check(image *reference.Named, signed string) error {
	if i.Kind == MatchDigest {
		return nil
	}
	said, err := reference.Parse(signed)
	if err != nil {
		return fmt.Errorf("the signature is of %q, which is not a name of an image", signed)
	}
	ok := false
	switch i.Kind {
	case ExactReference:
		ok = !said.NameOnly() && said.String() == i.Reference
	case ExactRepository:
		ok = said.Name() == i.Reference
	default:
		if image == nil {
			return fmt.Errorf("the policy asks for a signature with the name of the image, and a file has none: use exactReference or exactRepository")
		}
		ok, err = i.matches(image, said)
	}
	if err == nil && !ok {
		err = fmt.Errorf("the signature is of %s", said)
	}
	return err
}

// matches compares the name of an image with the one in a signature.
func (i Identity) matches(image, said *reference.Named) (bool, error) {
	switch i.Kind {
	case MatchRepository:
		return said.Name() == image.Name(), nil
	case MatchExact:
		return !said.NameOnly() && said.String() == image.String(), nil
	case RemapIdentity:
		var err error
		if image, err = i.remap(image); err != nil {
			return false, err
		}
	}
	if said.NameOnly() {
		return false, nil
	}
	if image.Digest != "" { // its digest is that of the signature
		return said.Name() == image.Name(), nil
	}
	return said.String() == image.String(), nil
}

// remap returns the name of the image at the other prefix.
func (i Identity) remap(image *reference.Named) (*reference.Named, error) {
	name := image.Name()
	if rest, ok := strings.CutPrefix(name, i.Prefix); !ok || rest != "" && rest[0] != '/' {
		return image, nil
	}
	moved := i.ToPrefix + strings.TrimPrefix(image.String(), i.Prefix)
	ref, err := reference.ParseComplete(moved)
	if err != nil {
		return nil, fmt.Errorf("remapIdentity makes %q of %s: %w", moved, image, err)
	}
	return ref, nil
}
