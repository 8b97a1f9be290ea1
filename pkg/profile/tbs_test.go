package profile

import (
	"bytes"
	"encoding/asn1"
	"math"
	"testing"
)

// TestInteger compares with encoding/asn1 where the length changes.
func TestInteger(t *testing.T) {
	for _, n := range []int64{0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 1<<31 - 1, 1 << 31, 1<<55 - 1, 1 << 55, 1<<56 - 1, 1 << 56, math.MaxInt64} {
		want, err := asn1.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		if got := derInteger(uint64(n)); !bytes.Equal(got, want) {
			t.Errorf("%#x: %x, want %x", n, got, want)
		}
	}
	if got, want := derInteger(math.MaxUint64), append([]byte{2, 9, 0}, bytes.Repeat([]byte{0xff}, 8)...); !bytes.Equal(got, want) {
		t.Errorf("2^64-1: %x, want %x", got, want)
	}
}

// TestReadTBS gives the strict walk, by itself, what is well formed and yet not the
// one form that it takes. Much of it crypto/x509 accepts.
func TestReadTBS(t *testing.T) {
	number, algorithm, name := derInteger(9), tlv(tagSequence), commonName("x")
	begin := tlv(tagUTCTime, []byte("260101000000Z"))
	validity := tlv(tagSequence, begin, begin)
	spki := tlv(tagSequence)
	ext := extension(oidKeyUsage, critical, []byte{3, 2, 7, 0x80})
	withExtension := func(e []byte) []byte {
		return tlv(tagSequence, version3, number, algorithm, name, validity, name, spki, extensions(e))
	}
	if fields, ok := readTBS(withExtension(ext)); !ok || len(fields.extensions) != 1 || !fields.extensions[0].critical {
		t.Fatal("the right form is refused")
	}
	id := tlv(tagOID, []byte(oidKeyUsage))
	value := tlv(tagOctetString, []byte{3, 2, 7, 0x80})
	for what, bad := range map[string][]byte{
		"nothing":                     nil,
		"version 1":                   tlv(tagSequence, number, algorithm, name, validity, name, spki, extensions(ext)),
		"version 2":                   tlv(tagSequence, []byte{0xa0, 3, 2, 1, 1}, number, algorithm, name, validity, name, spki, extensions(ext)),
		"three times":                 tlv(tagSequence, version3, number, algorithm, name, tlv(tagSequence, begin, begin, begin), name, spki, extensions(ext)),
		"issuer's unique ID":          tlv(tagSequence, version3, number, algorithm, name, validity, name, spki, tlv(0x81, []byte{0, 1}), extensions(ext)),
		"subject's unique ID":         tlv(tagSequence, version3, number, algorithm, name, validity, name, spki, tlv(0x82, []byte{0, 1}), extensions(ext)),
		"field after the extensions":  tlv(tagSequence, version3, number, algorithm, name, validity, name, spki, extensions(ext), tlv(0x84)),
		"no extensions":               tlv(tagSequence, version3, number, algorithm, name, validity, name, spki),
		"octets beside extensions":    tlv(tagSequence, version3, number, algorithm, name, validity, name, spki, tlv(0xa3, tlv(tagSequence, ext), tlv(tagSequence))),
		"octets after it":             append(withExtension(ext), 0),
		"critical written as FALSE":   withExtension(tlv(tagSequence, id, tlv(tagBoolean, []byte{0}), value)),
		"critical neither":            withExtension(tlv(tagSequence, id, tlv(tagBoolean, []byte{1}), value)),
		"field after the value":       withExtension(tlv(tagSequence, id, value, value)),
		"extension without value":     withExtension(tlv(tagSequence, id)),
		"extension without type":      withExtension(tlv(tagSequence, value)),
		"extension that is a set":     withExtension(tlv(tagSet, id, value)),
		"length that is not shortest": bytes.Replace(withExtension(ext), append([]byte{0x30, byte(len(ext) - 2)}, id...), append([]byte{0x30, 0x81, byte(len(ext) - 2)}, id...), 1),
	} {
		if _, ok := readTBS(bad); ok {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestCheckExtensions(t *testing.T) {
	want := []wantedExtension{{oidKeyUsage, true, "a"}, {oidExtendedKeyUsage, false, "b"}}
	usage := tbsExtension{oidKeyUsage, true, der("a")}
	purpose := tbsExtension{oidExtendedKeyUsage, false, der("b")}
	for _, tc := range []struct {
		name string
		have []tbsExtension
		ok   bool
	}{
		{"as wanted", []tbsExtension{usage, purpose}, true},
		{"none", nil, false},
		{"one less", []tbsExtension{usage}, false},
		{"one more", []tbsExtension{usage, purpose, {"\x2a", false, nil}}, false},
		{"twice", []tbsExtension{usage, purpose, purpose}, false},
		{"another order", []tbsExtension{purpose, usage}, false},
		{"another kind", []tbsExtension{usage, {oidSubjectKeyID, false, der("b")}}, false},
		{"critical", []tbsExtension{usage, {oidExtendedKeyUsage, true, der("b")}}, false},
		{"not critical", []tbsExtension{{oidKeyUsage, false, der("a")}, purpose}, false},
		{"another value", []tbsExtension{usage, {oidExtendedKeyUsage, false, der("c")}}, false},
	} {
		if err := (&tbsFields{extensions: tc.have}).checkExtensions(want, nil); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestIsSubject(t *testing.T) {
	org := attr("\x55\x04\x0a", tagUTF8String, "x")
	cn := attr(oidCommonName, tagUTF8String, "x")
	for what, bad := range map[string][]byte{
		"empty":             tlv(tagSequence),
		"PrintableString":   tlv(tagSequence, rdn(attr(oidCommonName, 0x13, "x"))),
		"another attribute": tlv(tagSequence, rdn(org)),
		"one more":          tlv(tagSequence, rdn(cn), rdn(org)),
		"one more beside":   tlv(tagSequence, rdn(cn, org)),
		"another name":      commonName("y"),
		"octets after":      append(commonName("x"), 0),
	} {
		if isSubject(bad, "", "x") {
			t.Errorf("%s: accepted", what)
		}
	}
	if !isSubject(commonName("x"), "", "x") || isSubject(commonName(""), "", "") {
		t.Error("x is refused, or nothing accepted")
	}
	both := tlv(tagSequence, rdn(org), rdn(cn))
	if !isSubject(both, "x", "x") || isSubject(both, "", "x") || isSubject(both, "y", "x") || isSubject(commonName("x"), "x", "x") {
		t.Error("an organization is refused, or not compared")
	}
}

// TestParseSPKI gives each key in encodings that are not the one of DER.
func TestParseSPKI(t *testing.T) {
	null := []byte{5, 0}
	edID, edKey := tlv(tagOID, []byte(oidEd25519Key)), derBits(bytes.Repeat([]byte{9}, 32))
	ecID, p256 := tlv(tagOID, []byte(oidECKey)), tlv(tagOID, []byte(oidP256))
	spki, err := marshalSPKI(newP256(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	ecKey := spki[len(spki)-68:]
	rsaID := tlv(tagOID, []byte(oidRSAKey))
	n, e := derInteger(1<<40|1), derInteger(65537)
	rsaKey := derBits(tlv(tagSequence, n, e))
	good := map[string][]byte{
		"Ed25519": tlv(tagSequence, tlv(tagSequence, edID), edKey),
		"P-256":   tlv(tagSequence, tlv(tagSequence, ecID, p256), ecKey),
		"RSA":     tlv(tagSequence, tlv(tagSequence, rsaID, null), rsaKey),
	}
	for what, spki := range good {
		if _, _, err := parseSPKI(spki); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, bad := range map[string][]byte{
		"nothing":                      nil,
		"no algorithm":                 tlv(tagSequence, tlv(tagSequence), edKey),
		"no key":                       tlv(tagSequence, tlv(tagSequence, edID)),
		"unused bits":                  tlv(tagSequence, tlv(tagSequence, edID), append([]byte{3, 33, 1}, make([]byte, 32)...)),
		"field after the key":          tlv(tagSequence, tlv(tagSequence, edID), edKey, null),
		"octets after it":              append(bytes.Clone(good["Ed25519"]), 0),
		"Ed25519 with parameters":      tlv(tagSequence, tlv(tagSequence, edID, null), edKey),
		"P-256 without curve":          tlv(tagSequence, tlv(tagSequence, ecID), ecKey),
		"P-256 with more parameters":   tlv(tagSequence, tlv(tagSequence, ecID, p256, null), ecKey),
		"P-256 with an octet more":     tlv(tagSequence, tlv(tagSequence, ecID, p256), derBits(append(bytes.Clone(ecKey[3:]), 0))),
		"P-256 without a point":        tlv(tagSequence, tlv(tagSequence, ecID, p256), derBits(nil)),
		"P-256 at infinity":            tlv(tagSequence, tlv(tagSequence, ecID, p256), derBits([]byte{0})),
		"RSA without NULL":             tlv(tagSequence, tlv(tagSequence, rsaID), rsaKey),
		"RSA with more parameters":     tlv(tagSequence, tlv(tagSequence, rsaID, null, null), rsaKey),
		"RSA with a field more":        tlv(tagSequence, tlv(tagSequence, rsaID, null), derBits(tlv(tagSequence, n, e, e))),
		"RSA with octets after":        tlv(tagSequence, tlv(tagSequence, rsaID, null), derBits(append(tlv(tagSequence, n, e), 0))),
		"RSA with a padded exponent":   tlv(tagSequence, tlv(tagSequence, rsaID, null), derBits(tlv(tagSequence, n, []byte{2, 4, 0, 1, 0, 1}))),
		"RSA with a negative modulus":  tlv(tagSequence, tlv(tagSequence, rsaID, null), derBits(tlv(tagSequence, []byte{2, 1, 0x80}, e))),
		"RSA with a negative exponent": tlv(tagSequence, tlv(tagSequence, rsaID, null), derBits(tlv(tagSequence, n, []byte{2, 1, 0x80}))),
	} {
		if key, _, err := parseSPKI(bad); err == nil {
			t.Errorf("%s: read as %v", what, key)
		}
	}
}
