package trust

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"croft/template/reference"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/opencontainers/go-digest"
)

// isOpenPGP reports whether text is a key of OpenPGP: armored, or binary, which begins with the first bit set.
func isOpenPGP(text []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN PGP ")) || len(text) > 0 && text[0]&0x80 != 0
}

// readPGPKey reads a private key of OpenPGP, as "gpg --export-secret-keys" writes it.
func readPGPKey(text []byte, password func() ([]byte, error)) (Key, error) {
	keys, err := readRing([][]byte{text})
	if err != nil {
		return Key{}, err
	}
	if len(keys) != 1 {
		return Key{}, fmt.Errorf("there are %d keys of OpenPGP, and one is needed: export it alone", len(keys))
	}
	key := keys[0]
	if key.PrivateKey == nil {
		return Key{}, errors.New("it is a public key of OpenPGP, and a private one is needed")
	}
	if locked(key) {
		said, err := password()
		if err != nil {
			return Key{}, err
		}
		if err := key.DecryptPrivateKeys(said); err != nil {
			return Key{}, fmt.Errorf("decryption failed: %w", err)
		}
	}
	return Key{pgp: key}, nil
}

// locked reports whether a part of the key is encrypted. The primary key may be missing, as gpg exports subkeys
// alone.
func locked(key *openpgp.Entity) bool {
	if !key.PrivateKey.Dummy() && key.PrivateKey.Encrypted {
		return true
	}
	for _, sub := range key.Subkeys {
		if sub.PrivateKey != nil && !sub.PrivateKey.Dummy() && sub.PrivateKey.Encrypted {
			return true
		}
	}
	return false
}

// OpenPGP reports whether the key makes signatures of OpenPGP, which are not in the registry.
func (k Key) OpenPGP() bool { return k.pgp != nil }

// SignOpenPGP returns a signature in the form of containers-signature(5) of the image with this digest. Its
// name is that of ref, with the tag if there is one.
func (k Key) SignOpenPGP(ref *reference.Named, d digest.Digest) ([]byte, error) {
	text, err := textOf(ref, d, simpleType)
	if err != nil {
		return nil, err
	}
	var made bytes.Buffer
	w, err := openpgp.Sign(&made, k.pgp, nil, nil)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", ref, err)
	}
	return made.Bytes(), nil
}

// MadeOpenPGP reports whether signature is one by the key of what SignOpenPGP signs.
func (k Key) MadeOpenPGP(signature []byte, ref *reference.Named, d digest.Digest) bool {
	text, err := textOf(ref, d, simpleType)
	if err != nil {
		return false
	}
	said, _, err := ring{k.pgp}.open(signature)
	return err == nil && bytes.Equal(said, text)
}

// pgpFingerprint returns the fingerprint of a key as gpg shows it.
func pgpFingerprint(key *openpgp.Entity) string {
	return strings.ToUpper(fmt.Sprintf("%x", key.PrimaryKey.Fingerprint))
}
