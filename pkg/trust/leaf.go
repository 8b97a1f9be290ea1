package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"x509ctl/pkg/serial"
)

// understood are the extensions that a leaf may have as critical ones: key usage,
// subject alternative name, basic constraints, extended key usage.
var understood = []asn1.ObjectIdentifier{{2, 5, 29, 15}, {2, 5, 29, 17}, {2, 5, 29, 19}, {2, 5, 29, 37}}

// label names a certificate in a sentence.
func label(leaf *x509.Certificate) string { return "certificate " + cut(leaf.SerialNumber.String()) }

// checkShape judges what doesn't depend on the question.
func (c Check) checkShape(leaf *x509.Certificate) error {
	switch {
	case leaf.IsCA && c.Project != "":
		return refuse(IsCA, "%s is a CA's, and not a member's or a server's", label(leaf))
	case leaf.IsCA:
		return refuse(IsCA, "%s is a CA's, and not a node's", label(leaf))
	case leaf.KeyUsage&x509.KeyUsageCertSign != 0:
		return refuse(IsCA, "%s may sign certificates (key usage keyCertSign)", label(leaf))
	case leaf.Version != 3:
		return refuse(BadVersion, "%s is of X.509 version %d, and not 3", label(leaf), leaf.Version)
	case !leaf.BasicConstraintsValid:
		return refuse(IsCA, "%s doesn't say that it is not a CA's: it has no basic constraints", label(leaf))
	case !leaf.SerialNumber.IsInt64() || leaf.SerialNumber.Sign() < 1:
		return refuse(BadSerial, "%s has a number outside 1 to %d", label(leaf), serial.Max)
	}
	for _, e := range leaf.Extensions {
		if e.Critical && !slices.ContainsFunc(understood, e.Id.Equal) {
			return refuse(UnknownCritical, "%s has a critical extension that is not understood: %s", label(leaf), cut(e.Id.String()))
		}
	}
	return nil
}

func (c Check) checkTime(leaf *x509.Certificate) error {
	begin, end := leaf.NotBefore.Unix(), leaf.NotAfter.Unix()
	most, about := int64(MaxLifetime/time.Second), "less than a week"
	if c.Project != "" {
		most, about = int64(MaxProjectLifetime/time.Second), "a year"
	}
	switch {
	case end < begin:
		return refuse(BadLifetime, "%s ends on %s, before it begins on %s", label(leaf), date(leaf.NotAfter), date(leaf.NotBefore))
	case end-begin > most:
		return refuse(BadLifetime, "%s is made for %d s, from %s to %s; at most %d s are accepted, %s",
			label(leaf), end-begin, date(leaf.NotBefore), date(leaf.NotAfter), most, about)
	}
	return c.checkDates(leaf)
}

// checkDates is checkTime for a certificate of whatever lifetime.
func (c Check) checkDates(leaf *x509.Certificate) error {
	switch now := c.At.Unix(); {
	case now < leaf.NotBefore.Unix():
		return refuse(NotYetValid, "%s is not valid before %s; the time is %s", label(leaf), date(leaf.NotBefore), date(c.At))
	case now > leaf.NotAfter.Unix():
		return refuse(Expired, "%s expired on %s; the time is %s", label(leaf), date(leaf.NotAfter), date(c.At))
	}
	return nil
}

func (c Check) checkFloor(leaf *x509.Certificate) error { return checkFloor(leaf, c.Floor) }

func checkFloor(leaf *x509.Certificate, floor serial.Floor) error {
	if floor.Accepts(serial.Number(leaf.SerialNumber.Int64())) {
		return nil
	}
	return refuse(BelowFloor, "%s is revoked: min-serial is %v, and all numbers below are", label(leaf), floor)
}

// An extKeyUsage is a purpose as certificates and people call it.
type extKeyUsage struct {
	purpose Purpose
	ext     x509.ExtKeyUsage
	name    string
}

func (c Check) extKeyUsages() []extKeyUsage {
	all := []extKeyUsage{
		{Client, x509.ExtKeyUsageClientAuth, "clientAuth"},
		{Server, x509.ExtKeyUsageServerAuth, "serverAuth"},
	}
	if c.Purpose == "" {
		return all
	}
	return slices.DeleteFunc(all, func(u extKeyUsage) bool { return u.purpose != c.Purpose })
}

// checkPurpose wants usages spelled out: neither a missing extension nor
// anyExtendedKeyUsage stands for them.
func (c Check) checkPurpose(leaf *x509.Certificate) error {
	if leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return refuse(WrongPurpose, "%s is not for TLS: it lacks the key usage digitalSignature", label(leaf))
	}
	uses := c.extKeyUsages()
	if c.Project != "" && c.Purpose == "" {
		if !slices.ContainsFunc(uses, func(use extKeyUsage) bool { return slices.Contains(leaf.ExtKeyUsage, use.ext) }) {
			return refuse(WrongPurpose, "%s is neither for a TLS client nor for a server", label(leaf))
		}
		return nil
	}
	for _, use := range uses {
		if !slices.Contains(leaf.ExtKeyUsage, use.ext) {
			return refuse(WrongPurpose, "%s is not for a TLS %s: it lacks the extended key usage %s", label(leaf), use.purpose, use.name)
		}
	}
	return nil
}

// checkUser wants a project's leaf to be of that project, and for the member, if one is
// asked for.
func (c Check) checkUser(leaf *x509.Certificate) error {
	if c.Project == "" {
		return nil
	}
	if o := leaf.Subject.Organization; len(o) != 1 || foldASCII(o[0]) != foldASCII(c.Project) {
		return refuse(WrongName, "%s is not of project %s: its organization is %s", label(leaf), quoted(c.Project), quoted(strings.Join(o, ", ")))
	}
	if c.User == "" {
		return nil
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) > 0 || !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return refuse(WrongName, "%s is a server's, and not the one of %s", label(leaf), quoted(c.User))
	}
	if cn := leaf.Subject.CommonName; foldASCII(cn) != foldASCII(c.User) {
		return refuse(WrongName, "%s is not for %s: it is for %s", label(leaf), quoted(c.User), quoted(cn))
	}
	return nil
}

func (c Check) checkName(leaf *x509.Certificate) error {
	if c.Name == "" || HasName(leaf, c.Name) {
		return nil
	}
	return refuse(WrongName, "%s is not for %s: it is for %s", label(leaf), quoted(c.Name), names(leaf))
}

func (c Check) checkEmail(leaf *x509.Certificate) error { return checkEmail(leaf, c.Email) }

// checkEmail wants leaf to be for the mail address, if there is one.
func checkEmail(leaf *x509.Certificate, email string) error {
	if email == "" || slices.ContainsFunc(leaf.EmailAddresses, func(a string) bool { return sameMailbox(a, email) }) {
		return nil
	}
	if len(leaf.EmailAddresses) == 0 {
		return refuse(WrongName, "%s is not for %s: it is for no mail address", label(leaf), quoted(email))
	}
	return refuse(WrongName, "%s is not for %s: it is for %s", label(leaf), quoted(email), quoted(leaf.EmailAddresses[0]))
}

// HasName reports whether name, a DNS name or an IP address, is one of the subject
// alternative names of leaf, compared as [Check.Verify] does. Nothing else of leaf
// is judged.
func HasName(leaf *x509.Certificate, name string) bool {
	if addr, err := netip.ParseAddr(name); err == nil {
		return slices.ContainsFunc(leaf.IPAddresses, func(ip net.IP) bool {
			return bytes.Equal(ip, addr.AsSlice()) && addr.Zone() == ""
		})
	}
	folded := foldASCII(name)
	return slices.ContainsFunc(leaf.DNSNames, func(n string) bool { return foldASCII(n) == folded })
}

// foldASCII returns s in lower case, octet by octet: other letters than ASCII's
// are in no DNS name.
func foldASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// names lists what leaf is for, up to a handful.
func names(leaf *x509.Certificate) string {
	const most = 5
	var shown []string
	for _, name := range leaf.DNSNames[:min(len(leaf.DNSNames), most)] {
		if _, err := netip.ParseAddr(name); err == nil {
			shown = append(shown, "the DNS name "+quoted(name)) // which is no address
		} else {
			shown = append(shown, quoted(name))
		}
	}
	for _, ip := range leaf.IPAddresses[:min(len(leaf.IPAddresses), most-len(shown))] {
		shown = append(shown, quoted(ip.String()))
	}
	switch all := len(leaf.DNSNames) + len(leaf.IPAddresses); {
	case all == 0:
		return "no name at all (a common name doesn't count)"
	case all > most:
		shown = append(shown, "and others")
	}
	return strings.Join(shown, ", ")
}

func (c Check) checkPins(leaf *x509.Certificate) error {
	if n := serial.Number(leaf.SerialNumber.Int64()); c.Serial != 0 && n != c.Serial {
		return refuse(WrongPin, "%s is not the one asked for, which has the number %v", label(leaf), c.Serial)
	}
	if sum := sha256.Sum256(leaf.Raw); len(c.Fingerprint) != 0 && !bytes.Equal(sum[:], c.Fingerprint) {
		return refuse(WrongPin, "%s is not the one asked for: its SHA-256 fingerprint is %s, and not %s",
			label(leaf), hex.EncodeToString(sum[:]), hex.EncodeToString(c.Fingerprint))
	}
	return nil
}
