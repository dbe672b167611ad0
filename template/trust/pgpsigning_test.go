package trust

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// private returns a private key as gpg exports it.
func private(t *testing.T, e *openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func armored(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PrivateKeyType, nil)
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

func TestSignWithOpenPGP(t *testing.T) {
	then := time.Now().Add(-time.Hour)
	e, other, expired := pgpKey(t, 0, then), pgpKey(t, 0, then), pgpKey(t, 60, then)
	plain, public := private(t, e), public(t, e)
	if err := e.EncryptPrivateKeys([]byte("secret"), nil); err != nil {
		t.Fatal(err)
	}
	locked := private(t, e)
	says := func(word string) func() ([]byte, error) { return func() ([]byte, error) { return []byte(word), nil } }
	im := theImage(t)
	r := Requirement{Kind: SignedBy, Keys: Texts{Data: [][]byte{public}}, Identity: Identity{Kind: MatchExact}}
	for name, text := range map[string][]byte{"binary": plain, "armored": armored(t, plain), "with a password": locked, "armored with a password": armored(t, locked)} {
		key, err := ReadSigningKey(text, says("secret"))
		if err != nil || !key.OpenPGP() {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if shown, err := key.MarshalText(); err != nil || string(shown) != fmt.Sprintf("%X", e.PrimaryKey.Fingerprint) {
			t.Errorf("%s: its fingerprint is %s, %v", name, shown, err)
		}
		made, err := key.SignOpenPGP(im.Name, imageDigest)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Check([]Requirement{r}, im, Signatures{OpenPGP: [][]byte{made}}, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		foreign, err := ReadSigningKey(private(t, other), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !key.MadeOpenPGP(made, im.Name, imageDigest) || key.MadeOpenPGP(made, im.Name, otherDigest) || foreign.MadeOpenPGP(made, im.Name, imageDigest) {
			t.Errorf("%s: it knows its own signature badly", name)
		}
	}
	for name, c := range map[string]struct {
		text     []byte
		password func() ([]byte, error)
		want     string
	}{
		"another password": {locked, says("wrong"), "decryption failed"},
		"no password":      {locked, func() ([]byte, error) { return nil, errors.New("no terminal") }, "no terminal"},
		"a public key":     {public, nil, "it is a public key"},
		"two keys":         {append(bytes.Clone(plain), private(t, other)...), nil, "there are 2 keys"},
		"damaged":          {[]byte("-----BEGIN PGP PRIVATE KEY BLOCK-----"), nil, "read an OpenPGP key"},
		"cut":              {plain[:20], nil, "read an OpenPGP key"},
	} {
		if _, err := ReadSigningKey(c.text, c.password); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	late, err := ReadSigningKey(private(t, expired), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.SignOpenPGP(im.Name, imageDigest); err == nil {
		t.Error("an expired key signs")
	}
}
