package keypair

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// certificateLabels are the labels of PEM that Nova takes for a certificate.
var certificateLabels = []string{"CERTIFICATE", "X509 CERTIFICATE"}

// oidUPN is the user principal name of Microsoft, an otherName.
var oidUPN = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}

// oidSAN is the subject alternative name (RFC 5280, section 4.2.1.6).
var oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}

// parseCertificate reads the first certificate in PEM, as Nova does: text and other
// blocks around it are kept and not looked at, but for private keys.
func parseCertificate(text string) (*Public, *ImportError) {
	blob, alone, err := firstCertificate(text)
	if err != nil {
		return nil, err
	}
	if hasPrivateKey(text) {
		return nil, found(PrivateHalf)
	}
	if err := checkCertificate(blob); err != nil {
		return nil, foundf(DamagedCertificate, "what is in its base64 is no certificate")
	}
	p := &Public{Keys: 1, DER: blob, blob: blob, extra: !alone}
	if c, err := x509.ParseCertificate(blob); err == nil {
		p.Algorithm, p.Bits = c.PublicKeyAlgorithm.String(), keyBits(c)
	}
	return p, nil
}

func keyBits(c *x509.Certificate) int {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen()
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return 256
	}
	return 0
}

// firstCertificate returns what is in the first block that is labelled a
// certificate. Every block of the text must be one that a strict reader of PEM
// takes. alone says that there is nothing else in the text.
func firstCertificate(text string) (blob []byte, alone bool, _ *ImportError) {
	blocks := 0
	alone = true
	for rest := text; ; blocks++ {
		before, after, ok := strings.Cut(rest, "-----BEGIN ")
		alone = alone && strings.TrimSpace(before) == ""
		if !ok {
			break
		}
		label, after, ok := strings.Cut(after, "-----")
		body, tail, closed := strings.Cut(after, "-----END "+label+"-----")
		if !ok || !closed || strings.Contains(body, "-----") {
			return nil, false, foundf(DamagedCertificate, "a BEGIN line has no END line that belongs to it")
		}
		if blob == nil && slices.Contains(certificateLabels, label) {
			if blob = decodeBody(body); len(blob) == 0 {
				return nil, false, foundf(DamagedCertificate, "its base64 is cut short, or has other signs or blanks in it")
			}
		}
		rest = tail
	}
	if blob == nil {
		return nil, false, recognise(text)
	}
	return blob, alone && blocks == 1, nil
}

// decodeBody decodes base64 in lines, which may end in blanks.
func decodeBody(body string) []byte {
	var b strings.Builder
	for line := range strings.SplitSeq(body, "\n") {
		b.WriteString(strings.TrimRight(line, " \t\r"))
	}
	data, err := base64.StdEncoding.DecodeString(b.String())
	if err != nil {
		return nil
	}
	return data
}

// checkCertificate returns an error unless blob has the form of a certificate (RFC
// 5280, section 4.1). What is in its fields doesn't matter: Nova takes keys and
// extensions that crypto/x509 doesn't know.
func checkCertificate(blob []byte) *ImportError {
	s := cryptobyte.String(blob)
	var outer, tbs, spki, bits cryptobyte.String
	var version int64
	version0 := der.Tag(0).Constructed().ContextSpecific()
	ok := s.ReadASN1(&outer, der.SEQUENCE) && s.Empty() &&
		outer.ReadASN1(&tbs, der.SEQUENCE) && outer.SkipASN1(der.SEQUENCE) &&
		outer.ReadASN1(&bits, der.BIT_STRING) && outer.Empty() &&
		(!tbs.PeekASN1Tag(version0) || readVersion(&tbs, version0, &version)) &&
		tbs.SkipASN1(der.INTEGER) && // serial number
		tbs.SkipASN1(der.SEQUENCE) && // algorithm
		tbs.SkipASN1(der.SEQUENCE) && // issuer
		readValidity(&tbs) &&
		tbs.SkipASN1(der.SEQUENCE) && // subject
		tbs.ReadASN1(&spki, der.SEQUENCE) &&
		spki.SkipASN1(der.SEQUENCE) && spki.ReadASN1(&bits, der.BIT_STRING) && spki.Empty()
	for n := range 3 { // unique ids, extensions
		tag := der.Tag(n + 1).ContextSpecific()
		ok = ok && tbs.SkipOptionalASN1(tag) && tbs.SkipOptionalASN1(tag.Constructed())
	}
	if !ok || !tbs.Empty() || version < 0 || version > 2 {
		return found(DamagedCertificate)
	}
	return nil
}

func readVersion(s *cryptobyte.String, tag der.Tag, version *int64) bool {
	var v cryptobyte.String
	return s.ReadASN1(&v, tag) && v.ReadASN1Integer(version) && v.Empty()
}

func readValidity(s *cryptobyte.String) bool {
	var v cryptobyte.String
	if !s.ReadASN1(&v, der.SEQUENCE) {
		return false
	}
	for range 2 {
		if !v.PeekASN1Tag(der.UTCTime) && !v.PeekASN1Tag(der.GeneralizedTime) {
			return false
		}
		var at cryptobyte.String
		var tag der.Tag
		if !v.ReadAnyASN1(&at, &tag) {
			return false
		}
	}
	return v.Empty()
}

// UPN returns the user principal name that a certificate is for, or "". Windows
// finds the account by it.
func (p *Public) UPN() string {
	c, err := x509.ParseCertificate(p.DER)
	if err != nil {
		return ""
	}
	return upnOf(c)
}

func upnOf(c *x509.Certificate) string {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidSAN) {
			continue
		}
		s := cryptobyte.String(e.Value)
		var names cryptobyte.String
		if !s.ReadASN1(&names, der.SEQUENCE) {
			return ""
		}
		for !names.Empty() {
			var name cryptobyte.String
			var tag der.Tag
			if !names.ReadAnyASN1(&name, &tag) {
				return ""
			}
			if upn := otherNameUPN(name, tag); upn != "" {
				return upn
			}
		}
	}
	return ""
}

// otherNameUPN returns the user principal name in one GeneralName, or "".
func otherNameUPN(name cryptobyte.String, tag der.Tag) string {
	var id asn1.ObjectIdentifier
	var value, text cryptobyte.String
	explicit := der.Tag(0).Constructed().ContextSpecific()
	if tag != explicit || !name.ReadASN1ObjectIdentifier(&id) || !id.Equal(oidUPN) ||
		!name.ReadASN1(&value, explicit) || !value.ReadASN1(&text, der.UTF8String) {
		return ""
	}
	return string(text)
}

// certificateWarnings says what Windows guests would refuse.
func (p *Public) certificateWarnings(now time.Time) (all []string) {
	if p.extra {
		all = append(all, "there is text beside the certificate: cloudbase-init, which brings it into a Windows guest, can't read that")
	}
	c, err := x509.ParseCertificate(p.DER)
	if err != nil {
		return append(all, "parts of the certificate can't be understood here, and perhaps not by guests")
	}
	if upnOf(c) == "" {
		all = append(all, "the certificate has no user principal name: cloudbase-init doesn't use such a one")
	}
	if !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		all = append(all, "the certificate is not meant for client authentication: WinRM refuses it")
	}
	if _, ok := c.PublicKey.(*rsa.PublicKey); !ok {
		all = append(all, "the certificate's key is not RSA, which is the only kind that WinRM was made for")
	}
	switch {
	case now.After(c.NotAfter):
		all = append(all, "the certificate has expired")
	case now.Before(c.NotBefore):
		all = append(all, "the certificate is not valid yet")
	}
	if !bytes.Equal(c.RawIssuer, c.RawSubject) {
		all = append(all, "the certificate is not self-signed: the guest has to trust its issuer as well")
	}
	return all
}
