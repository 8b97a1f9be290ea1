package profile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math/bits"

	"x509ctl/pkg/fault"
)

// CheckKey refuses public keys that are too weak to certify, or of a kind that is
// not used here. Accepted are
//
//   - ECDSA on P-256, P-384 and P-521, the point being on the curve;
//   - Ed25519, except the points of small order, whose signatures anybody can make;
//   - RSA of 2048 to 8192 bits with an odd exponent of 65537 to 2^31-1, without a
//     factor below 2^13, without primes so close that Fermat's method finds
//     them in 100 steps, and without the fingerprint of ROCA (CVE-2017-15361).
//
// RSA costs up to 0.2 ms at 2048 bits, and the size is looked at before anything is
// computed.
//
// Errors: [fault.Denied].
func CheckKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return checkECDSA(k)
	case ed25519.PublicKey:
		return checkEd25519(k)
	case *rsa.PublicKey:
		return checkRSA(k)
	}
	return fault.Errorf(fault.Denied, "keys of type %T are not accepted; use ECDSA, Ed25519 or RSA", key)
}

func checkECDSA(k *ecdsa.PublicKey) error {
	if k == nil || k.Curve == nil {
		return fault.New(fault.Denied, "there is no ECDSA key")
	}
	switch k.Curve {
	case elliptic.P256(), elliptic.P384(), elliptic.P521():
	default:
		return fault.Errorf(fault.Denied, "keys on curve %s are not accepted; use P-256, P-384 or P-521", k.Params().Name)
	}
	if _, err := k.Bytes(); err != nil {
		return fault.Errorf(fault.Denied, "the ECDSA key is not a point of its curve: %w", err)
	}
	return nil
}

// smallOrder holds the encodings, without their sign bit, of the points of the
// Ed25519 curve whose order divides 8, the non-canonical ones included: y = 0, 1,
// p-1, p, p+1 and the two y of order 8. keycheck_test.go computes them.
var smallOrder = [...][32]byte{
	{},
	{1},
	smallOrderP(0xec),
	smallOrderP(0xed),
	smallOrderP(0xee),
	{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
	{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
}

// smallOrderP returns the encoding of 2^255-256+low.
func smallOrderP(low byte) (b [32]byte) {
	for i := range b {
		b[i] = 0xff
	}
	b[0], b[31] = low, 0x7f
	return b
}

func checkEd25519(k ed25519.PublicKey) error {
	if len(k) != ed25519.PublicKeySize {
		return fault.Errorf(fault.Denied, "the Ed25519 key has %d octets instead of %d", len(k), ed25519.PublicKeySize)
	}
	y := [32]byte(k)
	y[31] &= 0x7f
	for _, weak := range smallOrder {
		if y == weak {
			return fault.New(fault.Denied, "the Ed25519 key is a point of small order: anybody can sign for it")
		}
	}
	return nil
}

// Bounds of RSA keys, all included.
const (
	minRSABits      = 2048
	maxRSABits      = 8192
	minExponent     = 65537
	maxExponentBits = 31
)

func checkRSA(k *rsa.PublicKey) error {
	if k == nil || k.N == nil || k.N.Sign() <= 0 {
		return fault.New(fault.Denied, "there is no RSA key")
	}
	if size := k.N.BitLen(); size < minRSABits || size > maxRSABits {
		return fault.Errorf(fault.Denied, "the RSA key has %d bits; accepted are %d to %d", size, minRSABits, maxRSABits)
	}
	if k.E < minExponent || k.E%2 == 0 || bits.Len64(uint64(k.E)) > maxExponentBits {
		return fault.Errorf(fault.Denied, "the RSA key's exponent is %d; accepted are odd numbers from %d to 2^%d-1", k.E, minExponent, maxExponentBits)
	}
	if p := smallFactor(k.N); p != 0 {
		return fault.Errorf(fault.Denied, "the RSA key's modulus can be divided by %d", p)
	}
	if hasROCAFingerprint(k.N) {
		return fault.New(fault.Denied, "the RSA key has the fingerprint of ROCA (CVE-2017-15361): it was made by a broken generator")
	}
	if hasClosePrimes(k.N) {
		return fault.New(fault.Denied, "the RSA key's primes are too close to each other: it was made by a broken generator")
	}
	return nil
}
