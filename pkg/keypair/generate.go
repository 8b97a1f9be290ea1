package keypair

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // the identifier of a key, as everybody computes it
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"x509ctl/pkg/fault"
)

// Comment is what a generated SSH key ends with. It has no blank, which old releases
// of cloud-init choked on.
const Comment = "Generated-by-x509ctl"

// EncodeSSH returns the public half of key as one line, with [Comment] and a newline
// at the end, and its private half in OpenSSH's own format, not encrypted.
// Errors: [fault.Malformed] for another key than RSA, Ed25519, and ECDSA P-256,
// P-384 or P-521.
func EncodeSSH(key crypto.Signer) (public string, private []byte, err error) {
	name, blob, secret, err := sshParts(key)
	if err != nil {
		return "", nil, err
	}
	public = name + " " + base64.StdEncoding.EncodeToString(blob) + " " + Comment + "\n"
	return public, pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: openSSHKey(name, blob, secret)}), nil
}

// sshParts returns the name of a key, its public blob, and the fields of its private
// half that follow the name (PROTOCOL.key and PROTOCOL.agent of OpenSSH).
func sshParts(key crypto.Signer) (name string, blob, secret []byte, err error) {
	var w, s writer
	switch k := key.(type) {
	case ed25519.PrivateKey:
		name = "ssh-ed25519"
		public := k.Public().(ed25519.PublicKey)
		w.string([]byte(name))
		w.string(public)
		s.string(public)
		s.string(k)
	case *rsa.PrivateKey:
		name = "ssh-rsa"
		k.Precompute()
		e := big.NewInt(int64(k.E))
		w.string([]byte(name))
		w.integer(e)
		w.integer(k.N)
		for _, n := range []*big.Int{k.N, e, k.D, k.Precomputed.Qinv, k.Primes[0], k.Primes[1]} {
			s.integer(n)
		}
	case *ecdsa.PrivateKey:
		public, err := k.PublicKey.Bytes()
		if err != nil {
			return "", nil, nil, fmt.Errorf("encoding the public key: %w", err)
		}
		d, err := k.Bytes()
		if err != nil {
			return "", nil, nil, fmt.Errorf("encoding the private key: %w", err)
		}
		curve := fmt.Sprintf("nistp%d", k.Params().BitSize)
		name = "ecdsa-sha2-" + curve
		w.string([]byte(name))
		for _, to := range []*writer{&w, &s} {
			to.string([]byte(curve))
			to.string(public)
		}
		s.integer(new(big.Int).SetBytes(d))
	default:
		return "", nil, nil, fault.Errorf(fault.Malformed, "a key of type %T can't be an SSH key", key)
	}
	return name, w, s, nil
}

// openSSHKey is a private key file of OpenSSH before it becomes PEM, with the
// ciphers "none".
func openSSHKey(name string, blob, secret []byte) []byte {
	var check [4]byte
	_, _ = rand.Read(check[:]) // never fails
	var inner writer
	inner = append(inner, check[:]...)
	inner = append(inner, check[:]...)
	inner.string([]byte(name))
	inner = append(inner, secret...)
	inner.string([]byte(Comment))
	for pad := byte(1); len(inner)%8 != 0; pad++ {
		inner = append(inner, pad)
	}
	outer := writer("openssh-key-v1\x00")
	outer.string([]byte("none")) // cipher
	outer.string([]byte("none")) // key derivation
	outer.string(nil)            // its options
	outer.uint32(1)              // keys
	outer.string(blob)
	outer.string(inner)
	return outer
}

// WinRMLifetime is how long a generated certificate is valid: as long as Nova's.
const WinRMLifetime = 3650 * 24 * time.Hour

// backdate is how far ahead of the guest's clock ours may be.
const backdate = 5 * time.Minute

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// maxCommonName is ub-common-name of RFC 5280, appendix A.1.
const maxCommonName = 64

// CheckCommonName returns an error of kind [fault.Malformed] unless user can be the
// common name of a certificate: 1 to 64 characters, as [CheckUser] has them.
func CheckCommonName(user string) error {
	if err := CheckUser(user); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(user); n > maxCommonName {
		return fault.Errorf(fault.Malformed, "the name of a user has %d characters; the common name of a certificate has at most %d", n, maxCommonName)
	}
	return nil
}

// NewWinRM returns a self-signed certificate by which Windows logs user in over
// WinRM, in DER: as Nova makes it, it has the common name user, the user principal
// name user@localhost, and client authentication as its purpose. It is valid for
// [WinRMLifetime] from a little before now.
// Errors: those of [CheckCommonName].
func NewWinRM(key *rsa.PrivateKey, user string, now time.Time) ([]byte, error) {
	if err := CheckCommonName(user); err != nil {
		return nil, err
	}
	subject, san, err := winRMNames(user)
	if err != nil {
		return nil, fmt.Errorf("encoding the names: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 158))
	if err != nil {
		return nil, err
	}
	from := now.Add(-backdate)
	id := sha1.Sum(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	template := &x509.Certificate{
		SerialNumber:       serial.Add(serial, big.NewInt(1)), // never zero
		RawSubject:         subject,
		NotBefore:          from,
		NotAfter:           from.Add(WinRMLifetime),
		SubjectKeyId:       id[:],
		ExtKeyUsage:        []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		ExtraExtensions:    []pkix.Extension{{Id: oidSAN, Value: san}},
		SignatureAlgorithm: x509.SHA256WithRSA,
	}
	return x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
}

// winRMNames returns the subject, and the content of the subject alternative name,
// which is an otherName (RFC 5280, section 4.2.1.6).
func winRMNames(user string) (subject, san []byte, err error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidCommonName)
				addUTF8(b, user)
			})
		})
	})
	if subject, err = b.Bytes(); err != nil {
		return nil, nil, err
	}
	explicit := der.Tag(0).Constructed().ContextSpecific()
	var n cryptobyte.Builder
	n.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(explicit, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidUPN)
			b.AddASN1(explicit, func(b *cryptobyte.Builder) { addUTF8(b, user+"@localhost") })
		})
	})
	san, err = n.Bytes()
	return subject, san, err
}

func addUTF8(b *cryptobyte.Builder, s string) {
	b.AddASN1(der.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
}

// EncodeCertificate returns a certificate in DER as one block of PEM, and nothing
// else: what a guest can read.
func EncodeCertificate(certificate []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
}
