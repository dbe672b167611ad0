package cosigner

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// A Signature has what a layer of cosign has: its text, and the values of its annotations.
type Signature struct {
	Payload     []byte
	Signature   []byte
	Certificate []byte // in PEM
	Chain       []byte // in PEM
	Entry       []byte // of Rekor, in JSON
}

// Annotations returns those of the layer.
func (s Signature) Annotations() map[string]string {
	all := map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(s.Signature)}
	for name, text := range map[string][]byte{
		"dev.sigstore.cosign/certificate": s.Certificate, "dev.sigstore.cosign/chain": s.Chain, "dev.sigstore.cosign/bundle": s.Entry,
	} {
		if text != nil {
			all[name] = string(text)
		}
	}
	return all
}

// Payload returns the text that cosign signs for an image with this name and digest.
func Payload(ref string, d digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, ref, d)
}

// Sign signs a text with a key.
func Sign(t testing.TB, key *ecdsa.PrivateKey, text []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(text)
	made, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// Statement returns the text that cosign 3 signs for an image with this digest.
func Statement(d digest.Digest) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{%q:%q}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`, d.Algorithm(), d.Encoded())
}

// Enveloped returns what a key signs for a statement in an envelope of DSSE.
func Enveloped(text []byte) []byte {
	const kind = "application/vnd.in-toto+json"
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(text), text)
}

// Bundle returns the signature of a statement as cosign 3 writes it. Each of changes may change it before.
func (s Signature) Bundle(t testing.TB, changes ...func(b map[string]any)) []byte {
	t.Helper()
	material := object{}
	if block, _ := pem.Decode(s.Certificate); block != nil {
		material["certificate"] = object{"rawBytes": block.Bytes}
	} else {
		material["publicKey"] = object{"hint": "key"}
	}
	if s.Entry != nil {
		var e struct {
			SignedEntryTimestamp []byte
			Payload              struct {
				Body                     []byte
				IntegratedTime, LogIndex int64
				LogID                    string
			}
		}
		if err := json.Unmarshal(s.Entry, &e); err != nil {
			t.Fatal(err)
		}
		id, _ := hex.DecodeString(e.Payload.LogID)
		material["tlogEntries"] = []object{{
			"logIndex": fmt.Sprint(e.Payload.LogIndex), "logId": object{"keyId": id}, "kindVersion": object{"kind": "dsse", "version": "0.0.1"},
			"integratedTime": fmt.Sprint(e.Payload.IntegratedTime), "canonicalizedBody": e.Payload.Body,
			"inclusionPromise": object{"signedEntryTimestamp": e.SignedEntryTimestamp},
		}}
	}
	b := object{
		"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": material,
		"dsseEnvelope": object{"payload": s.Payload, "payloadType": "application/vnd.in-toto+json", "signatures": []object{{"sig": s.Signature}}},
	}
	for _, change := range changes {
		change(b)
	}
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// EnvelopeRecord returns what the log stores of an envelope that was signed with this key or certificate, in
// PEM.
func EnvelopeRecord(s Signature, by []byte) object {
	sum := sha256.Sum256(s.Payload)
	return object{"apiVersion": "0.0.1", "kind": "dsse", "spec": object{
		"payloadHash": object{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])},
		"signatures":  []object{{"signature": s.Signature, "verifier": by}},
	}}
}

// Sign signs a text with the key of the certificate, and enters the signature in the log at that time.
func (h Holder) Sign(t testing.TB, in *Log, text []byte, at time.Time) Signature {
	t.Helper()
	s := Signature{Payload: text, Signature: Sign(t, h.Key, text), Certificate: h.Certificate, Chain: h.Chain}
	s.Entry = in.Enter(t, Record(s, h.Certificate), at)
	return s
}

// A Log is one of Rekor.
type Log struct{ key *ecdsa.PrivateKey }

// NewLog makes a log.
func NewLog(t testing.TB) *Log { return &Log{NewKey(t)} }

// Key returns the public key of the log in PEM.
func (l *Log) Key(t testing.TB) []byte { return Public(t, l.key) }

type object = map[string]any

// Record returns what the log stores of a signature that was made with this key or certificate, in PEM.
func Record(s Signature, by []byte) object {
	sum := sha256.Sum256(s.Payload)
	return object{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": object{
		"data":      object{"hash": object{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}},
		"signature": object{"content": s.Signature, "publicKey": object{"content": by}},
	}}
}

// Enter returns the entry of a record, which the log signs.
func (l *Log) Enter(t testing.TB, record object, at time.Time) []byte {
	t.Helper()
	body, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	// Names in this order and without blanks are the canonical form.
	payload := fmt.Appendf(nil, `{"body":%q,"integratedTime":%d,"logID":"%064x","logIndex":7}`, base64.StdEncoding.EncodeToString(body), at.Unix(), 1)
	entry, err := json.Marshal(object{"SignedEntryTimestamp": Sign(t, l.key, payload), "Payload": json.RawMessage(payload)})
	if err != nil {
		t.Fatal(err)
	}
	return entry
}
