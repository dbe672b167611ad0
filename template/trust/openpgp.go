package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// A ring has the OpenPGP keys that may sign.
type ring openpgp.EntityList

// readRing reads keys, binary or armored.
func readRing(texts [][]byte) (ring, error) {
	var all ring
	for _, text := range texts {
		keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
		if err != nil {
			keys, err = openpgp.ReadKeyRing(bytes.NewReader(text))
		}
		if err == nil && len(keys) == 0 {
			err = errors.New("it has no key")
		}
		if err != nil {
			return nil, fmt.Errorf("read an OpenPGP key: %w", err)
		}
		all = append(all, keys...)
	}
	return all, nil
}

// maxText limits the text of a signature after it was decompressed.
const maxText = 1 << 20

// open returns the text of a signed message, and the fingerprint of the key. A signature that has
// expired, or whose key has expired or was revoked, is an error.
func (r ring) open(message []byte) (text []byte, signer string, err error) {
	defer func() { // the library fails at a signature that does not name its key
		if p := recover(); p != nil {
			err = fmt.Errorf("the signature is damaged: %v", p)
		}
	}()
	config := &packet.Config{MaxDecompressedMessageSize: new(int64(maxText))}
	md, err := openpgp.ReadMessage(bytes.NewReader(message), openpgp.EntityList(r), nil, config)
	if err != nil {
		return nil, "", fmt.Errorf("the signature is damaged: %w", err)
	}
	if !md.IsSigned || md.SignedBy == nil {
		return nil, "", errors.New("the signature is not by a key of the policy")
	}
	text, err = io.ReadAll(io.LimitReader(md.UnverifiedBody, maxText+1))
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("the signature is damaged: %w", err)
	case len(text) > maxText:
		return nil, "", errors.New("the signed text is too large")
	case md.SignatureError != nil:
		return nil, "", fmt.Errorf("the signature is not valid: %w", md.SignatureError)
	case md.Signature == nil:
		return nil, "", errors.New("the signature is missing")
	}
	return text, pgpFingerprint(md.SignedBy.Entity), nil
}
