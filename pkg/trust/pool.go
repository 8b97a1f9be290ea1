package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"sync"

	"x509ctl/pkg/fault"
)

// maxPool bounds the certificates of one kind in a [Pool]: several times what a
// public root programme has.
const maxPool = 1000

// A Pool is what the chains above somebody else's certificates are made of: roots,
// which are trusted, intermediates, which are not, and revocation lists.
//
// A root is whatever certificate the caller trusts, self-signed or not (a trust
// anchor, RFC 5280, section 6.1.1). There is no default: a Pool without a root
// can't be made, so that a file which is missing never stands for the system's.
//
// A Pool doesn't change, and may be used by several goroutines at once.
type Pool struct {
	roots, intermediates map[string][]*x509.Certificate // by subject, as DER
	crls                 []*CRL

	mu     sync.Mutex
	signed map[link]error // the answers about certificates of the pool; guarded by mu
}

// A link says that parent signed child, or asks it.
type link struct{ child, parent *x509.Certificate }

// NewPool makes a Pool of 1 to 1,000 roots, up to 1,000 intermediates, and lists
// of any of them. What is wrong with a certificate shows when it is used. Error:
// [fault.Malformed].
func NewPool(roots, intermediates []*x509.Certificate, crls []*CRL) (*Pool, error) {
	switch {
	case len(roots) == 0:
		return nil, fault.New(fault.Malformed, "there is no root certificate to verify against")
	case len(roots) > maxPool || len(intermediates) > maxPool || len(crls) > maxPool:
		return nil, fault.Errorf(fault.Malformed, "there are more than %d root certificates, intermediates or revocation lists", maxPool)
	case slices.Contains(crls, nil):
		return nil, fault.New(fault.Malformed, "a revocation list is missing")
	}
	var lists []*CRL
	for _, l := range crls {
		for ; l != nil; l = l.next {
			lists = append(lists, l)
		}
	}
	return &Pool{roots: bySubject(roots), intermediates: bySubject(intermediates), crls: lists, signed: map[link]error{}}, nil
}

func bySubject(certs []*x509.Certificate) map[string][]*x509.Certificate {
	m := make(map[string][]*x509.Certificate, len(certs))
	for _, c := range certs {
		if !slices.ContainsFunc(m[string(c.RawSubject)], c.Equal) {
			m[string(c.RawSubject)] = append(m[string(c.RawSubject)], c)
		}
	}
	return m
}

// isRoot reports whether cert is one of the roots, octet for octet.
func (p *Pool) isRoot(cert *x509.Certificate) bool {
	return slices.ContainsFunc(p.roots[string(cert.RawSubject)], cert.Equal)
}

// owns reports whether cert lives as long as p, so that what is known of it may
// be kept.
func (p *Pool) owns(cert *x509.Certificate) bool {
	return slices.Contains(p.roots[string(cert.RawSubject)], cert) || slices.Contains(p.intermediates[string(cert.RawSubject)], cert)
}

// candidates returns who may have signed child by name: roots first, and of each
// kind those first whose key identifier says so.
func (p *Pool) candidates(child *x509.Certificate, sent []*x509.Certificate) []*x509.Certificate {
	byKeyID := func(a, b *x509.Certificate) int { return hint(child, a) - hint(child, b) }
	roots := slices.SortedStableFunc(slices.Values(p.roots[string(child.RawIssuer)]), byKeyID)
	others := slices.Clone(p.intermediates[string(child.RawIssuer)])
	for _, c := range sent {
		if bytes.Equal(c.RawSubject, child.RawIssuer) {
			others = append(others, c)
		}
	}
	slices.SortStableFunc(others, byKeyID)
	return append(roots, others...)
}

// checkKey refuses keys that anybody could have made a signature of, and keys
// that cost too much to verify with.
func checkKey(cert *x509.Certificate) error {
	switch key := cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize >= 256 {
			return nil
		}
		return refuse(WeakKey, "the key of %s is on the curve %s, which is too short", subject(cert), key.Curve.Params().Name)
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < minRSA || n > maxRSA {
			return refuse(WeakKey, "the RSA key of %s has %d bits, which is not %d to %d", subject(cert), n, minRSA, maxRSA)
		}
		return nil
	}
	if cert.PublicKeyAlgorithm != x509.UnknownPublicKeyAlgorithm {
		return refuse(WeakKey, "the key of %s is of a kind that is not accepted (%v)", subject(cert), cert.PublicKeyAlgorithm)
	}
	return refuse(WeakKey, "the key of %s is of a kind that is not known", subject(cert))
}
