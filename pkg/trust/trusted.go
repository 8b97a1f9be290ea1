package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
)

// FormatTrusted returns CAs in the PEM of OpenSSL ("TRUSTED CERTIFICATE") that says that they
// are trusted by themselves: for TLS servers, TLS clients and anything else.
//
// OpenSSL looks for a path to a root. Given a bundle, it also accepts what other CAs below
// that root have signed, when a peer brings their certificates: members of every project,
// for there is one root of all. A CA in this form ends the path, and nothing above it is
// needed. Programs that don't use OpenSSL can't read it, and take each CA that they are
// given for a root anyway.
func FormatTrusted(own []*x509.Certificate) []byte {
	// X509_CERT_AUX of OpenSSL: a SEQUENCE of, here, the SEQUENCE of purposes that the
	// certificate is trusted for.
	const aux = "\x30\x1c\x30\x1a" +
		"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01" + // serverAuth
		"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02" + // clientAuth
		"\x06\x04\x55\x1d\x25\x00" // anyExtendedKeyUsage
	var out bytes.Buffer
	for _, ca := range own {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: append(bytes.Clone(ca.Raw), aux...)}))
	}
	return out.Bytes()
}
