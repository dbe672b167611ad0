package trust

import (
	"bytes"
	"crypto"
	"fmt"

	"croft/template/reference"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// A Key signs images. Only its fingerprint is visible.
type Key struct {
	by     signature.Signer
	public publicKey
	pgp    *openpgp.Entity // instead of both
}

// ReadSigningKey reads a private key: one of cosign, any other of ECDSA, RSA or Ed25519 in PEM, or one of
// OpenPGP. password is called if it is encrypted.
func ReadSigningKey(text []byte, password func() ([]byte, error)) (Key, error) {
	if isOpenPGP(text) {
		return readPGPKey(text, password)
	}
	private, err := cryptoutils.UnmarshalPEMToPrivateKey(text, func(bool) ([]byte, error) { return password() })
	if err != nil {
		return Key{}, err
	}
	signer, err := signature.LoadSigner(private, crypto.SHA256)
	if err != nil {
		return Key{}, err
	}
	public, err := signer.PublicKey()
	if err != nil {
		return Key{}, err
	}
	one, err := newPublicKey(public)
	return Key{by: signer, public: one}, err
}

// MarshalText returns the fingerprint.
func (k Key) MarshalText() ([]byte, error) {
	if k.pgp != nil {
		return []byte(pgpFingerprint(k.pgp)), nil
	}
	return []byte(k.public.fingerprint), nil
}

// Sign returns a signature of sigstore of the image with this digest. Its name is that of ref, with the tag if
// there is one.
func (k Key) Sign(ref *reference.Named, d digest.Digest) (Sigstore, error) {
	text, err := textOf(ref, d, cosignType)
	if err != nil {
		return Sigstore{}, err
	}
	made, err := k.by.SignMessage(bytes.NewReader(text))
	if err != nil {
		return Sigstore{}, fmt.Errorf("sign %s: %w", ref, err)
	}
	return Sigstore{Payload: text, Signature: made}, nil
}

// Made reports whether s is a signature by the key.
func (k Key) Made(s Sigstore) bool {
	_, err := publicKeys{k.public}.verify(signed{Sigstore: s})
	return err == nil
}
