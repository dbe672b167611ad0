package trust

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// A record is what an entry of the log says of one signature.
type record interface {
	// isOf returns an error unless the record is of the signature s with this key or certificate, in PEM.
	isOf(s signed, by []byte) error
}

// recordHead is in each kind of record.
type recordHead struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// A recordHash is of a signed text.
type recordHash struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"value"`
}

// A hashedRekord is the record of a signature of a text.
type hashedRekord struct {
	recordHead
	Spec struct {
		Data struct {
			Hash recordHash `json:"hash"`
		} `json:"data"`
		Signature struct {
			Content   []byte `json:"content"`
			PublicKey struct {
				Content []byte `json:"content"`
			} `json:"publicKey"`
		} `json:"signature"`
	} `json:"spec"`
}

func (r *hashedRekord) isOf(s signed, by []byte) error {
	made := r.Spec.Signature
	return r.compare("hashedrekord", s, by, made.PublicKey.Content, made.Content, r.Spec.Data.Hash)
}

// A dsseRecord is the record of an envelope of DSSE.
type dsseRecord struct {
	recordHead
	Spec struct {
		PayloadHash recordHash `json:"payloadHash"`
		Signatures  []struct {
			Signature []byte `json:"signature"`
			Verifier  []byte `json:"verifier"`
		} `json:"signatures"`
	} `json:"spec"`
}

func (r *dsseRecord) isOf(s signed, by []byte) error {
	if r.Kind == "dsse" && len(r.Spec.Signatures) != 1 {
		return fmt.Errorf("the entry of the log has %d signatures", len(r.Spec.Signatures))
	}
	var verifier, signature []byte
	for _, made := range r.Spec.Signatures {
		verifier, signature = made.Verifier, made.Signature
	}
	return r.compare("dsse", s, by, verifier, signature, r.Spec.PayloadHash)
}

// compare returns an error unless the record is of this kind, and of the signature s with the key or certificate by.
func (h recordHead) compare(kind string, s signed, by, verifier, signature []byte, of recordHash) error {
	if h.Kind != kind || h.APIVersion != "0.0.1" {
		return fmt.Errorf("the entry of the log is a %q of version %q, and not a %q of version 0.0.1", h.Kind, h.APIVersion, kind)
	}
	logged, rest := pem.Decode(verifier)
	used, more := pem.Decode(by)
	if logged == nil || used == nil || len(rest)+len(more) > 0 || !bytes.Equal(logged.Bytes, used.Bytes) {
		return errors.New("the entry of the log is of another key or certificate")
	}
	if !bytes.Equal(signature, s.Signature) {
		return errors.New("the entry of the log is of another signature")
	}
	if of.Algorithm != "sha256" {
		return fmt.Errorf("the entry of the log has a hash of %q, which croft does not know", of.Algorithm)
	}
	sum := sha256.Sum256(s.Payload)
	if got, err := hex.DecodeString(of.Value); err != nil || !bytes.Equal(got, sum[:]) {
		return errors.New("the entry of the log is of another text")
	}
	return nil
}
