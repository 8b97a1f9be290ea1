package cli

import (
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"time"

	"x509ctl/pkg/profile"
)

// inspectCertView is a certificate as "inspect" prints it.
type inspectCertView struct {
	Version          int       `json:"version"`
	Subject          string    `json:"subject"`
	Issuer           string    `json:"issuer"`
	SelfIssued       bool      `json:"self_issued"`
	Serial           string    `json:"serial"`
	SerialHex        string    `json:"serial_hex"`
	NotBefore        timestamp `json:"not_before"`
	NotAfter         timestamp `json:"not_after"`
	Lifetime         string    `json:"lifetime"`         // in words
	LifetimeSeconds  int64     `json:"lifetime_seconds"` // notAfter - notBefore; both ends count, so it is valid for one more
	State            string    `json:"state"`            // of the dates alone: "current", "expired" or "not yet valid"
	Names            []string  `json:"names"`            // subject alternative names with their kinds
	KeyType          string    `json:"key_type"`
	SPKISHA256       string    `json:"spki_sha256"`
	Signature        string    `json:"signature_algorithm"`
	BasicConstraints string    `json:"basic_constraints"`
	KeyUsage         []string  `json:"key_usage"`
	ExtKeyUsage      []string  `json:"extended_key_usage"`
	SubjectKeyID     string    `json:"subject_key_id"`
	AuthorityKeyID   string    `json:"authority_key_id"`
	Extensions       []string  `json:"other_extensions"`
	SHA256           string    `json:"sha256"`
	SHA1             string    `json:"sha1"`

	Lint []lintView `json:"lint"` // what sets it apart from the certificates made here
}

// lintView is a rule for the certificates made here that a certificate does not keep.
// One made elsewhere may be none the worse, so it is no warning.
type lintView struct {
	Rule   string `json:"rule"`
	Source string `json:"source"` // the section of a standard, or "x509ctl"
	What   string `json:"what"`   // what the rule asks for
}

func (in *inspector) certificate(v *inspectView, der []byte) error {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return notUnderstood("certificate", err)
	}
	v.Certificate = in.certificateView(c)
	v.Summary = fmt.Sprintf("%s, %s, until %s", v.Certificate.Subject, v.Certificate.KeyType, v.Certificate.NotAfter.text())
	in.warnCertificate(v, c)
	return nil
}

func (in *inspector) certificateView(c *x509.Certificate) *inspectCertView {
	sum256, sum1 := sha256.Sum256(c.Raw), sha1.Sum(c.Raw)
	spki := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	seconds := c.NotAfter.Unix() - c.NotBefore.Unix()
	view := &inspectCertView{
		Version: c.Version, Subject: nameText(c.RawSubject), Issuer: nameText(c.RawIssuer),
		SelfIssued: string(c.RawSubject) == string(c.RawIssuer),
		Serial:     c.SerialNumber.String(), SerialHex: hexNumber(c.SerialNumber.Bytes()),
		NotBefore: at(c.NotBefore), NotAfter: at(c.NotAfter),
		Lifetime: secondsText(seconds), LifetimeSeconds: seconds, State: stateAt(in.now, c.NotBefore, c.NotAfter),
		Names: []string{}, KeyType: publicKeyType(c.PublicKey, c.PublicKeyAlgorithm), SPKISHA256: hex.EncodeToString(spki[:]),
		Signature: c.SignatureAlgorithm.String(), BasicConstraints: constraintsText(c),
		KeyUsage: keyUsageWords(c.KeyUsage), ExtKeyUsage: extKeyUsageWords(c),
		SubjectKeyID: hex.EncodeToString(c.SubjectKeyId), AuthorityKeyID: hex.EncodeToString(c.AuthorityKeyId),
		Extensions: []string{},
		SHA256:     hex.EncodeToString(sum256[:]), SHA1: hex.EncodeToString(sum1[:]),
		Lint: []lintView{},
	}
	view.Names, view.Extensions = extensionsText(c.Extensions)
	findings, _ := profile.Lint(c.Raw) // it was read before
	for _, f := range findings {
		view.Lint = append(view.Lint, lintView(f))
	}
	return view
}

func (in *inspector) warnCertificate(v *inspectView, c *x509.Certificate) {
	switch stateAt(in.now, c.NotBefore, c.NotAfter) {
	case "expired":
		v.warn("it expired %s", relative(c.NotAfter, in.now))
	case "not yet valid":
		v.warn("it is not valid yet, only %s", relative(c.NotBefore, in.now))
	}
	if c.NotAfter.Before(c.NotBefore) {
		v.warn("it ends before it begins")
	}
	v.warnSignature(c.SignatureAlgorithm)
	v.warnKey(c.PublicKey)
	if !c.IsCA {
		p := profile.Like(c)
		most := "a node's certificate lives for less than a week"
		if p.OfProject() {
			most = "a project's " + string(p) + " certificate lives for at most " + secondsText(int64(p.MaxLifetime()/time.Second))
		}
		if lifetime := c.NotAfter.Unix() - c.NotBefore.Unix(); lifetime > int64(p.MaxLifetime()/time.Second) {
			v.warn("it lives for %s; %s", secondsText(lifetime), most)
		}
		if names, _ := extensionsText(c.Extensions); len(names) == 0 && p != profile.Member && p != profile.Decrypt {
			v.warn("it has no subject alternative name: programs of today look at nothing else")
		}
	}
	for _, id := range c.UnhandledCriticalExtensions {
		v.warn("its extension %v is critical and not known here", id)
	}
	if len(c.SerialNumber.Bytes()) > 20 {
		v.warn("its serial number has more than 20 octets")
	}
}

// warnKey adds a warning about a key that no certificate should have.
func (v *inspectView) warnKey(key crypto.PublicKey) {
	if err := profile.CheckKey(key); err != nil {
		v.warn("its key is weak, or not supported: %v", err)
	}
}

func stateAt(now, notBefore, notAfter time.Time) string {
	switch {
	case now.Truncate(time.Second).After(notAfter): // both ends count
		return "expired"
	case now.Before(notBefore):
		return "not yet valid"
	}
	return "current"
}

// nameText is a distinguished name with all of its parts, as RFC 4514 has it.
func nameText(raw []byte) string {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil || len(rest) > 0 {
		return "0x" + hex.EncodeToString(raw)
	}
	return rdns.String()
}

// hexNumber is a number's octets as openssl prints them, without 0x.
func hexNumber(b []byte) string {
	if len(b) == 0 {
		return "00"
	}
	return fmt.Sprintf("%X", b)
}

// secondsText is a lifetime in words. It may be longer than a Duration.
func secondsText(s int64) string {
	if days := s / 86400; days >= 14 {
		return fmt.Sprintf("%d days", days)
	}
	return (time.Duration(s) * time.Second).String()
}

// publicKeyType names the type of a key, of one that is not known here too.
func publicKeyType(key crypto.PublicKey, a x509.PublicKeyAlgorithm) string {
	if key == nil {
		return fmt.Sprintf("unknown (%v)", a)
	}
	return keyTypeOf(key)
}

func constraintsText(c *x509.Certificate) string {
	switch {
	case !c.BasicConstraintsValid:
		return ""
	case !c.IsCA:
		return "CA:FALSE"
	case c.MaxPathLen > 0 || c.MaxPathLenZero:
		return fmt.Sprintf("CA:TRUE, pathlen:%d", c.MaxPathLen)
	}
	return "CA:TRUE"
}

// keyUsageWords are the names of RFC 5280, section 4.2.1.3.
func keyUsageWords(u x509.KeyUsage) []string {
	words := []string{}
	for i, name := range []string{
		"digitalSignature", "contentCommitment", "keyEncipherment", "dataEncipherment", "keyAgreement",
		"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
	} {
		if u&(1<<i) != 0 {
			words = append(words, name)
		}
	}
	return words
}

func extKeyUsageWords(c *x509.Certificate) []string {
	words := []string{}
	for _, u := range c.ExtKeyUsage {
		words = append(words, u.String())
	}
	for _, id := range c.UnknownExtKeyUsage {
		words = append(words, id.String())
	}
	return words
}
