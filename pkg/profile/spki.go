package profile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"math/big"

	"golang.org/x/crypto/cryptobyte/asn1"

	"x509ctl/pkg/fault"
)

// Algorithms and curves of public keys: RFC 3279, RFC 5480, RFC 8410.
const (
	oidRSAKey     oid = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
	oidRSAPSSKey  oid = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"
	oidDSAKey     oid = "\x2a\x86\x48\xce\x38\x04\x01"
	oidECKey      oid = "\x2a\x86\x48\xce\x3d\x02\x01"
	oidX25519Key  oid = "\x2b\x65\x6e"
	oidX448Key    oid = "\x2b\x65\x6f"
	oidEd25519Key oid = "\x2b\x65\x70"
	oidEd448Key   oid = "\x2b\x65\x71"

	oidP256 oid = "\x2a\x86\x48\xce\x3d\x03\x01\x07"
	oidP384 oid = "\x2b\x81\x04\x00\x22"
	oidP521 oid = "\x2b\x81\x04\x00\x23"
)

// marshalSPKI returns key as a SubjectPublicKeyInfo.
func marshalSPKI(key crypto.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fault.Errorf(fault.Denied, "encoding the public key: %w", err)
	}
	return spki, nil
}

// parseSPKI reads a SubjectPublicKeyInfo and returns its key, not yet checked for
// strength, and the content of its bit string.
//
// It is stricter than crypto/x509: what it accepts is the one DER encoding of the
// key, so that copying the bytes into a certificate adds nothing unseen.
func parseSPKI(spki []byte) (crypto.PublicKey, []byte, error) {
	content, ok := readWhole(spki, asn1.SEQUENCE)
	var algorithm der
	if !ok || !content.ReadASN1(&algorithm, asn1.SEQUENCE) {
		return nil, nil, malformedKey("is not a SubjectPublicKeyInfo")
	}
	kind, ok := readOID(&algorithm)
	if !ok {
		return nil, nil, malformedKey("has no algorithm")
	}
	bits, ok := readBits(&content)
	if !ok || !content.Empty() {
		return nil, nil, malformedKey("is not a SubjectPublicKeyInfo")
	}
	var key crypto.PublicKey
	var err error
	switch kind {
	case oidECKey:
		key, err = parseECKey(algorithm, bits)
	case oidRSAKey:
		key, err = parseRSAKey(algorithm, bits)
	case oidEd25519Key:
		key, err = parseEd25519Key(algorithm, bits)
	default:
		err = fault.Errorf(fault.Denied, "%s keys are not accepted; use ECDSA, Ed25519 or RSA", keyKindName(kind))
	}
	return key, bits, err
}

func malformedKey(what string) error { return fault.New(fault.Malformed, "the public key "+what) }

func keyKindName(kind oid) string {
	switch kind {
	case oidRSAPSSKey:
		return "RSASSA-PSS"
	case oidDSAKey:
		return "DSA"
	case oidX25519Key:
		return "X25519"
	case oidX448Key:
		return "X448"
	case oidEd448Key:
		return "Ed448"
	case "\x2a\x85\x03\x02\x02\x13":
		return "GOST R 34.10-2001"
	case "\x2a\x85\x03\x07\x01\x01\x01\x01":
		return "GOST R 34.10-2012 (256 bits)"
	case "\x2a\x85\x03\x07\x01\x01\x01\x02":
		return "GOST R 34.10-2012 (512 bits)"
	}
	return kind.String()
}

// curveName returns the name of a curve that is not accepted (FIPS 186-4, SEC 2, RFC
// 5639, GB/T 32918), or its dotted form.
func curveName(curve oid) string {
	switch curve {
	case "\x2b\x81\x04\x00\x21":
		return "P-224"
	case "\x2a\x86\x48\xce\x3d\x03\x01\x01":
		return "P-192"
	case "\x2b\x81\x04\x00\x0a":
		return "secp256k1"
	case "\x2b\x81\x04\x00\x20":
		return "secp224k1"
	case "\x2b\x81\x04\x00\x1f":
		return "secp192k1"
	case "\x2b\x24\x03\x03\x02\x08\x01\x01\x07":
		return "brainpoolP256r1"
	case "\x2b\x24\x03\x03\x02\x08\x01\x01\x0b":
		return "brainpoolP384r1"
	case "\x2b\x24\x03\x03\x02\x08\x01\x01\x0d":
		return "brainpoolP512r1"
	case "\x2a\x81\x1c\xcf\x55\x01\x82\x2d":
		return "SM2"
	}
	return "curve " + curve.String()
}

func parseECKey(params der, bits []byte) (crypto.PublicKey, error) {
	curve, ok := readOID(&params)
	if !ok || !params.Empty() {
		return nil, fault.New(fault.Denied, "the public key does not name its curve; use P-256, P-384 or P-521")
	}
	var c elliptic.Curve
	switch curve {
	case oidP256:
		c = elliptic.P256()
	case oidP384:
		c = elliptic.P384()
	case oidP521:
		c = elliptic.P521()
	default:
		return nil, fault.Errorf(fault.Denied, "%s keys are not accepted; use P-256, P-384 or P-521", curveName(curve))
	}
	if len(bits) > 0 && (bits[0] == 2 || bits[0] == 3) {
		return nil, fault.New(fault.Denied, "the public key is a compressed point, which few programs can read")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(c, bits)
	if err != nil {
		return nil, malformedKey("is not a point of its curve")
	}
	return key, nil
}

func parseRSAKey(params der, bits []byte) (crypto.PublicKey, error) {
	var null der
	if !params.ReadASN1(&null, asn1.NULL) || !null.Empty() || !params.Empty() {
		return nil, malformedKey("has parameters that RSA has not")
	}
	content, ok := readWhole(bits, asn1.SEQUENCE)
	n, e := new(big.Int), new(big.Int)
	if !ok || !content.ReadASN1Integer(n) || !content.ReadASN1Integer(e) || !content.Empty() {
		return nil, malformedKey("is not an RSA key")
	}
	if n.Sign() <= 0 || e.Sign() <= 0 {
		return nil, malformedKey("has a negative or zero number in it")
	}
	if e.BitLen() > maxExponentBits {
		return nil, fault.Errorf(fault.Denied, "the RSA key's exponent has %d bits; at most %d are accepted", e.BitLen(), maxExponentBits)
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

func parseEd25519Key(params der, bits []byte) (crypto.PublicKey, error) {
	if !params.Empty() {
		return nil, malformedKey("has parameters that Ed25519 has not")
	}
	if len(bits) != ed25519.PublicKeySize {
		return nil, malformedKey("is not an Ed25519 key")
	}
	return ed25519.PublicKey(bits), nil
}
