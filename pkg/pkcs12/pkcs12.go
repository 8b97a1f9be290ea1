// Package pkcs12 packs a key, its certificate and the CA certificates above into
// one PKCS#12 file (RFC 7292), for programs that want them so: Windows, Java,
// browsers.
//
// # Why profiles have names with dates
//
// The format leaves the algorithms open, and a program that doesn't know one
// mostly says that the password is wrong. So nobody should have to choose an
// algorithm, but a reader: [Profile.Readers] says in words who can open what, and
// [Compatibility] what was seen with real programs. What a name stands for never
// changes, so a file written next year opens where this year's did.
//
// # How safe a file is
//
// As safe as its password. No profile makes guessing slow (2,048 iterations and
// fewer), and the legacy ones use ciphers that are broken for other purposes. With
// a password by [GeneratePassword] every one is out of reach of guessing, except
// that the 40 bits of [LegacyRC2] give the certificates away, which are public;
// the key is under 3DES there.
//
// # What is missing
//
// The entries have no friendly name, because the encoder below offers none for
// keys: Java calls the entry "1", and NSS takes the certificate's common name.
//
// # Reading
//
// [Parse] tells what a file is without its password, and [File.Open] what is in it.
// Usual decoders do what a file asks for, for hours if it asks for that, believe a MAC
// that anybody could have forged, and say of anything they don't like that the password
// is wrong. So files are read by code of this package's own, which refuses the one and
// finds out the other; tests hold it to what the usual decoder reads.
package pkcs12

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"x509ctl/pkg/fault"
)

// Encode packs key, leaf and chain, which goes from leaf's issuer upwards and may
// be empty, as p has it. The password is one that [CheckPassword] accepts.
//
// The file is read back before it is returned: algorithms, key, certificates and
// their order are compared.
//
// Errors: [fault.Malformed] for an unknown profile and a key that is not RSA,
// ECDSA or Ed25519; [fault.Invalid] for a key that is not leaf's; CheckPassword's;
// and [fault.Internal] for a file that doesn't read back.
func Encode(p Profile, key crypto.PrivateKey, leaf *x509.Certificate, chain []*x509.Certificate, password string) ([]byte, error) {
	if err := CheckPassword(password); err != nil {
		return nil, err
	}
	return encode(p, key, leaf, chain, password)
}

// EncodeEmptyPassword is Encode with an empty password, for those who ask for
// one: an empty string is also what a forgotten option looks like. Whoever reads
// the file has the key. macOS 15 refuses such files.
func EncodeEmptyPassword(p Profile, key crypto.PrivateKey, leaf *x509.Certificate, chain []*x509.Certificate) ([]byte, error) {
	return encode(p, key, leaf, chain, "")
}

func encode(p Profile, key crypto.PrivateKey, leaf *x509.Certificate, chain []*x509.Certificate, password string) ([]byte, error) {
	a, ok := algorithmsOf(p)
	if !ok {
		return nil, fault.Errorf(fault.Malformed, "unknown PKCS#12 profile %q", p)
	}
	if err := checkKey(key, leaf); err != nil {
		return nil, err
	}
	data, err := a.encoder.Encode(key, leaf, chain, password)
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "encoding PKCS#12: %w", err)
	}
	if err := readBack(a, data, contents{key, leaf, chain}, password); err != nil {
		return nil, fault.Errorf(fault.Internal, "reading the PKCS#12 file back: %w", err)
	}
	return data, nil
}

func checkKey(key crypto.PrivateKey, leaf *x509.Certificate) error {
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
	default:
		return fault.Errorf(fault.Malformed, "a private key of type %T can't be put into PKCS#12", key)
	}
	public, ok := key.(crypto.Signer).Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(leaf.PublicKey) {
		return fault.New(fault.Invalid, "the private key is not the certificate's")
	}
	return nil
}

// contents is what goes into a file.
type contents struct {
	key   crypto.PrivateKey
	leaf  *x509.Certificate
	chain []*x509.Certificate
}

// readBack returns an error unless data is a file of the algorithms a that holds
// exactly want under password. It is read by this package's own code, which has nothing
// in common with the encoder's: what one of them gets wrong, the other doesn't open.
func readBack(a algorithms, data []byte, want contents, password string) error {
	if err := a.checkStructure(data); err != nil {
		return err
	}
	f, err := Parse(data)
	if err != nil {
		return err
	}
	got, err := f.Open(password)
	if err != nil {
		return err
	}
	certs := append([]*x509.Certificate{want.leaf}, want.chain...)
	switch {
	case len(got.Keys) != 1 || !equalKeys(got.Keys[0].Signer, want.key):
		return errors.New("the key is another one")
	case len(got.Certificates) != len(certs):
		return errors.New("the chain is of another length")
	}
	for i, c := range got.Certificates {
		if !c.Equal(certs[i]) {
			return fmt.Errorf("certificate %d is another one", i+1)
		}
	}
	return got.CheckKeys()
}

func equalKeys(a, b crypto.PrivateKey) bool {
	k, ok := a.(interface{ Equal(crypto.PrivateKey) bool })
	return ok && k.Equal(b)
}
