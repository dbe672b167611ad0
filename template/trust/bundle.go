package trust

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
)

// The only bundles that croft reads, and what in them is a signature of an image.
const (
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	statementType = "application/vnd.in-toto+json"
	signPredicate = "https://sigstore.dev/cosign/sign/v1"
)

// A bundle is a signature as cosign 3 makes it, in the JSON of
// https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto.
type bundle struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial struct {
		Certificate struct {
			RawBytes []byte `json:"rawBytes"`
		} `json:"certificate"`
		TlogEntries []bundleEntry `json:"tlogEntries"`
	} `json:"verificationMaterial"`
	MessageSignature json.RawMessage `json:"messageSignature"`
	DSSEEnvelope     *struct {
		Payload     []byte `json:"payload"`
		PayloadType string `json:"payloadType"`
		Signatures  []struct {
			Sig []byte `json:"sig"`
		} `json:"signatures"`
	} `json:"dsseEnvelope"`
}

// A bundleEntry is an entry of the log of Rekor.
type bundleEntry struct {
	LogIndex int64 `json:"logIndex,string"`
	LogID    struct {
		KeyID []byte `json:"keyId"`
	} `json:"logId"`
	IntegratedTime   int64 `json:"integratedTime,string"`
	InclusionPromise struct {
		SignedEntryTimestamp []byte `json:"signedEntryTimestamp"`
	} `json:"inclusionPromise"`
	CanonicalizedBody []byte `json:"canonicalizedBody"`
}

// parseBundle returns the signature of an image in a bundle. It is an error if there is none that croft
// can read.
func parseBundle(text []byte) (signed, error) {
	var b bundle
	if err := json.Unmarshal(text, &b); err != nil {
		return signed{}, fmt.Errorf("a bundle of cosign is damaged: %w", err)
	}
	switch {
	case b.MediaType != bundleType:
		return signed{}, fmt.Errorf("the signature is a bundle of the type %q, and croft reads only %s", b.MediaType, bundleType)
	case b.MessageSignature != nil:
		return signed{}, errors.New("the signature is a bundle with a messageSignature, which croft cannot read: it reads a dsseEnvelope")
	case b.DSSEEnvelope == nil || len(b.DSSEEnvelope.Signatures) != 1:
		return signed{}, errors.New("the signature is a bundle without a dsseEnvelope that has one signature")
	case b.DSSEEnvelope.PayloadType != statementType:
		return signed{}, fmt.Errorf("the signature is a bundle with a text of the type %q, and croft reads only %s", b.DSSEEnvelope.PayloadType, statementType)
	}
	s := signed{Sigstore: Sigstore{Payload: b.DSSEEnvelope.Payload, Signature: b.DSSEEnvelope.Signatures[0].Sig}, enveloped: true}
	if c := b.VerificationMaterial.Certificate.RawBytes; len(c) > 0 {
		s.Certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})
	}
	for _, e := range b.VerificationMaterial.TlogEntries {
		if len(e.InclusionPromise.SignedEntryTimestamp) > 0 {
			s.Entry = e.text()
			break
		}
	}
	return s, nil
}

// text returns the entry in the form that it has outside bundles.
func (e bundleEntry) text() []byte {
	type m = map[string]any
	b, _ := json.Marshal(m{ // texts and numbers can always be written
		"SignedEntryTimestamp": e.InclusionPromise.SignedEntryTimestamp,
		"Payload": m{
			"body": base64.StdEncoding.EncodeToString(e.CanonicalizedBody), "integratedTime": e.IntegratedTime,
			"logIndex": e.LogIndex, "logID": hex.EncodeToString(e.LogID.KeyID),
		},
	})
	return b
}

// A signed is a signature from a bundle or from elsewhere.
type signed struct {
	Sigstore
	enveloped bool  // Payload is a statement of in-toto in an envelope of DSSE
	flaw      error // why it cannot be read
}

// all returns the signatures of sigstore. Those that cannot be read have a flaw.
func (f Signatures) all() []signed {
	var all []signed
	for _, s := range f.Sigstore {
		all = append(all, signed{Sigstore: s})
	}
	for _, text := range f.Bundles {
		s, err := parseBundle(text)
		s.flaw = err
		all = append(all, s)
	}
	for _, kind := range f.Unread {
		all = append(all, signed{flaw: fmt.Errorf("it has a signature of the type %s, which croft cannot read", kind)})
	}
	return all
}

// message returns the text that the key has signed
// (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md).
func (s signed) message() []byte {
	if !s.enveloped {
		return s.Payload
	}
	return append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(statementType), statementType, len(s.Payload)), s.Payload...)
}

// A statement is the text in an envelope. It has no name of the image.
type statement struct {
	Type          string `json:"_type"`
	PredicateType string `json:"predicateType"`
	Subject       []struct {
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
}

// isOf reports whether the statement is about the image with this digest.
func (s statement) isOf(d digest.Digest) bool {
	for _, one := range s.Subject {
		if one.Digest[d.Algorithm().String()] == d.Encoded() {
			return true
		}
	}
	return false
}

// checkStatement returns an error unless the statement is a signature of the image, and the
// requirement accepts one without a name.
func (r Requirement) checkStatement(im Image, text []byte) error {
	if _, err := object(text, "_type", "subject", "predicateType", "predicate"); err != nil {
		return fmt.Errorf("the signed text is damaged: %w", err)
	}
	var s statement
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("the signed text is damaged: %w", err)
	}
	if s.Type != "https://in-toto.io/Statement/v1" && s.Type != "https://in-toto.io/Statement/v0.1" {
		return fmt.Errorf("the signed text is damaged: its type is %q", s.Type)
	}
	if s.PredicateType != signPredicate {
		return fmt.Errorf("the bundle is a statement about the image (%s) and no signature of it", s.PredicateType)
	}
	if !slices.ContainsFunc(im.Digests, s.isOf) {
		return errors.New("the signature is of another image")
	}
	if r.Identity.Kind != MatchDigest {
		return fmt.Errorf("a bundle of cosign 3 signs only the digest of the image and no name: the policy accepts that with signedIdentity {type: %s}", MatchDigest)
	}
	return nil
}
