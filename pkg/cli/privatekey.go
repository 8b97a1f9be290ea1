package cli

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/pkcs12"
)

// Bounds of private keys that are read, in bytes. A file may hold certificates
// too; an RSA key of 16,384 bits takes 9 KiB.
const (
	maxKeyFile = 256 << 10
	maxKey     = 16 << 10
)

// Errors of keys. They say nothing of what a file holds.
var (
	errNoPrivateKey    = fault.New(fault.Malformed, "there is no private key in it")
	errPrivateKey      = fault.New(fault.Malformed, "its private key is damaged, or of a kind that is not supported: ECDSA, Ed25519 and RSA are")
	errWrongPassphrase = fault.New(fault.Denied, "the passphrase does not open the key")
)

// encodeKey returns key as PKCS#8 in PEM (RFC 7468, section 10).
func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// readKey reads the one private key in the file at path, whatever else is in it.
// The passphrase of one that is encrypted comes from passphraseFile or is asked for.
func (a *app) readKey(path, passphraseFile string) (crypto.Signer, error) {
	data, err := a.readInput(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	key, err := decodeKey(data, func() ([]byte, error) {
		s, err := a.secret(secretSource{
			file: passphraseFile,
			flag: "key-passphrase-file",
			what: "the passphrase of " + inputName(path),
		})
		return []byte(s), err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the key %s: %w", inputName(path), err)
	}
	return key, nil
}

// decodeKey reads a private key: PKCS#8 (RFC 5958), also encrypted, SEC 1 (RFC
// 5915) or PKCS#1 (RFC 8017), in PEM, or unencrypted in DER. passphrase is called
// only for an encrypted one.
func decodeKey(data []byte, passphrase func() ([]byte, error)) (crypto.Signer, error) {
	block, err := keyBlock(data)
	if err != nil {
		return nil, err
	}
	der := block.Bytes
	if len(der) > maxKey {
		return nil, errPrivateKey
	}
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return decryptKey(der, passphrase)
	case block.Headers["DEK-Info"] != "":
		return decryptOldKey(block, passphrase)
	}
	return parseKey(der)
}

// keyBlock finds the one private key in data.
func keyBlock(data []byte) (*pem.Block, error) {
	if looksLikePFX(data) {
		return nil, errWholePFX
	}
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		return &pem.Block{Bytes: data}, nil
	}
	var found *pem.Block
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "OPENSSH PRIVATE KEY":
			return nil, fault.New(fault.Malformed, "its private key is in OpenSSH's own format, which is not supported")
		case "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
			if found != nil {
				return nil, fault.New(fault.Malformed, "there is more than one private key in it")
			}
			found = block
		}
	}
	if found == nil {
		return nil, errNoPrivateKey
	}
	return found, nil
}

// parseKey reads a key that is not encrypted, in the form that it turns out to have.
func parseKey(der []byte) (crypto.Signer, error) {
	var key any
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		key, err = x509.ParseECPrivateKey(der)
	}
	if err != nil {
		key, err = x509.ParsePKCS1PrivateKey(der)
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, errPrivateKey
	}
	return signer, nil
}

// decryptKey decrypts PKCS#8 (RFC 5958, section 3). What can't be opened, or only with
// absurd work, is refused before anybody is asked for a passphrase.
func decryptKey(der []byte, passphrase func() ([]byte, error)) (crypto.Signer, error) {
	k, err := pkcs12.ParseEncryptedPKCS8(der)
	if err == nil {
		err = k.Check()
	}
	if err != nil {
		return nil, err
	}
	phrase, err := passphrase()
	if err != nil {
		return nil, err
	}
	key, err := k.Open(phrase)
	if errors.Is(err, pkcs12.ErrWrongPassword) {
		return nil, errWrongPassphrase
	}
	return key, err
}

// decryptOldKey decrypts what OpenSSL wrote before PKCS#8 (RFC 1421, section
// 4.6.1.1): many of these keys are around.
func decryptOldKey(block *pem.Block, passphrase func() ([]byte, error)) (crypto.Signer, error) {
	phrase, err := passphrase()
	if err != nil {
		return nil, err
	}
	der, err := x509.DecryptPEMBlock(block, phrase) //nolint:staticcheck // read, never written
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, errWrongPassphrase
	}
	if err != nil {
		return nil, errPrivateKey
	}
	key, err := parseKey(der)
	if err != nil {
		return nil, errWrongPassphrase // the padding finds 255 of 256 wrong ones
	}
	return key, nil
}
