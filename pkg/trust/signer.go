package trust

import (
	"crypto/x509"
	"slices"
	"time"
)

// strong are the signature algorithms that are accepted on a leaf. MD5 and SHA-1
// are missing; crypto/x509 lets the latter pass in the function used here.
var strong = []x509.SignatureAlgorithm{
	x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519,
	x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
	x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
}

// signers returns the own certificates of the key that signed leaf: one, or
// several when a CA was certified again with the same name and key.
func (b *Bundle) signers(leaf *x509.Certificate) ([]*authority, error) {
	named := b.byName[string(leaf.RawIssuer)]
	own := slices.DeleteFunc(slices.Clone(named), func(a *authority) bool { return !a.own })
	switch {
	case len(named) == 0 && b.hasNameOf(leaf):
		return nil, refuse(WrongIssuer, "%s was issued by %s, a name that is encoded otherwise than this authority's CA's",
			label(leaf), quoted(leaf.Issuer.String()))
	case len(named) == 0:
		return nil, refuse(WrongIssuer, "%s was issued by %s, which is none of this authority's CAs", label(leaf), quoted(leaf.Issuer.String()))
	case len(own) == 0:
		return nil, refuse(WrongIssuer, "%s was issued by %s, which stands above this authority's CA and doesn't sign for it",
			label(leaf), quoted(leaf.Issuer.String()))
	case !slices.Contains(strong, leaf.SignatureAlgorithm):
		return nil, refuse(BadSignature, "the signature of %s is by %s, which is not accepted", label(leaf), algorithm(leaf))
	}
	// The key identifier is a hint: it says which key to try first.
	slices.SortStableFunc(own, func(x, y *authority) int {
		return hint(leaf, x.cert) - hint(leaf, y.cert)
	})
	for i, a := range own {
		if i > 0 && sameKey(a.cert, own[i-1].cert) {
			continue
		}
		if a.cert.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
			return slices.DeleteFunc(own, func(o *authority) bool { return !sameKey(o.cert, a.cert) }), nil
		}
	}
	if !keyIDsAgree(leaf, own[0].cert) {
		return nil, refuse(WrongIssuer, "%s was issued by another CA of the name %s: its key %x is none of this authority's",
			label(leaf), subject(own[0].cert), leaf.AuthorityKeyId)
	}
	return nil, refuse(BadSignature, "the signature of %s is not by the key of %s, its issuer by name: it was changed or forged",
		label(leaf), subject(own[0].cert))
}

// hasNameOf reports whether an own CA has a name that looks like that of leaf's issuer
// and is another, since names are compared octet by octet.
func (b *Bundle) hasNameOf(leaf *x509.Certificate) bool {
	issuer := leaf.Issuer.String()
	return slices.ContainsFunc(b.cas, func(a *authority) bool { return a.own && a.cert.Subject.String() == issuer })
}

// algorithm names the algorithm of a signature.
func algorithm(cert *x509.Certificate) string {
	if cert.SignatureAlgorithm == x509.UnknownSignatureAlgorithm {
		return "an unknown algorithm"
	}
	return cert.SignatureAlgorithm.String()
}

// hint orders candidates: 0 when the key identifiers allow that parent signed.
func hint(leaf, parent *x509.Certificate) int {
	if keyIDsAgree(leaf, parent) {
		return 0
	}
	return 1
}

// checkSigners judges the chains above leaf: one of signers has to have a good
// one.
func (c Check) checkSigners(signers []*authority, leaf *x509.Certificate) error {
	var err error
	for _, a := range signers {
		if err = c.checkChain(a, 0); err == nil && a.constrained {
			err = c.checkConstraints(a, leaf)
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// checkConstraints lets crypto/x509 judge the whole path, for CAs that restrict
// what is below them.
func (c Check) checkConstraints(a *authority, leaf *x509.Certificate) error {
	for _, use := range c.extKeyUsages() {
		chains, err := leaf.Verify(x509.VerifyOptions{
			Roots:         c.Bundle.roots,
			Intermediates: c.Bundle.intermediates,
			CurrentTime:   c.At.Truncate(time.Second),
			KeyUsages:     []x509.ExtKeyUsage{use.ext},
		})
		if err != nil {
			return refuse(BadChain, "the CA certificates above %s don't allow it: %s", label(leaf), printable(err.Error()))
		}
		through := func(chain []*x509.Certificate) bool { return len(chain) > 1 && chain[1].Equal(a.cert) }
		if !slices.ContainsFunc(chains, through) {
			return refuse(BadChain, "no chain of CA certificates leads from %s through %s to a root", label(leaf), subject(a.cert))
		}
	}
	return nil
}
