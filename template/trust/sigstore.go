package trust

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// A publicKey checks signatures.
type publicKey struct {
	signature.Verifier
	fingerprint string
	pem         []byte
}

type publicKeys []publicKey

// readPublicKeys reads public keys in PEM, one in each text.
func readPublicKeys(texts [][]byte) (publicKeys, error) {
	var all publicKeys
	for _, text := range texts {
		key, err := cryptoutils.UnmarshalPEMToPublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("read a public key: %w", err)
		}
		one, err := newPublicKey(key)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func newPublicKey(key crypto.PublicKey) (publicKey, error) {
	v, err := signature.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		return publicKey{}, fmt.Errorf("read a public key: %w", err)
	}
	print, err := fingerprint(key)
	if err != nil {
		return publicKey{}, err
	}
	text, err := cryptoutils.MarshalPublicKeyToPEM(key)
	if err != nil {
		return publicKey{}, fmt.Errorf("read a public key: %w", err)
	}
	return publicKey{v, print, text}, nil
}

// fingerprint returns the SHA-256 of a public key in the form of PKIX, as "openssl pkey -pubout
// -outform DER" writes it.
func fingerprint(key crypto.PublicKey) (string, error) {
	der, err := cryptoutils.MarshalPublicKeyToDER(key)
	if err != nil {
		return "", fmt.Errorf("read a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// verify returns the fingerprint of the key that made the signature.
func (k publicKeys) verify(s signed) (string, error) {
	for _, one := range k {
		if one.VerifySignature(bytes.NewReader(s.Signature), bytes.NewReader(s.message())) == nil {
			return one.fingerprint, nil
		}
	}
	return "", errors.New("the signature is not by a key of the policy")
}
