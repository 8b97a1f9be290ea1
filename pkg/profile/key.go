package profile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"strings"

	"x509ctl/pkg/fault"
)

// A KeyAlgorithm is a kind of private key that [GenerateKey] makes. The zero
// KeyAlgorithm is none.
type KeyAlgorithm string

// The kinds of key made here. Requests may come with others, see [CheckKey].
const (
	ECDSAP256 KeyAlgorithm = "ecdsa-p256" // the default for authorities and nodes
	ECDSAP384 KeyAlgorithm = "ecdsa-p384"
	Ed25519   KeyAlgorithm = "ed25519" // NSS up to 3.87 and Java before 15 can't use it
	RSA2048   KeyAlgorithm = "rsa-2048"
	RSA3072   KeyAlgorithm = "rsa-3072"
	RSA4096   KeyAlgorithm = "rsa-4096"
)

// KeyAlgorithms returns every KeyAlgorithm, the default first.
func KeyAlgorithms() []KeyAlgorithm {
	return []KeyAlgorithm{ECDSAP256, ECDSAP384, Ed25519, RSA2048, RSA3072, RSA4096}
}

// ParseKeyAlgorithm reads the name of a KeyAlgorithm, in any case and with the
// spellings in use: "ecdsa-p256", "P-256", "p256", "rsa-2048", "rsa2048", "RSA:2048".
//
// Errors: [fault.Malformed], naming the ones there are.
func ParseKeyAlgorithm(s string) (KeyAlgorithm, error) {
	plain := func(s string) string {
		return strings.NewReplacer("-", "", ":", "", "_", "").Replace(FoldName(s))
	}
	var known []string
	for _, a := range KeyAlgorithms() {
		if p := plain(string(a)); plain(s) == p || "ecdsa"+plain(s) == p {
			return a, nil
		}
		known = append(known, string(a))
	}
	return "", fault.Errorf(fault.Malformed, "key algorithm %s is not known; there are %s", quote(s), strings.Join(known, ", "))
}

// GenerateKey makes a private key from the system's random numbers: an
// *ecdsa.PrivateKey, *rsa.PrivateKey or ed25519.PrivateKey. RSA takes some 50 ms
// (2048 bits) to 1 s (4096) of CPU.
//
// Errors: [fault.Malformed] for an unknown algorithm.
func GenerateKey(a KeyAlgorithm) (crypto.Signer, error) {
	switch a {
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return nil, fault.Errorf(fault.Malformed, "key algorithm %s is not known", quote(string(a)))
}

// A SubjectKey is a public key that passed [CheckKey], fit to be certified. Only
// [NewSubjectKey] and [ParseRequest] make one. It can't be changed.
type SubjectKey struct {
	key  crypto.PublicKey
	spki []byte
	id   keyID
}

// NewSubjectKey checks key with [CheckKey], whose errors it returns.
func NewSubjectKey(key crypto.PublicKey) (*SubjectKey, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	spki, err := marshalSPKI(key)
	if err != nil {
		return nil, err
	}
	return subjectKeyOf(spki)
}

// subjectKeyOf reads and checks a SubjectPublicKeyInfo, of which nothing but its
// one DER encoding is accepted.
func subjectKeyOf(spki []byte) (*SubjectKey, error) {
	key, bits, err := parseSPKI(spki)
	if err != nil {
		return nil, err
	}
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	return &SubjectKey{key: key, spki: spki, id: keyIDOf(bits)}, nil
}

// Public returns the key, an *ecdsa.PublicKey, *rsa.PublicKey or
// ed25519.PublicKey. The caller must not write to it.
func (k *SubjectKey) Public() crypto.PublicKey { return k.key }

// SPKI returns the key as a SubjectPublicKeyInfo in DER (RFC 5280, section
// 4.1.2.7). The caller must not write to it.
func (k *SubjectKey) SPKI() []byte { return k.spki }

// Hash returns the SHA-256 of [SubjectKey.SPKI], the "pin" of RFC 7469.
func (k *SubjectKey) Hash() [32]byte { return sha256.Sum256(k.spki) }

// A keyID is a subject key identifier: RFC 7093, section 2, method 1.
type keyID [20]byte

// keyIDOf returns the identifier of a key, given the content of its bit string
// without the octet that counts unused bits.
func keyIDOf(bits []byte) keyID {
	sum := sha256.Sum256(bits)
	return keyID(sum[:20])
}

func isRSA(key crypto.PublicKey) bool {
	_, ok := key.(*rsa.PublicKey)
	return ok
}
