package profile

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"
)

// leafRules are those for every certificate that is no CA's.
var leafRules = []rule{
	{Finding{"leaf_issuer", "RFC 5280 3.2", "the subject is not the issuer's, as if it had issued itself"},
		func(c *linted) bool { return !bytes.Equal(c.RawIssuer, c.RawSubject) }},
	{Finding{"leaf_extensions", "x509ctl", "there is no extension but basic constraints, key usage, extended key usage, alternative names and the key identifiers"},
		func(c *linted) bool {
			return c.fields.hasOnly(oidBasicConstraints, oidKeyUsage, oidExtendedKeyUsage, oidSubjectAltName, oidSubjectKeyID, oidAuthorityKeyID)
		}},
	{Finding{"leaf_basic_constraints", "RFC 5280 4.2.1.9, X.690 11.5", "basic constraints are empty, which is CA:FALSE"},
		func(c *linted) bool { return c.fields.hasValue(oidBasicConstraints, leafConstraints) }},
}

// nodeRules are those for nodes' certificates.
var nodeRules = slices.Concat(leafRules, signingRules, namesRules, []rule{
	{Finding{"leaf_lifetime", "x509ctl", "the certificate is valid for less than 168 hours"}, livesFor(MaxLifetime)},
	{Finding{"leaf_extended_key_usage", "RFC 5280 4.2.1.12", "the extended key usage is serverAuth and clientAuth, and not critical"},
		isFor(nodePurposes, false)},
})

// memberRules are those for the certificates of a project's members.
var memberRules = slices.Concat(leafRules, signingRules, projectRules, namelessRules, []rule{
	{Finding{"leaf_lifetime", "x509ctl", "the lifetime is at most 365 days"}, livesFor(MaxMemberLifetime)},
	{Finding{"leaf_extended_key_usage", "RFC 5280 4.2.1.12", "the extended key usage is clientAuth, and not critical"},
		isFor(memberPurposes, false)},
	{Finding{"member_name", "x509ctl", "the common name is the id of a user"},
		func(c *linted) bool { return userFlaw(c.Subject.CommonName) == "" }},
})

// serverRules are those for the certificates of a project's servers.
var serverRules = slices.Concat(leafRules, signingRules, projectRules, namesRules, []rule{
	{Finding{"leaf_lifetime", "x509ctl", "the lifetime is at most 365 days"}, livesFor(MaxMemberLifetime)},
	{Finding{"leaf_extended_key_usage", "RFC 5280 4.2.1.12", "the extended key usage is serverAuth, and not critical"},
		isFor(serverPurposes, false)},
})

// decryptRules are those for the certificate that secrets for a project are encrypted to.
var decryptRules = slices.Concat(leafRules, projectRules, namelessRules, []rule{
	{Finding{"leaf_lifetime", "x509ctl", "the lifetime is at most 25 years"}, livesFor(MaxCALifetime)},
	{Finding{"leaf_key_usage", "RFC 5280 4.2.1.3", "the key usage is keyEncipherment, with no bit more"},
		func(c *linted) bool { return c.fields.hasValue(oidKeyUsage, decryptKeyUsage) }},
	{Finding{"leaf_extended_key_usage", "RFC 5280 4.2.1.12", "the extended key usage is the one for a project's secrets, and critical"},
		isFor(decryptPurposes, true)},
	{Finding{"decrypt_name", "x509ctl", "the common name is the organization and \"decrypt\""},
		func(c *linted) bool { return c.Subject.CommonName == decryptName(c.organization()) }},
	{Finding{"decrypt_key", "NIST SP 800-57 part 1, 5.6.1", "the key is RSA of at least 3072 bits"},
		func(c *linted) bool { return canDecrypt(c.PublicKey) }},
})

func livesFor(most time.Duration) func(*linted) bool {
	return func(c *linted) bool { return c.NotAfter.Sub(c.NotBefore) <= most }
}

func isFor(purposes string, critical bool) func(*linted) bool {
	return func(c *linted) bool {
		return c.fields.has(oidExtendedKeyUsage, critical) && c.fields.hasValue(oidExtendedKeyUsage, purposes)
	}
}

// signingRules are those for whoever shows his certificate in TLS.
var signingRules = []rule{
	{Finding{"leaf_key_usage", "RFC 5280 4.2.1.3, RFC 8813 3", "the key usage is digitalSignature, and for RSA keyEncipherment, with no bit more"},
		func(c *linted) bool { return c.fields.hasValue(oidKeyUsage, leafKeyUsage(c.PublicKey)) }},
}

// projectRules are those for what a project's CA signs.
var projectRules = []rule{
	{Finding{"leaf_organization", "x509ctl", "the organization is the id of a project"},
		func(c *linted) bool { return projectFlaw(c.organization()) == "" }},
}

// namelessRules are those for what nobody looks up by a name of a machine.
var namelessRules = []rule{
	{Finding{"names_none", "x509ctl", "there are no subject alternative names"},
		func(c *linted) bool { return c.fields.extension(oidSubjectAltName) == nil }},
}

// namesRules are those for what a client looks for a name in.
var namesRules = []rule{
	{Finding{"names", "RFC 5280 4.2.1.6", "there are subject alternative names, not critical beside a subject"},
		func(c *linted) bool { return c.fields.has(oidSubjectAltName, false) }},
	{Finding{"names_kinds", "x509ctl", "subject alternative names are DNS names and IP addresses"},
		func(c *linted) bool { return c.eachName(isDNSOrIP) }},
	{Finding{"names_number", "x509ctl", "there are at most 100 subject alternative names"},
		func(c *linted) bool { return len(c.DNSNames)+len(c.IPAddresses) <= MaxNames }},
	{Finding{"names_dns", "RFC 5280 4.2.1.6, RFC 1123 2.1", "DNS names are ASCII letters, digits, hyphens and dots, without a wildcard and not like an IP address"},
		func(c *linted) bool {
			return !slices.ContainsFunc(c.DNSNames, func(s string) bool { return nameFlaw(s) != "" })
		}},
	{Finding{"names_ip", "RFC 5280 4.2.1.6, RFC 4291 2.5.5.2", "an IPv4 address has 4 octets: it is not mapped into IPv6"},
		func(c *linted) bool { return c.eachName(isNotMapped) }},
	{Finding{"names_once", "x509ctl", "no name stands twice, in whatever case"},
		(*linted).hasEachNameOnce},
	{Finding{"names_common_name", "RFC 9525 4.1", "the common name is the first of the DNS names, since nobody looks for it in the subject"},
		func(c *linted) bool { return len(c.DNSNames) == 0 || c.DNSNames[0] == c.Subject.CommonName }},
}

// eachName reports whether holds is true of every subject alternative name.
func (c *linted) eachName(holds func(asn1.Tag, der) bool) bool {
	e := c.fields.extension(oidSubjectAltName)
	if e == nil {
		return true
	}
	list, ok := readWhole(e.value, asn1.SEQUENCE)
	for ok && !list.Empty() {
		var name der
		var tag asn1.Tag
		ok = list.ReadAnyASN1(&name, &tag) && holds(tag, name)
	}
	return ok
}

const (
	dnsTag = asn1.Tag(2 | 0x80) // GeneralName, RFC 5280, section 4.2.1.6
	ipTag  = asn1.Tag(7 | 0x80)
)

func isDNSOrIP(tag asn1.Tag, _ der) bool { return tag == dnsTag || tag == ipTag }

func isNotMapped(tag asn1.Tag, content der) bool {
	addr, ok := netip.AddrFromSlice(content)
	return tag != ipTag || ok && !addr.Is4In6()
}

func (c *linted) hasEachNameOnce() bool {
	for i, name := range c.DNSNames {
		if slices.ContainsFunc(c.DNSNames[:i], func(s string) bool { return strings.EqualFold(s, name) }) {
			return false
		}
	}
	for i, addr := range c.IPAddresses {
		if slices.ContainsFunc(c.IPAddresses[:i], addr.Equal) {
			return false
		}
	}
	return true
}
