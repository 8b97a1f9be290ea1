package cli

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"x509ctl/pkg/fault"
)

// maxInspected bounds a file, in bytes.
const maxInspected = 1 << 20

// An inspector describes files.
type inspector struct {
	app          *app
	passwordFile string
	noPassword   bool
	now          time.Time
}

// The kinds of things, as inspectView has them.
const (
	kindCertificate = "certificate"
	kindRequest     = "request"
	kindCRL         = "crl"
	kindPrivateKey  = "private key"
	kindPublicKey   = "public key"
	kindPKCS12      = "pkcs12"
	kindPKCS7       = "pkcs7"
	kindUnknown     = "unknown"
)

// file describes what is in the file at path. The error is the first of those that
// stand in the views.
func (in *inspector) file(path string) ([]inspectView, error) {
	var first error
	fail := func(v *inspectView, err error) {
		if err != nil {
			v.Error = err.Error()
		}
		if first == nil {
			first = err
		}
	}
	data, err := in.app.readInput(path, maxInspected)
	if err != nil {
		v := inspectView{File: path, Kind: kindUnknown}
		fail(&v, err)
		return []inspectView{v}, first
	}
	var views []inspectView
	blocks, format, err := splitBlocks(data)
	for i, b := range blocks {
		v := inspectView{File: path, Block: i + 1, Format: format}
		fail(&v, in.block(&v, b))
		views = append(views, v)
	}
	if err != nil {
		v := inspectView{File: path, Block: len(blocks) + 1, Format: format, Kind: kindUnknown}
		fail(&v, err)
		views = append(views, v)
	}
	return views, first
}

var errNothingKnown = fault.New(fault.Malformed, "there is nothing in it that is known here: neither PEM, nor a certificate, request, CRL, key or PKCS#12 file in DER")

// splitBlocks returns what is to be described one by one, whatever stands around
// it. The error is what else is in data.
func splitBlocks(data []byte) (blocks []*pem.Block, format string, err error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	switch {
	case len(data) == 0:
		return nil, "", fault.New(fault.Malformed, "it is empty")
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return nil, "", fault.New(fault.Malformed, "it is text in UTF-16, as PowerShell writes it: PEM is in ASCII")
	case bytes.Contains(data, []byte("-----BEGIN ")):
		begun := bytes.Count(data, []byte("-----BEGIN "))
		for b, rest := pem.Decode(data); b != nil; b, rest = pem.Decode(rest) {
			blocks = append(blocks, b)
		}
		if len(blocks) < begun {
			err = fault.Errorf(fault.Malformed, "it begins %d PEM blocks, of which %d can be decoded", begun, len(blocks))
		}
		return blocks, "PEM", err
	}
	kind := kindOfDER(data)
	if kind == "" {
		return nil, "", errNothingKnown
	}
	return []*pem.Block{{Type: kind, Bytes: data}}, "DER", nil
}

// kindOfLabel is the kind of what a label in PEM promises, or "".
func kindOfLabel(label string) string {
	switch label {
	case "CERTIFICATE", "X509 CERTIFICATE":
		return kindCertificate
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		return kindRequest
	case "X509 CRL":
		return kindCRL
	case "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY":
		return kindPrivateKey
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return kindPublicKey
	case "PKCS12":
		return kindPKCS12
	case "PKCS7", "CMS":
		return kindPKCS7
	}
	return ""
}

// kindsIn returns the kinds of what is in data, "" for what is not known.
func kindsIn(data []byte) []string {
	blocks, format, _ := splitBlocks(data)
	kinds := make([]string, len(blocks))
	for i, b := range blocks {
		kinds[i] = kindOf(b, format)
	}
	return kinds
}

func kindOf(b *pem.Block, format string) string {
	if format == "PEM" {
		return kindOfLabel(b.Type)
	}
	return b.Type
}

// block describes b, whose type is a label, or in DER a kind.
func (in *inspector) block(v *inspectView, b *pem.Block) (err error) {
	kind := kindOf(b, v.Format)
	v.Kind = kind
	switch kind {
	case kindCertificate:
		err = in.certificate(v, b.Bytes)
	case kindRequest:
		err = in.request(v, b.Bytes)
	case kindCRL:
		err = in.crl(v, b.Bytes)
	case kindPrivateKey:
		err = inspectPrivateKey(v, b)
	case kindPublicKey:
		err = inspectPublicKey(v, b.Bytes)
	case kindPKCS12:
		err = in.pkcs12(v, b.Bytes)
	case "":
		v.Kind = strings.ToLower(b.Type)
		v.Summary = fmt.Sprintf("%d octets, not described", len(b.Bytes))
	default: // PKCS#7, the only kind that is told from others and not read
		err = fault.New(fault.Malformed, `it looks like PKCS#7, which is not read here: "openssl pkcs7 -print_certs" takes the certificates out`)
	}
	if err != nil && v.Summary == "" {
		v.Summary = "can't be understood"
	}
	return err
}

// notUnderstood is the error for a thing that its decoder refuses.
func notUnderstood(kind string, err error) error {
	return fault.Errorf(fault.Malformed, "the %s can't be understood: %w", kind, err)
}

// kindOfDER tells by its first fields what data is, or "". What begins like one
// thing and is another does not parse, later.
func kindOfDER(data []byte) string {
	if looksLikePFX(data) {
		return kindPKCS12
	}
	s := cryptobyte.String(data)
	var outer cryptobyte.String
	if !s.ReadASN1(&outer, asn1.SEQUENCE) {
		return ""
	}
	switch {
	case outer.PeekASN1Tag(asn1.INTEGER):
		return kindByVersion(outer)
	case outer.PeekASN1Tag(asn1.OBJECT_IDENTIFIER):
		return kindPKCS7
	}
	var first cryptobyte.String
	if !outer.ReadASN1(&first, asn1.SEQUENCE) {
		return ""
	}
	switch {
	case outer.PeekASN1Tag(asn1.OCTET_STRING):
		return kindPrivateKey // encrypted
	case outer.PeekASN1Tag(asn1.BIT_STRING):
		return kindPublicKey
	}
	return kindBySigned(first)
}

// looksLikePFX says whether data begins like PKCS#12: a SEQUENCE of any length, BER's
// too, and version 3 followed by a SEQUENCE.
func looksLikePFX(data []byte) bool {
	if len(data) < 8 || data[0] != 0x30 {
		return false
	}
	head := 2
	if data[1] > 0x80 {
		head += int(data[1] & 0x7f)
	}
	return len(data) > head+4 && bytes.Equal(data[head:head+4], []byte{2, 1, 3, 0x30})
}

// kindByVersion tells the keys apart, which begin with a number.
func kindByVersion(s cryptobyte.String) string {
	if !s.SkipASN1(asn1.INTEGER) {
		return ""
	}
	switch {
	case s.PeekASN1Tag(asn1.SEQUENCE), s.PeekASN1Tag(asn1.OCTET_STRING):
		return kindPrivateKey // PKCS#8, SEC 1
	case s.SkipASN1(asn1.INTEGER) && s.Empty():
		return kindPublicKey // PKCS#1
	case !s.Empty():
		return kindPrivateKey
	}
	return ""
}

// kindBySigned tells by what is signed: a certificate, a request or a CRL.
func kindBySigned(s cryptobyte.String) string {
	if s.PeekASN1Tag(asn1.Tag(0).Constructed().ContextSpecific()) {
		return kindCertificate
	}
	version := s.SkipASN1(asn1.INTEGER)
	for range 2 { // algorithm and issuer, or subject and key
		if !s.SkipASN1(asn1.SEQUENCE) {
			return ""
		}
	}
	switch {
	case s.PeekASN1Tag(asn1.UTCTime), s.PeekASN1Tag(asn1.GeneralizedTime):
		return kindCRL
	case version && (s.Empty() || s.PeekASN1Tag(asn1.Tag(0).Constructed().ContextSpecific())):
		return kindRequest
	case version:
		return kindCertificate // of version 1
	}
	return ""
}

// warnSignature adds a warning about a signature by an algorithm that is broken, or
// not allowed any more.
func (v *inspectView) warnSignature(a x509.SignatureAlgorithm) {
	switch a {
	case x509.UnknownSignatureAlgorithm, x509.MD2WithRSA, x509.MD5WithRSA,
		x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.DSAWithSHA256:
		v.warn("it is signed with %v, which is weak or unknown", a)
	}
}

func (v *inspectView) warn(format string, args ...any) {
	v.Warnings = append(v.Warnings, fmt.Sprintf(format, args...))
}
