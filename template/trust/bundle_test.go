package trust

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"croft/template/trust/cosigner"
)

// nameless accepts signatures without a name of the image.
func nameless(r Requirement) Requirement {
	r.Identity = Identity{Kind: MatchDigest}
	return r
}

// Bundles of cosign 3 that a key has signed.
func TestBundlesOfKeys(t *testing.T) {
	key, stranger := cosigner.NewKey(t), cosigner.NewKey(t)
	r := Requirement{Kind: SigstoreSigned, Line: 7, Keys: Texts{Data: [][]byte{cosigner.Public(t, key)}}}
	signs := func(text []byte) cosigner.Signature {
		return cosigner.Signature{Payload: text, Signature: cosigner.Sign(t, key, cosigner.Enveloped(text))}
	}
	text := cosigner.Statement(imageDigest)
	good := signs(text)
	forged, plain, foreign := good, good, good
	forged.Payload = cosigner.Statement(otherDigest)
	plain.Signature = cosigner.Sign(t, key, text)
	foreign.Signature = cosigner.Sign(t, stranger, cosigner.Enveloped(text))
	changed := func(was, is string) []byte {
		if !strings.Contains(string(text), was) {
			t.Fatal(was)
		}
		return signs([]byte(strings.Replace(string(text), was, is, 1))).Bundle(t)
	}
	envelope := func(name string, value any) []byte {
		return good.Bundle(t, func(b map[string]any) { b["dsseEnvelope"].(map[string]any)[name] = value })
	}
	top := func(name string, value any) []byte {
		return good.Bundle(t, func(b map[string]any) { b[name] = value })
	}
	for _, c := range []struct {
		name   string
		bundle []byte
		want   string
	}{
		{"good", good.Bundle(t), ""},
		{"of the index", signs(cosigner.Statement(indexDigest)).Bundle(t), ""},
		{"of another image", signs(cosigner.Statement(otherDigest)).Bundle(t), "the signature is of another image"},
		{"by another key", foreign.Bundle(t), "not by a key of the policy"},
		{"another statement", forged.Bundle(t), "not by a key of the policy"},
		{"a signature without the envelope", plain.Bundle(t), "not by a key of the policy"},
		{"an attestation", changed("https://sigstore.dev/cosign/sign/v1", "https://spdx.dev/Document"), "is a statement about the image (https://spdx.dev/Document) and no signature"},
		{"of another type", changed("Statement/v1", "Statement/v9"), "its type is"},
		{"another hash", changed(`"sha256":`, `"sha512":`), "of another image"},
		{"no subject", changed(`"digest"`, `"name":"x","x"`), "of another image"},
		{"one more key", changed(`"predicate":`, `"x":1,"predicate":`), `the key "x" is not expected`},
		{"a text of an image with a name", signs(payload(cosignType, imageName, imageDigest)).Bundle(t), "is not expected"},
		{"an older bundle", top("mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.2"), `a bundle of the type "application/vnd.dev.sigstore.bundle+json;version=0.2"`},
		{"a signature of a file", top("messageSignature", map[string]any{"signature": good.Signature}), "a messageSignature, which croft cannot read"},
		{"no envelope", top("dsseEnvelope", nil), "without a dsseEnvelope"},
		{"no signature", envelope("signatures", []any{}), "without a dsseEnvelope that has one signature"},
		{"another kind of text", envelope("payloadType", "text/plain"), `a text of the type "text/plain"`},
		{"no JSON", []byte("x"), "a bundle of cosign is damaged"},
	} {
		var refused *Refusal
		signers, err := Check([]Requirement{nameless(r)}, theImage(t), Signatures{Bundles: [][]byte{c.bundle}}, nil)
		if c.want == "" && (err != nil || !strings.HasPrefix(signers[0], "sha256:")) {
			t.Errorf("%s: %v", c.name, err)
		} else if c.want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	// What is signed has no name, so no policy that asks for one accepts it.
	for _, i := range []Identity{{Kind: MatchRepoDigestOrExact}, {Kind: MatchExact}, {Kind: MatchRepository}, {Kind: ExactRepository}, {Kind: RemapIdentity}} {
		r.Identity = i
		if _, err := Check([]Requirement{r}, theImage(t), Signatures{Bundles: [][]byte{good.Bundle(t)}}, nil); err == nil || !strings.Contains(err.Error(), "signedIdentity {type: matchDigest}") {
			t.Errorf("%s: %v", i.Kind, err)
		}
	}
	// The text of a signature is not one of an envelope.
	if _, err := Check([]Requirement{nameless(r)}, theImage(t), Signatures{Sigstore: []Sigstore{Sigstore(plain)}}, nil); err == nil {
		t.Error("a statement without an envelope is accepted")
	}
	if _, err := Check([]Requirement{nameless(r)}, theImage(t), Signatures{Unread: []string{"notary"}}, nil); err == nil || !strings.Contains(err.Error(), "it has a signature of the type notary, which croft cannot read") {
		t.Errorf("another kind: %v", err)
	}
	other := cosigner.Payload("other.example/x:1", imageDigest)
	if _, err := Check([]Requirement{nameless(r)}, theImage(t), Signatures{Sigstore: []Sigstore{{Payload: other, Signature: cosigner.Sign(t, key, other)}}}, nil); err != nil {
		t.Errorf("matchDigest, and another name: %v", err)
	}
}

// Bundles of a person, and of keys in a log.
func TestBundlesInALog(t *testing.T) {
	k := newKeyless(t)
	root := k.requirement()
	root.Fulcio.CA.Data = append(root.Fulcio.CA.Data, k.Between()) // a bundle has no chain
	root = nameless(root)
	at, me := signedThen.Add(time.Minute), k.issue()
	unlogged := func(h cosigner.Holder, d digest.Digest) cosigner.Signature {
		text := cosigner.Statement(d)
		return cosigner.Signature{Payload: text, Signature: cosigner.Sign(t, h.Key, cosigner.Enveloped(text)), Certificate: h.Certificate}
	}
	logged := func(in *cosigner.Log, s, of cosigner.Signature, by []byte, at time.Time) []byte {
		s.Entry = in.Enter(t, cosigner.EnvelopeRecord(of, by), at)
		return s.Bundle(t)
	}
	mine, again, other := unlogged(me, imageDigest), unlogged(me, imageDigest), unlogged(me, otherDigest)
	again.Payload = mine.Payload
	wrongText := other
	wrongText.Signature = mine.Signature
	other2 := unlogged(k.Issue(t, signedThen, "evil@example.org", login), imageDigest)
	hashed := mine
	hashed.Entry = k.Enter(t, cosigner.Record(mine, me.Certificate), at)
	twice := cosigner.EnvelopeRecord(mine, me.Certificate)
	spec := twice["spec"].(map[string]any)
	spec["signatures"] = []any{map[string]any{"signature": mine.Signature, "verifier": me.Certificate}, map[string]any{"signature": mine.Signature, "verifier": me.Certificate}}
	two := mine
	two.Entry = k.Enter(t, twice, at)
	noPromise := mine
	noPromise.Entry = k.Enter(t, cosigner.EnvelopeRecord(mine, me.Certificate), at)
	for name, c := range map[string]struct {
		bundle []byte
		want   string
	}{
		"good":                     {logged(k.Log, mine, mine, me.Certificate, at), ""},
		"no entry":                 {mine.Bundle(t), "no signed entry of a log"},
		"an entry without promise": {noPromise.Bundle(t, unpromised), "no signed entry of a log"},
		"of another log":           {logged(cosigner.NewLog(t), mine, mine, me.Certificate, at), "not signed by a key of Rekor"},
		"of another signature":     {logged(k.Log, mine, again, me.Certificate, at), "of another signature"},
		"of another text":          {logged(k.Log, mine, wrongText, me.Certificate, at), "of another text"},
		"of another certificate":   {logged(k.Log, mine, mine, k.issue().Certificate, at), "of another key or certificate"},
		"of another kind":          {hashed.Bundle(t), `is a "hashedrekord"`},
		"of two signatures":        {two.Bundle(t), "has 2 signatures"},
		"too late":                 {logged(k.Log, mine, mine, me.Certificate, at.Add(time.Hour)), "the certificate is not valid"},
		"of another person":        {logged(k.Log, other2, other2, other2.Certificate, at), "and not for " + person},
		"of another image":         {logged(k.Log, other, other, me.Certificate, at), "the signature is of another image"},
	} {
		signers, err := Check([]Requirement{root}, theImage(t), Signatures{Bundles: [][]byte{c.bundle}}, nil)
		if c.want == "" && (err != nil || fmt.Sprint(signers) != "["+person+","+login+"]") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, %v, want %s", name, signers, err, c.want)
		}
	}
	key := cosigner.NewKey(t)
	r := nameless(Requirement{Kind: SigstoreSigned, Keys: Texts{Data: [][]byte{cosigner.Public(t, key)}}, Rekor: root.Rekor})
	byKey := unlogged(cosigner.Holder{Key: key}, imageDigest)
	for _, c := range []struct {
		bundle []byte
		good   bool
	}{{logged(k.Log, byKey, byKey, cosigner.Public(t, key), at), true}, {byKey.Bundle(t), false}, {logged(k.Log, mine, mine, me.Certificate, at), false}} {
		if _, err := Check([]Requirement{r}, theImage(t), Signatures{Bundles: [][]byte{c.bundle}}, nil); (err == nil) != c.good {
			t.Errorf("a key in a log: %v", err)
		}
	}
}

// unpromised removes the promise of the log from a bundle.
func unpromised(b map[string]any) {
	for _, e := range b["verificationMaterial"].(map[string]any)["tlogEntries"].([]map[string]any) {
		delete(e, "inclusionPromise")
	}
}
