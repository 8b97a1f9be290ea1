package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"net/netip"
	"slices"
	"strings"
	"time"

	"x509ctl/pkg/fault"
)

// A ChainCheck is a question about a certificate that somebody else's authority
// may have signed. It is answered by RFC 5280, section 6, alone: there is no
// floor, no bound to a lifetime, and any chain to a root will do. It may be put to
// several goroutines at once.
//
// # Not crypto/x509
//
// crypto/x509 parses certificates, verifies signatures and judges policies; the
// chain is built and judged here. Its own Verify asks no revocation list, refuses
// some chains that are valid (self-issued certificates of a CA that changes its
// key count for path lengths and names; constraints to directory names are
// unknown), has no bound to the work that names and constraints make together, and
// its errors are for programmers.
//
// # Where the RFC leaves a choice
//
// A root is held to its own validity, path length, names and usages, as every
// other implementation does, though section 6.1 makes its contents optional. An
// extended key usage in a CA's certificate restricts the leaves below. Names are
// compared as section 7.1 says in constraints and where a revocation list names its
// issuer, and octet for octet where a certificate does. Revocation lists count when
// the issuer itself signed them. Signatures by MD5 and SHA-1, RSA keys outside 2048 to 8192 bits, and
// curves shorter than 256 are refused.
type ChainCheck struct {
	Pool *Pool     // whom to trust; required
	At   time.Time // when; required. Fractions of a second don't count

	Purpose Purpose // what for; "" for anything
	// Name is a DNS name or an IP address that the leaf has to be for; "" for any.
	// A wildcard in the leaf stands for one label, the first.
	Name  string
	Email string // a mail address that the leaf has to be for; "" for any

	// RequireFresh refuses where not every certificate below the root is covered by
	// a revocation list of its issuer and of the time At. Without it the lists that
	// there are count, those out of date too.
	RequireFresh bool
}

// A Chain is a certificate that was found valid, and why.
type Chain struct {
	Certificates []*x509.Certificate // the leaf first, the root last
	Revocation   Revocation          // the weakest that is known of any below the root
	CRLs         []*CRL              // the lists that were asked about one of them, each once
}

// Purposes of others' certificates only.
const (
	Email       Purpose = "email"        // signing or encrypting mail
	CodeSigning Purpose = "code-signing" // signing programs
)

// A chainPurpose is what leaves of a purpose have to allow.
type chainPurpose struct {
	what   string // in a sentence
	ext    x509.ExtKeyUsage
	name   string
	usages x509.KeyUsage // one of them, when there is a key usage
}

var chainPurposes = map[Purpose]chainPurpose{
	Client:      {"a TLS client", x509.ExtKeyUsageClientAuth, "clientAuth", x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement},
	Server:      {"a TLS server", x509.ExtKeyUsageServerAuth, "serverAuth", x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement | x509.KeyUsageKeyEncipherment},
	Email:       {"mail", x509.ExtKeyUsageEmailProtection, "emailProtection", x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyAgreement | x509.KeyUsageKeyEncipherment},
	CodeSigning: {"signing programs", x509.ExtKeyUsageCodeSigning, "codeSigning", x509.KeyUsageDigitalSignature},
}

// ParseChainPurpose reads the name of a Purpose of a [ChainCheck], or "" for any.
// The error is [fault.Malformed].
func ParseChainPurpose(s string) (Purpose, error) {
	if _, ok := chainPurposes[Purpose(s)]; s == "" || ok {
		return Purpose(s), nil
	}
	return "", fault.Errorf(fault.Malformed, "the purpose %s is none of %q, %q, %q and %q", quoted(s), Client, Server, Email, CodeSigning)
}

// Verify looks for a chain from leaf to a root, through intermediates of the pool
// and those that were sent with the leaf, at most 100, and returns the first that
// is valid.
//
// A leaf without one gives a [*VerifyError] that tells what is wrong with the
// chain that came closest. Work is bounded: 12 certificates in a chain, 100
// signatures, 1,000 steps, and names times constraints; what needs more is
// [TooComplex]. An incomplete ChainCheck is an error of kind [fault.Malformed].
func (c ChainCheck) Verify(leaf *x509.Certificate, sent ...*x509.Certificate) (*Chain, error) {
	if err := c.complete(sent); err != nil {
		return nil, err
	}
	s := search{ChainCheck: c, sent: sent, signed: map[link]error{}, names: maxNameWork}
	chain := s.extend([]*x509.Certificate{leaf})
	switch {
	case s.exhausted != nil:
		return nil, s.exhausted
	case chain == nil:
		return nil, s.closest
	}
	for _, check := range []func(*x509.Certificate) error{c.checkLeafUsage, c.checkLeafName, c.checkLeafEmail} {
		if err := check(leaf); err != nil {
			return nil, err
		}
	}
	return chain, nil
}

func (c ChainCheck) complete(sent []*x509.Certificate) error {
	switch {
	case c.Pool == nil || len(c.Pool.roots) == 0:
		return fault.New(fault.Malformed, "there is no root certificate to verify against")
	case c.At.IsZero():
		return fault.New(fault.Malformed, "there is no time to verify for")
	case len(sent) > maxBlocks:
		return fault.Errorf(fault.Malformed, "there are %d certificates with the one in question, more than %d", len(sent), maxBlocks)
	}
	_, err := ParseChainPurpose(string(c.Purpose))
	return err
}

// checkOne judges what depends on one certificate only.
func (c ChainCheck) checkOne(cert *x509.Certificate, isLeaf bool) error {
	expired, early := BadChain, BadChain
	what := "the CA certificate of " + subject(cert)
	if isLeaf {
		expired, early, what = Expired, NotYetValid, label(cert)
	}
	switch now := c.At.Unix(); {
	case cert.Version != 3:
		return refuse(BadVersion, "%s is of X.509 version %d, and not 3", what, cert.Version)
	case now < cert.NotBefore.Unix():
		return refuse(early, "%s is not valid before %s; the time is %s", what, date(cert.NotBefore), date(c.At))
	case now > cert.NotAfter.Unix():
		return refuse(expired, "%s expired on %s; the time is %s", what, date(cert.NotAfter), date(c.At))
	}
	for _, id := range cert.UnhandledCriticalExtensions {
		if !id.Equal(oidNameConstraints) { // judged here, in all its forms
			return refuse(UnknownCritical, "%s has a critical extension that is not understood: %s", what, cut(id.String()))
		}
	}
	return checkKey(cert)
}

// checkIssuer judges cert as one that signs others.
func (c ChainCheck) checkIssuer(cert *x509.Certificate) error {
	switch {
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return refuse(BadChain, "the certificate of %s is not a CA's, and signed another", subject(cert))
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return refuse(BadChain, "the key of %s may not sign certificates (key usage keyCertSign)", subject(cert))
	}
	return c.checkOne(cert, false)
}

var (
	oidKeyUsage        = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName  = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidPolicyLimits    = asn1.ObjectIdentifier{2, 5, 29, 36}
	oidExtKeyUsage     = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// extension returns the value of an extension; there is none twice, which
// crypto/x509 refuses.
func extension(cert *x509.Certificate, id asn1.ObjectIdentifier) ([]byte, bool) {
	for _, e := range cert.Extensions {
		if e.Id.Equal(id) {
			return e.Value, true
		}
	}
	return nil, false
}

// allows reports whether cert may be used for the purpose, or below it be.
func (p chainPurpose) allows(cert *x509.Certificate) bool {
	_, restricts := extension(cert, oidExtKeyUsage)
	return !restricts || slices.Contains(cert.ExtKeyUsage, p.ext) || slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
}

func (c ChainCheck) checkLeafUsage(leaf *x509.Certificate) error {
	p, ok := chainPurposes[c.Purpose]
	if !ok {
		return nil
	}
	if !p.allows(leaf) {
		return refuse(WrongPurpose, "%s is not for %s: it lacks the extended key usage %s", label(leaf), p.what, p.name)
	}
	if _, has := extension(leaf, oidKeyUsage); has && leaf.KeyUsage&p.usages == 0 {
		return refuse(WrongPurpose, "%s is not for %s: its key usage allows nothing that is needed for it", label(leaf), p.what)
	}
	return nil
}

func (c ChainCheck) checkLeafName(leaf *x509.Certificate) error {
	if c.Name == "" {
		return nil
	}
	if addr, err := netip.ParseAddr(c.Name); err == nil {
		for _, ip := range leaf.IPAddresses {
			if got, ok := netip.AddrFromSlice(ip); ok && got == addr {
				return nil
			}
		}
	} else if slices.ContainsFunc(leaf.DNSNames, func(pattern string) bool { return matchesDNS(pattern, c.Name) }) {
		return nil
	}
	return refuse(WrongName, "%s is not for %s: it is for %s", label(leaf), quoted(c.Name), names(leaf))
}

// matchesDNS compares a name with one in a certificate, which may begin with a
// wildcard (RFC 9525, section 6.3): the first label, whole, and not the only one.
func matchesDNS(pattern, name string) bool {
	pattern, name = foldASCII(pattern), foldASCII(name)
	if pattern == name {
		return name != "" && !strings.Contains(name, "*")
	}
	_, parent, ok := strings.Cut(name, ".")
	base, wild := strings.CutPrefix(pattern, "*.")
	return ok && wild && base != "" && base == parent && !strings.Contains(name, "*") && !strings.HasPrefix(name, ".")
}

func (c ChainCheck) checkLeafEmail(leaf *x509.Certificate) error { return checkEmail(leaf, c.Email) }
