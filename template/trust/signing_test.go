package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

func TestReadSigningKey(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return encode("PRIVATE KEY", der, err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	locked, lockedPublic, lockErr := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), func(bool) ([]byte, error) { return []byte("secret"), nil })
	if lockErr != nil {
		t.Fatal(lockErr)
	}
	cosign := bytes.ReplaceAll(locked, []byte("SIGSTORE"), []byte("COSIGN"))
	for _, c := range []struct {
		name   string
		text   []byte
		public []byte
	}{
		{"ECDSA", pkcs8(ec), newSigner(t, ec).public},
		{"ECDSA of openssl ecparam", encode("EC PRIVATE KEY", sec1, err), newSigner(t, ec).public},
		{"RSA", pkcs8(rsaKey), newSigner(t, rsaKey).public},
		{"Ed25519", pkcs8(ed), newSigner(t, ed).public},
		{"sigstore's", locked, lockedPublic},
		{"cosign's", cosign, lockedPublic},
	} {
		key, err := ReadSigningKey(c.text, func() ([]byte, error) { return []byte("secret"), nil })
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		im := theImage(t)
		made, err := key.Sign(im.Name, imageDigest)
		if err != nil || !key.Made(made) {
			t.Errorf("%s: %v", c.name, err)
		}
		signers, err := Check([]Requirement{sigstoreBy(signer{public: c.public})}, im, Signatures{Sigstore: []Sigstore{made}}, nil)
		text, _ := json.Marshal(key)
		if err != nil || len(signers) != 1 || string(text) != `"`+signers[0]+`"` {
			t.Errorf("%s: %v, %v, and it is shown as %s", c.name, signers, err, text)
		}
	}
	noPassword := errors.New("no password")
	for _, c := range []struct {
		name string
		text []byte
		word string
		err  error
		want string
	}{
		{"a wrong password", cosign, "other", nil, "decryption failed"},
		{"an empty password", cosign, "", nil, "decryption failed"},
		{"no password", cosign, "", noPassword, "no password"},
		{"nothing", nil, "", nil, "PEM decoding failed"},
		{"a public key", lockedPublic, "", nil, "unknown private key PEM file type"},
	} {
		_, err := ReadSigningKey(c.text, func() ([]byte, error) { return []byte(c.word), c.err })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// The signed text of a reference with a digest has no tag.
func TestSignedText(t *testing.T) {
	d := digest.FromString("x")
	for _, c := range []struct{ ref, want string }{
		{"registry.example/web:1", "registry.example/web:1"},
		{"registry.example/web:1@" + d.String(), "registry.example/web"},
		{"index.docker.io/library/web:1", "docker.io/library/web:1"},
	} {
		name, err := ParseReference(c.ref)
		if err != nil {
			t.Fatal(err)
		}
		text, err := textOf(name, d, cosignType)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseClaim(text, cosignType); err != nil || got != (claim{d, c.want}) {
			t.Errorf("%s: %v, %v", c.ref, got, err)
		}
	}
}
