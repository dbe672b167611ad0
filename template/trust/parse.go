package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"croft/template/reference"

	"go.yaml.in/yaml/v3"
)

// Parse reads a policy in YAML or JSON. An error has all flaws with their lines. An unknown or
// repeated field is a flaw, and so is one that croft cannot obey.
func Parse(text []byte) (Policy, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var root yaml.Node
	if err := d.Decode(&root); err == io.EOF {
		return Policy{}, errors.New(`it is empty; "default" is missing`)
	} else if err != nil {
		return Policy{}, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(new(yaml.Node)); err != io.EOF {
		return Policy{}, errors.New("it is more than one document")
	}
	var p parser
	policy := p.policy(root.Content[0])
	if len(p.flaws) > 0 {
		return Policy{}, errors.New(strings.Join(p.flaws, "; "))
	}
	return policy, nil
}

// A parser collects the flaws of a policy.
type parser struct{ flaws []string }

func (p *parser) flaw(n *yaml.Node, format string, args ...any) {
	p.flaws = append(p.flaws, fmt.Sprintf("line %d: %s", n.Line, fmt.Sprintf(format, args...)))
}

func (p *parser) policy(n *yaml.Node) (all Policy) {
	f := p.fields(n, "default", "transports")
	if def := f["default"]; def != nil {
		all.Default = p.requirements(def, "")
	} else if f != nil {
		p.flaw(n, `"default" is missing`)
	}
	if f["transports"] == nil {
		return all
	}
	all.Transports = map[Transport]map[string][]Requirement{}
	for _, t := range p.entries(f["transports"]) {
		name := Transport(t.key.Value)
		known := []Transport{Docker, OCI, OCIArchive, DockerArchive, Tarball, Images}
		if !slices.Contains(known, name) && !slices.Contains(foreign, name) {
			p.flaw(t.key, "unknown transport %q", name)
			continue
		}
		all.Transports[name] = map[string][]Requirement{}
		for _, s := range p.entries(t.value) {
			if err := checkScope(name, s.key.Value); err != nil {
				p.flaw(s.key, "%v", err)
			}
			all.Transports[name][s.key.Value] = p.requirements(s.value, name)
		}
	}
	return all
}

// requirements reads those of one scope. t is "" for the default.
func (p *parser) requirements(n *yaml.Node, t Transport) (all []Requirement) {
	n = target(n)
	if n.Kind != yaml.SequenceNode {
		p.flaw(n, "requirements are a list")
		return nil
	}
	if len(n.Content) == 0 {
		p.flaw(n, "a list of requirements must not be empty; %s accepts all", Accept)
	}
	for _, one := range n.Content {
		all = append(all, p.requirement(target(one), t))
	}
	return all
}

// Fields for keys, of which there must be one, and for keys of a log.
var (
	keyFields   = []string{"keyPath", "keyPaths", "keyData", "keyDatas"}
	rekorFields = []string{"rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas"}
)

func (p *parser) requirement(n *yaml.Node, t Transport) Requirement {
	r := Requirement{Line: n.Line}
	kind := p.peek(n, "type")
	switch r.Kind = Kind(kind); r.Kind {
	case Accept, Reject:
		p.fields(n, "type")
	case SignedBy:
		f := p.fields(n, "type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity")
		if kt := f["keyType"]; kt == nil {
			p.flaw(n, `"keyType" is missing; croft knows GPGKeys`)
		} else if kt.Value != "GPGKeys" {
			p.flaw(kt, "croft knows only the keyType GPGKeys")
		}
		r.Keys = p.contents(f, keyFields)
		if f != nil && !anyOf(f, keyFields) {
			p.flaw(n, "%s needs a keyPath, keyPaths or keyData", r.Kind)
		}
		r.Identity = p.identity(f["signedIdentity"], t)
	case SigstoreSigned:
		f := p.fields(n, append(append([]string{"type", "signedIdentity", "fulcio", "pki"}, keyFields...), rekorFields...)...)
		p.sigstore(n, f, &r)
		r.Identity = p.identity(f["signedIdentity"], t)
		if t == Images {
			p.flaw(n, "the catalogue of an image server is signed with OpenPGP: use %s", SignedBy)
		}
	case "":
		p.flaw(n, `a requirement is a map with a "type"`)
	default:
		p.flaw(n, "unknown type of requirement %q; croft knows %s, %s, %s and %s", kind, Accept, Reject, SignedBy, SigstoreSigned)
	}
	return r
}

// identity reads a signedIdentity; nil is the default.
func (p *parser) identity(n *yaml.Node, t Transport) Identity {
	if n == nil {
		return Identity{Kind: MatchRepoDigestOrExact}
	}
	n = target(n)
	if t == Images {
		p.flaw(n, "signedIdentity: the catalogue of an image server has no names of a registry")
	}
	i := Identity{Kind: IdentityKind(p.peek(n, "type"))}
	text := func(f map[string]*yaml.Node, name string) (*yaml.Node, string) {
		if f[name] == nil {
			if f != nil {
				p.flaw(n, "%s needs %q", i.Kind, name)
			}
			return n, ""
		}
		for _, one := range p.texts(f[name], false) {
			return one, one.Value
		}
		return n, ""
	}
	switch i.Kind {
	case MatchExact, MatchRepoDigestOrExact, MatchRepository, MatchDigest:
		p.fields(n, "type")
	case ExactReference:
		at, said := text(p.fields(n, "type", "dockerReference"), "dockerReference")
		i.Reference = p.named(at, said, func(r *reference.Named) bool { return !r.NameOnly() }, "the reference of an image with a tag or a digest")
	case ExactRepository:
		at, said := text(p.fields(n, "type", "dockerRepository"), "dockerRepository")
		i.Reference = p.named(at, said, (*reference.Named).NameOnly, "a repository, without a tag")
	case RemapIdentity:
		f := p.fields(n, "type", "prefix", "signedPrefix")
		i.Prefix = p.prefix(text(f, "prefix"))
		i.ToPrefix = p.prefix(text(f, "signedPrefix"))
	default:
		p.flaw(n, "unknown type of signedIdentity %q", i.Kind)
	}
	return i
}

// prefix returns a prefix of names of images.
func (p *parser) prefix(n *yaml.Node, text string) string {
	if text == "" {
		return ""
	}
	_, rest, _ := strings.Cut(text, "/")
	if checkScope(Docker, text) != nil || strings.ContainsAny(text, "*@") || strings.Contains(rest, ":") {
		p.flaw(n, "%q is not a host, namespace or repository", text)
	}
	return text
}

// named returns the complete form of a reference for which valid holds.
func (p *parser) named(n *yaml.Node, text string, valid func(*reference.Named) bool, want string) string {
	if text == "" {
		return ""
	}
	r, err := reference.Parse(text)
	if err != nil || !valid(r) {
		p.flaw(n, "%q is not %s", text, want)
		return ""
	}
	return r.String()
}
