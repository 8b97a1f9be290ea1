package manager

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/trust"
)

// EncryptionCertificate implements Service. Where a good certificate is published, it
// reads public files only. The key is not made together with the project: it takes a
// quarter of a second, and of a thousand projects few ever need it.
func (m *Manager) EncryptionCertificate(ctx context.Context, project string) ([]byte, error) {
	id, err := ProjectAuthority(project)
	if err != nil {
		return nil, err
	}
	cert, err := m.publishedDecrypt(ctx, id)
	if errors.Is(err, errDecryptStale) || errors.Is(err, errDecryptReplaced) {
		renewed, failed := m.renewDecrypt(ctx, id)
		switch {
		case !errors.Is(failed, fs.ErrPermission):
			cert, err = renewed, failed
		case errors.Is(err, errDecryptReplaced): // and good still
			err = nil
		default:
			err = fmt.Errorf("%w: %w", ErrNoDecryptCertificate, failed)
		}
	}
	if err != nil {
		return nil, err
	}
	return cert.Raw, nil
}

var (
	// errDecryptStale means that there is no decrypt-cert.pem, or none that is good.
	errDecryptStale = errors.New("there is no good decrypt certificate")
	// errDecryptReplaced means that it is good, and of a CA that was replaced.
	errDecryptReplaced = errors.New("the decrypt certificate is of a replaced CA")
)

// publishedDecrypt reads decrypt-cert.pem and judges it by what verifiers have.
// Errors: errDecryptStale; errDecryptReplaced, with the certificate.
func (m *Manager) publishedDecrypt(ctx context.Context, id AuthorityID) (*x509.Certificate, error) {
	d, err := m.directory(id)
	if err != nil {
		return nil, err
	}
	cert, err := d.DecryptCertificate()
	if fault.KindOf(err) == fault.NotFound {
		return nil, errDecryptStale
	}
	if err != nil {
		return nil, err
	}
	v, err := m.Verifier(ctx, id)
	if err != nil {
		return nil, err
	}
	good, err := v.acceptsDecrypt(id, cert, m.now())
	if err == nil && !good {
		err = errDecryptStale
	}
	if err != nil {
		return nil, err
	}
	cas, err := d.Public()
	if maybeCut(err) || err == nil && cert.CheckSignatureFrom(cas[0]) != nil {
		err = errDecryptReplaced
	}
	return cert, err
}

// followDecrypt has the active CA of a project sign its decrypt certificate, where it has
// one of a replaced CA. What fails here is done by the next call of EncryptionCertificate.
func (m *Manager) followDecrypt(ctx context.Context, id AuthorityID) {
	if roleOf(id) != authority.ProjectCA {
		return
	}
	_, err := m.publishedDecrypt(ctx, id)
	if errors.Is(err, errDecryptStale) || errors.Is(err, errDecryptReplaced) {
		var has bool
		if has, err = m.hasDecryptKey(id); has {
			_, err = m.renewDecrypt(ctx, id)
		}
	}
	if err != nil && m.config.Warn != nil {
		m.config.Warn(fmt.Errorf("renewing the decrypt certificate: %w", err))
	}
}

func (m *Manager) hasDecryptKey(id AuthorityID) (bool, error) {
	d, err := m.directory(id)
	if err != nil {
		return false, err
	}
	return d.HasDecryptKey()
}

// acceptsDecrypt reports whether a project's decrypt certificate is good at a time.
func (v Verifier) acceptsDecrypt(id AuthorityID, cert *x509.Certificate, at time.Time) (bool, error) {
	list, err := v.List()
	if err != nil {
		return false, err
	}
	err = trust.Check{Bundle: v.Bundle, Floor: v.Floor, CRL: list, At: at, Project: ProjectOf(id)}.VerifyEncryption(cert)
	var flaw *trust.VerifyError
	if errors.As(err, &flaw) {
		return false, nil
	}
	return err == nil, err
}

// renewDecrypt sees to a decrypt certificate of the active CA: with the key that is there,
// or with a new one for the first. Certificates of that key that it had before are revoked
// as superseded, so that they keep no replaced CA from being retired.
//
// Each step can be the last of a killed process: a key without a certificate gets one, a
// certificate that is recorded is published, and those before it are revoked.
func (m *Manager) renewDecrypt(ctx context.Context, id AuthorityID) (*x509.Certificate, error) {
	if _, err := m.finishedSigner(ctx, id); err != nil {
		return nil, err
	}
	err := m.read(ctx, id, func(tx *store.Tx, row store.Authority) error {
		_, err := signingProject(tx, row)
		return err
	})
	if err != nil {
		return nil, err
	}
	key, err := m.decryptKey(id)
	if errors.Is(err, ErrNoDecryptKey) {
		key, err = m.makeDecryptKey(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	cert, old, err := m.publishDecrypt(ctx, id, key)
	if errors.Is(err, errDecryptStale) {
		if err = m.issueDecrypt(ctx, id, key); err == nil {
			cert, old, err = m.publishDecrypt(ctx, id, key)
		}
	}
	if err == nil && len(old) > 0 {
		_, err = m.Revoke(ctx, RevokeRequest{Authority: id, Serials: old, Reason: profile.Superseded})
	}
	return cert, err
}

// makeDecryptKey makes the key of a project, or finds the one that another process made
// meanwhile. It is encrypted if the CA's is, with the same passphrase.
func (m *Manager) makeDecryptKey(ctx context.Context, id AuthorityID) (*rsa.PrivateKey, error) {
	signer, err := profile.GenerateKey(profile.RSA3072) // takes long, so before anything is locked
	if err != nil {
		return nil, err
	}
	key := signer.(*rsa.PrivateKey)
	d, err := m.directory(id)
	if err != nil {
		return nil, err
	}
	var passphrase []byte
	encrypted, err := d.KeyEncrypted()
	if err == nil && encrypted { // and it was opened with this one
		passphrase, err = m.config.Passphrase()
	}
	if err != nil {
		return nil, err
	}
	err = m.change(ctx, id, func(tx *store.Tx, l *authority.Locked, row store.Authority) error {
		if err := l.WriteDecryptKey(key, passphrase); err != nil {
			return err
		}
		return tx.Audit(m.audit("decrypt-key", row.Name, done, fmt.Sprintf("SHA-256 of the public key %x", hashOf(key))))
	})
	if fault.KindOf(err) == fault.Exists {
		return m.decryptKey(id)
	}
	return key, err
}

// hashOf returns the SHA-256 of a key's SubjectPublicKeyInfo.
func hashOf(key *rsa.PrivateKey) [32]byte {
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil { // there is no such RSA key
		return [32]byte{}
	}
	return sha256.Sum256(spki)
}

// issueDecrypt records a certificate for key, as long as the CA's.
func (m *Manager) issueDecrypt(ctx context.Context, id AuthorityID, key *rsa.PrivateKey) error {
	var row store.Authority
	err := m.read(ctx, id, func(_ *store.Tx, r store.Authority) error { row = r; return nil })
	if err != nil {
		return err
	}
	subject, err := profile.NewSubjectKey(&key.PublicKey)
	if err != nil {
		return err
	}
	j := &job{key: subject, keyHash: subject.Hash(), describe: "a decrypt certificate"}
	j.approve = func(registry) (profile.Approved, error) { return profile.ApproveDecrypt(row.Name) }
	results, err := m.run(ctx, m.terms(id, 0), []*job{j})
	if err != nil {
		return err
	}
	return results[0].Err
}

// publishDecrypt publishes the latest recorded certificate for key that is of the active
// CA, and returns it with the live ones before it. Error: errDecryptStale when there is none.
func (m *Manager) publishDecrypt(ctx context.Context, id AuthorityID, key *rsa.PrivateKey) (cert *x509.Certificate, old []serial.Number, err error) {
	err = m.change(ctx, id, func(tx *store.Tx, l *authority.Locked, row store.Authority) error {
		floor, err := m.floor(row)
		if err != nil {
			return err
		}
		names, err := profile.ApproveDecrypt(row.Name)
		if err != nil {
			return err
		}
		var latest *Certificate
		old = nil
		f := CertificateFilter{
			Authority: id, Kind: string(profile.Decrypt), Holder: names.Holder(), SPKIHash: hashOf(key),
			Status: store.Live, At: m.now(), Floor: floor,
		}
		err = tx.Certificates(f, func(c Certificate) error {
			if c.CA != row.Active {
				old = append(old, c.Serial)
				return nil
			}
			if latest != nil {
				old = append(old, latest.Serial)
			}
			latest = &c
			return nil
		})
		if err != nil {
			return err
		}
		if latest == nil {
			return errDecryptStale
		}
		if cert, err = x509.ParseCertificate(latest.DER); err != nil {
			return fmt.Errorf("reading certificate %v of the inventory: %w", latest.Serial, err)
		}
		return l.PublishDecryptCertificate(cert)
	})
	return cert, old, err
}
