package trust

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"croft/template/trust/cosigner"
)

const (
	person = "dev@example.org"
	login  = "https://login.example"
)

// signedThen is when the keyless signatures here were made. Their certificates have expired since.
var signedThen = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

// A keyless is an authority and a log that the policy trusts, and a person.
type keyless struct {
	*cosigner.Authority
	*cosigner.Log
	t *testing.T
}

func newKeyless(t *testing.T) keyless {
	return keyless{cosigner.NewAuthority(t, signedThen.AddDate(-1, 0, 0), signedThen.AddDate(1, 0, 0)), cosigner.NewLog(t), t}
}

func (k keyless) requirement() Requirement {
	return Requirement{
		Kind: SigstoreSigned, Line: 7, Identity: Identity{Kind: MatchRepoDigestOrExact}, Rekor: Texts{Data: [][]byte{k.Key(k.t)}},
		Fulcio: &Fulcio{CA: Texts{Data: [][]byte{k.Root()}}, OIDCIssuer: login, SubjectEmail: person},
	}
}

// signs returns a signature of text by a person with this certificate.
func (k keyless) signs(h cosigner.Holder, text []byte) Sigstore {
	k.t.Helper()
	return Sigstore(h.Sign(k.t, k.Log, text, signedThen.Add(time.Minute)))
}

func (k keyless) issue(changes ...func(*x509.Certificate)) cosigner.Holder {
	k.t.Helper()
	return k.Issue(k.t, signedThen, person, login, changes...)
}

// only keeps one of the extensions of the issuer, with another value unless that is nil.
func only(at int, value []byte) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{c.ExtraExtensions[at]}
		if value != nil {
			c.ExtraExtensions[0].Value = value
		}
	}
}

func TestKeyless(t *testing.T) {
	k := newKeyless(t)
	text := payload(cosignType, imageName, imageDigest)
	another := cosigner.NewLog(t)
	twoLogs := k.requirement()
	twoLogs.Rekor.Data = append([][]byte{another.Key(t)}, twoLogs.Rekor.Data...)
	unknownName := func(c *x509.Certificate) { // as Fulcio gives for user names that are not e-mail addresses, beside ours
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: []int{2, 5, 29, 17}, Critical: true, Value: sanOf(t, person)})
		c.EmailAddresses = nil
	}
	spaced := k.signs(k.issue(), text)
	spaced.Entry = respaced(t, spaced.Entry)
	for name, c := range map[string]struct {
		Sigstore
		Requirement
	}{
		"as cosign makes it":             {k.signs(k.issue(), text), k.requirement()},
		"the old extension only":         {k.signs(k.issue(only(0, nil)), text), k.requirement()},
		"the new extension only":         {k.signs(k.issue(only(1, nil)), text), k.requirement()},
		"two logs":                       {k.signs(k.issue(), text), twoLogs},
		"the entry is written otherwise": {spaced, k.requirement()},
		"a critical list of names":       {k.signs(k.issue(unknownName), text), k.requirement()},
	} {
		signers, err := Check([]Requirement{c.Requirement}, theImage(t), Signatures{Sigstore: []Sigstore{c.Sigstore}}, nil)
		if err != nil || len(signers) != 1 || signers[0] != person+","+login {
			t.Errorf("%s: %v, %v", name, signers, err)
		}
	}
}

// sanOf returns names of a certificate: an address, and a name of a kind that Go does not know.
func sanOf(t *testing.T, email string) []byte {
	t.Helper()
	other := []byte{0xa0, 10, 6, 3, 0x2a, 3, 4, 0xa0, 3, 12, 1, 'x'}
	names := append(append(other, 0x81, byte(len(email))), email...)
	return append([]byte{0x30, byte(len(names))}, names...)
}

// respaced returns the entry with its fields in another order and with blanks.
func respaced(t *testing.T, entry []byte) []byte {
	t.Helper()
	var all struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"`
			IntegratedTime int64  `json:"integratedTime"`
			Body           []byte `json:"body"`
		}
	}
	err := json.Unmarshal(entry, &all)
	text, err2 := json.MarshalIndent(all, "", "  ")
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return text
}

// Each of these would be accepted if croft left out one check.
func TestAttacksOnKeyless(t *testing.T) {
	k, stranger := newKeyless(t), newKeyless(t)
	text, at := payload(cosignType, imageName, imageDigest), signedThen.Add(time.Minute)
	me := k.issue()
	good := k.signs(me, text)
	with := func(change func(*Sigstore)) Sigstore {
		s := good
		change(&s)
		return s
	}
	entered := func(in *cosigner.Log, of Sigstore, by []byte, at time.Time) Sigstore {
		return with(func(s *Sigstore) { s.Entry = in.Enter(t, cosigner.Record(cosigner.Signature(of), by), at) })
	}
	recorded := func(was, is string) Sigstore {
		return with(func(s *Sigstore) {
			b, _ := json.Marshal(cosigner.Record(cosigner.Signature(good), me.Certificate))
			var r map[string]any
			if err := json.Unmarshal(bytes.Replace(b, []byte(was), []byte(is), 1), &r); err != nil || !bytes.Contains(b, []byte(was)) {
				t.Fatal(err)
			}
			s.Entry = k.Enter(t, r, at)
		})
	}
	rewritten := func(was, is string) Sigstore {
		if !bytes.Contains(good.Entry, []byte(was)) {
			t.Fatalf("no %s in %s", was, good.Entry)
		}
		return with(func(s *Sigstore) { s.Entry = bytes.Replace(good.Entry, []byte(was), []byte(is), 1) })
	}
	another := with(func(s *Sigstore) { s.Signature = cosigner.Sign(t, me.Key, text) })
	byAnotherKey := with(func(s *Sigstore) { s.Signature = cosigner.Sign(t, k.issue().Key, text) })
	forged := with(func(s *Sigstore) { s.Payload = payload(cosignType, imageName, otherDigest) })
	for _, c := range []struct {
		name string
		Sigstore
		want string
	}{
		{"no certificate", with(func(s *Sigstore) { s.Certificate = nil }), "the signature has no certificate"},
		{"no entry", with(func(s *Sigstore) { s.Entry = nil }), "the signature has no signed entry of a log"},
		{"by a key alone", Sigstore{Payload: text, Signature: good.Signature}, "no certificate"},
		{"an entry that is no JSON", with(func(s *Sigstore) { s.Entry = []byte("x") }), "damaged"},
		{"an entry with one more field", rewritten(`"Payload"`, `"x":1,"Payload"`), `the key "x" is not expected`},
		{"an entry of another log", entered(stranger.Log, good, me.Certificate, at), "not signed by a key of Rekor in the policy"},
		{"another time than the log has signed", rewritten(`"integratedTime":17`, `"integratedTime":18`), "not signed by a key of Rekor"},
		{"an entry of another signature", entered(k.Log, another, me.Certificate, at), "of another signature"},
		{"an entry of another certificate", entered(k.Log, good, k.issue().Certificate, at), "of another key or certificate"},
		{"an entry of another text", entered(k.Log, forged, me.Certificate, at), "of another text"},
		{"an entry of another kind", recorded("hashedrekord", "intoto"), `is a "intoto" of version "0.0.1", and not a "hashedrekord"`},
		{"an entry of another version", recorded("0.0.1", "0.0.2"), `of version "0.0.2"`},
		{"an entry with another hash", recorded(`"sha256"`, `"sha512"`), `a hash of "sha512"`},
		{"signed before the certificate", Sigstore(me.Sign(t, k.Log, text, signedThen.Add(-time.Minute))), "the certificate is not valid"},
		{"signed after the certificate", Sigstore(me.Sign(t, k.Log, text, signedThen.Add(time.Hour))), "the certificate is not valid"},
		{"of another authority", k.signs(stranger.issue(), text), "the certificate is not valid"},
		{"without the chain", with(func(s *Sigstore) { s.Chain = nil }), "the certificate is not valid"},
		{"with a bad chain", with(func(s *Sigstore) { s.Chain = []byte("x") }), "the certificate is not valid"},
		{"for web servers", k.signs(k.issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), text), "the certificate is not valid"},
		{"of another issuer", k.signs(k.Issue(t, signedThen, person, "https://other.example"), text), `for a login at "https://other.example"`},
		{"of a longer issuer", k.signs(k.Issue(t, signedThen, person, login+"/"), text), `for a login at`},
		{"of no issuer", k.signs(k.issue(func(c *x509.Certificate) { c.ExtraExtensions = nil }), text), "does not say where"},
		{"of two issuers", k.signs(k.issue(func(c *x509.Certificate) { c.ExtraExtensions[0].Value = []byte("https://other.example") }), text), "names two issuers"},
		{"of a damaged issuer", k.signs(k.issue(only(1, append([]byte{12, byte(len(login))}, login+"x"...))), text), "in an unknown form"},
		{"of another person", k.signs(k.Issue(t, signedThen, "evil@example.org", login), text), `for ["evil@example.org"] and not for ` + person},
		{"of a person in capitals", k.signs(k.Issue(t, signedThen, strings.ToUpper(person), login), text), "and not for " + person},
		{"of another kind of subject", k.signs(k.issue(func(c *x509.Certificate) { c.EmailAddresses, c.DNSNames = nil, []string{"example.org"} }), text), "for [] and not for"},
		{"by another key", entered(k.Log, byAnotherKey, me.Certificate, at), "of another signature"},
		{"by another key, and logged", with(func(s *Sigstore) {
			s.Signature = byAnotherKey.Signature
			s.Entry = k.Enter(t, cosigner.Record(cosigner.Signature(byAnotherKey), me.Certificate), at)
		}), "not by the key of its certificate"},
		{"of another image", k.signs(me, payload(cosignType, imageName, otherDigest)), "the signature is of another image"},
		{"of another name", k.signs(me, payload(cosignType, "registry.example/team/db:1", imageDigest)), "the signature is of registry.example/team/db:1"},
		{"with the text of this image", with(func(s *Sigstore) { *s = k.signs(me, forged.Payload); s.Payload = text }), "of another text"},
	} {
		var refused *Refusal
		signers, err := Check([]Requirement{k.requirement()}, theImage(t), Signatures{Sigstore: []Sigstore{c.Sigstore}}, nil)
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || signers != nil {
			t.Errorf("%s: %v, %v, want %s", c.name, signers, err, c.want)
		}
		if _, err := Check([]Requirement{k.requirement()}, theImage(t), Signatures{Sigstore: []Sigstore{c.Sigstore, good}}, nil); err != nil {
			t.Errorf("%s, and a good one: %v", c.name, err)
		}
	}
}

// A key may have to be in a log too.
func TestKeysInALog(t *testing.T) {
	k, one, other := newKeyless(t), ecdsaSigner(t), ecdsaSigner(t)
	text := payload(cosignType, imageName, imageDigest)
	r := sigstoreBy(other, one)
	r.Rekor.Data = [][]byte{k.Key(t)}
	good := one.sign(t, text)
	enter := func(in *cosigner.Log, by signer) Sigstore {
		s := good
		s.Entry = in.Enter(t, cosigner.Record(cosigner.Signature(s), by.public), signedThen)
		return s
	}
	for name, c := range map[string]struct {
		Sigstore
		want string
	}{
		"logged":           {enter(k.Log, one), ""},
		"not logged":       {good, "no signed entry of a log"},
		"in another log":   {enter(cosigner.NewLog(t), one), "not signed by a key of Rekor"},
		"of another key":   {enter(k.Log, other), "of another key or certificate"},
		"by no key of it":  {k.signs(k.issue(), text), "not by a key of the policy"},
		"of another image": {Sigstore{Payload: payload(cosignType, imageName, otherDigest), Signature: good.Signature, Entry: enter(k.Log, one).Entry}, "not by a key of the policy"},
	} {
		signers, err := Check([]Requirement{r}, theImage(t), Signatures{Sigstore: []Sigstore{c.Sigstore}}, nil)
		if c.want == "" && (err != nil || !strings.HasPrefix(signers[0], "sha256:")) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, %v", name, signers, err)
		}
	}
}

func TestPKI(t *testing.T) {
	now := time.Now()
	k := keyless{cosigner.NewAuthority(t, now.Add(-time.Hour), now.Add(time.Hour)), cosigner.NewLog(t), t}
	text := payload(cosignType, imageName, imageDigest)
	named := func(c *x509.Certificate) { c.DNSNames = []string{"build.example"} }
	sign := func(h cosigner.Holder) Sigstore {
		return Sigstore{Payload: text, Signature: cosigner.Sign(t, h.Key, text), Certificate: h.Certificate, Chain: h.Chain}
	}
	good := sign(k.Issue(t, now.Add(-time.Minute), person, login, named))
	unchained, twice := good, good
	unchained.Chain = nil
	twice.Certificate = append(bytes.Clone(good.Certificate), good.Certificate...)
	byKey := good
	byKey.Certificate = nil
	pki := PKI{Roots: Texts{Data: [][]byte{k.Root()}}, SubjectEmail: person}
	host, known, both := pki, pki, pki
	host.SubjectEmail, host.SubjectHostname = "", "build.example"
	known.Intermediates.Data = [][]byte{k.Between()}
	both.SubjectHostname = "web.example"
	stranger := cosigner.NewAuthority(t, now.Add(-time.Hour), now.Add(time.Hour))
	for _, c := range []struct {
		name string
		Sigstore
		PKI
		want string
	}{
		{"by address", good, pki, ""},
		{"by host", good, host, ""},
		{"an intermediate of the policy", unchained, known, ""},
		{"without an intermediate", unchained, pki, "the certificate is not valid"},
		{"no certificate", byKey, pki, "no certificate"},
		{"two certificates", twice, pki, "there are 2 of them"},
		{"another address", sign(k.Issue(t, now.Add(-time.Minute), "evil@example.org", login)), pki, "and not for " + person},
		{"another host", good, both, "of another host"},
		{"expired", sign(k.Issue(t, now.Add(-30*time.Minute), person, login)), pki, "the certificate is not valid"},
		{"another authority", sign(stranger.Issue(t, now.Add(-time.Minute), person, login)), pki, "the certificate is not valid"},
		{"no subject", good, PKI{Roots: pki.Roots}, "names no subject"},
	} {
		r := Requirement{Kind: SigstoreSigned, PKI: &c.PKI, Identity: Identity{Kind: MatchRepoDigestOrExact}}
		signers, err := Check([]Requirement{r}, theImage(t), Signatures{Sigstore: []Sigstore{c.Sigstore}}, nil)
		if c.want == "" && (err != nil || signers[0] != cmp.Or(c.SubjectEmail, c.SubjectHostname)) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, %v, want %s", c.name, signers, err, c.want)
		}
	}
}
