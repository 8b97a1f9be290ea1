package authority

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/youmark/pkcs8"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/pkcs12"
)

// ErrPassphraseNeeded means that a key is encrypted and no passphrase was given.
var ErrPassphraseNeeded = fault.New(fault.Denied, "the CA's key is encrypted and no passphrase was given")

// ErrWrongPassphrase means that a key could not be decrypted with the passphrase.
var ErrWrongPassphrase = fault.New(fault.Denied, "the passphrase does not open the CA's key")

// A Passphrase returns the passphrase of a CA's key. It is asked only when the key
// is encrypted. nil, or an empty passphrase, is none.
type Passphrase func() ([]byte, error)

const (
	keyBlock       = "PRIVATE KEY"
	encryptedBlock = "ENCRYPTED PRIVATE KEY"
)

// encodeKey returns key in PKCS#8 PEM (RFC 7468, sections 10 and 11), encrypted by
// PBES2 with scrypt and AES-256 when there is a passphrase. OpenSSL 1.1 and later
// read both.
func encodeKey(key crypto.Signer, passphrase []byte) ([]byte, error) {
	if len(passphrase) == 0 {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("encoding a key: %w", err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
	}
	der, err := pkcs8.MarshalPrivateKey(key, passphrase, &pkcs8.Opts{
		Cipher:  pkcs8.AES256CBC,
		KDFOpts: pkcs8.ScryptOpts{SaltSize: 16, CostParameter: 1 << 14, BlockSize: 8, ParallelizationParameter: 1},
	})
	if err != nil {
		return nil, fmt.Errorf("encrypting a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: encryptedBlock, Bytes: der}), nil
}

// decodeKey reads what encodeKey wrote, and the two older forms of keys that an
// adopted CA may have. The error never holds a byte of the input.
func decodeKey(data []byte, pass Passphrase) (key crypto.Signer, encrypted bool, err error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, false, fault.New(fault.Malformed, "the key is not in PEM")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, false, fault.New(fault.Malformed, "there is more than one key in it")
	}
	var parsed any
	switch block.Type {
	case keyBlock:
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, false, fault.New(fault.Malformed, "the key is encrypted in OpenSSL's old way, not as PKCS#8")
		}
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case encryptedBlock:
		encrypted = true
		parsed, err = decrypt(block.Bytes, pass)
	default:
		return nil, false, fault.New(fault.Malformed, "it holds no private key")
	}
	if err != nil {
		return nil, encrypted, err
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, encrypted, fault.New(fault.Malformed, "the key can't sign")
	}
	return signer, encrypted, nil
}

// decrypt opens an encrypted key. What can't be opened, or only with absurd work, is
// refused before anybody is asked for a passphrase.
func decrypt(der []byte, pass Passphrase) (crypto.Signer, error) {
	k, err := pkcs12.ParseEncryptedPKCS8(der)
	if err == nil {
		err = k.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("opening the key: %w", err)
	}
	var phrase []byte
	if pass != nil {
		phrase, err = pass()
	}
	if err != nil {
		return nil, err
	}
	if len(phrase) == 0 {
		return nil, ErrPassphraseNeeded
	}
	key, err := k.Open(phrase)
	if errors.Is(err, pkcs12.ErrWrongPassword) {
		return nil, ErrWrongPassphrase
	}
	return key, err
}
