package streams

import (
	"bytes"
	"errors"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"croft/internal/fail"
)

// A keyring has the keys that may sign a catalogue.
type keyring openpgp.EntityList

// readKeys reads OpenPGP keys, binary or armored. Text without a key is fail.Usage.
func readKeys(text []byte) (keyring, error) {
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	if err != nil {
		keys, err = openpgp.ReadKeyRing(bytes.NewReader(text))
	}
	if err == nil && len(keys) == 0 {
		err = errors.New("it has no key")
	}
	if err != nil {
		return nil, fail.New(fail.Usage, "read an OpenPGP key: %w", err)
	}
	return keyring(keys), nil
}

// CheckKeys returns fail.Usage if the text has no OpenPGP key.
func CheckKeys(text []byte) error {
	_, err := readKeys(text)
	return err
}

// clearsigned returns the text of a message with its signature (RFC 9580, section 7).
func (k keyring) clearsigned(message []byte) ([]byte, error) {
	block := decodeClearsigned(message)
	if block == nil {
		return nil, badCatalogue("a signed document has no signature")
	}
	if _, err := block.VerifySignature(openpgp.EntityList(k), nil); err != nil {
		return nil, badSignature(err)
	}
	return block.Plaintext, nil
}

// decodeClearsigned returns the text and the signature in a message, nil without a signature.
// clearsign.Decode panics for a message without a text, which a server could send.
func decodeClearsigned(message []byte) (block *clearsign.Block) {
	defer func() {
		if recover() != nil {
			block = nil
		}
	}()
	block, _ = clearsign.Decode(message)
	return block
}

// detached checks a signature that is in a file of its own.
func (k keyring) detached(text, signature []byte) error {
	check := openpgp.CheckDetachedSignature
	if bytes.HasPrefix(signature, []byte("-----BEGIN")) {
		check = openpgp.CheckArmoredDetachedSignature
	}
	if _, err := check(openpgp.EntityList(k), bytes.NewReader(text), bytes.NewReader(signature), nil); err != nil {
		return badSignature(err)
	}
	return nil
}

func badSignature(err error) error {
	return fail.New(fail.Usage, "the signature of the catalogue is not valid: %w", err)
}
