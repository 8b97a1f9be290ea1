package pkcs12

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"

	"x509ctl/pkg/fault"
)

// EncodeTrustStore packs CA certificates, at least one, as what Java calls a trust
// store: no key, and each marked as trusted (attribute 2.16.840.1.113894.746875.1.1),
// for any purpose. An entry is called by the certificate's common name, serial number
// and, so that no two are the same, the beginning of its fingerprint.
//
// The password keeps nothing secret, and lets Java notice damage. It is one that
// [CheckPassword] accepts. The file is read back before it is returned.
//
// Errors: [fault.Malformed] for an unknown profile and for no certificate;
// CheckPassword's; and [fault.Internal] for a file that doesn't read back.
func EncodeTrustStore(p Profile, cas []*x509.Certificate, password string) ([]byte, error) {
	a, ok := algorithmsOf(p)
	switch {
	case !ok:
		return nil, fault.Errorf(fault.Malformed, "unknown PKCS#12 profile %q", p)
	case len(cas) == 0:
		return nil, fault.New(fault.Malformed, "there is no certificate to trust")
	}
	if err := CheckPassword(password); err != nil {
		return nil, err
	}
	var entries []gopkcs12.TrustStoreEntry
	for _, c := range cas {
		sum := sha256.Sum256(c.Raw)
		name := fmt.Sprintf("%s %v %x", c.Subject.CommonName, c.SerialNumber, sum[:4])
		entries = append(entries, gopkcs12.TrustStoreEntry{Cert: c, FriendlyName: name})
	}
	data, err := a.encoder.EncodeTrustStoreEntries(entries, password)
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "encoding PKCS#12: %w", err)
	}
	if err := readTrustStore(data, cas, password); err != nil {
		return nil, fault.Errorf(fault.Internal, "reading the PKCS#12 file back: %w", err)
	}
	return data, nil
}

func readTrustStore(data []byte, want []*x509.Certificate, password string) error {
	f, err := Parse(data)
	if err != nil {
		return err
	}
	contents, err := f.Open(password)
	switch {
	case err != nil:
		return err
	case len(contents.Keys) > 0 || len(contents.Certificates) != len(want):
		return errors.New("it holds something else")
	}
	for i, c := range contents.Certificates {
		if !c.Bag.Trusted || c.Certificate == nil || !c.Certificate.Equal(want[i]) {
			return fmt.Errorf("certificate %d is another one, or not trusted", i+1)
		}
	}
	return nil
}
