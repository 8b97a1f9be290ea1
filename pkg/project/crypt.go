package project

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"math/big"
	"strconv"

	"x509ctl/pkg/fault"
)

// oaepOverhead is what OAEP with SHA-256 adds to a secret: two hashes and two octets (RFC
// 8017, section 7.1.1).
const oaepOverhead = 2*sha256.Size + 2

// pkcs1v15Overhead is what PKCS #1 v1.5 adds at least (RFC 8017, section 7.2.1).
const pkcs1v15Overhead = 11

// ErrNotDecrypted means that a ciphertext was made for another key, in another way, or was
// changed since. Which of these it was is not told.
var ErrNotDecrypted = fault.New(fault.Invalid, "the project's key does not decrypt it: it was made for another key, not with OAEP and SHA-256, or was changed")

// MaxSecret returns how many octets can be encrypted to a key at once: 318 for RSA-3072.
func MaxSecret(key *rsa.PublicKey) int { return key.Size() - oaepOverhead }

// Encrypt encrypts secret, 1 to [MaxSecret] octets, to the key of a certificate, as
// RSAES-OAEP with SHA-256 for the hash and for MGF1, and no label (RFC 8017, section 7.1).
// The result has as many octets as the key's modulus. Whether the certificate is good is
// for the caller to know.
//
// Errors, all [fault.Malformed]: a key that is not RSA's; a secret of another size.
func Encrypt(cert *x509.Certificate, secret []byte) ([]byte, error) {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fault.Errorf(fault.Malformed, "nothing can be encrypted to a certificate with a key of type %v: RSA is needed", cert.PublicKeyAlgorithm)
	}
	if most := MaxSecret(key); len(secret) == 0 || len(secret) > most {
		return nil, fault.Errorf(fault.Malformed, "the secret has %d octets, and 1 to %d can be encrypted to this key", len(secret), most)
	}
	return rsa.EncryptOAEP(sha256.New(), rand.Reader, key, secret, nil)
}

// Decrypt undoes [Encrypt].
//
// Errors: [fault.Malformed] for a ciphertext of another size than the key's modulus;
// [ErrNotDecrypted].
func Decrypt(key *rsa.PrivateKey, ciphertext []byte) ([]byte, error) {
	if err := checkSize(&key.PublicKey, ciphertext); err != nil {
		return nil, err
	}
	secret, err := rsa.DecryptOAEP(sha256.New(), nil, key, ciphertext, nil)
	if err != nil {
		return nil, ErrNotDecrypted
	}
	return secret, nil
}

// DecryptPKCS1v15 decrypts what was encrypted as RSAES-PKCS1-v1_5 (RFC 8017, section 7.2),
// and returns always length octets, 1 to the size of the modulus less 11.
//
// A ciphertext without such a padding, or of a secret of another length, is no error: its
// result can't be told from a secret, in time either, and is the same each time. Who may ask
// for decryptions could else find out the plaintext of any ciphertext (Bleichenbacher).
//
// Errors, all [fault.Malformed], and nothing that depends on the private key: a length out
// of bounds; a ciphertext of another size than the modulus, or not smaller than it.
func DecryptPKCS1v15(key *rsa.PrivateKey, ciphertext []byte, length int) ([]byte, error) {
	if most := key.Size() - pkcs1v15Overhead; length < 1 || length > most {
		return nil, fault.Errorf(fault.Malformed, "a secret of %d octets was asked for, and 1 to %d are possible with this key", length, most)
	}
	if err := checkSize(&key.PublicKey, ciphertext); err != nil {
		return nil, err
	}
	secret, err := substitute(key, ciphertext, length)
	if err != nil {
		return nil, err
	}
	// Overwrites secret, in constant time, if the padding is right.
	if err := rsa.DecryptPKCS1v15SessionKey(nil, key, ciphertext, secret); err != nil { //nolint:staticcheck // old bundles are in no other form
		return nil, fault.Errorf(fault.Malformed, "decrypting: %w", err)
	}
	return secret, nil
}

// substitute returns what stands in for a secret that there is not: nobody without the
// private key can tell it from random octets. Being the same each time, and another for
// each length, it does not give itself away to who asks twice.
func substitute(key *rsa.PrivateKey, ciphertext []byte, length int) ([]byte, error) {
	info := "x509ctl: no PKCS #1 v1.5 padding, length " + strconv.Itoa(length)
	return hkdf.Key(sha256.New, key.D.Bytes(), ciphertext, info, length)
}

// checkSize refuses what is no ciphertext for key, by what anybody can see.
func checkSize(key *rsa.PublicKey, ciphertext []byte) error {
	switch size := key.Size(); {
	case len(ciphertext) != size:
		return fault.Errorf(fault.Malformed, "the ciphertext has %d octets, and for this key it has to have %d", len(ciphertext), size)
	case new(big.Int).SetBytes(ciphertext).Cmp(key.N) >= 0:
		return fault.New(fault.Malformed, "the ciphertext is none for this key: it is larger than the key's modulus")
	}
	return nil
}
