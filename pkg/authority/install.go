package authority

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"x509ctl/pkg/fault"
)

// ErrNoRoot means that the chain of a CA that was made elsewhere ends too early.
var ErrNoRoot = fault.New(fault.Denied, "it is the last, and no root")

// A ForeignCA is a CA that was made elsewhere: its certificate, those above it up to
// the root, each signed by the next, and its key.
type ForeignCA struct {
	Chain []*x509.Certificate
	Key   crypto.Signer
}

// Check refuses a CA that is of no use for what it is to be: under which nothing would be
// accepted, or no CA of a project, or nothing for the cluster of that name.
// Errors: [fault.Denied]; fault.Malformed for no certificate.
func (f ForeignCA) Check(role Role, name string, now time.Time) error {
	if len(f.Chain) == 0 {
		return fault.New(fault.Malformed, "there is no certificate")
	}
	a, err := newAuthority("", f.Chain, f.Key, false) // CA:TRUE, keyCertSign, a strong key
	if errors.Is(err, ErrKeyMismatch) {
		return fault.New(fault.Denied, "the key is not the one in the CA's certificate")
	}
	if err != nil {
		return err
	}
	below := 0 // CAs below the first one
	if role == ProjectRoot {
		below = 1
	}
	for i, cert := range a.chain {
		if err := checkLink(a.chain, i, below, now); err != nil {
			return fault.Errorf(fault.Denied, "certificate %d of the chain, of %q: %w", i+1, cert.Subject.String(), err)
		}
	}
	if role != ClusterCA { // whose names are judged one by one
		return nil
	}
	return a.CheckName(name)
}

// checkLink judges certificate i of a chain, of which the last is a root; below is how many
// CAs are to stand below the first.
func checkLink(chain []*x509.Certificate, i, below int, now time.Time) error {
	cert := chain[i]
	switch {
	case now.Before(cert.NotBefore):
		return fault.Errorf(fault.Denied, "it is not valid before %s", cert.NotBefore.UTC().Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return fault.Errorf(fault.Denied, "it expired on %s", cert.NotAfter.UTC().Format(time.RFC3339))
	case !cert.BasicConstraintsValid || !cert.IsCA || cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return fault.New(fault.Denied, "it is not a CA's")
	case (cert.MaxPathLen > 0 || cert.MaxPathLenZero) && cert.MaxPathLen < i+below:
		return fault.Errorf(fault.Denied, "its path length is %d, and %d CA certificates stand below it", cert.MaxPathLen, i+below)
	case len(cert.UnhandledCriticalExtensions) > 0:
		return fault.Errorf(fault.Denied, "it has a critical extension that is not understood: %.80s", cert.UnhandledCriticalExtensions[0])
	case !strongKey(cert.PublicKey):
		return fault.New(fault.Denied, "its key is too weak, or of an unknown kind")
	case !allowsTLS(cert):
		return fault.New(fault.Denied, "its extended key usage is not for TLS servers and clients: they would refuse what stands below it")
	case demandsPolicy(cert, i+below+1):
		return fault.New(fault.Denied, "it demands a certificate policy of what stands below it, and certificates made here have none")
	}
	if i < len(chain)-1 {
		above := chain[i+1]
		if !bytes.Equal(cert.RawIssuer, above.RawSubject) || cert.CheckSignatureFrom(above) != nil {
			return fault.Errorf(fault.Denied, "the next certificate, of %q, has not signed it: each has to be followed by its issuer", above.Subject.String())
		}
		if cert.AuthorityKeyId != nil && above.SubjectKeyId != nil && !bytes.Equal(cert.AuthorityKeyId, above.SubjectKeyId) {
			return fault.Errorf(fault.Denied, "its authority key identifier is not that of the next certificate, of %q, by which OpenSSL finds it", above.Subject.String())
		}
		return nil
	}
	if !bytes.Equal(cert.RawIssuer, cert.RawSubject) || cert.CheckSignatureFrom(cert) != nil {
		return fmt.Errorf("%w: the certificate of its issuer, %q, is missing", ErrNoRoot, cert.Issuer.String())
	}
	return nil
}

// allowsTLS reports whether a CA's certificate leaves room for servers and clients below it:
// programs hold the extended key usage of each CA against the purpose, though RFC 5280
// does not. OpenSSL does not take anyExtendedKeyUsage for all.
func allowsTLS(cert *x509.Certificate) bool {
	if len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
}

// demandsPolicy reports whether a CA's certificate demands a policy of a path that goes on
// with so many certificates below it (RFC 5280, section 4.2.1.11).
func demandsPolicy(cert *x509.Certificate, below int) bool {
	return (cert.RequireExplicitPolicy > 0 || cert.RequireExplicitPolicyZero) && cert.RequireExplicitPolicy <= below
}

// strongKey bounds the keys of those above a CA; the CA's own is judged by the profile.
func strongKey(key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize >= 256
	case ed25519.PublicKey:
		return true
	}
	return false
}

// Clashes reports whether f has the name of another CA and not its key: verifiers that
// find an issuer by its name would find the wrong one.
func (f ForeignCA) Clashes(other *x509.Certificate) bool {
	return bytes.Equal(f.Chain[0].RawSubject, other.RawSubject) && !SameKey(f.Chain[0], other)
}

// SharesIssuer reports the name that a CA of f's chain has in common with another chain, or
// the key: who trusts one of them may then accept what the other signs.
func (f ForeignCA) SharesIssuer(other []*x509.Certificate) (name string, shared bool) {
	for _, a := range f.Chain {
		for _, b := range other {
			if bytes.Equal(a.RawSubject, b.RawSubject) || SameKey(a, b) {
				return a.Subject.String(), true
			}
		}
	}
	return "", false
}

// SameKey reports whether two certificates are of one key.
func SameKey(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// Install puts a CA that was made elsewhere into next/, in the place of one that never
// became active; an empty passphrase leaves its key in the clear.
// Errors: those of [ForeignCA.Check].
func (l *Locked) Install(f ForeignCA, role Role, name string, passphrase []byte, now time.Time) (*Authority, error) {
	if err := f.Check(role, name, now); err != nil {
		return nil, err
	}
	data, err := encodeKey(f.Key, passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	if err := l.writeNext(data, f.Chain...); err != nil {
		return nil, err
	}
	return newAuthority(l.project, f.Chain, f.Key, len(passphrase) > 0)
}
