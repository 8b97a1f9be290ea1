package manager

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// Authority implements Service.
func (m *Manager) Authority(ctx context.Context, id AuthorityID) (Authority, error) {
	out, err := m.describe(ctx, id)
	if errors.Is(err, authority.ErrNotPublished) {
		if err = m.publish(ctx, id); err == nil {
			out, err = m.describe(ctx, id)
		}
	}
	return out, err
}

func (m *Manager) describe(ctx context.Context, id AuthorityID) (Authority, error) {
	d, err := m.directory(id)
	if err != nil {
		return Authority{}, err
	}
	out := Authority{ID: id}
	err = m.read(ctx, id, func(tx *store.Tx, row store.Authority) error {
		if row.Active == (authority.Fingerprint{}) {
			return noAuthority(id)
		}
		published, err := d.Published(row.Active)
		if err != nil {
			return err
		}
		if !published {
			return authority.ErrNotPublished
		}
		s, err := m.seen(tx, d)
		if err != nil {
			return err
		}
		out.Name, out.Serial = row.Name, describe(row.Counter, s)
		nodes, err := tx.Nodes(id)
		if err != nil {
			return err
		}
		out.Nodes = len(nodes)
		if err := m.others(&out, tx, d, row); err != nil {
			return err
		}
		out.Counts, err = tx.CountCertificates(id, m.now(), out.Serial.Floor)
		return err
	})
	if err != nil {
		return Authority{}, err
	}
	return out, fillCertificate(&out, d)
}

// others describes the CAs that are trusted besides the active one.
func (m *Manager) others(out *Authority, tx *store.Tx, d *authority.Directory, row store.Authority) error {
	if row.Next != (authority.Fingerprint{}) {
		ca, err := m.replaced(tx, d, row, row.Next, out.Serial.Floor)
		if err != nil {
			return err
		}
		out.Prepared = []ReplacedCA{ca}
	}
	for _, f := range row.Old {
		ca, err := m.replaced(tx, d, row, f, out.Serial.Floor)
		if err != nil {
			return err
		}
		out.Replaced = append(out.Replaced, ca)
	}
	return nil
}

func fillCertificate(out *Authority, d *authority.Directory) error {
	chain, err := d.Public()
	if err != nil {
		return err
	}
	cert := chain[0]
	out.Subject, out.Issuer = cert.Subject.String(), cert.Issuer.String()
	out.Certificate, out.SHA1, out.SHA256 = cert.Raw, sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw)
	out.KeyAlgorithm = keyAlgorithm(cert.PublicKey)
	out.NotBefore, out.NotAfter = cert.NotBefore, cert.NotAfter
	out.CASerial = cert.SerialNumber.String()
	if out.KeyEncrypted, err = d.KeyEncrypted(); err != nil {
		return err
	}
	request, err := d.Request()
	if err == nil && !request.IsAnsweredBy(cert) { // which is on its way out
		out.Request = request.Subject()
	}
	return nil // what is wrong with a request is for Check to say
}

// keyAlgorithm names the algorithm and size of a CA's key.
func keyAlgorithm(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa-%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return strings.ToLower("ecdsa-" + strings.Replace(k.Params().Name, "-", "", 1))
	}
	return string(profile.Ed25519) // there are no others
}

// Chain implements Service.
func (m *Manager) Chain(_ context.Context, id AuthorityID) ([][]byte, error) {
	d, err := m.directory(id)
	if err != nil {
		return nil, err
	}
	chain, err := d.Public()
	if fault.KindOf(err) == fault.NotFound {
		return nil, noAuthority(id)
	}
	var out [][]byte
	for _, c := range chain {
		out = append(out, c.Raw)
	}
	return out, err
}

// Certificate implements Service.
func (m *Manager) Certificate(ctx context.Context, id AuthorityID, n serial.Number) (Certificate, error) {
	var out Certificate
	err := m.read(ctx, id, func(tx *store.Tx, _ store.Authority) (err error) {
		out, err = tx.Certificate(id, n)
		return err
	})
	return out, err
}

// Certificates implements Service. A filter's Status is judged now and by the floor
// in force, unless it says otherwise.
func (m *Manager) Certificates(ctx context.Context, f CertificateFilter, yield func(Certificate) error) error {
	d, err := m.directory(f.Authority)
	if err != nil {
		return err
	}
	if f.At.IsZero() {
		f.At = m.now()
	}
	return m.read(ctx, f.Authority, func(tx *store.Tx, row store.Authority) error {
		floor, err := d.Floor()
		if err != nil {
			return err
		}
		f.Floor = max(f.Floor, floor, row.Counter.Floor, 1)
		if f.Holder != "" {
			if err := checkHolder(tx, row, f.Holder); err != nil {
				return err
			}
		}
		return tx.Certificates(f, yield)
	})
}

// pruneBatch is how many certificates one transaction forgets: others wait for it.
const pruneBatch = 5000

// Prune implements Service.
func (m *Manager) Prune(ctx context.Context, req PruneRequest) (int, error) {
	if latest := m.now().Add(-24 * time.Hour); req.Before.After(latest) {
		return 0, fault.Errorf(fault.Denied, "certificates that expired after %s are not forgotten yet", latest.UTC().Format(time.RFC3339))
	}
	if req.DryRun {
		return m.countExpired(ctx, req)
	}
	total := 0
	for {
		var n int
		err := m.change(ctx, req.Authority, func(tx *store.Tx, _ *authority.Locked, _ store.Authority) (err error) {
			n, err = tx.PruneCertificates(req.Authority, req.Before, pruneBatch)
			if err != nil || n == 0 {
				return err
			}
			return tx.Audit(m.audit("prune", fmt.Sprintf("%d certificates", n), done, "expired before "+req.Before.UTC().Format(time.RFC3339)))
		})
		total += n
		if err != nil || n == 0 {
			return total, err
		}
		if req.Progress != nil {
			req.Progress(total)
		}
	}
}

func (m *Manager) countExpired(ctx context.Context, req PruneRequest) (n int, err error) {
	f := CertificateFilter{Authority: req.Authority, ExpiringBefore: req.Before, OmitDER: true}
	err = m.read(ctx, req.Authority, func(tx *store.Tx, _ store.Authority) error {
		return tx.Certificates(f, func(c Certificate) error {
			if c.Kind != kindCA {
				n++
			}
			return nil
		})
	})
	return n, err
}

// Schema implements Service.
func (m *Manager) Schema(ctx context.Context) (have, want int64, err error) {
	db, err := m.openDatabase(ctx, store.Options{Wait: m.config.Wait, AnySchema: true})
	if err != nil {
		return 0, 0, err
	}
	return db.Schema(ctx)
}

// Migrate implements Service.
func (m *Manager) Migrate(ctx context.Context) error {
	db, err := m.openDatabase(ctx, store.Options{Wait: m.config.Wait, Migrate: true})
	if err != nil {
		return err
	}
	return db.Write(ctx, func(tx *store.Tx) error {
		return tx.Audit(m.audit("migrate", databaseFile, done, ""))
	})
}

// Audit implements Service.
func (m *Manager) Audit(ctx context.Context, f AuditFilter, yield func(AuditEntry) error) error {
	db, err := m.database(ctx)
	if err != nil {
		return err
	}
	return db.Read(ctx, func(tx *store.Tx) error { return tx.AuditEntries(f, yield) })
}
