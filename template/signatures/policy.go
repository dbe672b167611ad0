// Package signatures lets only images into the store that the host's policy accepts: it reads the
// policy, finds the signatures of an image, and asks package trust. It also signs images.
package signatures

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/opencontainers/go-digest"

	"croft/internal/fail"
	"croft/template/registry"
	"croft/template/transfer"
	"croft/template/trust"

	"context"
)

// The usual places.
const (
	PolicyFile = "/etc/croft/policy.yaml"
	Lookasides = "/etc/containers/registries.d" // containers-registries.d(5)
)

// A Policy is a file that says which images may enter the store. If there is none, all may.
type Policy struct {
	Path       string // "" is PolicyFile
	Lookasides string // a directory that says where OpenPGP signatures are; "" is Lookasides
}

func (p Policy) file() string {
	if p.Path == "" {
		return PolicyFile
	}
	return p.Path
}

// requirements reads the policy, and returns what an image with these scopes must meet. No
// signature can let in an image that it rejects, which is fail.Permission. A policy that cannot
// be read, or is not valid, is an error.
func (p Policy) requirements(subject string, t trust.Transport, scopes []string) ([]trust.Requirement, error) {
	text, err := readTrusted(p.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fail.New(fail.KindOf(err), "read the policy of signatures: %w", err)
	}
	all, err := trust.Parse(text)
	if err != nil {
		return nil, fail.New(fail.Usage, "the policy of signatures %s is not valid: %w", p.file(), err).WithHint("man containers-policy.json")
	}
	need := all.All(t, scopes)
	return need, p.refusal(subject, trust.Rejects(need))
}

// refusal classifies an error of package trust.
func (p Policy) refusal(subject string, err error) error {
	var said *trust.Refusal
	var classified *fail.Error
	switch {
	case err == nil, errors.As(err, &classified):
		return err
	case errors.As(err, &said):
		return fail.New(fail.Permission, "the policy %s refuses %s: %w", p.file(), subject, said)
	}
	return fail.New(fail.State, "the policy %s: %w", p.file(), err)
}

// Registry checks an image of a registry, which was found by the manifests with these digests: first
// the one that ref names, last that of the image. It returns who has signed it, as far as the policy
// asks: see trust.Check. An image that the policy refuses is fail.Permission.
func (p Policy) Registry(ctx context.Context, repo *registry.Repository, ref registry.Reference, digests []digest.Digest, t transfer.Trust) ([]string, error) {
	name, err := trust.ParseReference(ref.String())
	if err != nil {
		return nil, fail.New(fail.Usage, "%w", err)
	}
	need, err := p.requirements(ref.String(), trust.Docker, trust.RegistryScopes(name))
	if err != nil || len(need) == 0 {
		return nil, err
	}
	var found trust.Signatures
	if trust.Wants(need, trust.SigstoreSigned) {
		if found, err = attached(ctx, repo, digests); err != nil {
			return nil, err
		}
	}
	if trust.Wants(need, trust.SignedBy) {
		l := lookaside{dir: p.Lookasides, trust: t}
		if found.OpenPGP, err = l.signatures(ctx, name, digests); err != nil {
			return nil, err
		}
	}
	signers, err := trust.Check(need, trust.Image{Name: name, Digests: digests}, found, readTrusted)
	return signers, p.refusal(ref.String(), err)
}

// File checks an image in a file or a directory; image is its name there, if the user has given
// one. "" is a stream. Such images have no signatures, so the policy either accepts or refuses
// them; a refused one is fail.Permission.
func (p Policy) File(t trust.Transport, file, image string) error {
	subject := file
	if file == "" {
		subject = "an image from a stream"
	} else if full, err := filepath.Abs(file); err == nil {
		if file, err = filepath.EvalSymlinks(full); err != nil {
			return fail.New(fail.Host, "find %s: %w", subject, err)
		}
	}
	need, err := p.requirements(subject, t, trust.FileScopes(t, file, image))
	if err != nil {
		return err
	}
	_, err = trust.Check(need, trust.Image{}, trust.Signatures{}, readTrusted)
	return p.refusal(subject, err)
}

// Server checks an image server at this URL. It returns OpenPGP keys: one key of each element must
// have signed its catalogue. A server that the policy refuses is fail.Permission.
func (p Policy) Server(name, address string) ([][]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fail.New(fail.Usage, "%w", err)
	}
	subject := "the image server " + name
	need, err := p.requirements(subject, trust.Images, trust.ServerScopes(u.Host+u.Path))
	if err != nil {
		return nil, err
	}
	var rings [][]byte
	for _, r := range need {
		switch r.Kind {
		case trust.Accept:
		case trust.SignedBy:
			ring, err := r.Ring(readTrusted)
			if err != nil {
				return nil, p.refusal(subject, err)
			}
			rings = append(rings, ring)
		default:
			return nil, p.refusal(subject, &trust.Refusal{Line: r.Line, Reason: "the catalogue of an image server is signed with OpenPGP, and " + string(r.Kind) + " asks for other signatures"})
		}
	}
	return rings, nil
}

// readTrusted reads a file of the configuration: the policy, or keys. It must belong to root or to
// the user of croft, and no other user may write it.
func readTrusted(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fail.New(fail.State, "%w", err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if info.Mode().Perm()&0o022 != 0 || owner != 0 && int(owner) != os.Geteuid() {
		return nil, fail.New(fail.Host, "%s: other users can change it", path).WithHint("ls -l %s", path)
	}
	if info.Size() > maxFile {
		return nil, fail.New(fail.State, "%s is larger than %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fail.New(fail.State, "%w", err)
	}
	return text, nil
}

// maxFile limits a policy and a file of keys, in bytes.
const maxFile = 16 << 20
