package profile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"sync/atomic"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// A signatureAlgorithm is how a key signs certificates. Each key has one.
type signatureAlgorithm struct {
	id   []byte      // AlgorithmIdentifier in DER
	hash crypto.Hash // 0 for Ed25519, which signs the bytes themselves
}

// algorithmOf returns how the owner of key signs: ECDSA with the hash of the curve's
// size (RFC 5480, section 4), RSA with PKCS #1 v1.5 and SHA-256, which everybody can
// verify, Ed25519.
func algorithmOf(key crypto.PublicKey) (signatureAlgorithm, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return ecdsaWithSHA256, nil
		case elliptic.P384():
			return ecdsaWithSHA384, nil
		case elliptic.P521():
			return ecdsaWithSHA512, nil
		}
	case *rsa.PublicKey:
		return rsaWithSHA256, nil
	case ed25519.PublicKey:
		return withEd25519, nil
	}
	return signatureAlgorithm{}, fault.Errorf(fault.Denied, "keys of type %T can't sign certificates", key)
}

// Every signatureAlgorithm there is, in the one encoding of RFC 5758, section 3.2, RFC
// 4055, section 5, and RFC 8410, section 3.
var (
	ecdsaWithSHA256 = signatureAlgorithm{tlv(tagSequence, tlv(tagOID, []byte(oidECDSAWithSHA256))), crypto.SHA256}
	ecdsaWithSHA384 = signatureAlgorithm{tlv(tagSequence, tlv(tagOID, []byte(oidECDSAWithSHA384))), crypto.SHA384}
	ecdsaWithSHA512 = signatureAlgorithm{tlv(tagSequence, tlv(tagOID, []byte(oidECDSAWithSHA512))), crypto.SHA512}
	rsaWithSHA256   = signatureAlgorithm{tlv(tagSequence, tlv(tagOID, []byte(oidSHA256WithRSA)), []byte{0x05, 0x00}), crypto.SHA256}
	withEd25519     = signatureAlgorithm{tlv(tagSequence, tlv(tagOID, []byte(oidEd25519Key))), 0}

	signatureAlgorithms = []signatureAlgorithm{ecdsaWithSHA256, ecdsaWithSHA384, ecdsaWithSHA512, rsaWithSHA256, withEd25519}
)

// A TBS is a certificate that is complete but for its signature: the bytes to be
// signed (TBSCertificate in RFC 5280, section 4.1), built, read back, checked and
// rehearsed. Only [Leaf.TBS] and [CA.TBS] make one. It can be signed once.
type TBS struct {
	raw       []byte
	serial    serial.Number
	signer    *SubjectKey // whose signature belongs under it
	algorithm signatureAlgorithm
	spent     atomic.Bool
}

// Bytes returns a copy of the bytes to be signed, in DER.
func (t *TBS) Bytes() []byte { return bytes.Clone(t.raw) }

// Serial returns the number of the certificate.
func (t *TBS) Serial() serial.Number { return t.serial }

// Sign signs t and returns the certificate in DER. The key must be the issuer's. A TBS
// is spent even if its signing did not succeed: one number never stands under two
// signatures.
//
// The signature is not verified: that would cost more than all the rest.
// [VerifySignature] does it, for one certificate of a batch.
//
// Errors: [fault.Denied] for another key than the issuer's; [fault.Internal] for a TBS
// that was signed before, and of the key.
func Sign(t *TBS, key crypto.Signer) ([]byte, error) {
	if t == nil || t.signer == nil || key == nil {
		return nil, fault.New(fault.Internal, "there is nothing to sign, or no key")
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(t.signer.key) {
		return nil, fault.New(fault.Denied, "the key to sign with is not the one in the CA's certificate")
	}
	if t.spent.Swap(true) {
		return nil, fault.Errorf(fault.Internal, "certificate %v was signed before", t.serial)
	}
	return t.signedWith(key)
}

// signedWith returns t with a signature of key, a certificate in DER.
func (t *TBS) signedWith(key crypto.Signer) ([]byte, error) {
	message := t.raw
	if hash := t.algorithm.hash; hash != 0 {
		h := hash.New()
		h.Write(t.raw)
		message = h.Sum(nil)
	}
	signature, err := key.Sign(rand.Reader, message, t.algorithm.hash)
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "signing certificate %v: %w", t.serial, err)
	}
	return tlv(tagSequence, t.raw, t.algorithm.id, derBits(signature)), nil
}

// VerifySignature checks that the certificate in DER was signed by the owner of key,
// and nothing else about it.
//
// Errors: [fault.Malformed]; [fault.Invalid].
func VerifySignature(certificate []byte, key crypto.PublicKey) error {
	c, err := x509.ParseCertificate(certificate)
	if err != nil {
		return fault.Errorf(fault.Malformed, "reading the certificate: %w", err)
	}
	issuer := &x509.Certificate{PublicKey: key}
	if err := issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		return fault.Errorf(fault.Invalid, "the certificate's signature does not verify: %w", err)
	}
	return nil
}
