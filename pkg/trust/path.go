package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	"x509ctl/pkg/fault"
)

// Bounds of the work that one bundle can cause, whose certificates may all have
// one name, and may have signed each other in circles.
const (
	maxSignatureChecks = 300 // while it is read
	maxAbove           = 6   // certificates above an own CA in a chain
)

// restricting are the extensions by which a CA certificate restricts what is
// below it: name constraints, policy constraints, extended key usage, inhibit
// anyPolicy (RFC 5280, sections 4.2.1.10 to 4.2.1.14).
var restricting = []asn1.ObjectIdentifier{{2, 5, 29, 30}, {2, 5, 29, 36}, {2, 5, 29, 37}, {2, 5, 29, 54}}

// link finds out who signed whom, once for the life of b: with that, judging a
// chain takes no signature check but the leaf's.
func (b *Bundle) link() error {
	checks := 0
	for _, a := range b.cas {
		if len(a.cert.UnhandledCriticalExtensions) > 0 {
			a.critical = a.cert.UnhandledCriticalExtensions[0].String()
		}
		for _, p := range b.byName[string(a.cert.RawIssuer)] {
			if !keyIDsAgree(a.cert, p.cert) {
				continue
			}
			if checks++; checks > maxSignatureChecks {
				return fault.New(fault.Malformed, "too many certificates of the bundle have the same name")
			}
			if a == p && signedItself(a.cert) {
				a.selfSigned, a.parents = true, nil
				break
			}
			if a != p && a.cert.CheckSignatureFrom(p.cert) == nil {
				a.parents = append(a.parents, p)
			}
		}
	}
	return nil
}

// signedItself checks a root's signature. It may be one by SHA-1, which old roots
// have and crypto/x509 refuses elsewhere: nothing rests on it.
func signedItself(cert *x509.Certificate) bool {
	return cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

// sortOut sets what follows from the certificates and their links: which are own,
// and which chains are restricted.
func (b *Bundle) sortOut() {
	b.roots, b.intermediates = x509.NewCertPool(), x509.NewCertPool()
	for _, a := range b.cas {
		a.own = a.cert.MaxPathLenZero || !slices.ContainsFunc(b.cas, a.isAbove)
		a.constrained = isRestricted(a, make(map[*authority]bool))
		if a.selfSigned {
			b.roots.AddCert(a.cert)
		} else {
			b.intermediates.AddCert(a.cert)
		}
	}
}

// isAbove reports whether the certificate of other names a as its issuer. Names
// decide, because that can only turn an own certificate into a path one.
func (a *authority) isAbove(other *authority) bool {
	return !other.selfSigned &&
		bytes.Equal(other.cert.RawIssuer, a.cert.RawSubject) &&
		!sameKey(other.cert, a.cert)
}

func isRestricted(a *authority, seen map[*authority]bool) bool {
	if seen[a] {
		return false
	}
	seen[a] = true
	for _, e := range a.cert.Extensions {
		if slices.ContainsFunc(restricting, e.Id.Equal) {
			return true
		}
	}
	return slices.ContainsFunc(a.parents, func(p *authority) bool { return isRestricted(p, seen) })
}

func sameKey(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// keyIDsAgree reports whether parent can have signed child as far as their key
// identifiers tell: they are equal, or one is missing.
func keyIDsAgree(child, parent *x509.Certificate) bool {
	return len(child.AuthorityKeyId) == 0 || len(parent.SubjectKeyId) == 0 ||
		bytes.Equal(child.AuthorityKeyId, parent.SubjectKeyId)
}

// checkChain judges a and one chain of certificates above it, up to a self-signed
// one; below is the number of CA certificates that lie between a and the leaf. Of
// several chains one has to be good; else the answer is about the last one tried.
func (c Check) checkChain(a *authority, below int) error {
	cert := a.cert
	switch {
	case below > maxAbove:
		return refuse(BadChain, "more than %d certificates lie above the CA", maxAbove)
	case a.critical != "":
		return refuse(BadChain, "the CA certificate of %s has a critical extension that is not understood: %s", subject(cert), a.critical)
	case c.At.Unix() < cert.NotBefore.Unix():
		return refuse(BadChain, "the CA certificate of %s is not valid before %s; the time is %s", subject(cert), date(cert.NotBefore), date(c.At))
	case c.At.Unix() > cert.NotAfter.Unix():
		return refuse(BadChain, "the CA certificate of %s expired on %s; the time is %s", subject(cert), date(cert.NotAfter), date(c.At))
	case (cert.MaxPathLen > 0 || cert.MaxPathLenZero) && below > cert.MaxPathLen:
		return refuse(BadChain, "the CA certificate of %s allows %d CAs below it, and there are %d", subject(cert), cert.MaxPathLen, below)
	case a.selfSigned:
		return nil
	}
	if len(a.parents) == 0 {
		return refuse(BadChain, "the bundle lacks the certificate of %s, the issuer of %s", quoted(cert.Issuer.String()), subject(cert))
	}
	var err error
	for _, p := range a.parents {
		if err = c.checkCARevoked(cert, p); err == nil {
			err = c.checkChain(p, below+1)
		}
		if err == nil {
			return nil
		}
	}
	return err
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }
