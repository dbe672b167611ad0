// Package trust decides which images may enter the store. It reads a policy in the format of
// containers-policy.json(5), and checks signatures by it. It is pure: others read the files and
// fetch the signatures.
package trust

import (
	"slices"
)

// A Transport is a way by which images enter the store, with the name that containers-transports(5)
// gives it.
type Transport string

// The transports that croft has.
const (
	Docker        Transport = "docker"         // a registry
	OCI           Transport = "oci"            // a directory with an OCI image layout
	OCIArchive    Transport = "oci-archive"    // a tar of one
	DockerArchive Transport = "docker-archive" // of docker save
	Tarball       Transport = "tarball"        // any other file: a root filesystem, a disk, an image of Incus
	Images        Transport = "images"         // an image server; other tools do not have this one
)

// foreign are transports of other tools. A policy may have them, and they have no effect.
var foreign = []Transport{"atomic", "containers-storage", "dir", "docker-daemon", "ostree", "sif"}

// pathless are transports whose only scope is "".
var pathless = []Transport{DockerArchive, Tarball}

// A Policy says for each scope of each transport what an image must meet.
type Policy struct {
	Default    []Requirement
	Transports map[Transport]map[string][]Requirement // by transport and scope
}

// A Kind is a kind of requirement.
type Kind string

// The kinds of requirements.
const (
	Accept         Kind = "insecureAcceptAnything"
	Reject         Kind = "reject"
	SignedBy       Kind = "signedBy"       // an OpenPGP signature in the form of containers-signature(5)
	SigstoreSigned Kind = "sigstoreSigned" // a signature as cosign makes it
)

// A Requirement is one condition for an image.
type Requirement struct {
	Kind     Kind
	Line     int      // in the policy
	Keys     Texts    // keys that may sign; a signature of sigstore may have a certificate instead:
	Fulcio   *Fulcio  // a short-lived one of a person
	PKI      *PKI     // or one of another authority
	Rekor    Texts    // keys of the log that must have the signature; Fulcio needs it
	Identity Identity // what the signature must say of the image
}

// Texts are the contents of files, and data in the policy itself.
type Texts struct {
	Paths []string
	Data  [][]byte
}

// Read returns the texts.
func (t Texts) Read(read ReadFile) ([][]byte, error) {
	texts := slices.Clone(t.Data)
	for _, p := range t.Paths {
		text, err := read(p)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// A ReadFile reads a file with keys or certificates.
type ReadFile func(path string) ([]byte, error)

// given reports whether there are texts.
func (t Texts) given() bool { return len(t.Paths)+len(t.Data) > 0 }

// All returns the requirements for an image of a transport: those of the first of its scopes that
// the policy has, or else those of the transport, or else the default. All must be met.
func (p Policy) All(t Transport, scopes []string) []Requirement {
	of := p.Transports[t]
	for _, s := range append(slices.Clone(scopes), "") {
		if all, ok := of[s]; ok {
			return all
		}
	}
	return p.Default
}

// Wants returns whether one of the requirements is of this kind.
func Wants(all []Requirement, k Kind) bool {
	return slices.ContainsFunc(all, func(r Requirement) bool { return r.Kind == k })
}
