package authority

import (
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
	"x509ctl/pkg/trust"
)

// A Fingerprint is the SHA-256 of a certificate in DER. The zero value is none.
type Fingerprint = [sha256.Size]byte

// An Authority is an active CA, ready to sign: its certificate, the matching key,
// and the certificates above it.
type Authority struct {
	issuer      *profile.Issuer
	chain       []*x509.Certificate // from the CA's own certificate upwards
	limits      *trust.NameConstraints
	key         crypto.Signer
	encrypted   bool
	fingerprint Fingerprint
}

// Certificate returns the CA's certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.chain[0] }

// Chain returns the CA's certificate and those above it, up to the root.
func (a *Authority) Chain() []*x509.Certificate { return a.chain }

// Fingerprint identifies the CA's certificate.
func (a *Authority) Fingerprint() Fingerprint { return a.fingerprint }

// Key returns the CA's private key, for another certificate of the same key.
func (a *Authority) Key() crypto.Signer { return a.key }

// SignsCRLs reports whether the CA may sign revocation lists.
func (a *Authority) SignsCRLs() bool { return a.chain[0].KeyUsage&x509.KeyUsageCRLSign != 0 }

// ErrKeyMissing means that there is a CA certificate without its key.
var ErrKeyMissing = fault.New(fault.Unavailable, "the CA's key is missing")

// ErrKeyMismatch means that key.pem is not the key of cert.pem.
var ErrKeyMismatch = fault.New(fault.Unavailable, "the CA's key and certificate do not belong together")

// Load reads the published CA and matches key and certificate.
//
// Errors: fault.NotFound when there is none; [ErrKeyMissing]; [ErrKeyMismatch];
// [ErrPassphraseNeeded]; [ErrWrongPassphrase]; *durable.SecrecyError for a key
// that others may read.
func (d *Directory) Load(pass Passphrase) (*Authority, error) { return d.load(d.dir, pass) }

func (d *Directory) load(dir *durable.Dir, pass Passphrase) (*Authority, error) {
	chain, err := readChain(dir)
	if err != nil {
		return nil, err
	}
	key, encrypted, err := readKey(dir, pass)
	if err != nil {
		return nil, err
	}
	return newAuthority(d.project, chain, key, encrypted)
}

func readKey(dir *durable.Dir, pass Passphrase) (key crypto.Signer, encrypted bool, err error) {
	data, _, err := dir.ReadFile(keyFile, sizeLimit, durable.Private)
	if fault.KindOf(err) == fault.NotFound {
		return nil, false, fmt.Errorf("opening %s: %w", filepath.Join(dir.Path(), keyFile), ErrKeyMissing)
	}
	if err != nil {
		return nil, false, err
	}
	defer clear(data)
	key, encrypted, err = decodeKey(data, pass)
	return key, encrypted, asDamaged(dir, keyFile, err)
}

func newAuthority(project string, chain []*x509.Certificate, key crypto.Signer, encrypted bool) (*Authority, error) {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(chain[0].PublicKey) {
		return nil, ErrKeyMismatch
	}
	newIssuer := profile.NewIssuer
	if project != "" {
		newIssuer = func(chain []*x509.Certificate) (*profile.Issuer, error) {
			return profile.NewProjectIssuer(project, chain)
		}
	}
	issuer, err := newIssuer(chain)
	if err != nil {
		return nil, err
	}
	limits, err := trust.NewNameConstraints(chain)
	if err != nil {
		return nil, fault.Errorf(fault.Denied, "no verifier accepts what this CA signs: %w", err)
	}
	return &Authority{issuer, chain, limits, key, encrypted, sha256.Sum256(chain[0].Raw)}, nil
}

// CheckName refuses a name for which no certificate of a would be accepted, since the
// name constraints of a CA in its chain leave no room for it. Error: [fault.Denied].
func (a *Authority) CheckName(name string) error {
	return asUseless(a.limits.Check(name, []string{name}, nil))
}

// asUseless makes a denial of what is against name constraints.
func asUseless(err error) error {
	if err != nil {
		err = fault.Errorf(fault.Denied, "no verifier would accept a certificate for these names: %w", err)
	}
	return err
}

// Match returns the fingerprint of the CA whose files have these contents, when they
// belong together; chain is empty for a self-signed one. Of an encrypted key it can't be
// known without its passphrase.
//
// Errors: [ErrKeyMismatch]; fault.Malformed.
func Match(cert, chain, key []byte) (Fingerprint, error) {
	certs, err := decodeCertificates(cert)
	if err != nil {
		return Fingerprint{}, fmt.Errorf("reading %s: %w", certFile, err)
	}
	if len(certs) != 1 {
		return Fingerprint{}, fault.Errorf(fault.Malformed, "%s holds %d certificates, not one", certFile, len(certs))
	}
	if len(chain) > 0 {
		above, err := decodeCertificates(chain)
		if err != nil {
			return Fingerprint{}, fmt.Errorf("reading %s: %w", chainFile, err)
		}
		certs = append(certs, above...)
	}
	signer, encrypted, err := decodeKey(key, nil)
	switch {
	case encrypted && errors.Is(err, ErrPassphraseNeeded):
		_, err = profile.NewIssuer(certs)
	case err == nil:
		_, err = newAuthority("", certs, signer, encrypted)
	default:
		err = fmt.Errorf("reading %s: %w", keyFile, err)
	}
	return sha256.Sum256(certs[0].Raw), err
}

// Public returns the published CA certificate and those above it, without the key.
// Error: fault.NotFound.
func (d *Directory) Public() ([]*x509.Certificate, error) { return readChain(d.dir) }

// KeyEncrypted reports whether the published key is encrypted.
func (d *Directory) KeyEncrypted() (bool, error) {
	data, _, err := d.dir.ReadFile(keyFile, sizeLimit, durable.Private)
	if fault.KindOf(err) == fault.NotFound {
		return false, fmt.Errorf("opening %s: %w", filepath.Join(d.Path(), keyFile), ErrKeyMissing)
	}
	if err != nil {
		return false, err
	}
	defer clear(data)
	block, _ := pem.Decode(data)
	return block != nil && block.Type == encryptedBlock, nil
}

// Bundle returns bundle.pem. Error: fault.NotFound.
func (d *Directory) Bundle() ([]byte, error) {
	b, _, err := d.dir.ReadFile(bundleFile, sizeLimit, durable.Guarded)
	return b, err
}

// CRL returns crl.pem. Error: fault.NotFound while there is none.
func (d *Directory) CRL() ([]byte, error) {
	b, _, err := d.dir.ReadFile(crlFile, trust.MaxCRL, durable.Guarded)
	return b, err
}

func readChain(dir *durable.Dir) ([]*x509.Certificate, error) {
	chain, err := readCertificates(dir, certFile)
	if err != nil {
		return nil, err
	}
	if len(chain) != 1 {
		return nil, asDamaged(dir, certFile, fault.Errorf(fault.Malformed, "it holds %d certificates, not one", len(chain)))
	}
	above, err := readCertificates(dir, chainFile)
	if fault.KindOf(err) == fault.NotFound {
		return chain, nil
	}
	return append(chain, above...), err
}

func readCertificates(dir *durable.Dir, name string) ([]*x509.Certificate, error) {
	data, _, err := dir.ReadFile(name, sizeLimit, durable.Guarded)
	if err != nil {
		return nil, err
	}
	certs, err := decodeCertificates(data)
	return certs, asDamaged(dir, name, err)
}

func decodeCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fault.New(fault.Malformed, "it holds something that is no certificate")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault.Errorf(fault.Malformed, "it holds a certificate that can't be read: %w", err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fault.New(fault.Malformed, "it holds no certificate in PEM")
	}
	return certs, nil
}

// A DamagedError is a file of the CA that can't be understood: somebody may be
// writing it at the moment, with tar or an editor, or a disk lost its content.
type DamagedError struct {
	Path string
	Err  error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("reading %s: %v", e.Path, e.Err) }
func (e *DamagedError) Unwrap() error { return e.Err }

// FaultKind makes the error [fault.Unavailable]: it is nobody's input that is wrong.
func (e *DamagedError) FaultKind() fault.Kind { return fault.Unavailable }

// asDamaged makes a DamagedError of what is wrong in a file; other errors, and nil,
// get no more than the file's name.
func asDamaged(dir *durable.Dir, name string, err error) error {
	path := filepath.Join(dir.Path(), name)
	switch {
	case err == nil:
		return nil
	case fault.KindOf(err) == fault.Denied || fault.KindOf(err) == fault.Unavailable:
		return fmt.Errorf("loading %s: %w", path, err)
	}
	return &DamagedError{path, err}
}

func encodeCertificates(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}
