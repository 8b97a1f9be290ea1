package authority

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"time"

	"x509ctl/pkg/fault"
)

// A ForeignCA is a CA that was made elsewhere: its certificate, those above it up to
// the root, each signed by the next, and its key.
type ForeignCA struct {
	Chain []*x509.Certificate
	Key   crypto.Signer
}

// Check refuses a CA under which nothing would be accepted, or nothing for the cluster
// of that name. Errors: [fault.Denied].
func (f ForeignCA) Check(cluster string, now time.Time) error {
	a, err := newAuthority("", f.Chain, f.Key, false) // CA:TRUE, keyCertSign, a strong key
	if errors.Is(err, ErrKeyMismatch) {
		return fault.New(fault.Denied, "the key is not the one in the CA's certificate")
	}
	if err != nil {
		return err
	}
	for i, cert := range a.chain {
		if err := checkLink(a.chain, i, now); err != nil {
			return fault.Errorf(fault.Denied, "certificate %d of the chain, of %q: %w", i+1, cert.Subject.String(), err)
		}
	}
	return a.CheckName(cluster)
}

// checkLink judges certificate i of a chain, of which the last is a root.
func checkLink(chain []*x509.Certificate, i int, now time.Time) error {
	cert := chain[i]
	switch {
	case now.Before(cert.NotBefore):
		return fault.Errorf(fault.Denied, "it is not valid before %s", cert.NotBefore.UTC().Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return fault.Errorf(fault.Denied, "it expired on %s", cert.NotAfter.UTC().Format(time.RFC3339))
	case !cert.BasicConstraintsValid || !cert.IsCA || cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return fault.New(fault.Denied, "it is not a CA's")
	case (cert.MaxPathLen > 0 || cert.MaxPathLenZero) && cert.MaxPathLen < i:
		return fault.Errorf(fault.Denied, "its path length is %d, and %d CA certificates stand below it", cert.MaxPathLen, i)
	case len(cert.UnhandledCriticalExtensions) > 0:
		return fault.Errorf(fault.Denied, "it has a critical extension that is not understood: %.80s", cert.UnhandledCriticalExtensions[0])
	case !strongKey(cert.PublicKey):
		return fault.New(fault.Denied, "its key is too weak, or of an unknown kind")
	}
	if i < len(chain)-1 {
		above := chain[i+1]
		if !bytes.Equal(cert.RawIssuer, above.RawSubject) || cert.CheckSignatureFrom(above) != nil {
			return fault.Errorf(fault.Denied, "the next certificate, of %q, has not signed it: each has to be followed by its issuer", above.Subject.String())
		}
		return nil
	}
	if !bytes.Equal(cert.RawIssuer, cert.RawSubject) || cert.CheckSignatureFrom(cert) != nil {
		return fault.Errorf(fault.Denied, "it is the last, and no root: the certificate of its issuer, %q, is missing", cert.Issuer.String())
	}
	return nil
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

// SameKey reports whether two certificates are of one key.
func SameKey(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// Install puts a CA that was made elsewhere into next/, in the place of one that never
// became active; an empty passphrase leaves its key in the clear.
// Errors: those of [ForeignCA.Check].
func (l *Locked) Install(f ForeignCA, cluster string, passphrase []byte, now time.Time) (*Authority, error) {
	if err := f.Check(cluster, now); err != nil {
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
