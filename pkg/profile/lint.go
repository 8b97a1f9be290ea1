package profile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte/asn1"

	"x509ctl/pkg/fault"
)

// A Finding is a rule that a certificate breaks.
type Finding struct {
	Rule   string // its name, which never changes
	Source string // where it is written: a section of a standard, or "x509ctl"
	What   string // what a certificate has to be
}

// Lint judges a certificate in DER by itself: by the rules of the standards and by those
// of the private certificates made here: CAs' for one that says CA:TRUE, those of a
// project if it has an organization, and nodes' for any other ([Like]). It does not ask
// who signed it and when. A certificate made elsewhere, for another purpose, may break
// rules and be none the worse.
//
// Error: [fault.Malformed] for what crypto/x509 can't read.
func Lint(certificate []byte) ([]Finding, error) {
	c, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, fault.Errorf(fault.Malformed, "reading the certificate: %w", err)
	}
	fields, ok := readTBS(c.RawTBSCertificate)
	if !ok {
		return []Finding{structure}, nil
	}
	var rules []rule
	switch {
	case !c.IsCA:
		rules = Like(c).traits().rules
	case len(c.Subject.Organization) == 0:
		rules = caRules
	case bytes.Equal(c.RawIssuer, c.RawSubject):
		rules = projectRootRules
	default:
		rules = projectCARules
	}
	broken := lint(c, fields, rules)
	findings := make([]Finding, len(broken))
	for i, r := range broken {
		findings[i] = r.Finding
	}
	return findings, nil
}

// structure is the rule that comes before the others: what breaks it can't be taken apart.
var structure = Finding{"structure", "RFC 5280 4.1, X.690 10",
	"a certificate has version 3, all fields in their order, no unique identifiers and one DER encoding"}

// lint returns the rules for every certificate, and the others given, that c breaks.
func lint(c *x509.Certificate, fields *tbsFields, others []rule) []*rule {
	it := &linted{c, fields}
	var broken []*rule
	for _, list := range [...][]rule{allRules, others} {
		for i := range list {
			if !list[i].holds(it) {
				broken = append(broken, &list[i])
			}
		}
	}
	return broken
}

// checkRules returns the error of built bytes that break a rule.
func checkRules(c *x509.Certificate, fields *tbsFields, others []rule) error {
	broken := lint(c, fields, others)
	if len(broken) == 0 {
		return nil
	}
	names := make([]string, len(broken))
	for i, r := range broken {
		names[i] = r.Rule + " (" + r.Source + ")"
	}
	return wrong("it breaks " + strings.Join(names, ", "))
}

// linted is a certificate as the rules see it: as crypto/x509 reads it, and as the
// strict walk takes it apart, for what crypto/x509 hides.
type linted struct {
	*x509.Certificate
	fields *tbsFields
}

// A rule is one thing that a certificate has to be. A rule about an extension that may
// be missing holds when it is; that it must be there is a rule of its own.
type rule struct {
	Finding
	holds func(*linted) bool
}

// allRules are those for every certificate.
var allRules = []rule{
	{Finding{"serial_number", "RFC 5280 4.1.2.2", "the serial number is positive and has at most 8 octets"},
		func(c *linted) bool { return c.SerialNumber.Sign() > 0 && len(c.fields.serial) <= 8 }},
	{Finding{"signature_algorithm", "RFC 5758 3.2, RFC 4055 5, RFC 8410 3", "the signature is ECDSA, RSA or Ed25519 with SHA-256 or better, named in the one way of its standard"},
		(*linted).hasKnownAlgorithm},
	{Finding{"issuer", "RFC 5280 4.1.2.4", "the issuer is not empty"},
		func(c *linted) bool { return len(c.RawIssuer) > 2 }},
	{Finding{"validity_form", "RFC 5280 4.1.2.5", "times are UTCTime through 2049 and GeneralizedTime after, in UTC, with seconds"},
		func(c *linted) bool {
			return c.fields.checkTimes(Validity{notBefore: c.NotBefore, notAfter: c.NotAfter}) == nil
		}},
	{Finding{"validity_order", "RFC 5280 4.1.2.5", "the validity ends after it begins"},
		func(c *linted) bool { return !c.NotAfter.Before(c.NotBefore) }},
	{Finding{"subject", "RFC 5280 4.1.2.6, A.1", "the subject is one common name of 1 to 64 characters, a UTF8String, in a project after its organization"},
		func(c *linted) bool { return isSubject(c.RawSubject, c.organization(), c.Subject.CommonName) }},
	{Finding{"key_kind", "NIST SP 800-57 part 1, 5.6.1", "the key is on P-256, P-384, P-521 or Ed25519, or RSA of 2048 to 8192 bits with an odd exponent of at least 65537"},
		func(c *linted) bool { return isAcceptedKind(c.PublicKey) }},
	{Finding{"key_form", "RFC 3279 2.3.1, RFC 5480 2.1.1, RFC 8410 3", "the key is written in the one way of its standard"},
		func(c *linted) bool {
			_, _, err := parseSPKI(c.fields.spki)
			return fault.KindOf(err) != fault.Malformed
		}},
	{Finding{"basic_constraints", "RFC 5280 4.2.1.9", "there are basic constraints, and they are critical"},
		func(c *linted) bool { return c.fields.has(oidBasicConstraints, true) }},
	{Finding{"key_usage", "RFC 5280 4.2.1.3", "there is a key usage, and it is critical"},
		func(c *linted) bool { return c.fields.has(oidKeyUsage, true) }},
	{Finding{"subject_key_id", "RFC 5280 4.2.1.2", "there is a subject key identifier, and it is not critical"},
		func(c *linted) bool { return c.fields.has(oidSubjectKeyID, false) }},
	{Finding{"subject_key_id_method", "RFC 7093 2 (1)", "the subject key identifier is the first 160 bits of the key's SHA-256"},
		(*linted).hasOwnKeyID},
	{Finding{"authority_key_id", "RFC 5280 4.2.1.1", "there is an authority key identifier, and it is not critical"},
		func(c *linted) bool { return c.fields.has(oidAuthorityKeyID, false) }},
	{Finding{"authority_key_id_form", "RFC 5280 4.2.1.1", "the authority key identifier holds the issuing key's identifier and nothing else"},
		(*linted).hasPlainAuthorityKeyID},
}

// caRules are those for the CA of a cluster.
var caRules = slices.Concat(anyCARules, selfSignedRules, []rule{
	{Finding{"ca_basic_constraints", "RFC 5280 4.2.1.9", "basic constraints are CA:TRUE with path length 0"},
		func(c *linted) bool { return c.fields.hasValue(oidBasicConstraints, caConstraints) }},
})

// projectRootRules are those for the root of all projects.
var projectRootRules = slices.Concat(anyCARules, selfSignedRules, []rule{
	{Finding{"root_basic_constraints", "RFC 5280 4.2.1.9", "the project root's basic constraints are CA:TRUE with path length 1"},
		func(c *linted) bool { return c.fields.hasValue(oidBasicConstraints, rootConstraints) }},
	{Finding{"root_organization", "x509ctl", "the organization is Projects"},
		func(c *linted) bool { return c.organization() == projectsOrganization }},
})

// projectCARules are those for the CA of a project.
var projectCARules = slices.Concat(anyCARules, []rule{
	{Finding{"project_basic_constraints", "RFC 5280 4.2.1.9", "a project's basic constraints are CA:TRUE with path length 0"},
		func(c *linted) bool { return c.fields.hasValue(oidBasicConstraints, caConstraints) }},
	{Finding{"project_organization", "x509ctl", "the organization is the id of a project"},
		func(c *linted) bool { return projectFlaw(c.organization()) == "" }},
	{Finding{"project_name", "x509ctl", "the common name begins with the organization"},
		func(c *linted) bool {
			return c.Subject.CommonName == caCommonName(c.organization(), c.SerialNumber.String())
		}},
})

// selfSignedRules are those for roots.
var selfSignedRules = []rule{
	{Finding{"ca_issuer", "RFC 5280 4.1.2.4", "the CA is its own issuer, to the octet"},
		func(c *linted) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }},
	{Finding{"ca_key_id", "RFC 5280 4.2.1.1", "the authority key identifier is the CA's own"},
		func(c *linted) bool {
			return len(c.AuthorityKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, c.SubjectKeyId)
		}},
}

// anyCARules are those for every CA.
var anyCARules = []rule{
	{Finding{"ca_lifetime", "x509ctl", "a CA is valid for an hour at least and 25 years at most"},
		func(c *linted) bool {
			lifetime := c.NotAfter.Sub(c.NotBefore)
			return lifetime >= MinCALifetime && lifetime <= MaxCALifetime
		}},
	{Finding{"ca_name", "x509ctl", "the CA's name ends in its serial number, so that no other has it: NAME CA NUMBER"},
		func(c *linted) bool { return strings.HasSuffix(c.Subject.CommonName, " CA "+c.SerialNumber.String()) }},
	{Finding{"ca_extensions", "x509ctl", "there is no extension but basic constraints, key usage and the key identifiers"},
		func(c *linted) bool {
			return c.fields.hasOnly(oidBasicConstraints, oidKeyUsage, oidSubjectKeyID, oidAuthorityKeyID)
		}},
	{Finding{"ca_key_usage", "RFC 5280 4.2.1.3", "the key usage is keyCertSign and cRLSign, with no bit more"},
		func(c *linted) bool { return c.fields.hasValue(oidKeyUsage, caKeyUsage) }},
}

// organization returns the organization of the subject, "" for none or several.
func (c *linted) organization() string {
	if len(c.Subject.Organization) != 1 {
		return ""
	}
	return c.Subject.Organization[0]
}

func (c *linted) hasKnownAlgorithm() bool {
	return slices.ContainsFunc(signatureAlgorithms, func(a signatureAlgorithm) bool { return bytes.Equal(c.fields.algorithm, a.id) })
}

// isAcceptedKind is what of [CheckKey] costs nothing. A Leaf's key has passed all of it.
func isAcceptedKind(key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return true
	case *rsa.PublicKey:
		size := k.N.BitLen()
		return size >= minRSABits && size <= maxRSABits && k.E >= minExponent && k.E%2 == 1
	}
	return false
}

func (c *linted) hasOwnKeyID() bool {
	spki := der(c.fields.spki)
	var algorithm der
	if len(c.SubjectKeyId) == 0 {
		return true
	}
	if !spki.ReadASN1(&spki, asn1.SEQUENCE) || !spki.ReadASN1(&algorithm, asn1.SEQUENCE) {
		return false
	}
	bits, ok := readBits(&spki)
	id := keyIDOf(bits)
	return ok && bytes.Equal(c.SubjectKeyId, id[:])
}

func (c *linted) hasPlainAuthorityKeyID() bool {
	e := c.fields.extension(oidAuthorityKeyID)
	return e == nil || len(c.AuthorityKeyId) > 0 && len(c.AuthorityKeyId) <= maxKeyIDLength && string(e.value) == authorityKeyID(c.AuthorityKeyId)
}
