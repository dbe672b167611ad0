package trust

import (
	"encoding/base64"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sigstore reads who may sign by a requirement of sigstore.
func (p *parser) sigstore(n *yaml.Node, f map[string]*yaml.Node, r *Requirement) {
	if f == nil {
		return
	}
	r.Keys, r.Rekor = p.contents(f, keyFields), p.contents(f, rekorFields)
	byKey, logged := anyOf(f, keyFields), anyOf(f, rekorFields)
	switch fulcio, pki := f["fulcio"], f["pki"]; {
	case fulcio == nil && pki == nil && !byKey:
		p.flaw(n, "%s needs a keyPath, keyPaths or keyData, or fulcio or pki", r.Kind)
	case byKey && (fulcio != nil || pki != nil), fulcio != nil && pki != nil:
		p.flaw(n, "%s: give only one of keys, fulcio and pki", r.Kind)
	case fulcio != nil:
		if r.Fulcio = p.fulcio(fulcio); !logged {
			p.flaw(n, "fulcio needs a rekorPublicKeyPath, rekorPublicKeyPaths or rekorPublicKeyData: the log says when the signature was made")
		}
	case pki != nil:
		if r.PKI = p.pki(pki); logged {
			p.flaw(n, "pki: a log (rekorPublicKey…) is only for keys and fulcio")
		}
	}
}

func (p *parser) fulcio(n *yaml.Node) *Fulcio {
	ca := []string{"caPath", "caData"}
	f := p.fields(n, append(ca, "oidcIssuer", "subjectEmail")...)
	if f == nil {
		return nil
	}
	p.needs(n, f, "fulcio", ca...)
	p.needs(n, f, "fulcio", "oidcIssuer")
	p.needs(n, f, "fulcio", "subjectEmail")
	return &Fulcio{CA: p.contents(f, ca), OIDCIssuer: p.text(f["oidcIssuer"]), SubjectEmail: p.text(f["subjectEmail"])}
}

func (p *parser) pki(n *yaml.Node) *PKI {
	roots, between := []string{"caRootsPath", "caRootsData"}, []string{"caIntermediatesPath", "caIntermediatesData"}
	f := p.fields(n, append(slices.Concat(roots, between), "subjectEmail", "subjectHostname")...)
	if f == nil {
		return nil
	}
	p.needs(n, f, "pki", roots...)
	p.needs(n, f, "pki", "subjectEmail", "subjectHostname")
	return &PKI{
		Roots: p.contents(f, roots), Intermediates: p.contents(f, between),
		SubjectEmail: p.text(f["subjectEmail"]), SubjectHostname: p.text(f["subjectHostname"]),
	}
}

// needs is a flaw unless what has one of these fields.
func (p *parser) needs(n *yaml.Node, f map[string]*yaml.Node, what string, names ...string) {
	if !anyOf(f, names) {
		p.flaw(n, "%s needs %s", what, strings.Join(names, " or "))
	}
}

func anyOf(f map[string]*yaml.Node, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return f[name] != nil })
}

// text returns the text of a field, "" if there is none.
func (p *parser) text(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	for _, one := range p.texts(n, false) {
		return one.Value
	}
	return ""
}

// contents reads the one of these fields that is there. Those with Path in their names have paths of files, the
// others base64. More than one is a flaw.
func (p *parser) contents(f map[string]*yaml.Node, names []string) (t Texts) {
	var has []string
	for _, name := range names {
		v := f[name]
		if v == nil {
			continue
		}
		if has = append(has, name); len(has) == 2 {
			p.flaw(v, "%s: one or the other", strings.Join(has, " and "))
		}
		for _, one := range p.texts(v, strings.HasSuffix(name, "s")) {
			if strings.Contains(name, "Path") {
				if !path.IsAbs(one.Value) {
					p.flaw(one, "%s: %q is not an absolute path", name, one.Value)
				}
				t.Paths = append(t.Paths, one.Value)
				continue
			}
			data, err := base64.StdEncoding.DecodeString(one.Value)
			if err != nil || len(data) == 0 {
				p.flaw(one, "%s is not base64", name)
			}
			t.Data = append(t.Data, data)
		}
	}
	return t
}
