package trust

import (
	stdcmp "cmp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for name, text := range map[string]string{
		"YAML": `
default: [{type: reject}]
transports:
  docker:
    docker.io/library: [{type: insecureAcceptAnything}]
    registry.example:5000/team:
      - type: sigstoreSigned
        keyPath: /etc/croft/team.pub
        signedIdentity: {type: matchRepository}
      - type: signedBy
        keyType: GPGKeys
        keyData: a2V5
  docker-daemon: {"": [{type: insecureAcceptAnything}]}
`,
		"JSON": `{"default": [{"type": "reject"}], "transports": {"docker": {
	"docker.io/library": [{"type": "insecureAcceptAnything"}],
	"registry.example:5000/team": [
		{"type": "sigstoreSigned", "keyPath": "/etc/croft/team.pub", "signedIdentity": {"type": "matchRepository"}},
		{"type": "signedBy", "keyType": "GPGKeys", "keyData": "a2V5"}]},
	"docker-daemon": {"": [{"type": "insecureAcceptAnything"}]}}}`,
	} {
		got, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := Policy{Default: []Requirement{{Kind: Reject}}, Transports: map[Transport]map[string][]Requirement{
			Docker: {
				"docker.io/library": {{Kind: Accept}},
				"registry.example:5000/team": {
					{Kind: SigstoreSigned, Keys: Texts{Paths: []string{"/etc/croft/team.pub"}}, Identity: Identity{Kind: MatchRepository}},
					{Kind: SignedBy, Keys: Texts{Data: [][]byte{[]byte("key")}}, Identity: Identity{Kind: MatchRepoDigestOrExact}},
				},
			},
			"docker-daemon": {"": {{Kind: Accept}}},
		}}
		for _, all := range got.Transports {
			for _, of := range all {
				for i := range of {
					of[i].Line = 0
				}
			}
		}
		got.Default[0].Line = 0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestParseAuthors(t *testing.T) {
	const with = "default: [{type: sigstoreSigned, "
	for _, c := range []struct {
		text string
		want Requirement
	}{
		{"fulcio: {caPath: /ca, oidcIssuer: 'https://login.example', subjectEmail: dev@example.org}, rekorPublicKeyPaths: [/a, /b]}]", Requirement{
			Fulcio: &Fulcio{CA: Texts{Paths: []string{"/ca"}}, OIDCIssuer: "https://login.example", SubjectEmail: "dev@example.org"},
			Rekor:  Texts{Paths: []string{"/a", "/b"}},
		}},
		{"fulcio: {caData: Y2E=, oidcIssuer: i, subjectEmail: e}, rekorPublicKeyDatas: [a2V5, a2V5]}]", Requirement{
			Fulcio: &Fulcio{CA: Texts{Data: [][]byte{[]byte("ca")}}, OIDCIssuer: "i", SubjectEmail: "e"},
			Rekor:  Texts{Data: [][]byte{[]byte("key"), []byte("key")}},
		}},
		{"keyPath: /key, rekorPublicKeyPath: /rekor}]", Requirement{Keys: Texts{Paths: []string{"/key"}}, Rekor: Texts{Paths: []string{"/rekor"}}}},
		{"keyPath: /key, signedIdentity: {type: matchDigest}}]", Requirement{Keys: Texts{Paths: []string{"/key"}}, Identity: Identity{Kind: MatchDigest}}},
		{"keyPath: /key, rekorPublicKeyData: a2V5}]", Requirement{Keys: Texts{Paths: []string{"/key"}}, Rekor: Texts{Data: [][]byte{[]byte("key")}}}},
		{"pki: {caRootsPath: /ca, caIntermediatesData: Y2E=, subjectEmail: e, subjectHostname: h}}]", Requirement{
			PKI: &PKI{Roots: Texts{Paths: []string{"/ca"}}, Intermediates: Texts{Data: [][]byte{[]byte("ca")}}, SubjectEmail: "e", SubjectHostname: "h"},
		}},
		{"pki: {caRootsData: Y2E=, caIntermediatesPath: /b, subjectHostname: h}}]", Requirement{
			PKI: &PKI{Roots: Texts{Data: [][]byte{[]byte("ca")}}, Intermediates: Texts{Paths: []string{"/b"}}, SubjectHostname: "h"},
		}},
	} {
		c.want.Kind, c.want.Line, c.want.Identity.Kind = SigstoreSigned, 1, stdcmp.Or(c.want.Identity.Kind, MatchRepoDigestOrExact)
		got, err := Parse([]byte(with + c.text))
		if diff := cmp.Diff([]Requirement{c.want}, got.Default); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", c.text, err, diff)
		}
	}
}

// A policy that croft does not understand whole is refused whole.
func TestParseRefuses(t *testing.T) {
	const head = "default: [{type: reject}]\ntransports:\n"
	docker := func(requirement string) string {
		return head + "  docker:\n    registry.example/team:\n    - " + requirement + "\n"
	}
	signed := func(more string) string {
		return docker("{type: sigstoreSigned, keyPath: /key, " + more + "}")
	}
	fulcio := func(more string) string {
		return docker("{type: sigstoreSigned, rekorPublicKeyPath: /r, fulcio: " + more + "}")
	}
	pki := func(more string) string { return docker("{type: sigstoreSigned, pki: " + more + "}") }
	for _, c := range []struct{ text, want string }{
		{"", `it is empty; "default" is missing`},
		{"transports: {}", `line 1: "default" is missing`},
		{"default: []", "line 1: a list of requirements must not be empty"},
		{"default: reject", "line 1: requirements are a list"},
		{"- type: reject", "line 1: a map is expected"},
		{"default: [{type: reject}]\ndefault: [{type: insecureAcceptAnything}]", `line 2: "default" occurs twice`},
		{"default: [{type: reject}]\ntransport: {}", `line 2: unknown field "transport"; there are default, transports`},
		{"default: [{type: reject}]\n---\ndefault: [{type: insecureAcceptAnything}]", "more than one document"},
		{"default: [{type: reject}", "line 1: did not find expected"},
		{head + "  dokcer: {}", `line 3: unknown transport "dokcer"`},
		{head + "  docker:\n    https://registry.example: [{type: reject}]", `line 4: "https://registry.example" is not a scope of docker`},
		{head + "  docker:\n    registry.example/: [{type: reject}]", "line 4: \"registry.example/\" is not a scope"},
		{head + "  docker:\n    \"example*.com\": [{type: reject}]", "is not a scope"},
		{head + "  docker:\n    \"*.example.com/team\": [{type: reject}]", "is not a scope"},
		{head + "  docker:\n    library/debian: [{type: reject}]", `"library" is not a host`},
		{head + "  oci:\n    srv/images: [{type: reject}]", "give an absolute path"},
		{head + "  oci-archive:\n    /srv/images/: [{type: reject}]", "give an absolute path"},
		{head + "  docker-archive:\n    /srv/images: [{type: reject}]", `has only the scope ""`},
		{docker("{type: accept}"), `line 5: unknown type of requirement "accept"`},
		{docker("{typ: reject}"), `line 5: a requirement is a map with a "type"`},
		{docker("reject"), `line 5: a requirement is a map with a "type"`},
		{docker("{type: reject, keyPath: /x}"), `line 5: unknown field "keyPath"`},
		{docker("{type: signedBy, keyPath: /x}"), `"keyType" is missing`},
		{docker("{type: signedBy, keyType: X509, keyPath: /x}"), "only the keyType GPGKeys"},
		{docker("{type: sigstoreSigned}"), "needs a keyPath, keyPaths or keyData"},
		{docker("{type: sigstoreSigned, keyPath: key.pub}"), `"key.pub" is not an absolute path`},
		{docker("{type: sigstoreSigned, keyPath: 5}"), "a text is expected"},
		{docker("{type: sigstoreSigned, keyPaths: []}"), "a list of texts is expected"},
		{docker("{type: sigstoreSigned, keyData: '%'}"), "keyData is not base64"},
		{docker("{type: sigstoreSigned, keyPath: /x, keyData: a2V5}"), "keyPath and keyData: one or the other"},
		{docker("{type: sigstoreSigned, rekorPublicKeyPath: /x}"), "needs a keyPath, keyPaths or keyData, or fulcio or pki"},
		{signed("rekorPublicKeyPath: x"), `rekorPublicKeyPath: "x" is not an absolute path`},
		{signed("rekorPublicKeyPath: /x, rekorPublicKeyDatas: [a2V5]"), "rekorPublicKeyPath and rekorPublicKeyDatas: one or the other"},
		{signed("fulcio: {caPath: /x, oidcIssuer: i, subjectEmail: e}, rekorPublicKeyPath: /x"), "only one of keys, fulcio and pki"},
		{signed("pki: {caRootsPath: /x, subjectEmail: e}"), "only one of keys, fulcio and pki"},
		{fulcio("{caPath: /x, oidcIssuer: i, subjectEmail: e}, pki: {caRootsPath: /x, subjectEmail: e}"), "only one of keys, fulcio and pki"},
		{fulcio("{oidcIssuer: i, subjectEmail: e}"), "fulcio needs caPath or caData"},
		{fulcio("{caPath: /x, subjectEmail: e}"), "fulcio needs oidcIssuer"},
		{fulcio("{caPath: /x, oidcIssuer: i}"), "fulcio needs subjectEmail"},
		{fulcio("{caPath: /x, caData: a2V5, oidcIssuer: i, subjectEmail: e}"), "caPath and caData: one or the other"},
		{fulcio("{caPath: x, oidcIssuer: i, subjectEmail: e}"), `caPath: "x" is not an absolute path`},
		{fulcio("{caData: '%', oidcIssuer: i, subjectEmail: e}"), "caData is not base64"},
		{fulcio("{caPath: /x, oidcIssuer: '', subjectEmail: e}"), "a text is expected"},
		{fulcio("{caPath: /x, oidcIssuer: i, subjectEmail: [e]}"), "a text is expected"},
		{fulcio("{caPath: /x, oidcIssuer: i, subjectEmail: e, subjectURI: u}"), `unknown field "subjectURI"`},
		{fulcio("/x"), "a map is expected"},
		{docker("{type: sigstoreSigned, fulcio: {caPath: /x, oidcIssuer: i, subjectEmail: e}}"), "fulcio needs a rekorPublicKeyPath"},
		{pki("{subjectEmail: e}"), "pki needs caRootsPath or caRootsData"},
		{pki("{caRootsPath: /x}"), "pki needs subjectEmail or subjectHostname"},
		{pki("{caRootsPath: /x, subjectEmail: e, caIntermediatesPath: /x, caIntermediatesData: a2V5}"), "caIntermediatesPath and caIntermediatesData: one or the other"},
		{pki("{caRootsPath: /x, subjectEmail: e}, rekorPublicKeyPath: /x"), "a log (rekorPublicKey…) is only for keys and fulcio"},
		{signed("signedIdentity: {type: matchExactly}"), `unknown type of signedIdentity "matchExactly"`},
		{signed("signedIdentity: matchExact"), `unknown type of signedIdentity ""`},
		{signed("signedIdentity: {type: exactReference}"), `exactReference needs "dockerReference"`},
		{signed("signedIdentity: {type: exactReference, dockerReference: registry.example/web}"), "is not the reference of an image with a tag"},
		{signed("signedIdentity: {type: exactRepository, dockerRepository: 'registry.example/web:1'}"), "is not a repository, without a tag"},
		{signed("signedIdentity: {type: remapIdentity, prefix: a.example}"), `remapIdentity needs "signedPrefix"`},
		{signed("signedIdentity: {type: remapIdentity, prefix: 'a.example/web:1', signedPrefix: b.example}"), `"a.example/web:1" is not a host`},
		{head + "  images: {'': [{type: sigstoreSigned, keyPath: /x}]}", "signed with OpenPGP"},
		{head + "  images: {'': [{type: signedBy, keyType: GPGKeys, keyPath: /x, signedIdentity: {type: matchExact}}]}", "no names of a registry"},
		{head + "  dokcer: {}\n  docker:\n    https://x: [{type: no}]", `line 3: unknown transport "dokcer"; line 5: "https://x"`},
	} {
		p, err := Parse([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\n got %v, want %s", c.text, err, c.want)
		}
		if p.Default != nil || p.Transports != nil {
			t.Errorf("%s\n a part of it is used", c.text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("default: [{type: reject}]\ntransports: {docker: {x.example: [{type: signedBy, keyType: GPGKeys, keyPath: /x, signedIdentity: {type: remapIdentity, prefix: a.b, signedPrefix: c.d}}]}}"))
	f.Add([]byte("default: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := Parse(text); err == nil && len(p.Default) == 0 {
			t.Errorf("%q: it has no default", text)
		}
	})
}
