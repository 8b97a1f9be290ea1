package pkcs12

import (
	"crypto"
	"errors"

	"x509ctl/pkg/fault"
)

// maxKeyMemory bounds what scrypt takes for a key that stands alone, in octets. It is
// more than for a PKCS#12 file: the key is the user's own, and there is one.
const maxKeyMemory = 256 << 20

// An EncryptedPKCS8 is a private key that a password encrypts (RFC 5958, section 3):
// PKCS#8, as in a PKCS#12 file, in a file of its own. Only [ParseEncryptedPKCS8] makes
// one.
type EncryptedPKCS8 struct {
	Algorithm *Algorithm

	data []byte
}

// ErrWrongPassword is a password that does not open an [EncryptedPKCS8]. One of which
// the encrypted part is damaged looks the same.
var ErrWrongPassword = fault.New(fault.Denied, "the password does not open the key")

// ParseEncryptedPKCS8 reads DER: by what the key is encrypted. Nothing is derived, so that
// it is quick whatever the key asks for; [EncryptedPKCS8.Check] judges that. The error
// is [fault.Malformed].
func ParseEncryptedPKCS8(der []byte) (*EncryptedPKCS8, error) {
	var k encryptedKey
	if err := unmarshal(der, &k); err != nil || len(k.Data) == 0 || len(k.Data) > maxKey+maxPadding {
		return nil, fault.New(fault.Malformed, "the encrypted private key is damaged")
	}
	return &EncryptedPKCS8{encryptionOf(k.Algorithm), k.Data}, nil
}

// maxPadding is the longest padding of a cipher in use, in octets.
const maxPadding = 16

// Check returns nil when k may be opened, so that a password needs to be asked for,
// and else the reason, wrapped: [ErrTooMuchWork], [ErrUnsupported], or one of the kind
// [fault.Malformed].
func (k *EncryptedPKCS8) Check() error {
	b := budget{MaxWork, maxKeyMemory}
	if err := b.spend(k.Algorithm); err != nil {
		return err
	}
	return k.Algorithm.checkBlocks(k.data)
}

// Open decrypts k. At most [MaxWork] is done for it, in 256 MiB.
//
// Errors: [ErrWrongPassword]; Check's; [ErrUnsupported] for another kind of key than
// RSA, ECDSA and Ed25519. None holds a part of the key.
func (k *EncryptedPKCS8) Open(password []byte) (crypto.Signer, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	s := secretOf(string(password))
	s.octets = password
	plain, err := k.Algorithm.decrypt(s, k.data)
	switch {
	case errors.Is(err, errPadding) || err == nil && !isSequence(plain):
		return nil, ErrWrongPassword
	case err != nil:
		return nil, err
	}
	key, err := parseKey(plain)
	if err == nil && key == nil {
		err = fault.New(fault.Malformed, "the private key is of a kind that is not supported: RSA, ECDSA and Ed25519 are")
	}
	return key, err
}
