package authority

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
)

// The key that secrets for a project are encrypted to lies beside its CA's, from its first
// use on, and stays when the CA is replaced. Its certificate is a leaf of the CA.
const (
	decryptKeyFile  = "decrypt-key.pem"
	decryptCertFile = "decrypt-cert.pem"
)

// DecryptKey reads decrypt-key.pem, which is encrypted if the CA's key is.
//
// Errors: fault.NotFound when there is none; [ErrPassphraseNeeded]; [ErrWrongPassphrase];
// [*DamagedError]; *durable.SecrecyError.
func (d *Directory) DecryptKey(pass Passphrase) (*rsa.PrivateKey, error) {
	data, _, err := d.dir.ReadFile(decryptKeyFile, sizeLimit, durable.Private)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	key, err := decodeDecryptKey(data, pass)
	return key, asDamaged(d.dir, decryptKeyFile, err)
}

func decodeDecryptKey(data []byte, pass Passphrase) (*rsa.PrivateKey, error) {
	signer, _, err := decodeKey(data, pass)
	if err != nil {
		return nil, err
	}
	key, ok := signer.(*rsa.PrivateKey)
	if !ok {
		return nil, fault.New(fault.Malformed, "it is not an RSA key, and so can't decrypt")
	}
	return key, nil
}

// HasDecryptKey reports whether there is a decrypt-key.pem.
func (d *Directory) HasDecryptKey() (bool, error) { return d.has(decryptKeyFile) }

// DecryptCertificate reads decrypt-cert.pem.
// Errors: fault.NotFound when there is none; [*DamagedError].
func (d *Directory) DecryptCertificate() (*x509.Certificate, error) {
	certs, err := readCertificates(d.dir, decryptCertFile)
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}

// WriteDecryptKey makes decrypt-key.pem; an empty passphrase leaves it in the clear. One
// that is there is never replaced, for what was encrypted to it would be lost: fault.Exists.
func (l *Locked) WriteDecryptKey(key *rsa.PrivateKey, passphrase []byte) error {
	data, err := encodeKey(key, passphrase)
	if err != nil {
		return err
	}
	defer clear(data)
	return l.dir.Create(decryptKeyFile, 0o400, data)
}

// PublishDecryptCertificate makes cert the content of decrypt-cert.pem.
func (l *Locked) PublishDecryptCertificate(cert *x509.Certificate) error {
	_, err := l.dir.Replace(decryptCertFile, 0o644, encodeCertificates(cert))
	return err
}

// MatchDecrypt says whether a decrypt-cert.pem and a decrypt-key.pem with these contents
// belong together; nil is no file. An encrypted key is believed.
//
// Errors: [ErrDecryptMismatch]; fault.Malformed.
func MatchDecrypt(cert, key []byte) error {
	if len(cert) == 0 && len(key) == 0 {
		return nil
	}
	signer, encrypted, err := decodeKey(key, nil)
	if err != nil && !(encrypted && errors.Is(err, ErrPassphraseNeeded)) {
		return fmt.Errorf("reading %s: %w", decryptKeyFile, err)
	}
	if len(cert) == 0 { // it was not made yet
		return nil
	}
	certs, err := decodeCertificates(cert)
	if err != nil {
		return fmt.Errorf("reading %s: %w", decryptCertFile, err)
	}
	if key, ok := signer.(*rsa.PrivateKey); !encrypted && (!ok || !key.PublicKey.Equal(certs[0].PublicKey)) {
		return ErrDecryptMismatch
	}
	return nil
}

// ErrDecryptMismatch means that decrypt-key.pem is not the key of decrypt-cert.pem.
var ErrDecryptMismatch = fault.New(fault.Unavailable, "the project's decrypt key and certificate do not belong together")
