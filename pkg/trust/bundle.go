package trust

import (
	"crypto/x509"

	"x509ctl/pkg/fault"
)

// A Bundle is what a verifier trusts.
type Bundle struct {
	own, path []*x509.Certificate
}

// ParseBundle reads PEM.
func ParseBundle(pem []byte) (*Bundle, error) {
	return nil, fault.New(fault.Internal, "not written yet")
}

// FormatBundle writes a bundle's PEM, and refuses one that [ParseBundle] would
// read differently.
func FormatBundle(own, path []*x509.Certificate) ([]byte, error) {
	return nil, fault.New(fault.Internal, "not written yet")
}

// Own returns the authority's own CA certificates, in the bundle's order.
func (b *Bundle) Own() []*x509.Certificate { return append([]*x509.Certificate(nil), b.own...) }

// Path returns the certificates that lie above own ones.
func (b *Bundle) Path() []*x509.Certificate { return append([]*x509.Certificate(nil), b.path...) }
