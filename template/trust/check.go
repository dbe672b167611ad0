package trust

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"croft/template/reference"

	"github.com/opencontainers/go-digest"
)

// An Image is what the policy is asked about.
type Image struct {
	Name *reference.Named // in a registry; nil: it has none
	// Digests are those of the manifests by which it was found: first the one that the reference
	// names, last that of the image. A signature of an index is one of each image in it.
	Digests []digest.Digest
}

// A Sigstore signature is one that cosign makes.
type Sigstore struct {
	Payload     []byte
	Signature   []byte
	Certificate []byte // in PEM, of the key that signed; nil: none
	Chain       []byte // in PEM, from the issuer of Certificate to the root
	Entry       []byte // in JSON, of the log of Rekor; nil: none
}

// Signatures are those that were found for an image. None is checked yet.
type Signatures struct {
	Sigstore []Sigstore
	Bundles  [][]byte // of sigstore, in JSON
	Unread   []string // types of other signatures
	OpenPGP  [][]byte // in the form of containers-signature(5)
}

// A Refusal says why the policy refuses an image.
type Refusal struct {
	Line   int // of the requirement in the policy
	Reason string
}

func (r *Refusal) Error() string { return fmt.Sprintf("line %d: %s", r.Line, r.Reason) }

// Rejects returns a Refusal if one of the requirements refuses every image. No signature changes
// that.
func Rejects(all []Requirement) error {
	for _, r := range all {
		if r.Kind == Reject {
			return &Refusal{r.Line, "it rejects all images here"}
		}
	}
	return nil
}

// Check returns who has signed the image, one for each requirement of a signature: the fingerprint
// of a key, or the name in a certificate. It is a Refusal if the image does not meet one of the requirements, and another error
// if a key cannot be read.
func Check(all []Requirement, im Image, found Signatures, read ReadFile) ([]string, error) {
	var signers []string
	for _, r := range all {
		var verify func(Image, Signatures) (string, error)
		switch r.Kind {
		case Accept:
			continue
		case SignedBy, SigstoreSigned:
			v, err := r.verifier(read)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", r.Line, err)
			}
			verify = v
		default:
			return nil, &Refusal{r.Line, "it rejects all images here"}
		}
		signer, err := verify(im, found)
		if err != nil {
			return nil, &Refusal{r.Line, err.Error()}
		}
		if !slices.Contains(signers, signer) {
			signers = append(signers, signer)
		}
	}
	return signers, nil
}

// An author is who may make signatures of sigstore.
type author interface {
	// verify returns the name of who made the signature of its message. An error says why it does not
	// count.
	verify(s signed) (string, error)
}

// verifier returns a function that returns who made the first good signature, or why there is none.
func (r Requirement) verifier(read ReadFile) (func(Image, Signatures) (string, error), error) {
	if r.Kind == SignedBy {
		texts, err := r.Keys.Read(read)
		if err != nil {
			return nil, err
		}
		ring, err := readRing(texts)
		if err != nil {
			return nil, err
		}
		return func(im Image, found Signatures) (string, error) {
			return firstGood(found.OpenPGP, func(s []byte) (string, error) {
				text, signer, err := ring.open(s)
				if err != nil {
					return "", err
				}
				return signer, r.checkClaim(im, text, simpleType)
			})
		}, nil
	}
	by, err := r.author(read)
	if err != nil {
		return nil, err
	}
	return func(im Image, found Signatures) (string, error) {
		return firstGood(found.all(), func(s signed) (string, error) {
			if s.flaw != nil {
				return "", s.flaw
			}
			signer, err := by.verify(s)
			switch {
			case err != nil:
				return "", err
			case s.enveloped:
				return signer, r.checkStatement(im, s.Payload)
			}
			return signer, r.checkClaim(im, s.Payload, cosignType)
		})
	}, nil
}

// author returns who may make the signatures of a requirement of sigstore.
func (r Requirement) author(read ReadFile) (author, error) {
	var in *rekorLog
	if r.Rekor.given() {
		texts, err := r.Rekor.Read(read)
		if err != nil {
			return nil, err
		}
		if in, err = readLog(texts); err != nil {
			return nil, err
		}
	}
	switch {
	case r.Fulcio != nil && in != nil:
		return r.Fulcio.author(*in, read)
	case r.PKI != nil && in == nil:
		return r.PKI.author(read)
	case r.Fulcio != nil || r.PKI != nil:
		return nil, errors.New("fulcio needs the keys of a log, and pki has none")
	}
	texts, err := r.Keys.Read(read)
	if err != nil {
		return nil, err
	}
	keys, err := readPublicKeys(texts)
	if err != nil || in == nil {
		return keys, err
	}
	return loggedKeys{keys, *in}, nil
}

// Ring reads the OpenPGP keys of a requirement, as one binary text.
func (r Requirement) Ring(read ReadFile) ([]byte, error) {
	texts, err := r.Keys.Read(read)
	if err != nil {
		return nil, err
	}
	keys, err := readRing(texts)
	if err != nil {
		return nil, err
	}
	var all bytes.Buffer
	for _, k := range keys {
		if err := k.Serialize(&all); err != nil {
			return nil, fmt.Errorf("read an OpenPGP key: %w", err)
		}
	}
	return all.Bytes(), nil
}

// firstGood returns the signer of the first signature that is good, or why none is.
func firstGood[S any](all []S, check func(S) (string, error)) (string, error) {
	if len(all) == 0 {
		return "", errors.New("it has no signature")
	}
	var why []string
	for _, s := range all {
		signer, err := check(s)
		if err == nil {
			return signer, nil
		}
		if !slices.Contains(why, err.Error()) && len(why) < 3 {
			why = append(why, err.Error())
		}
	}
	return "", errors.New("no signature is good: " + strings.Join(why, "; "))
}

// checkClaim returns an error unless the signed text is about the image, and names it as the
// requirement wants.
func (r Requirement) checkClaim(im Image, text []byte, kind string) error {
	c, err := parseClaim(text, kind)
	if err != nil {
		return err
	}
	if !slices.Contains(im.Digests, c.digest) {
		return fmt.Errorf("the signature is of another image, %s", c.digest)
	}
	return r.Identity.Check(im.Name, c.reference)
}
