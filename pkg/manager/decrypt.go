package manager

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/project"
	"x509ctl/pkg/store"
)

// Why there is nothing to encrypt to, or to decrypt with.
var (
	// ErrNoDecryptKey means that a project has no key yet that secrets are encrypted to:
	// the first call of EncryptionCertificate makes it.
	ErrNoDecryptKey = fault.New(fault.NotFound, "nothing was encrypted to the project yet: it has no key for that")
	// ErrNoDecryptCertificate means that a project has no good certificate to encrypt to, and
	// that who asked can't make one.
	ErrNoDecryptCertificate = fault.New(fault.NotFound, "the project has no good certificate to encrypt to, and only an operator can make one")
	// ErrDecryptKeyLost means that there is a decrypt-cert.pem without its key.
	ErrDecryptKeyLost = fault.New(fault.Unavailable, "the project's decrypt key is missing")
	// ErrDecryptMismatch means that decrypt-key.pem is not the key of decrypt-cert.pem.
	ErrDecryptMismatch = authority.ErrDecryptMismatch
	// ErrNotDecrypted means a ciphertext that the project's key does not decrypt.
	ErrNotDecrypted = project.ErrNotDecrypted
)

// DecryptRequest asks for a small secret.
type DecryptRequest struct {
	Project    string
	Ciphertext []byte
	// Length is, for the old padding of PKCS #1 v1.5, how many octets the secret has. They
	// are what is returned, whether or not the padding is right. 0 is for OAEP with SHA-256.
	Length int
}

// Decrypt implements Service. What was asked is recorded before the answer leaves.
func (m *Manager) Decrypt(ctx context.Context, req DecryptRequest) ([]byte, error) {
	p, err := m.Project(ctx, req.Project)
	if err != nil {
		return nil, err
	}
	id, err := ProjectAuthority(p.ID)
	if err != nil {
		return nil, err
	}
	key, err := m.decryptKey(id)
	if err != nil {
		return nil, err
	}
	how := "OAEP"
	var secret []byte
	if req.Length == 0 {
		secret, err = project.Decrypt(key, req.Ciphertext)
	} else {
		how = fmt.Sprintf("PKCS #1 v1.5, %d octets", req.Length)
		secret, err = project.DecryptPKCS1v15(key, req.Ciphertext, req.Length)
	}
	detail, outcome := fmt.Sprintf("%s, ciphertext with SHA-256 %x", how, sha256.Sum256(req.Ciphertext)), done
	if err != nil {
		detail, outcome = detail+": "+err.Error(), refused
	}
	db, failed := m.database(ctx)
	if failed == nil {
		failed = db.Write(ctx, func(tx *store.Tx) error { return tx.Audit(m.audit("decrypt", p.ID, outcome, detail)) })
	}
	if failed != nil {
		return nil, fmt.Errorf("recording who decrypts: %w", failed)
	}
	return secret, err
}

// decryptKey reads the key of a project. Errors: [ErrNoDecryptKey]; [ErrDecryptKeyLost].
func (m *Manager) decryptKey(id AuthorityID) (*rsa.PrivateKey, error) {
	d, err := m.directory(id)
	if err != nil {
		return nil, err
	}
	key, err := d.DecryptKey(m.config.Passphrase)
	if fault.KindOf(err) != fault.NotFound {
		return key, err
	}
	_, err = d.DecryptCertificate()
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return nil, ErrNoDecryptKey
	case err == nil:
		err = fmt.Errorf("opening %s in %s: %w", authority.DecryptKeyName, d.Path(), ErrDecryptKeyLost)
	}
	return nil, err
}
