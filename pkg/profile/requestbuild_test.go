package profile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"testing"
)

// A requestSpec is a request to be built as wrong as a test wants it.
type requestSpec struct {
	version    []byte   // default: INTEGER 0
	subject    []byte   // default: one common name node1.example.com
	spki       []byte   // default: the key's
	attributes [][]byte // default: none
	after      []byte   // after the attributes, in the part that is signed
	algorithm  []byte   // default: ECDSA with SHA-256
	end        []byte   // after the signature
	key        crypto.Signer
}

func newP256(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// orElse returns b, or def for nil.
func orElse(b, def []byte) []byte {
	if b == nil {
		return def
	}
	return b
}

// build returns the request in DER, signed.
func (q requestSpec) build(tb testing.TB) []byte {
	tb.Helper()
	if q.key == nil {
		q.key = newP256(tb)
	}
	spki, err := marshalSPKI(q.key.Public())
	if err != nil && q.spki == nil {
		tb.Fatal(err)
	}
	info := tlv(tagSequence,
		orElse(q.version, derInteger(0)),
		orElse(q.subject, commonName("node1.example.com")),
		orElse(q.spki, spki),
		tlv(0xa0, q.attributes...),
		q.after)
	digest := sha256.Sum256(info)
	signature, err := q.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		tb.Fatal(err)
	}
	algorithm := orElse(q.algorithm, tlv(tagSequence, tlv(tagOID, []byte(oidECDSAWithSHA256))))
	return tlv(tagSequence, info, algorithm, derBits(signature), q.end)
}

// asking returns the attribute that asks for the extensions given.
func asking(exts ...[]byte) []byte {
	return tlv(tagSequence, tlv(tagOID, []byte(oidExtensionRequest)), tlv(tagSet, tlv(tagSequence, exts...)))
}

// sanOf returns the subject alternative names given.
func sanOf(names ...[]byte) []byte {
	return extension(oidSubjectAltName, 0, tlv(tagSequence, names...))
}

// rdn returns a RelativeDistinguishedName of attributes.
func rdn(attributes ...[]byte) []byte { return tlv(tagSet, attributes...) }

// attr returns an AttributeTypeAndValue.
func attr(kind oid, tag byte, value string) []byte {
	return tlv(tagSequence, tlv(tagOID, []byte(kind)), tlv(tag, []byte(value)))
}

func pemOf(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}
