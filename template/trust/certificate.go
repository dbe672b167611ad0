package trust

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// A Fulcio is an authority that gives certificates to people who log in somewhere. A certificate is
// valid for minutes; that the signature was made in that time is shown by a log.
type Fulcio struct {
	CA           Texts  // its root certificates
	OIDCIssuer   string // where the person logged in
	SubjectEmail string
}

// A PKI is any other authority. Its certificates must be valid when the image enters.
type PKI struct {
	Roots           Texts
	Intermediates   Texts
	SubjectEmail    string // "": any
	SubjectHostname string // "": any
}

// A holder decides which certificates may sign.
type holder struct {
	name          string // who signs with such a certificate
	roots         *x509.CertPool
	intermediates []*x509.Certificate
	is            func(*x509.Certificate) error // returns an error for a certificate of another
}

func (f Fulcio) author(in rekorLog, read ReadFile) (author, error) {
	roots, err := readRoots(f.CA, read)
	return fulcioAuthor{holder{name: f.SubjectEmail + "," + f.OIDCIssuer, roots: roots, is: f.is}, in}, err
}

// is returns an error unless the certificate is of the person.
func (f Fulcio) is(c *x509.Certificate) error {
	issuer, err := issuerOf(c)
	if err != nil {
		return err
	}
	if issuer != f.OIDCIssuer {
		return fmt.Errorf("the certificate is for a login at %q", issuer)
	}
	return hasEmail(c, f.SubjectEmail)
}

// A fulcioAuthor is a person with certificates of Fulcio.
type fulcioAuthor struct {
	holder
	in rekorLog
}

func (f fulcioAuthor) verify(s signed) (string, error) {
	if len(s.Certificate) == 0 {
		return "", errNoCertificate
	}
	at, err := f.in.logged(s, s.Certificate)
	if err != nil {
		return "", err
	}
	return f.verifyAt(s, at)
}

func (p PKI) author(read ReadFile) (author, error) {
	roots, err := readRoots(p.Roots, read)
	if err != nil {
		return nil, err
	}
	h := holder{name: p.SubjectEmail, roots: roots, is: p.is}
	if h.name == "" {
		h.name = p.SubjectHostname
	}
	texts, err := p.Intermediates.Read(read)
	if err != nil {
		return nil, err
	}
	for _, text := range texts {
		all, err := cryptoutils.UnmarshalCertificatesFromPEM(text)
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		h.intermediates = append(h.intermediates, all...)
	}
	return pkiAuthor{h}, nil
}

// is returns an error unless the certificate has the names.
func (p PKI) is(c *x509.Certificate) error {
	if p.SubjectEmail == "" && p.SubjectHostname == "" {
		return errors.New("the policy names no subject")
	}
	if p.SubjectEmail != "" {
		if err := hasEmail(c, p.SubjectEmail); err != nil {
			return err
		}
	}
	if p.SubjectHostname == "" {
		return nil
	}
	if err := c.VerifyHostname(p.SubjectHostname); err != nil {
		return fmt.Errorf("the certificate is of another host: %w", err)
	}
	return nil
}

// A pkiAuthor has certificates of another authority.
type pkiAuthor struct{ holder }

func (p pkiAuthor) verify(s signed) (string, error) {
	if len(s.Certificate) == 0 {
		return "", errNoCertificate
	}
	return p.verifyAt(s, time.Now())
}

var errNoCertificate = errors.New("the signature has no certificate")

// verifyAt returns who made the signature, if its certificate was valid at that time.
func (h holder) verifyAt(s signed, at time.Time) (string, error) {
	key, err := h.keyOf(s.Certificate, s.Chain, at)
	if err != nil {
		return "", err
	}
	one, err := newPublicKey(key)
	if err != nil {
		return "", err
	}
	if _, err := (publicKeys{one}).verify(s); err != nil {
		return "", errors.New("the signature is not by the key of its certificate")
	}
	return h.name, nil
}

// keyOf returns the key of a certificate that was valid at that time, and that the roots, the chain and is
// accept.
func (h holder) keyOf(certificate, chain []byte, at time.Time) (crypto.PublicKey, error) {
	bad := func(err error) (crypto.PublicKey, error) {
		return nil, fmt.Errorf("the certificate is not valid: %w", err)
	}
	leafs, err := cryptoutils.UnmarshalCertificatesFromPEM(certificate)
	if err != nil {
		return bad(err)
	}
	if len(leafs) != 1 {
		return bad(fmt.Errorf("there are %d of them", len(leafs)))
	}
	above, err := cryptoutils.UnmarshalCertificatesFromPEM(chain)
	if err != nil {
		return bad(err)
	}
	intermediates := x509.NewCertPool()
	for _, c := range h.intermediates {
		intermediates.AddCert(c)
	}
	if len(above) > 0 { // the last one is the root
		for _, c := range above[:len(above)-1] {
			intermediates.AddCert(c)
		}
	}
	leaf := leafs[0]
	_, err = leaf.Verify(x509.VerifyOptions{Roots: h.roots, Intermediates: intermediates, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}})
	if err != nil {
		return bad(err)
	}
	return leaf.PublicKey, h.is(leaf)
}

// readRoots reads certificates in PEM.
func readRoots(from Texts, read ReadFile) (*x509.CertPool, error) {
	texts, err := from.Read(read)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for _, text := range texts {
		all, err := cryptoutils.UnmarshalCertificatesFromPEM(text)
		if err == nil && len(all) == 0 {
			err = errors.New("there is none")
		}
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		for _, c := range all {
			roots.AddCert(c)
		}
	}
	return roots, nil
}

// The extensions of Fulcio that name the issuer
// (https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md).
var issuerOID, issuerV2OID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}

// issuerOf returns where the person with a certificate of Fulcio logged in.
func issuerOf(c *x509.Certificate) (string, error) {
	var all []string
	for _, e := range c.Extensions {
		switch {
		case e.Id.Equal(issuerOID):
			all = append(all, string(e.Value))
		case e.Id.Equal(issuerV2OID):
			var text string
			if rest, err := asn1.Unmarshal(e.Value, &text); err != nil || len(rest) > 0 {
				return "", errors.New("the certificate names its issuer in an unknown form")
			}
			all = append(all, text)
		}
	}
	if len(all) == 0 {
		return "", errors.New("the certificate does not say where its owner logged in")
	}
	if len(slices.Compact(all)) > 1 {
		return "", errors.New("the certificate names two issuers")
	}
	return all[0], nil
}

// hasEmail returns an error unless the certificate has this address.
func hasEmail(c *x509.Certificate, address string) error {
	if !slices.Contains(c.EmailAddresses, address) {
		return fmt.Errorf("the certificate is for %q and not for %s", c.EmailAddresses, address)
	}
	return nil
}
