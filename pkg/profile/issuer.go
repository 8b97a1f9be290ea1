package profile

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"time"

	"x509ctl/pkg/fault"
)

// An Issuer is a CA certificate that may sign leaves, with what every one of them takes
// from it. Only [NewIssuer] and [NewProjectIssuer] make one, and it can't be changed.
type Issuer struct {
	project   string // whose leaves it signs; empty for a cluster's
	chain     []*x509.Certificate
	key       *SubjectKey
	algorithm signatureAlgorithm
	notBefore time.Time // the latest of the chain
	notAfter  time.Time // the earliest of the chain
	rehearsed *rehearsed
}

// maxKeyIDLength is the most octets that a CA's subject key identifier may have;
// 20 and 32 are usual.
const maxKeyIDLength = 64

// NewProjectIssuer is NewIssuer for the CA of the project of that id: it signs what is
// approved for that project, and nothing else. Who signed the CA does not matter here.
//
// Errors: [fault.Denied].
func NewProjectIssuer(project string, chain []*x509.Certificate) (*Issuer, error) {
	if _, err := ParseProject(project); err != nil {
		return nil, err
	}
	i, err := NewIssuer(chain)
	if err != nil {
		return nil, err
	}
	i.project = project
	return i, nil
}

// NewIssuer checks that chain[0] may sign node certificates, or those of CAs: version 3, CA:TRUE,
// keyCertSign, a subject, a subject key identifier (without one openssl verify
// -x509_strict refuses everything it signs) and a key that passes [CheckKey]. After it
// come its issuers up to the root, if there are any; they bound when a certificate
// ends. Whether they are its issuers is for the caller to know.
//
// Errors: [fault.Denied].
func NewIssuer(chain []*x509.Certificate) (*Issuer, error) {
	if len(chain) == 0 || slices.Contains(chain, nil) {
		return nil, fault.New(fault.Internal, "an issuer needs a certificate")
	}
	ca := chain[0]
	switch {
	case ca.Version != 3 || !ca.BasicConstraintsValid || !ca.IsCA:
		return nil, notCA("it is not a CA's (basic constraints CA:TRUE)")
	case ca.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, notCA("its key usage does not include keyCertSign")
	case len(ca.SubjectKeyId) == 0 || len(ca.SubjectKeyId) > maxKeyIDLength:
		return nil, notCA("it has no subject key identifier of at most " + strconv.Itoa(maxKeyIDLength) + " octets")
	case len(ca.RawSubject) <= 2:
		return nil, notCA("its subject is empty")
	}
	key, err := subjectKeyOf(bytes.Clone(ca.RawSubjectPublicKeyInfo))
	if err != nil {
		return nil, fault.Errorf(fault.Denied, "the CA's certificate can't sign: %w", err)
	}
	algorithm, err := algorithmOf(key.key)
	if err != nil {
		return nil, err
	}
	i := &Issuer{chain: slices.Clone(chain), key: key, algorithm: algorithm, notBefore: ca.NotBefore, notAfter: ca.NotAfter, rehearsed: new(rehearsed)}
	for _, c := range chain[1:] {
		if c.NotBefore.After(i.notBefore) {
			i.notBefore = c.NotBefore
		}
		if c.NotAfter.Before(i.notAfter) {
			i.notAfter = c.NotAfter
		}
	}
	return i, nil
}

// ErrNotCA is a certificate that was not made for a CA, or not for one that these
// certificates need.
var ErrNotCA = fault.New(fault.Denied, "the certificate can't be a CA here")

func notCA(why string) error { return fmt.Errorf("%w: %s", ErrNotCA, why) }

// Certificate returns the CA's certificate. The caller must not write to it.
func (i *Issuer) Certificate() *x509.Certificate { return i.chain[0] }

// Key returns the CA's public key.
func (i *Issuer) Key() *SubjectKey { return i.key }

// check refuses the nil and the zero Issuer.
func (i *Issuer) check() error {
	if i == nil || len(i.chain) == 0 {
		return fault.New(fault.Internal, "there is no issuer")
	}
	return nil
}

// validAt refuses a chain that is not valid now.
func (i *Issuer) validAt(now time.Time) error {
	switch {
	case now.Before(i.notBefore):
		return fault.Errorf(fault.Denied, "%w: it begins %s", ErrCANotValid, i.notBefore.Format(time.RFC3339))
	case now.After(i.notAfter):
		return fault.Errorf(fault.Denied, "%w: it ended %s", ErrCANotValid, i.notAfter.Format(time.RFC3339))
	}
	return nil
}
