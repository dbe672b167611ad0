package trust

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// A rekorLog has the keys of a log of signatures. Rekor signs each entry when it accepts it: that is a
// signed entry timestamp (SET), a promise that the entry is in the log.
type rekorLog struct{ keys []*ecdsa.PublicKey }

// readLog reads the public keys of a log in PEM, one in each text.
func readLog(texts [][]byte) (*rekorLog, error) {
	var in rekorLog
	for _, text := range texts {
		key, err := cryptoutils.UnmarshalPEMToPublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("read a public key of Rekor: %w", err)
		}
		one, ok := key.(*ecdsa.PublicKey)
		if !ok {
			return nil, errors.New("read a public key of Rekor: it is not of ECDSA")
		}
		in.keys = append(in.keys, one)
	}
	return &in, nil
}

// logged returns when the log accepted the signature s with this key or certificate, in PEM. It is an error
// unless the log has signed an entry of exactly these.
func (in rekorLog) logged(s signed, by []byte) (time.Time, error) {
	if len(s.Entry) == 0 {
		return time.Time{}, errors.New("the signature has no signed entry of a log (Rekor)")
	}
	body, at, err := in.open(s.Entry)
	if err != nil {
		return time.Time{}, err
	}
	var r record
	if s.enveloped {
		r = &dsseRecord{}
	} else {
		r = &hashedRekord{}
	}
	if err := json.Unmarshal(body, r); err != nil {
		return time.Time{}, fmt.Errorf("the entry of the log is damaged: %w", err)
	}
	return at, r.isOf(s, by)
}

// open returns what an entry says, and when the log accepted it. It is an error unless the log has
// signed both.
func (in rekorLog) open(text []byte) (body []byte, at time.Time, err error) {
	bad := func(err error) ([]byte, time.Time, error) {
		return nil, time.Time{}, fmt.Errorf("the entry of the log is damaged: %w", err)
	}
	top, err := object(text, "SignedEntryTimestamp", "Payload")
	if err != nil {
		return bad(err)
	}
	var set []byte
	if err := json.Unmarshal(top["SignedEntryTimestamp"], &set); err != nil {
		return bad(err)
	}
	payload, err := jsoncanonicalizer.Transform(top["Payload"])
	if err != nil {
		return bad(err)
	}
	if !in.signed(payload, set) {
		return nil, time.Time{}, errors.New("the entry of the log is not signed by a key of Rekor in the policy")
	}
	fields, err := object(payload, "body", "integratedTime", "logIndex", "logID")
	if err != nil {
		return bad(err)
	}
	var seconds int64
	err = json.Unmarshal(fields["body"], &body)
	if err == nil {
		err = json.Unmarshal(fields["integratedTime"], &seconds)
	}
	if err != nil {
		return bad(err)
	}
	return body, time.Unix(seconds, 0), nil
}

func (in rekorLog) signed(payload, set []byte) bool {
	sum := sha256.Sum256(payload)
	for _, key := range in.keys {
		if ecdsa.VerifyASN1(key, sum[:], set) {
			return true
		}
	}
	return false
}

// loggedKeys are keys whose signatures must be in a log.
type loggedKeys struct {
	publicKeys
	in rekorLog
}

func (k loggedKeys) verify(s signed) (string, error) {
	why := errors.New("the signature is not by a key of the policy")
	for _, one := range k.publicKeys {
		signer, err := publicKeys{one}.verify(s)
		if err != nil {
			continue
		}
		if _, why = k.in.logged(s, one.pem); why == nil {
			return signer, nil
		}
	}
	return "", why
}
