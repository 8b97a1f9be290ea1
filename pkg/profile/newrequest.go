package profile

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/netip"

	"x509ctl/pkg/fault"
)

// CreateRequest returns a request in DER for the key, signed by it. The first name,
// a DNS name of at most 64 characters, is the common name; all of them, DNS names and
// IP addresses as text, are alternative names. What it returns, [ParseRequest]
// reads.
//
// Errors: [*NameError]; [fault.Denied] for a key that [CheckKey] refuses.
func CreateRequest(key crypto.Signer, names ...string) ([]byte, error) {
	if len(names) == 0 || len(names) >= MaxNames {
		return nil, fault.Errorf(fault.Denied, "a request needs 1 to %d names", MaxNames-1)
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: names[0]}}
	for i, name := range names {
		addr, err := netip.ParseAddr(name)
		if err == nil && i > 0 {
			template.IPAddresses = append(template.IPAddresses, net.IP(addr.Unmap().AsSlice()))
			continue
		}
		if _, err := ParseName(name); err != nil {
			return nil, err
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	if len(names[0]) > maxCommonNameLength {
		return nil, requestedName{kind: kindCommonName, text: names[0]}.refuse(tooLong, nil)
	}
	if err := CheckKey(key.Public()); err != nil {
		return nil, err
	}
	raw, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "signing the request: %w", err)
	}
	if _, err := ParseRequest(raw); err != nil {
		return nil, fault.Errorf(fault.Internal, "reading back the request: %w", err)
	}
	return raw, nil
}
