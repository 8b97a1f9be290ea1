package pkcs12

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"math"
	"math/big"

	"golang.org/x/crypto/scrypt"

	"x509ctl/pkg/fault"
)

// An Algorithm is how a password protects something: a MAC or an encryption. The
// zero values of its fields mean that there is no such parameter.
type Algorithm struct {
	Name       string // "PBES2", "PBMAC1", "HMAC" or the name of RFC 7292, appendix C
	Cipher     string // "AES-256-CBC"; of a MAC its hash function
	KDF        string // how a key is made of the password: "PBKDF2", "scrypt", "PKCS#12"
	Hash       string // the hash function that is iterated
	Iterations int64  // as in the file, at most MaxInt64; scrypt's N
	SaltSize   int    // octets
	KeySize    int    // octets

	work    int64 // how often the hash function is called, about
	memory  int64 // octets, of scrypt
	refusal error // why it is not to be used
	derive  func(secret) ([]byte, error)
	cipher  func(key []byte) (cipher.Block, error)
	block   int    // octets in a block of cipher
	iv      []byte // nil: derived with the key
	mac     func() hash.Hash
}

// A secret is a password as the algorithms want it.
type secret struct {
	bmp    []byte // RFC 7292, appendix B.1: UTF-16 with two zero octets at the end
	octets []byte // RFC 8018, section 3: UTF-8
}

type hashFunction struct {
	name string
	new  func() hash.Hash
}

var (
	sha1Hash   = hashFunction{"SHA-1", sha1.New}
	sha224Hash = hashFunction{"SHA-224", sha256.New224}
	sha256Hash = hashFunction{"SHA-256", sha256.New}
	sha384Hash = hashFunction{"SHA-384", sha512.New384}
	sha512Hash = hashFunction{"SHA-512", sha512.New}
)

// digestOf and hmacOf return the hash functions by their identifiers as such, and in
// HMAC. The zero hashFunction is an unknown one.
func digestOf(id string) hashFunction {
	return map[string]hashFunction{
		"1.3.14.3.2.26":          sha1Hash,
		"2.16.840.1.101.3.4.2.4": sha224Hash,
		"2.16.840.1.101.3.4.2.1": sha256Hash,
		"2.16.840.1.101.3.4.2.2": sha384Hash,
		"2.16.840.1.101.3.4.2.3": sha512Hash,
	}[id]
}

func hmacOf(id string) hashFunction {
	return map[string]hashFunction{
		"":                    sha1Hash, // the default of RFC 8018, appendix A.2
		"1.2.840.113549.2.7":  sha1Hash,
		"1.2.840.113549.2.8":  sha224Hash,
		"1.2.840.113549.2.9":  sha256Hash,
		"1.2.840.113549.2.10": sha384Hash,
		"1.2.840.113549.2.11": sha512Hash,
	}[id]
}

// unsupported is an algorithm of which no more than the name is known.
func unsupported(name string) *Algorithm {
	return &Algorithm{Name: name, refusal: fmt.Errorf("%w: %s", ErrUnsupported, name)}
}

// refuse makes a unusable, unless it is already.
func (a *Algorithm) refuse(err error) *Algorithm {
	if a.refusal == nil {
		a.refusal = err
	}
	return a
}

var errParameters = fault.New(fault.Malformed, "the parameters of its algorithm are damaged")

// iterated notes the parameters of a function that is iterated, calls times as
// often as the file says.
func (a *Algorithm) iterated(n *big.Int, calls int64) {
	switch {
	case n == nil:
		n = big.NewInt(1)
	case n.Sign() <= 0:
		a.refuse(errParameters)
		return
	}
	a.Iterations = math.MaxInt64
	if n.IsInt64() {
		a.Iterations = n.Int64()
	}
	a.work = math.MaxInt64
	if a.Iterations <= MaxWork {
		a.work = a.Iterations * calls
	}
	if a.work > MaxWork {
		a.refuse(fmt.Errorf("%w: %v iterations of %s", ErrTooMuchWork, n, a.Hash))
	}
}

// encryptionOf reads the identifier of an encryption.
func encryptionOf(id algorithmIdentifier) *Algorithm {
	const pbe = "1.2.840.113549.1.12.1."
	switch id.Algorithm.String() {
	case "1.2.840.113549.1.5.13":
		return pbes2Of(id)
	case pbe + "3":
		return legacyOf(id, "pbeWithSHAAnd3-KeyTripleDES-CBC", "3DES-CBC", 24, des.NewTripleDESCipher)
	case pbe + "4":
		return legacyOf(id, "pbeWithSHAAnd2-KeyTripleDES-CBC", "3DES-CBC with two keys", 16, func(key []byte) (cipher.Block, error) {
			return des.NewTripleDESCipher(append(key[:16:16], key[:8]...))
		})
	case pbe + "5":
		return legacyOf(id, "pbeWithSHAAnd128BitRC2-CBC", "RC2-CBC with 128 bits", 16, newRC2)
	case pbe + "6":
		return legacyOf(id, "pbeWithSHAAnd40BitRC2-CBC", "RC2-CBC with 40 bits", 5, newRC2)
	case pbe + "1":
		return unsupported("pbeWithSHAAnd128BitRC4")
	case pbe + "2":
		return unsupported("pbeWithSHAAnd40BitRC4")
	}
	return unsupported("the algorithm " + id.Algorithm.String())
}

// legacyOf is for the encryptions of RFC 7292, appendix C.
func legacyOf(id algorithmIdentifier, name, cipherName string, size int, newCipher func([]byte) (cipher.Block, error)) *Algorithm {
	a := &Algorithm{Name: name, Cipher: cipherName, KDF: "PKCS#12", Hash: "SHA-1", KeySize: size, cipher: newCipher, block: des.BlockSize}
	var p struct {
		Salt       []byte
		Iterations *big.Int
	}
	if unmarshal(id.Parameters.FullBytes, &p) != nil {
		return a.refuse(errParameters)
	}
	a.SaltSize = len(p.Salt)
	a.iterated(p.Iterations, int64((size+sha1.Size-1)/sha1.Size)+1)
	a.derive = func(s secret) ([]byte, error) {
		key := kdf(sha1.New, keyMaterial, s.bmp, p.Salt, int(a.Iterations), size)
		return append(key, kdf(sha1.New, ivMaterial, s.bmp, p.Salt, int(a.Iterations), des.BlockSize)...), nil
	}
	return a
}

// pbes2Of is for RFC 8018, section 6.2.
func pbes2Of(id algorithmIdentifier) *Algorithm {
	a := &Algorithm{Name: "PBES2"}
	var p struct{ KDF, Cipher algorithmIdentifier }
	if unmarshal(id.Parameters.FullBytes, &p) != nil {
		return a.refuse(errParameters)
	}
	a.cipher, a.block = aes.NewCipher, aes.BlockSize
	switch kind := p.Cipher.Algorithm.String(); kind {
	case "2.16.840.1.101.3.4.1.2":
		a.Cipher, a.KeySize = "AES-128-CBC", 16
	case "2.16.840.1.101.3.4.1.22":
		a.Cipher, a.KeySize = "AES-192-CBC", 24
	case "2.16.840.1.101.3.4.1.42":
		a.Cipher, a.KeySize = "AES-256-CBC", 32
	case "1.2.840.113549.3.7":
		a.Cipher, a.KeySize, a.cipher, a.block = "3DES-CBC", 24, des.NewTripleDESCipher, des.BlockSize
	default:
		a.Cipher = kind
		a.refuse(fmt.Errorf("%w: PBES2 with the cipher %s", ErrUnsupported, kind))
	}
	if a.refusal == nil && (unmarshal(p.Cipher.Parameters.FullBytes, &a.iv) != nil || len(a.iv) != a.block) {
		a.refuse(errParameters)
	}
	return a.readKDF(p.KDF)
}

func (a *Algorithm) readKDF(id algorithmIdentifier) *Algorithm {
	switch kind := id.Algorithm.String(); kind {
	case "1.2.840.113549.1.5.12":
		if size := a.readPBKDF2(id); size != 0 && size != int64(a.KeySize) {
			a.refuse(errParameters)
		}
	case "1.3.6.1.4.1.11591.4.11":
		a.readScrypt(id)
	default:
		a.KDF = kind
		a.refuse(fmt.Errorf("%w: the key derivation %s", ErrUnsupported, kind))
	}
	return a
}

// readPBKDF2 is for RFC 8018, appendix A.2. It returns the key's size in the
// parameters, 0 for none, and derives one of a.KeySize octets.
func (a *Algorithm) readPBKDF2(id algorithmIdentifier) int64 {
	a.KDF = "PBKDF2"
	var p struct {
		Salt       asn1.RawValue
		Iterations *big.Int
		Length     int64               `asn1:"optional"`
		PRF        algorithmIdentifier `asn1:"optional"`
	}
	if unmarshal(id.Parameters.FullBytes, &p) != nil || p.Salt.Tag != asn1.TagOctetString || p.Salt.Class != asn1.ClassUniversal || p.Length < 0 {
		a.refuse(errParameters)
		return 0
	}
	prf := hmacOf(p.PRF.Algorithm.String())
	a.SaltSize, a.Hash = len(p.Salt.Bytes), prf.name
	if prf.new == nil {
		a.Hash = p.PRF.Algorithm.String()
		a.refuse(fmt.Errorf("%w: PBKDF2 over %s", ErrUnsupported, a.Hash))
		return p.Length
	}
	if a.KeySize == 0 { // PBMAC1 has none but that in the parameters
		a.KeySize = int(min(p.Length, math.MaxInt32))
	}
	size := prf.new().Size()
	a.iterated(p.Iterations, int64((min(a.KeySize, maxMACKey)+size-1)/size))
	a.derive = func(s secret) ([]byte, error) {
		return pbkdf2.Key(prf.new, string(s.octets), p.Salt.Bytes, int(a.Iterations), a.KeySize)
	}
	return p.Length
}

// maxMemory bounds what a file may ask scrypt to take, in octets. What openssl writes
// needs 16 MiB.
const maxMemory = 32 << 20

// readScrypt is for RFC 7914, section 7.
func (a *Algorithm) readScrypt(id algorithmIdentifier) {
	a.KDF, a.Hash = "scrypt", "Salsa20/8"
	var p struct {
		Salt    []byte
		N, R, P int64
		Length  int64 `asn1:"optional"`
	}
	if unmarshal(id.Parameters.FullBytes, &p) != nil || p.N < 2 || p.N&(p.N-1) != 0 || p.R < 1 || p.P < 1 ||
		p.Length != 0 && p.Length != int64(a.KeySize) {
		a.refuse(errParameters)
		return
	}
	a.SaltSize, a.Iterations = len(p.Salt), p.N
	if p.N > maxKeyMemory/128 || p.R > maxKeyMemory/128/p.N || p.P > 16 {
		a.refuse(fmt.Errorf("%w: scrypt with N=%d, r=%d, p=%d", ErrTooMuchWork, p.N, p.R, p.P))
		return
	}
	a.memory = 128 * p.N * p.R
	a.work = 2 * p.N * p.R * p.P // each about as much as one iteration of PBKDF2
	a.derive = func(s secret) ([]byte, error) {
		return scrypt.Key(s.octets, p.Salt, int(p.N), int(p.R), int(p.P), a.KeySize)
	}
}

// checkBlocks refuses what can't have been encrypted by a.
func (a *Algorithm) checkBlocks(data []byte) error {
	if len(data) == 0 || len(data)%a.block != 0 {
		return fault.New(fault.Malformed, "what is encrypted is damaged: it doesn't fill its blocks")
	}
	return nil
}

// errPadding is what decrypting with a wrong password mostly ends with.
var errPadding = errors.New("the padding is wrong")

// decrypt returns the plain text. Whether s is right shows in the padding; 1 of 256
// wrong ones pass that.
func (a *Algorithm) decrypt(s secret, data []byte) ([]byte, error) {
	if a.refusal != nil {
		return nil, a.refusal
	}
	key, err := a.derive(s)
	if err != nil {
		return nil, errParameters
	}
	iv := a.iv
	if iv == nil {
		key, iv = key[:a.KeySize], key[a.KeySize:]
	}
	block, err := a.cipher(key)
	if err != nil {
		return nil, errParameters
	}
	if err := a.checkBlocks(data); err != nil {
		return nil, err
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > block.BlockSize() {
		return nil, errPadding
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return nil, errPadding
		}
	}
	return plain[:len(plain)-pad], nil
}

// Bounds of a PBMAC1 key in octets: the least of RFC 9579, section 8, and the
// longest digest.
const minMACKey, maxMACKey = 20, 64

// parseMAC reads MacData (RFC 7292, section 4), and of RFC 9579.
func (f *File) parseMAC(der []byte) error {
	var m struct {
		Digest struct {
			Algorithm algorithmIdentifier
			Digest    []byte
		}
		Salt       []byte
		Iterations *big.Int `asn1:"optional"`
	}
	if err := decode(der, &m, "MAC"); err != nil {
		return err
	}
	f.digest = m.Digest.Digest
	id := m.Digest.Algorithm
	if id.Algorithm.String() == "1.2.840.113549.1.5.14" {
		f.MAC = pbmac1Of(id)
		return nil
	}
	h := digestOf(id.Algorithm.String())
	if h.new == nil {
		f.MAC = unsupported("a MAC by " + id.Algorithm.String())
		return nil
	}
	size := h.new().Size()
	a := &Algorithm{Name: "HMAC", Cipher: h.name, KDF: "PKCS#12", Hash: h.name, SaltSize: len(m.Salt), KeySize: size, mac: h.new}
	a.iterated(m.Iterations, 1)
	a.derive = func(s secret) ([]byte, error) {
		return kdf(h.new, macMaterial, s.bmp, m.Salt, int(a.Iterations), size), nil
	}
	f.MAC = a
	return nil
}

// pbmac1Of is for RFC 9579, section 4.
func pbmac1Of(id algorithmIdentifier) *Algorithm {
	a := &Algorithm{Name: "PBMAC1"}
	var p struct{ KDF, MAC algorithmIdentifier }
	if unmarshal(id.Parameters.FullBytes, &p) != nil {
		return a.refuse(errParameters)
	}
	h := hmacOf(p.MAC.Algorithm.String())
	if len(p.MAC.Algorithm) == 0 || h.new == nil {
		a.refuse(fmt.Errorf("%w: PBMAC1 with %v", ErrUnsupported, p.MAC.Algorithm))
	}
	a.Cipher, a.mac = h.name, h.new
	if kind := p.KDF.Algorithm.String(); kind != "1.2.840.113549.1.5.12" {
		a.KDF = kind
		return a.refuse(fmt.Errorf("%w: PBMAC1 with the key derivation %s", ErrUnsupported, kind))
	}
	switch size := a.readPBKDF2(p.KDF); {
	case a.refusal != nil:
	case size == 0:
		a.refuse(fmt.Errorf("%w: its PBMAC1 doesn't say how long its key is", ErrShortKey))
	case size < minMACKey:
		a.refuse(fmt.Errorf("%w: its PBMAC1 key has %d octets, fewer than %d", ErrShortKey, size, minMACKey))
	case size > maxMACKey:
		a.refuse(fmt.Errorf("%w: a PBMAC1 key of %d octets, more than %d", ErrTooMuchWork, size, maxMACKey))
	}
	return a
}

// verifyMAC says whether the MAC of f is that of s.
func (f *File) verifyMAC(s secret) (bool, error) {
	key, err := f.MAC.derive(s)
	if err != nil {
		return false, errParameters
	}
	m := hmac.New(f.MAC.mac, key)
	m.Write(f.safe)
	return hmac.Equal(m.Sum(nil), f.digest), nil
}
