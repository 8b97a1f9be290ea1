package profile

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// RequestCA returns a request (PKCS#10, DER), signed by key, for the certificate that
// [NewCA] would put together as number n: a third party is to sign it. It asks for the
// subject, the basic constraints and the key usage, all of which are the third party's
// to grant or to change.
//
// Errors: [*NameError]; [fault.Denied], for a key that [CheckKey] refuses.
func RequestCA(cluster string, n serial.Number, key crypto.Signer) ([]byte, error) {
	c, err := clusterCA(cluster)
	if err != nil {
		return nil, err
	}
	return c.request(n, key)
}

// RequestProjectRoot is RequestCA for [NewProjectRoot].
func RequestProjectRoot(cluster string, n serial.Number, key crypto.Signer) ([]byte, error) {
	c, err := projectRoot(cluster)
	if err != nil {
		return nil, err
	}
	return c.request(n, key)
}

// RequestProjectCA is RequestCA for [NewProjectCA].
func RequestProjectCA(project string, n serial.Number, key crypto.Signer) ([]byte, error) {
	c, err := projectCA(project)
	if err != nil {
		return nil, err
	}
	return c.request(n, key)
}

func (c *CA) request(n serial.Number, key crypto.Signer) ([]byte, error) {
	if n < 1 {
		return nil, fault.Errorf(fault.Internal, "%d is no certificate's number", int64(n))
	}
	if err := CheckKey(key.Public()); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		RawSubject: subjectName(c.organization, CASubject(c.name, n)),
		ExtraExtensions: []pkix.Extension{
			{Id: []int{2, 5, 29, 19}, Critical: true, Value: c.basicConstraints()},
			{Id: []int{2, 5, 29, 15}, Critical: true, Value: certAndCRLSign()},
		},
	}, key)
	if err != nil {
		return nil, fmt.Errorf("signing the CA's request: %w", err)
	}
	if _, err := ParseRequest(der); err != nil {
		return nil, fmt.Errorf("reading the CA's request back: %w", err)
	}
	return der, nil
}
