// Package cosigner makes signatures as cosign, Fulcio and Rekor make them, for tests.
package cosigner

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// The extensions of Fulcio that name where a person logged in. The first one has the text itself, the
// second one has it in DER.
var (
	IssuerV1 = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
	IssuerV2 = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
)

// NewKey makes a key of ECDSA.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Public returns the public key in PEM.
func Public(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// An Authority has a root certificate, and one below it that issues those of people.
type Authority struct {
	root, between       *x509.Certificate
	rootKey, betweenKey *ecdsa.PrivateKey
}

// NewAuthority makes an authority whose certificates are valid from a time until another.
func NewAuthority(t testing.TB, from, until time.Time) *Authority {
	t.Helper()
	a := &Authority{rootKey: NewKey(t), betweenKey: NewKey(t)}
	of := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until,
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	root := of("root")
	a.root = certificate(t, root, root, a.rootKey, a.rootKey)
	a.between = certificate(t, of("between"), a.root, a.betweenKey, a.rootKey)
	return a
}

func certificate(t testing.TB, c, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err == nil {
		c, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func inPEM(all ...*x509.Certificate) (text []byte) {
	for _, c := range all {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// Root returns the root certificate in PEM.
func (a *Authority) Root() []byte { return inPEM(a.root) }

// Between returns the certificate in PEM that issues those of people.
func (a *Authority) Between() []byte { return inPEM(a.between) }

// A Holder has a key with a certificate.
type Holder struct {
	Key         *ecdsa.PrivateKey
	Certificate []byte // in PEM
	Chain       []byte // in PEM
}

// Issue makes a certificate for signatures, as Fulcio does: for ten minutes from a time, for a person with this
// e-mail address who logged in at issuer. Each of changes may change it before.
func (a *Authority) Issue(t testing.TB, from time.Time, email, issuer string, changes ...func(*x509.Certificate)) Holder {
	t.Helper()
	v2, err := asn1.MarshalWithParams(issuer, "utf8")
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: from.Add(10 * time.Minute), EmailAddresses: []string{email},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: IssuerV1, Value: []byte(issuer)}, {Id: IssuerV2, Value: v2}},
	}
	for _, change := range changes {
		change(c)
	}
	h := Holder{Key: NewKey(t), Chain: inPEM(a.between, a.root)}
	h.Certificate = inPEM(certificate(t, c, a.between, h.Key, a.betweenKey))
	return h
}
