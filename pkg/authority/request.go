package authority

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

// A Request asks a third party to sign the certificate of a CA. Its key was made here
// and stays here, in request/ until the answer is installed: next/ is for CAs that have a
// certificate. request.pem is written last and removed first, so where it is, its key is.
type Request struct {
	csr *x509.CertificateRequest
	key []byte // as it is kept; nil for one that was read
}

// DER returns the request, PKCS#10.
func (r *Request) DER() []byte { return r.csr.Raw }

// Subject returns the name that is asked for.
func (r *Request) Subject() string { return r.csr.Subject.String() }

// PublicKey returns the key of the request.
func (r *Request) PublicKey() crypto.PublicKey { return r.csr.PublicKey }

// SPKIHash returns the SHA-256 of the key's SubjectPublicKeyInfo.
func (r *Request) SPKIHash() [32]byte { return sha256.Sum256(r.csr.RawSubjectPublicKeyInfo) }

// IsAnsweredBy reports whether cert has the key of the request, whatever else the third
// party made of it.
func (r *Request) IsAnsweredBy(cert *x509.Certificate) bool {
	return bytes.Equal(r.csr.RawSubjectPublicKeyInfo, cert.RawSubjectPublicKeyInfo)
}

// requestBlock is the label of a request in PEM (RFC 7468, section 7).
const requestBlock = "CERTIFICATE REQUEST"

// Request makes a key, and the request for the certificate of the CA that n describes.
// Its times and its root play no part: the third party chooses them.
func (n NewCA) Request() (*Request, error) {
	key, err := profile.GenerateKey(n.KeyAlgorithm)
	if err != nil {
		return nil, err
	}
	ask := profile.RequestCA
	switch n.Role {
	case ProjectRoot:
		ask = profile.RequestProjectRoot
	case ProjectCA:
		ask = profile.RequestProjectCA
	}
	der, err := ask(n.Name, n.Serial, key)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	data, err := encodeKey(key, n.Passphrase)
	return &Request{csr, data}, err
}

// Request returns the request that is kept. Errors: fault.NotFound for none;
// [*DamagedError].
func (d *Directory) Request() (r *Request, err error) {
	err = d.inRequest(func(dir *durable.Dir) error {
		r, err = readRequest(dir)
		return err
	})
	return r, err
}

func (d *Directory) inRequest(fn func(*durable.Dir) error) error {
	dir, err := d.dir.Sub(requestDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return fn(dir)
}

func readRequest(dir *durable.Dir) (*Request, error) {
	data, _, err := dir.ReadFile(requestFile, sizeLimit, durable.Guarded)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != requestBlock {
		return nil, asDamaged(dir, requestFile, fault.New(fault.Malformed, "it holds no request in PEM"))
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, asDamaged(dir, requestFile, fault.Errorf(fault.Malformed, "it holds a request that can't be read: %w", err))
	}
	return &Request{csr: csr}, nil
}

// ErrRequestKey means that the key of a request is lost, or another is in its place.
var ErrRequestKey = fault.New(fault.Unavailable, "the key of the CA's request is missing, or is another's")

// RequestKey returns the key of the request that is kept.
// Errors: fault.NotFound for none; [ErrRequestKey]; [*DamagedError];
// [ErrPassphraseNeeded]; [ErrWrongPassphrase].
func (d *Directory) RequestKey(pass Passphrase) (key crypto.Signer, err error) {
	err = d.inRequest(func(dir *durable.Dir) error {
		r, err := readRequest(dir)
		if err != nil {
			return err
		}
		key, _, err = readKey(dir, pass)
		if err == nil {
			if pub, ok := r.csr.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); ok && pub.Equal(key.Public()) {
				return nil
			}
		}
		if err == nil || errors.Is(err, ErrKeyMissing) {
			err = fmt.Errorf("opening %s: %w", filepath.Join(dir.Path(), keyFile), ErrRequestKey)
		}
		return err
	})
	return key, err
}

// PutRequest keeps a request that was just made, in the place of any other, whose key
// is lost then.
func (l *Locked) PutRequest(r *Request) error {
	if err := l.dir.Mkdir(requestDir, 0o700); err != nil {
		return err
	}
	return l.inRequest(func(dir *durable.Dir) error {
		if err := dir.Sweep(); err != nil {
			return err
		}
		if err := dir.Remove(requestFile); err != nil {
			return err
		}
		if _, err := dir.Replace(keyFile, 0o400, r.key); err != nil {
			return err
		}
		_, err := dir.Replace(requestFile, 0o644, pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: r.csr.Raw}))
		return err
	})
}

// RemoveRequest gives up the request that is kept, and its key. None is no error.
func (l *Locked) RemoveRequest() error {
	var left []string
	err := l.inRequest(func(dir *durable.Dir) (err error) {
		for _, name := range []string{requestFile, keyFile} {
			if err := dir.Remove(name); err != nil {
				return err
			}
		}
		if err := dir.Sweep(); err != nil {
			return err
		}
		left, err = dir.Names()
		return err
	})
	switch {
	case fault.KindOf(err) == fault.NotFound || err == nil && len(left) > 0: // somebody else's
		return nil
	case err != nil:
		return err
	}
	return l.dir.Remove(requestDir)
}

// removeAnswered removes the request whose key the active CA has by now, and what is left
// of one that was not made to its end, or not removed. One that can't be read is in
// nobody's way, and stays for people to look at.
func (l *Locked) removeAnswered() error {
	if _, err := l.dir.Stat(requestDir); err != nil {
		return nil
	}
	r, err := l.Request()
	if fault.KindOf(err) == fault.NotFound {
		return l.RemoveRequest()
	}
	if err != nil {
		return nil
	}
	certs, err := readCertificates(l.dir, certFile)
	if err != nil || !r.IsAnsweredBy(certs[0]) {
		return err
	}
	return l.RemoveRequest()
}
