package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore/pkg/signature"
)

const imageName = "registry.example/team/web:1"

var imageDigest, indexDigest, otherDigest = digest.FromString("image"), digest.FromString("index"), digest.FromString("other")

// theImage was found through an index.
func theImage(t *testing.T) Image {
	t.Helper()
	name, err := ParseReference(imageName)
	if err != nil {
		t.Fatal(err)
	}
	return Image{Name: name, Digests: []digest.Digest{indexDigest, imageDigest}}
}

// payload returns a signed text as the attacker wants it.
func payload(kind, ref string, d digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":%q},"optional":null}`, ref, d, kind)
}

// A signer is a key and its public key in PEM.
type signer struct {
	key    crypto.Signer
	public []byte
}

func newSigner(t *testing.T, key crypto.Signer) signer {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}
}

func ecdsaSigner(t *testing.T) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newSigner(t, key)
}

func (s signer) sign(t *testing.T, text []byte) Sigstore {
	t.Helper()
	by, err := signature.LoadSigner(s.key, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	made, err := by.SignMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return Sigstore{Payload: text, Signature: made}
}

func sigstoreBy(keys ...signer) Requirement {
	r := Requirement{Kind: SigstoreSigned, Line: 7, Identity: Identity{Kind: MatchRepoDigestOrExact}}
	for _, k := range keys {
		r.Keys.Data = append(r.Keys.Data, k.public)
	}
	return r
}

func TestKeysOfSigstore(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger := ecdsaSigner(t)
	for name, s := range map[string]signer{"ECDSA": ecdsaSigner(t), "P-384": newSigner(t, p384), "RSA": newSigner(t, rsaKey), "ed25519": newSigner(t, edKey)} {
		for _, d := range []digest.Digest{imageDigest, indexDigest} {
			found := Signatures{Sigstore: []Sigstore{stranger.sign(t, payload(cosignType, imageName, d)), s.sign(t, payload(cosignType, imageName, d))}}
			signers, err := Check([]Requirement{sigstoreBy(ecdsaSigner(t), s)}, theImage(t), found, nil)
			if err != nil || len(signers) != 1 || !strings.HasPrefix(signers[0], "sha256:") {
				t.Errorf("%s: %v, %v", name, signers, err)
			}
			found.Sigstore[1].Signature[8] ^= 1
			var refused *Refusal
			if _, err := Check([]Requirement{sigstoreBy(s)}, theImage(t), found, nil); !errors.As(err, &refused) || refused.Line != 7 {
				t.Errorf("%s: a changed signature: %v", name, err)
			}
		}
	}
}

func TestAttacksOnSigstore(t *testing.T) {
	s, stranger := ecdsaSigner(t), ecdsaSigner(t)
	good := s.sign(t, payload(cosignType, imageName, imageDigest))
	sign := func(text string) []Sigstore { return []Sigstore{s.sign(t, []byte(text))} }
	whole := string(good.Payload)
	for _, c := range []struct {
		name string
		all  []Sigstore
		want string
	}{
		{"none", nil, "it has no signature"},
		{"of another image", []Sigstore{s.sign(t, payload(cosignType, imageName, otherDigest))}, "the signature is of another image, " + otherDigest.String()},
		{"of another repository", []Sigstore{s.sign(t, payload(cosignType, "registry.example/team/db:1", imageDigest))}, "the signature is of registry.example/team/db:1"},
		{"of another tag", []Sigstore{s.sign(t, payload(cosignType, "registry.example/team/web:2", imageDigest))}, "the signature is of registry.example/team/web:2"},
		{"of no tag", []Sigstore{s.sign(t, payload(cosignType, "registry.example/team/web", imageDigest))}, "the signature is of registry.example/team/web"},
		{"by another key", []Sigstore{stranger.sign(t, good.Payload)}, "the signature is not by a key of the policy"},
		{"another text", []Sigstore{{Payload: payload(cosignType, imageName, otherDigest), Signature: good.Signature}}, "not by a key"},
		{"no signature", []Sigstore{{Payload: good.Payload}}, "not by a key"},
		{"cut text", []Sigstore{{Payload: good.Payload[:20], Signature: good.Signature}}, "not by a key"},
		{"signed cut text", sign(whole[:40]), "damaged"},
		{"signed nothing", sign(""), "damaged"},
		{"another type", []Sigstore{s.sign(t, payload(simpleType, imageName, imageDigest))}, `its type is "atomic container signature"`},
		{"more after its end", sign(whole + "{}"), "there is more after its end"},
		{"one more key", sign(strings.Replace(whole, `"optional"`, `"x":1,"optional"`, 1)), `the key "x" is not expected`},
		{"a key twice", sign(strings.Replace(whole, `"critical"`, `"critical":{},"critical"`, 1)), `the key "critical" is not expected`},
		{"keys in capitals", sign(strings.ToUpper(whole)), "is not expected"},
		{"no image", sign(`{"critical":{"type":"x","identity":{"docker-reference":"a"}}}`), `"image" is missing`},
		{"no digest", sign(strings.Replace(whole, imageDigest.String(), "latest", 1)), `digest "latest"`},
		{"a list", sign("[]"), "in place of an object"},
	} {
		var refused *Refusal
		signers, err := Check([]Requirement{sigstoreBy(s)}, theImage(t), Signatures{Sigstore: c.all}, nil)
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || signers != nil {
			t.Errorf("%s: %v, %v, want %s", c.name, signers, err, c.want)
		}
		// A bad signature does not hide a good one.
		if _, err := Check([]Requirement{sigstoreBy(s)}, theImage(t), Signatures{Sigstore: append(c.all, good)}, nil); err != nil {
			t.Errorf("%s, and a good one: %v", c.name, err)
		}
	}
}

// Each requirement must be met.
func TestAllRequirements(t *testing.T) {
	a, b := ecdsaSigner(t), ecdsaSigner(t)
	text := payload(cosignType, imageName, imageDigest)
	byA, byBoth := Signatures{Sigstore: []Sigstore{a.sign(t, text)}}, Signatures{Sigstore: []Sigstore{a.sign(t, text), b.sign(t, text)}}
	both := []Requirement{sigstoreBy(a), {Kind: Accept}, sigstoreBy(b)}
	if _, err := Check(both, theImage(t), byA, nil); err == nil {
		t.Error("one signature of two is accepted")
	}
	if signers, err := Check(both, theImage(t), byBoth, nil); err != nil || len(signers) != 2 {
		t.Errorf("both: %v, %v", signers, err)
	}
	if _, err := Check(append(both, Requirement{Kind: Reject}), theImage(t), byBoth, nil); err == nil {
		t.Error("reject accepts")
	}
	if err := Rejects(append(both, Requirement{Kind: Reject})); err == nil {
		t.Error("it does not reject")
	}
	if _, err := Check([]Requirement{{}}, theImage(t), byBoth, nil); err == nil {
		t.Error("an unknown requirement accepts")
	}
	for name, r := range map[string]Requirement{
		"no key": {Kind: SigstoreSigned, Keys: Texts{Data: [][]byte{[]byte("key")}}},
		"a ring": {Kind: SignedBy, Keys: Texts{Data: [][]byte{a.public}}},
		"a file": {Kind: SignedBy, Keys: Texts{Paths: []string{"/x"}}},
	} {
		var refused *Refusal
		_, err := Check([]Requirement{r}, theImage(t), byBoth, func(string) ([]byte, error) { return nil, errors.New("no file") })
		if err == nil || errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pgpSign signs a text as gpg --sign does.
func pgpSign(t *testing.T, by *openpgp.Entity, text []byte, at time.Time) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := openpgp.Sign(&b, by, nil, &packet.Config{Time: func() time.Time { return at }, DefaultCompressionAlgo: packet.CompressionZLIB})
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pgpKey(t *testing.T, seconds uint32, at time.Time) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("team", "", "team@example.org", &packet.Config{KeyLifetimeSecs: seconds, Time: func() time.Time { return at }, Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func public(t *testing.T, e *openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOpenPGP(t *testing.T) {
	now, then := time.Now(), time.Now().Add(-time.Hour)
	key, stranger, expired, revoked := pgpKey(t, 0, then), pgpKey(t, 0, then), pgpKey(t, 60, then), pgpKey(t, 0, then)
	text := payload(simpleType, imageName, imageDigest)
	byRevoked := pgpSign(t, revoked, text, then)
	if err := revoked.RevokeKey(packet.KeyCompromised, "", nil); err != nil {
		t.Fatal(err)
	}
	good := pgpSign(t, key, text, now)
	r := Requirement{Kind: SignedBy, Line: 7, Keys: Texts{Data: [][]byte{public(t, key), public(t, expired), public(t, revoked)}}, Identity: Identity{Kind: MatchRepoDigestOrExact}}
	signers, err := Check([]Requirement{r}, theImage(t), Signatures{OpenPGP: [][]byte{good}}, nil)
	if want := fmt.Sprintf("[%X]", key.PrimaryKey.Fingerprint); err != nil || fmt.Sprint(signers) != want {
		t.Errorf("%v, %v, want %s", signers, err, want)
	}
	var huge bytes.Buffer
	huge.Write(text)
	huge.Write(bytes.Repeat([]byte(" "), 2*maxText))
	for _, c := range []struct {
		name      string
		signature []byte
		want      string
	}{
		{"by another key", pgpSign(t, stranger, text, now), "not by a key of the policy"},
		{"by an expired key", pgpSign(t, expired, text, then.Add(time.Second)), "not valid"},
		{"by a revoked key", byRevoked, "not valid"},
		{"of another image", pgpSign(t, key, payload(simpleType, imageName, otherDigest), now), "of another image"},
		{"of another tag", pgpSign(t, key, payload(simpleType, "registry.example/team/web:2", imageDigest), now), "of registry.example/team/web:2"},
		{"of another type", pgpSign(t, key, payload(cosignType, imageName, imageDigest), now), "its type is"},
		{"cut", good[:len(good)-20], ""},
		{"nothing", nil, "damaged"},
		{"no message", []byte("text"), "damaged"},
		{"a key", public(t, key), ""},
		{"compressed and huge", pgpSign(t, key, huge.Bytes(), now), ""},
		{"without the key's name", withoutKeyName(t, key, text), "the signature is damaged"},
		{"an unsigned text", literal(t, text), "not by a key"},
	} {
		var refused *Refusal
		_, err := Check([]Requirement{r}, theImage(t), Signatures{OpenPGP: [][]byte{c.signature}}, nil)
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if _, err := Check([]Requirement{r}, theImage(t), Signatures{OpenPGP: [][]byte{c.signature, good}}, nil); err != nil {
			t.Errorf("%s, and a good one: %v", c.name, err)
		}
	}
}

// withoutKeyName returns a message whose signature does not say which key made it.
func withoutKeyName(t *testing.T, by *openpgp.Entity, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	one := packet.OnePassSignature{Version: 3, SigType: packet.SigTypeBinary, Hash: crypto.SHA256, PubKeyAlgo: by.PrimaryKey.PubKeyAlgo, KeyId: by.PrimaryKey.KeyId, IsLast: true}
	err := one.Serialize(&b)
	b.Write(literal(t, text))
	s := packet.Signature{Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: by.PrimaryKey.PubKeyAlgo, Hash: crypto.SHA256, CreationTime: time.Now()}
	h := crypto.SHA256.New()
	h.Write(text)
	if err == nil {
		err = s.Sign(h, by.PrivateKey, nil)
	}
	if err == nil {
		err = s.Serialize(&b)
	}
	if err != nil {
		t.Fatal(err)
	}
	said := append([]byte{0x16, 33, 4}, by.PrimaryKey.Fingerprint...)
	if !bytes.Contains(b.Bytes(), said) {
		t.Fatal("the signature does not name its key")
	}
	return bytes.Replace(b.Bytes(), said, append([]byte{0x16, 100, 4}, by.PrimaryKey.Fingerprint...), 1)
}

// literal returns a message without a signature.
func literal(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := packet.SerializeLiteral(nopCloser{&b}, true, "", 0)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type nopCloser struct{ *bytes.Buffer }

func (nopCloser) Close() error { return nil }

func FuzzOpenPGP(f *testing.F) {
	key, err := openpgp.NewEntity("team", "", "team@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		f.Fatal(err)
	}
	r := ring{key}
	f.Add([]byte("text"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, _, err := r.open(text); err == nil {
			t.Error("it is accepted")
		}
	})
}
