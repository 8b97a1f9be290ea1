// Package trust decides whether a certificate is one of this authority's and
// still good, without key or database.
package trust

import (
	"crypto/x509"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// A Purpose is what a certificate is to be used for.
type Purpose string

// The purposes. The zero Purpose asks for both.
const (
	Client Purpose = "client"
	Server Purpose = "server"
)

// ParsePurpose reads "client", "server" or "" (both).
func ParsePurpose(s string) (Purpose, error) {
	switch p := Purpose(s); p {
	case "", Client, Server:
		return p, nil
	}
	return "", fault.Errorf(fault.Malformed, "purpose %q is neither %q nor %q", s, Client, Server)
}

// A Check is a question about certificates.
type Check struct {
	Bundle      *Bundle
	Floor       serial.Floor
	At          time.Time
	Purpose     Purpose
	Name        string        // DNS name or IP address; "" for any
	Serial      serial.Number // 0 for any
	Fingerprint []byte        // SHA-256 of the certificate; nil for any
}

// Verify returns nil for a valid certificate, else a [*VerifyError].
func (c Check) Verify(leaf *x509.Certificate) error {
	return fault.New(fault.Internal, "not written yet")
}

// ParseCertificate reads the first certificate of a PEM file, or a DER one.
func ParseCertificate(data []byte) (*x509.Certificate, error) {
	return nil, fault.New(fault.Internal, "not written yet")
}
