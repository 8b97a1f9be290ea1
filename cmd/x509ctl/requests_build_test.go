package main_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"testing"
)

// tlv returns parts as the content of one DER value.
func tlv(tag byte, parts ...[]byte) []byte {
	content := slices.Concat(parts...)
	raw, err := asn1.Marshal(asn1.RawValue{
		Class: int(tag >> 6), IsCompound: tag&0x20 != 0, Tag: int(tag & 0x1f), Bytes: content,
	})
	if err != nil {
		panic(err)
	}
	return raw
}

func oid(numbers ...int) []byte {
	raw, err := asn1.Marshal(asn1.ObjectIdentifier(numbers))
	if err != nil {
		panic(err)
	}
	return raw
}

// Tags of DER, those of GeneralName in RFC 5280, section 4.2.1.6.
const (
	tagBool, tagInt, tagBits, tagOctets, tagUTF8, tagPrintable, tagBMP, tagSeq, tagSet = 1, 2, 3, 4, 12, 19, 30, 0x30, 0x31

	tagOther, tagEmail, tagDNS, tagX400, tagDirectory, tagEDI, tagURI, tagIP, tagRID = 0xa0, 0x81, 0x82, 0xa3, 0xa4, 0xa5, 0x86, 0x87, 0x88
)

// attribute returns an attribute of a name.
func attribute(kind []byte, tag byte, text string) []byte {
	return tlv(tagSeq, kind, tlv(tag, []byte(text)))
}

var (
	oidCN  = oid(2, 5, 4, 3)
	oidSAN = oid(2, 5, 29, 17)
)

// cnOf returns a subject with the common names given.
func cnOf(names ...string) []byte {
	var rdns [][]byte
	for _, name := range names {
		rdns = append(rdns, tlv(tagSet, attribute(oidCN, tagUTF8, name)))
	}
	return tlv(tagSeq, rdns...)
}

// extension returns an extension that a request asks for.
func extension(kind, value []byte) []byte { return tlv(tagSeq, kind, tlv(tagOctets, value)) }

// asking returns the attribute of a request that asks for extensions.
func asking(extensions ...[]byte) []byte {
	return tlv(tagSeq, oid(1, 2, 840, 113549, 1, 9, 14), tlv(tagSet, tlv(tagSeq, extensions...)))
}

// names returns the attribute that asks for alternative names.
func names(list ...[]byte) []byte { return asking(extension(oidSAN, tlv(tagSeq, list...))) }

func dnsName(name string) []byte { return tlv(tagDNS, []byte(name)) }

// A reqSpec is a request to be built as wrong as a test wants it. What is nil is as it
// should be.
type reqSpec struct {
	version, subject, spki []byte
	attributes             [][]byte
	end                    []byte // after the signature
	signer                 crypto.Signer
}

// reqKey is the key of all requests.
var reqKey = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

func reqSPKI() []byte {
	spki, err := x509.MarshalPKIXPublicKey(&reqKey.PublicKey)
	if err != nil {
		panic(err)
	}
	return spki
}

// der returns the request, signed.
func (q reqSpec) der(tb testing.TB) []byte {
	tb.Helper()
	or := func(b, other []byte) []byte {
		if b != nil {
			return b
		}
		return other
	}
	if q.signer == nil {
		q.signer = reqKey
	}
	info := tlv(tagSeq, or(q.version, tlv(tagInt, []byte{0})), or(q.subject, cnOf(node1)), or(q.spki, reqSPKI()), tlv(0xa0, q.attributes...))
	digest := sha256.Sum256(info)
	signature, err := q.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		tb.Fatal(err)
	}
	return tlv(tagSeq, info, tlv(tagSeq, oid(1, 2, 840, 10045, 4, 3, 2)), tlv(tagBits, []byte{0}, signature), q.end)
}

func pemText(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

// pem returns the request as PEM.
func (q reqSpec) pem(tb testing.TB) []byte {
	tb.Helper()
	return pemText("CERTIFICATE REQUEST", q.der(tb))
}
