package manager

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// Why InitAuthority made nothing.
var (
	// ErrInitialised means that there is a CA already.
	ErrInitialised = fault.New(fault.Exists, "there is a CA here already")
	// ErrForeignCA means that there are a CA certificate and a key but no database.
	ErrForeignCA = fault.New(fault.Exists, "there is a CA here that has no database")
	// ErrNothingToAdopt means that there is no certificate with a key to take over.
	ErrNothingToAdopt = fault.New(fault.NotFound, "there is no cert.pem with a key.pem to adopt")
)

// InitAuthority implements Service. Each of its steps can be the last one of a
// killed process; calling it again goes on from there:
//
//  1. directories, the lock, the database, the authority's row without a CA;
//  2. a number for the CA's own certificate;
//  3. key and certificate in next/;
//  4. the certificate in the inventory and active in the row, at once;
//  5. the files in their places;
//  6. the first revocation list.
func (m *Manager) InitAuthority(ctx context.Context, req InitRequest) (Authority, error) {
	if err := clusterOnly(req.Authority); err != nil {
		return Authority{}, err
	}
	if req.KeyAlgorithm == "" {
		req.KeyAlgorithm = profile.ECDSAP256
	}
	if req.Lifetime == 0 {
		req.Lifetime = profile.DefaultCALifetime
	}
	created, err := m.initialise(ctx, req)
	if errors.Is(err, ErrInitialised) && req.IfMissing {
		err = nil
	}
	if err != nil {
		return Authority{}, err
	}
	out, err := m.Authority(ctx, req.Authority)
	out.Created = created
	if err == nil && created {
		err = m.tell(ctx, req.Authority, "init", nil)
	}
	if err == nil && !created && req.Name != "" && profile.FoldName(req.Name) != profile.FoldName(out.Name) {
		return Authority{}, fault.Errorf(fault.Exists, "the CA that is here belongs to cluster %s, not %s", out.Name, req.Name)
	}
	return out, err
}

func (m *Manager) initialise(ctx context.Context, req InitRequest) (created bool, err error) {
	locked, contents, err := m.prepareDirectory(ctx, req)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, locked.Unlock()) }()
	db, err := m.initDatabase(ctx, locked, req, contents)
	if err != nil {
		return false, err
	}
	created, err = m.initCA(ctx, db, locked, contents, req)
	if err == nil || errors.Is(err, ErrInitialised) {
		if failed := m.firstCRL(ctx, db, locked, req.Authority, created && !req.Adopt); failed != nil {
			return created, failed
		}
	}
	return created, err
}

// firstCRL publishes a revocation list where there is none, or it is due, or it is that of
// a lost CA in whose place a new one was made, and the CA can sign one.
func (m *Manager) firstCRL(ctx context.Context, db *store.Store, l *authority.Locked, id AuthorityID, made bool) error {
	found, err := l.HasCRL()
	if err != nil {
		return err
	}
	due := false
	err = db.Read(ctx, func(tx *store.Tx) error {
		row, err := tx.Authority(id)
		due = row.CRLDue > 0
		return err
	})
	if err != nil || found && !due && !made {
		return err
	}
	c := &crlMaker{Manager: m, id: id, db: db, locked: l}
	_, err = c.publish(ctx)
	if errors.Is(err, ErrNoCRLSign) {
		err = nil
	}
	return errors.Join(err, c.close())
}

// initCA makes the CA, takes it over, or finds it.
func (m *Manager) initCA(ctx context.Context, db *store.Store, locked *authority.Locked, contents authority.Contents, req InitRequest) (created bool, err error) {
	row, err := m.initRow(ctx, db, req)
	if err != nil {
		return false, err
	}
	if row.Active != (authority.Fingerprint{}) {
		if err := locked.Publish(alive(row), row.Counter.Floor); err != nil {
			return false, err
		}
		if (cut(contents) || row.CRLDue > 0) && m.unused(ctx, db, row) {
			return true, nil // an init that was cut, now at its end
		}
		return false, ErrInitialised
	}
	if req.Adopt {
		return true, m.adopt(ctx, db, locked, req)
	}
	switch {
	case contents.Key && req.Authority != Cluster:
		return false, fmt.Errorf("opening %s: %w", locked.Path(), ErrUnknownCA)
	case contents.Key:
		return false, ErrForeignCA
	}
	err = m.makeCA(ctx, db, locked, req)
	return err == nil, err
}

// cut reports whether an init did not come to its end, of which crl.pem is the last
// file. After it the row has no list due.
func cut(c authority.Contents) bool { return !c.Cert || !c.Bundle || !c.CRL }

// unused reports whether the active CA's own number is the last that was issued.
func (m *Manager) unused(ctx context.Context, db *store.Store, row store.Authority) bool {
	if roleOf(row.ID) == authority.ProjectCA { // whose own number is of the root's count
		return row.Counter.Last == 0
	}
	err := db.Read(ctx, func(tx *store.Tx) error {
		c, err := tx.CACertificate(row.ID, row.Active)
		if err == nil && c.Serial != row.Counter.Last {
			err = ErrInitialised
		}
		return err
	})
	return err == nil
}

// prepareDirectory makes the authority's directory and takes its lock, once the
// request is known to be good: a refused one leaves nothing.
func (m *Manager) prepareDirectory(ctx context.Context, req InitRequest) (*authority.Locked, authority.Contents, error) {
	var contents authority.Contents
	path, err := dirPath(req.Authority)
	if err != nil {
		return nil, contents, err
	}
	if err := m.checkInit(req); err != nil {
		return nil, contents, err
	}
	state, err := m.makeStateDir()
	if err != nil {
		return nil, contents, err
	}
	d, err := authority.MakeDirectory(state, path...)
	if err != nil {
		return nil, contents, err
	}
	m.mu.Lock()
	if have := m.directories[req.Authority]; have != nil {
		_ = d.Close() // nothing was written by it
		d = have
	}
	m.directories[req.Authority] = d
	m.mu.Unlock()
	ctx, cancel := m.waiting(ctx)
	defer cancel()
	locked, err := d.Lock(ctx)
	if err != nil {
		return nil, contents, err
	}
	if req.Authority == Cluster {
		err = state.Sweep() // of a database that was not finished
	}
	if err == nil {
		contents, err = d.Contents()
	}
	if err != nil {
		return nil, contents, errors.Join(err, locked.Unlock())
	}
	return locked, contents, nil
}

// checkInit refuses what can be refused before anything is touched. With IfMissing
// a request may leave out what an existing authority already has.
func (m *Manager) checkInit(req InitRequest) error {
	if req.Authority != Cluster { // CreateProject did
		return nil
	}
	if req.IfMissing && req.Name == "" {
		if state, err := m.stateDir(); err == nil {
			if _, err := state.Stat(databaseFile); err == nil {
				return nil
			}
		}
	}
	if _, err := profile.ParseName(req.Name); err != nil {
		return fmt.Errorf("naming the cluster: %w", err)
	}
	if len(req.Name) > maxCommonName {
		return fault.Errorf(fault.Malformed, "the cluster's name has %d characters; a common name has at most %d", len(req.Name), maxCommonName)
	}
	return authority.NewCA{Name: req.Name, Serial: 1, KeyAlgorithm: req.KeyAlgorithm, Now: m.now(), Lifetime: req.Lifetime}.Check()
}

// makeStateDir opens the state directory, made when it isn't there.
func (m *Manager) makeStateDir() (*durable.Dir, error) {
	state, err := m.stateDir()
	if !errors.Is(err, ErrNotInitialised) {
		return state, err
	}
	path, err := filepath.Abs(m.config.Dir)
	if err != nil {
		return nil, err
	}
	parent, err := durable.OpenDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	err = parent.Mkdir(filepath.Base(path), 0o711)
	if err := errors.Join(err, parent.Close()); err != nil {
		return nil, err
	}
	return m.stateDir()
}

// initDatabase opens the database, or makes one where that loses nothing.
func (m *Manager) initDatabase(ctx context.Context, l *authority.Locked, req InitRequest, c authority.Contents) (*store.Store, error) {
	state, err := m.stateDir()
	if err != nil {
		return nil, err
	}
	if _, err := state.Stat(databaseFile); fault.KindOf(err) == fault.NotFound {
		if c.Key && !req.Adopt {
			return nil, ErrForeignCA
		}
		if req.Adopt && !(c.Key && c.Cert) {
			return nil, ErrNothingToAdopt
		}
		if req.Adopt {
			if err := m.checkAdoption(l, req); err != nil {
				return nil, err
			}
		}
		err := store.CreateSQLite(ctx, filepath.Join(m.config.Dir, databaseFile))
		if err != nil && fault.KindOf(err) != fault.Exists {
			return nil, err
		}
	}
	return m.database(ctx)
}

// initRow returns the authority's row, made when there is none.
func (m *Manager) initRow(ctx context.Context, db *store.Store, req InitRequest) (store.Authority, error) {
	var row store.Authority
	err := db.Write(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.Authority(req.Authority)
		if err == nil && (row.Active != authority.Fingerprint{} || row.Name == req.Name) {
			return nil
		}
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		row.ID, row.Name, row.Created = req.Authority, req.Name, m.now()
		return tx.PutAuthority(row)
	})
	return row, err
}

// makeCA makes a self-signed CA and activates it. Where a failover left a counter
// and a floor, it goes on above both.
func (m *Manager) makeCA(ctx context.Context, db *store.Store, l *authority.Locked, req InitRequest) error {
	if roleOf(req.Authority) == authority.ProjectCA {
		return m.makeProjectCA(ctx, db, l, req)
	}
	number, err := m.reserveForCA(ctx, db, l, req.Authority)
	if err != nil {
		return err
	}
	ca, err := l.Prepare(authority.NewCA{
		Role: roleOf(req.Authority), Name: req.Name, Serial: number, KeyAlgorithm: req.KeyAlgorithm,
		Now: m.now(), Lifetime: req.Lifetime, Passphrase: req.Passphrase,
	})
	if err != nil {
		return err
	}
	var row store.Authority
	err = write(ctx, db, l, func(tx *store.Tx) (err error) {
		row, err = tx.Authority(req.Authority)
		if err != nil {
			return err
		}
		row.Counter.Last = number
		return m.activate(tx, l, row, ca, true, "init")
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.signers[req.Authority] = ca // with its passphrase, which need not be the settings'
	m.mu.Unlock()
	row.Active = ca.Fingerprint()
	return l.Publish(alive(row), row.Counter.Floor)
}

// reserveForCA takes a number for the CA's own certificate. The serial hook runs without
// the lock, as for any other number: by its end another process may have made a CA.
// Errors: ErrInitialised; ErrCAChanged.
func (m *Manager) reserveForCA(ctx context.Context, db *store.Store, l *authority.Locked, id AuthorityID) (number serial.Number, err error) {
	var before authority.Alive
	err = write(ctx, db, l, func(tx *store.Tx) error {
		row, err := tx.Authority(id)
		if err != nil {
			return err
		}
		before = alive(row)
		block, err := m.reserve(tx, l, &row, 1)
		if err != nil {
			return err
		}
		number = block.First
		return setCounter(tx, l, id, row.Counter)
	})
	if err != nil || m.config.SerialHook == nil {
		return number, err
	}
	err = l.Without(func() error { return m.runSerialHook(ctx, id, number) }, func() (*authority.Locked, error) { return m.lock(ctx, id) })
	if err != nil {
		return number, err
	}
	return number, m.unchangedSince(ctx, db, id, before)
}

// unchangedSince refuses to go on when another process made or replaced a CA.
// Errors: ErrInitialised; ErrCAChanged.
func (m *Manager) unchangedSince(ctx context.Context, db *store.Store, id AuthorityID, before authority.Alive) error {
	return db.Read(ctx, func(tx *store.Tx) error {
		row, err := tx.Authority(id)
		switch {
		case err != nil || alive(row).Equal(before):
			return err
		case before.Active == authority.Fingerprint{}:
			return ErrInitialised
		}
		return ErrCAChanged
	})
}

// activate makes ca the active CA of row and, if its number is one of ours, records
// it in the inventory.
func (m *Manager) activate(tx *store.Tx, l *authority.Locked, row store.Authority, ca *authority.Authority, ours bool, action string) error {
	row.Active = ca.Fingerprint()
	l.Announce(row.Counter.Mark())
	if err := tx.PutAuthority(row); err != nil {
		return err
	}
	cert := ca.Certificate()
	if err := tx.BlockKey(row.ID, sha256.Sum256(cert.RawSubjectPublicKeyInfo), 0, m.now()); err != nil {
		return err
	}
	if ours {
		if err := tx.InsertCertificates([]Certificate{m.caRecord(row.ID, cert)}); err != nil {
			return err
		}
	}
	return tx.Audit(m.audit(action, cert.SerialNumber.String()+" "+cert.Subject.String(), done, fmt.Sprintf("SHA-256 %x", row.Active)))
}

func (m *Manager) caRecord(id AuthorityID, cert *x509.Certificate) Certificate {
	sum := sha256.Sum256(cert.Raw)
	return Certificate{
		Authority: id, Serial: serial.Number(cert.SerialNumber.Int64()), Kind: kindCA, CA: sum,
		CommonName: cert.Subject.CommonName, Holder: cert.Subject.CommonName,
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
		SPKIHash: sha256.Sum256(cert.RawSubjectPublicKeyInfo), DER: cert.Raw, Fingerprint: sum,
		Requester: m.config.Caller.Who, Origin: m.config.Caller.From, Created: m.now(), State: stateIssued,
	}
}
