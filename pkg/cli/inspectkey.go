package cli

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/pkcs12"
)

// inspectKeyView is a key as "inspect" prints it. It never has the private half.
type inspectKeyView struct {
	Type       string          `json:"key_type"`  // empty: encrypted, so that nobody knows
	Encoding   string          `json:"encoding"`  // "PKCS#8", "SEC 1", "PKCS#1", "OpenSSH", "SPKI"
	Encrypted  bool            `json:"encrypted"` // whether a passphrase is needed
	Encryption *encryptionView `json:"encryption,omitempty"`
	SPKISHA256 string          `json:"spki_sha256"` // of the public key; empty: encrypted
}

// encryptionView is how a password protects something.
type encryptionView struct {
	Name       string `json:"name"`   // "PBES2"
	Cipher     string `json:"cipher"` // of a MAC its hash function
	KDF        string `json:"kdf"`    // how the key is made of the password
	Hash       string `json:"hash"`   // the function that is iterated
	Iterations int64  `json:"iterations"`
	SaltBytes  int    `json:"salt_bytes"`
	KeyBytes   int    `json:"key_bytes"`
}

func newEncryptionView(a *pkcs12.Algorithm) *encryptionView {
	if a == nil {
		return nil
	}
	return &encryptionView{a.Name, a.Cipher, a.KDF, a.Hash, a.Iterations, a.SaltSize, a.KeySize}
}

// String is e in a line.
func (e *encryptionView) String() string {
	words := []string{e.Name}
	for _, w := range []string{e.Cipher, e.KDF, e.Hash} {
		if w != "" {
			words = append(words, w)
		}
	}
	if e.Iterations > 0 {
		words = append(words, fmt.Sprintf("%d iterations", e.Iterations))
	}
	if e.SaltBytes > 0 {
		words = append(words, fmt.Sprintf("%d octets of salt", e.SaltBytes))
	}
	return strings.Join(words, ", ")
}

func inspectPrivateKey(v *inspectView, b *pem.Block) error {
	v.Key = &inspectKeyView{}
	switch {
	case b.Type == "OPENSSH PRIVATE KEY":
		return inspectOpenSSH(v, b.Bytes)
	case b.Headers["DEK-Info"] != "":
		cipher, _, _ := strings.Cut(b.Headers["DEK-Info"], ",")
		*v.Key = inspectKeyView{
			Type: strings.ToLower(strings.TrimSuffix(b.Type, " PRIVATE KEY")), Encoding: "OpenSSL's before PKCS#8", Encrypted: true,
			Encryption: &encryptionView{Name: "PEM encryption (RFC 1421)", Cipher: cipher, KDF: "MD5", Hash: "MD5", Iterations: 1},
		}
		v.Summary = v.Key.Type + ", encrypted"
		v.warn("its encryption is weak: MD5, once. \"openssl pkcs8 -topk8\" makes it better")
		return nil
	}
	if k, err := pkcs12.ParseEncryptedPKCS8(b.Bytes); err == nil {
		*v.Key = inspectKeyView{Encoding: "PKCS#8", Encrypted: true, Encryption: newEncryptionView(k.Algorithm)}
		v.Summary = "encrypted: " + v.Key.Encryption.String()
		if k.Algorithm.Name != "PBES2" {
			v.warn("its encryption is of old, and weak")
		}
		return nil
	}
	v.Key.Encoding = "PKCS#8"
	if len(b.Bytes) > maxKey {
		return errPrivateKey
	}
	if _, err := x509.ParseECPrivateKey(b.Bytes); err == nil {
		v.Key.Encoding = "SEC 1"
	} else if _, err := x509.ParsePKCS1PrivateKey(b.Bytes); err == nil {
		v.Key.Encoding = "PKCS#1"
	}
	key, err := parseKey(b.Bytes)
	if err != nil {
		v.Key = nil
		return err
	}
	v.setKey(key.Public())
	v.Summary += ", not encrypted"
	return nil
}

// setKey describes the public half.
func (v *inspectView) setKey(key crypto.PublicKey) {
	v.Key.Type = keyTypeOf(key)
	if sum, err := spkiSHA256(key); err == nil {
		v.Key.SPKISHA256 = sum
	}
	v.Summary = v.Key.Type
	v.warnKey(key)
}

// inspectOpenSSH reads what stands in front of the encrypted part of a key in the
// format of OpenSSH's PROTOCOL.key.
func inspectOpenSSH(v *inspectView, data []byte) error {
	*v.Key = inspectKeyView{Encoding: "OpenSSH"}
	s := cryptobyte.String(data)
	var magic []byte
	var cipher, kdf, options, public, kind cryptobyte.String
	var n uint32
	read := func(out *cryptobyte.String) bool {
		var size uint32
		return s.ReadUint32(&size) && uint64(size) <= uint64(len(s)) && s.ReadBytes((*[]byte)(out), int(size))
	}
	if !s.ReadBytes(&magic, 15) || string(magic) != "openssh-key-v1\x00" ||
		!read(&cipher) || !read(&kdf) || !read(&options) || !s.ReadUint32(&n) || !read(&public) {
		v.Key = nil
		return fault.New(fault.Malformed, "its private key in OpenSSH's format is damaged")
	}
	s = public
	if read(&kind) {
		v.Key.Type = string(kind)
	}
	v.Summary = v.Key.Type + ", not encrypted"
	if string(cipher) != "none" {
		v.Key.Encrypted = true
		v.Key.Encryption = &encryptionView{Name: "OpenSSH", Cipher: string(cipher), KDF: string(kdf)}
		v.Summary = v.Key.Type + ", encrypted: " + v.Key.Encryption.String()
	}
	return nil
}

func inspectPublicKey(v *inspectView, der []byte) error {
	v.Key = &inspectKeyView{Encoding: "SPKI"}
	var key crypto.PublicKey
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		if rsa, rsaErr := x509.ParsePKCS1PublicKey(der); rsaErr == nil {
			key, err, v.Key.Encoding = rsa, nil, "PKCS#1"
		}
	}
	if err != nil {
		v.Key = nil
		return notUnderstood("public key", err)
	}
	v.setKey(key)
	if v.Key.SPKISHA256 == "" {
		sum := sha256.Sum256(der)
		v.Key.SPKISHA256 = hex.EncodeToString(sum[:])
	}
	return nil
}
