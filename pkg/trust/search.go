package trust

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"
)

// Bounds of the work that one leaf and what came with it can cause.
const (
	maxChain      = 12   // certificates in a chain, leaf and root included
	maxSignatures = 100  // signatures verified
	maxSteps      = 1000 // certificates tried
)

// A search looks for a chain, depth first.
type search struct {
	ChainCheck
	sent []*x509.Certificate

	signed            map[link]error // answers about certificates that aren't the pool's
	signatures, steps int            // done
	names             int            // work that is left for names; see constraints

	exhausted error // set when a bound was reached
	closest   error // what was wrong with the chain that came closest
	depth     int   // how close; 0 for none
}

// note remembers err if it is about a longer chain than the last.
func (s *search) note(depth int, err error) {
	if depth > s.depth {
		s.depth, s.closest = depth, err
	}
}

// extend returns a valid chain that begins with path, whose certificates were
// judged one by one and signed each the one before, nil when there is none.
func (s *search) extend(path []*x509.Certificate) *Chain {
	last := path[len(path)-1]
	if len(path) == 1 {
		if err := s.checkOne(last, true); err != nil {
			s.note(1, err)
			return nil
		}
	}
	if s.Pool.isRoot(last) {
		chain, err := s.judge(path)
		if err != nil {
			s.note(2*maxChain, err)
		}
		return chain
	}
	if len(path) == maxChain {
		s.note(len(path), refuse(TooComplex, "the chain of %s is longer than %d certificates", label(path[0]), maxChain))
		return nil
	}
	for _, c := range s.Pool.candidates(last, s.sent) {
		if isIn(path, c) {
			continue
		}
		if err := s.try(last, c); err != nil {
			s.note(len(path), err)
		} else if chain := s.extend(append(slices.Clip(path), c)); chain != nil {
			return chain
		}
		if s.exhausted != nil {
			return nil
		}
	}
	s.note(len(path), s.noIssuer(path)) // where every candidate was in the path before
	return nil
}

func (s *search) noIssuer(path []*x509.Certificate) error {
	last := path[len(path)-1]
	issuer := quoted(last.Issuer.String())
	switch {
	case len(path) > 1:
		return refuse(BadChain, "the certificate of %s, the issuer of %s, is missing, or is no root that is trusted", issuer, subject(last))
	case bytes.Equal(last.RawIssuer, last.RawSubject):
		return refuse(WrongIssuer, "%s was issued by itself, %s, and is none of the roots", label(last), issuer)
	}
	return refuse(WrongIssuer, "%s was issued by %s, whose certificate is neither among the roots nor the intermediates", label(last), issuer)
}

// isIn reports whether c, or another certificate of the same subject and key, is
// in the path: going through it again leads nowhere new.
func isIn(path []*x509.Certificate, c *x509.Certificate) bool {
	return slices.ContainsFunc(path, func(p *x509.Certificate) bool {
		return bytes.Equal(p.RawSubject, c.RawSubject) && sameKey(p, c)
	})
}

// try judges c as the issuer of child.
func (s *search) try(child, c *x509.Certificate) error {
	if s.steps++; s.steps > maxSteps {
		s.exhausted = refuse(TooComplex, "looking for a chain was given up after %d certificates were tried", maxSteps)
		return s.exhausted
	}
	if err := s.checkIssuer(c); err != nil {
		return err
	}
	return s.checkSignature(link{child, c})
}

// checkSignature verifies a signature, once for each pair, and for pairs of the
// pool once and for all.
func (s *search) checkSignature(l link) error {
	if err, known := s.signed[l]; known {
		return err
	}
	keep := s.Pool.owns(l.child) && s.Pool.owns(l.parent)
	if keep {
		s.Pool.mu.Lock()
		err, known := s.Pool.signed[l]
		s.Pool.mu.Unlock()
		if known {
			return err
		}
	}
	if s.signatures++; s.signatures > maxSignatures {
		s.exhausted = refuse(TooComplex, "looking for a chain was given up after %d signatures", maxSignatures)
		return s.exhausted
	}
	err := verifySignature(l)
	s.signed[l] = err
	if keep {
		s.Pool.mu.Lock()
		if len(s.Pool.signed) < maxPool*maxSignatures {
			s.Pool.signed[l] = err
		}
		s.Pool.mu.Unlock()
	}
	return err
}

func verifySignature(l link) error {
	switch child, parent := l.child, l.parent; {
	case !slices.Contains(strong, child.SignatureAlgorithm):
		return refuse(BadSignature, "the signature of %s is by %s, which is not accepted", describe(child), algorithm(child))
	case parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature) == nil:
		return nil
	case !keyIDsAgree(child, parent):
		return refuse(WrongIssuer, "%s was issued by another CA of the name %s: its key %x is not there", describe(child), subject(parent), child.AuthorityKeyId)
	}
	return refuse(BadSignature, "the signature of %s is not by the key of %s, its issuer by name: it was changed or forged",
		describe(l.child), subject(l.parent))
}

// describe names a certificate that may be a leaf or a CA's.
func describe(cert *x509.Certificate) string {
	if cert.IsCA {
		return "the CA certificate of " + subject(cert)
	}
	return label(cert)
}

// judge looks at a path as a whole, from the leaf to a root.
func (s *search) judge(path []*x509.Certificate) (*Chain, error) {
	for _, check := range []func([]*x509.Certificate) error{s.checkPathLengths, s.checkUsages, s.checkNames, s.checkPolicies} {
		if err := check(path); err != nil {
			return nil, err
		}
	}
	known, asked, err := s.checkCRLs(path)
	if err != nil {
		return nil, err
	}
	return &Chain{slices.Clone(path), known, asked}, nil
}

// checkPathLengths counts the CAs between each one and the leaf, self-issued ones
// not among them (RFC 5280, section 4.2.1.9).
func (s *search) checkPathLengths(path []*x509.Certificate) error {
	below := 0
	for _, cert := range path[1:] {
		if (cert.MaxPathLen > 0 || cert.MaxPathLenZero) && below > cert.MaxPathLen {
			return refuse(BadChain, "the CA certificate of %s allows %d CAs below it, and there are %d", subject(cert), cert.MaxPathLen, below)
		}
		if !isSelfIssued(cert) {
			below++
		}
	}
	return nil
}

func isSelfIssued(cert *x509.Certificate) bool { return bytes.Equal(cert.RawIssuer, cert.RawSubject) }

func (s *search) checkUsages(path []*x509.Certificate) error {
	p, ok := chainPurposes[s.Purpose]
	if !ok {
		return nil
	}
	for _, cert := range path[1:] {
		if !p.allows(cert) {
			return refuse(BadChain, "the CA certificate of %s allows no certificate for %s below it: it lacks the extended key usage %s", subject(cert), p.what, p.name)
		}
	}
	return nil
}

// checkPolicies leaves it to crypto/x509 to judge chains of which a CA demands
// that each certificate has a policy; all other chains are valid under any.
func (s *search) checkPolicies(path []*x509.Certificate) error {
	demands := func(cert *x509.Certificate) bool { _, ok := extension(cert, oidPolicyLimits); return ok }
	if len(path) == 1 || !slices.ContainsFunc(path[1:], demands) {
		return nil
	}
	opts := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: s.At.Truncate(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	opts.Roots.AddCert(path[len(path)-1])
	for _, cert := range path[1 : len(path)-1] {
		opts.Intermediates.AddCert(cert)
	}
	if _, err := path[0].Verify(opts); err != nil {
		return refuse(BadChain, "a CA above %s wants certificates with policies, which the chain doesn't satisfy: %s", label(path[0]), printable(err.Error()))
	}
	return nil
}

// checkCRLs asks the lists about each certificate below the root, and returns how
// much is known, and from which.
func (s *search) checkCRLs(path []*x509.Certificate) (weakest Revocation, asked []*CRL, err error) {
	weakest = FreshCRL
	for i, cert := range path[:len(path)-1] {
		known, lists, err := s.checkCRL(cert, path[i+1])
		if err != nil {
			return "", nil, err
		}
		for _, l := range lists {
			if !slices.Contains(asked, l) {
				asked = append(asked, l)
			}
		}
		if known == Unchecked || weakest != Unchecked && known == OldCRL {
			weakest = known
		}
	}
	if len(path) == 1 {
		weakest = Unchecked
	}
	return weakest, asked, nil
}

func (s *search) checkCRL(cert, issuer *x509.Certificate) (known Revocation, asked []*CRL, err error) {
	known, why := Unchecked, "there is no revocation list of its issuer"
	if len(s.Pool.crls) == 0 && !s.RequireFresh {
		return known, nil, nil
	}
	name := nameKey(issuer.RawSubject)
	for _, l := range s.Pool.crls {
		if !l.namesIssuer(issuer, name) {
			continue
		}
		if err := l.signedBy(issuer); err != nil {
			return "", nil, refuse(BadCRL, "the revocation list of %s can't be used: %v", quoted(l.Issuer()), err)
		}
		if entry, ok := l.Find(cert.SerialNumber); ok {
			return "", nil, refuse(Revoked, "%s %v", describe(cert), entry)
		}
		asked = append(asked, l)
		switch {
		case l.FreshAt(s.At):
			known = FreshCRL
		case known == Unchecked:
			known, why = OldCRL, l.staleness(s.At)
		}
	}
	if s.RequireFresh && known != FreshCRL {
		return "", nil, refuse(StaleCRL, "whether %s is revoked is not known: %s", describe(cert), why)
	}
	return known, asked, nil
}
