package cli

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"hash"

	"golang.org/x/crypto/scrypt"

	"x509ctl/pkg/fault"
)

// This file decrypts private keys, and no more. The usual package for it takes
// lengths and costs as a file gives them, so that a damaged key ends the process
// and a hostile one keeps it busy for hours; and of the hash functions in use it
// knows two.

// Bounds of what an encrypted key may ask for before its passphrase is known to be
// right: some seconds, and 256 MiB.
const (
	maxIterations   = 10_000_000
	maxScryptMemory = 256 << 20
	maxScryptLanes  = 16
)

// A pbes2 is an encrypted PKCS#8 key whose parameters were checked: password-based
// encryption scheme 2 of PKCS#5 (RFC 8018, section 6.2).
type pbes2 struct {
	derive func(passphrase []byte, size int) ([]byte, error)
	size   int // of the cipher's key, in bytes
	cipher func(key []byte) (cipher.Block, error)
	iv     []byte
	data   []byte
}

// algorithm is an AlgorithmIdentifier (RFC 5280, section 4.1.1.2).
type algorithm struct {
	OID        asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

// read decodes a's parameters into v.
func (a algorithm) read(v any) error {
	if rest, err := asn1.Unmarshal(a.Parameters.FullBytes, v); err != nil || len(rest) > 0 {
		return errPrivateKey
	}
	return nil
}

func errEncryption(what string) error {
	return fault.New(fault.Malformed, "its private key is encrypted with "+what+", which is not supported")
}

// parsePBES2 reads an EncryptedPrivateKeyInfo.
func parsePBES2(der []byte) (*pbes2, error) {
	var info struct {
		Algorithm algorithm
		Data      []byte
	}
	var scheme struct{ KDF, Cipher algorithm }
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return nil, errPrivateKey
	}
	if info.Algorithm.OID.String() != "1.2.840.113549.1.5.13" {
		return nil, errEncryption("something other than PBES2")
	}
	if err := info.Algorithm.read(&scheme); err != nil {
		return nil, err
	}
	e := &pbes2{data: info.Data}
	if err := e.readCipher(scheme.Cipher); err != nil {
		return nil, err
	}
	return e, e.readKDF(scheme.KDF)
}

func (e *pbes2) readCipher(a algorithm) error {
	block := aes.BlockSize
	e.cipher = aes.NewCipher
	switch a.OID.String() {
	case "2.16.840.1.101.3.4.1.2":
		e.size = 16
	case "2.16.840.1.101.3.4.1.22":
		e.size = 24
	case "2.16.840.1.101.3.4.1.42":
		e.size = 32
	case "1.2.840.113549.3.7":
		e.size, e.cipher, block = 24, des.NewTripleDESCipher, des.BlockSize
	default:
		return errEncryption("a cipher other than AES-CBC and 3DES-CBC")
	}
	if err := a.read(&e.iv); err != nil {
		return err
	}
	if len(e.iv) != block || len(e.data) == 0 || len(e.data)%block != 0 {
		return errPrivateKey
	}
	return nil
}

func (e *pbes2) readKDF(a algorithm) error {
	switch a.OID.String() {
	case "1.2.840.113549.1.5.12":
		return e.readPBKDF2(a)
	case "1.3.6.1.4.1.11591.4.11":
		return e.readScrypt(a)
	}
	return errEncryption("a key derivation other than PBKDF2 and scrypt")
}

var errExpensiveKey = fault.New(fault.Denied, "its private key is encrypted with parameters that take too long, or too much memory")

// readPBKDF2 is for PBKDF2-params (RFC 8018, appendix A.2).
func (e *pbes2) readPBKDF2(a algorithm) error {
	var p struct {
		Salt       []byte
		Iterations int
		Length     int       `asn1:"optional"`
		PRF        algorithm `asn1:"optional"`
	}
	if err := a.read(&p); err != nil || p.Iterations < 1 {
		return errPrivateKey
	}
	if p.Iterations > maxIterations {
		return errExpensiveKey
	}
	hashes := map[string]func() hash.Hash{
		"":                    sha1.New, // the standard's default
		"1.2.840.113549.2.7":  sha1.New,
		"1.2.840.113549.2.8":  sha256.New224,
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
	}
	h, ok := hashes[p.PRF.OID.String()]
	if !ok {
		return errEncryption("PBKDF2 over something other than SHA-1 and SHA-2")
	}
	e.derive = func(passphrase []byte, size int) ([]byte, error) {
		return pbkdf2.Key(h, string(passphrase), p.Salt, p.Iterations, size)
	}
	return nil
}

// readScrypt is for scrypt-params (RFC 7914, section 7).
func (e *pbes2) readScrypt(a algorithm) error {
	var p struct {
		Salt    []byte
		N, R, P int
		Length  int `asn1:"optional"`
	}
	if err := a.read(&p); err != nil || p.N < 2 || p.R < 1 || p.P < 1 {
		return errPrivateKey
	}
	if p.N > maxScryptMemory/128 || p.R > maxScryptMemory/128/p.N || p.P > maxScryptLanes {
		return errExpensiveKey
	}
	e.derive = func(passphrase []byte, size int) ([]byte, error) {
		return scrypt.Key(passphrase, p.Salt, p.N, p.R, p.P, size)
	}
	return nil
}

// decrypt returns the key in DER. Whether passphrase was the right one shows in
// the padding, and where that agrees by chance, in the result.
func (e *pbes2) decrypt(passphrase []byte) ([]byte, error) {
	key, err := e.derive(passphrase, e.size)
	if err != nil {
		return nil, errPrivateKey
	}
	block, err := e.cipher(key)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(e.data))
	cipher.NewCBCDecrypter(block, e.iv).CryptBlocks(plain, e.data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > block.BlockSize() {
		return nil, errWrongPassphrase
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return nil, errWrongPassphrase
		}
	}
	return plain[:len(plain)-pad], nil
}
