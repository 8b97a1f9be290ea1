package profile

import (
	"bytes"
	encodingasn1 "encoding/asn1"
	"math/bits"
	"strconv"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The identifier octets written here.
const (
	tagBoolean         = 0x01
	tagInteger         = 0x02
	tagBitString       = 0x03
	tagOctetString     = 0x04
	tagOID             = 0x06
	tagUTF8String      = 0x0c
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagSequence        = 0x30
	tagSet             = 0x31
)

// tlv returns parts as the content of one DER value with the given identifier
// octet. It is the whole builder: what is built here has no part that is not a
// constant, a copy, or a call of tlv or appendInteger.
func tlv(tag byte, parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	out := make([]byte, 0, size+6)
	out = append(out, tag)
	switch {
	case size < 0x80:
		out = append(out, byte(size))
	case size <= 0xff:
		out = append(out, 0x81, byte(size))
	case size <= 0xffff:
		out = append(out, 0x82, byte(size>>8), byte(size))
	case size <= 0xffffff:
		out = append(out, 0x83, byte(size>>16), byte(size>>8), byte(size))
	default:
		out = append(out, 0x84, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// derInteger returns n as an INTEGER.
func derInteger(n uint64) []byte { return appendInteger(nil, n) }

// appendInteger appends n as an INTEGER: 3 to 11 octets.
func appendInteger(b []byte, n uint64) []byte {
	size := bits.Len64(n)/8 + 1 // with a bit for the sign
	b = append(b, tagInteger, byte(size))
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i))) // 0 for i = 8
	}
	return b
}

// derTime returns t as RFC 5280, section 4.1.2.5, wants it: UTCTime through 2049,
// GeneralizedTime from 2050 on, whole seconds in UTC.
func derTime(t time.Time) []byte {
	t = t.UTC()
	if t.Year() < 2050 {
		return tlv(tagUTCTime, t.AppendFormat(nil, "060102150405Z"))
	}
	return tlv(tagGeneralizedTime, t.AppendFormat(nil, "20060102150405Z"))
}

// derBits returns bits as a BIT STRING that uses every bit of the last octet.
func derBits(bits []byte) []byte { return tlv(tagBitString, []byte{0}, bits) }

// der is a cryptobyte.String: a reader of DER that refuses what is only BER.
type der = cryptobyte.String

// readWhole returns the content of in, which must be exactly one value of the
// given kind with nothing after it.
func readWhole(in []byte, tag asn1.Tag) (der, bool) {
	s, content := der(in), der(nil)
	ok := s.ReadASN1(&content, tag) && s.Empty()
	return content, ok
}

// readBits returns the content of the BIT STRING at the start of s, which must use
// every bit.
func readBits(s *der) ([]byte, bool) {
	var content der
	if !s.ReadASN1(&content, asn1.BIT_STRING) || len(content) == 0 || content[0] != 0 {
		return nil, false
	}
	return content[1:], true
}

// An oid is an object identifier as the content octets of its DER form, which is
// how they are compared. The zero oid is none.
type oid string

// readOID returns the object identifier at the start of s.
func readOID(s *der) (oid, bool) {
	var content der
	if !s.ReadASN1(&content, asn1.OBJECT_IDENTIFIER) || len(content) == 0 {
		return "", false
	}
	return oid(content), true
}

// String returns o in dotted form.
func (o oid) String() string {
	const longest = 64
	var id encodingasn1.ObjectIdentifier
	if len(o) > longest {
		return "an object identifier of " + strconv.Itoa(len(o)) + " octets"
	}
	s := der(tlv(tagOID, []byte(o)))
	if !s.ReadASN1ObjectIdentifier(&id) {
		return "an invalid object identifier"
	}
	return id.String()
}

// concat returns parts as one.
func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// commonName returns a Name that is one common name. UTF8String is what OpenSSL and
// RFC 5280, section 4.1.2.4, choose.
func commonName(name string) []byte {
	return tlv(tagSequence, tlv(tagSet, tlv(tagSequence, tlv(tagOID, []byte(oidCommonName)), tlv(tagUTF8String, []byte(name)))))
}

// A criticality says whether whoever does not know an extension must refuse the
// certificate.
type criticality byte

const critical criticality = 0xff

// extension returns an Extension with the given value.
func extension(kind oid, c criticality, value []byte) []byte {
	var flag []byte // DER leaves out FALSE, the default
	if c == critical {
		flag = tlv(tagBoolean, []byte{byte(critical)})
	}
	return tlv(tagSequence, tlv(tagOID, []byte(kind)), flag, tlv(tagOctetString, value))
}

// extensions returns the extensions field of a TBSCertificate.
func extensions(list ...[]byte) []byte { return tlv(0xa3, tlv(tagSequence, list...)) }
