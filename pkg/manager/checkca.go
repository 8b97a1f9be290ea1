package manager

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
	"x509ctl/pkg/trust"
)

// A JournalError is a rollback journal beside the database. x509ctl's databases have a
// log instead, so it belongs to another file, and SQLite would roll the database back
// by it.
type JournalError struct{ Path string }

func (e *JournalError) Error() string {
	return e.Path + " is a rollback journal, which belongs to another database"
}

// FaultKind makes the error [fault.Unavailable].
func (e *JournalError) FaultKind() fault.Kind { return fault.Unavailable }

// database opens the database, whatever its schema, and whoever can read it.
func (e *examination) database() {
	path := e.path(databaseFile)
	if st, err := e.state.Stat(databaseFile + "-journal"); err == nil && st.Size > 0 {
		e.say(SeverityError, path+"-journal", &JournalError{path + "-journal"})
		return
	}
	if e.remote {
		return
	}
	db, err := store.OpenSQLite(e.ctx, path, store.Options{Wait: e.m.config.Wait, AnySchema: true})
	if fault.KindOf(err) == fault.NotFound {
		err = fmt.Errorf("opening %s: %w", path, ErrNoDatabase)
	}
	if err != nil {
		e.unread(path, err)
		return
	}
	e.db = db
	have, want, err := db.Schema(e.ctx)
	if err == nil && have != want {
		err = &store.SchemaError{Have: have, Want: want}
	}
	if err != nil {
		e.unread(path, err)
	}
}

// integrityLimit bounds how long the database is read for.
const integrityLimit = 5 * time.Minute

// ErrTooLarge means a database that was not read to its end.
var ErrTooLarge = fault.New(fault.Unavailable, "the database is so large that only a part of it was checked")

func (e *examination) integrity() {
	if e.db == nil {
		return
	}
	ctx, cancel := context.WithTimeout(e.ctx, integrityLimit)
	defer cancel()
	err := e.db.QuickCheck(ctx)
	switch {
	case err == nil || e.ctx.Err() != nil:
	case errors.Is(err, context.DeadlineExceeded):
		e.say(SeverityNote, e.path(databaseFile), ErrTooLarge)
	default:
		e.say(SeverityError, e.path(databaseFile), err)
	}
}

// ErrInitCut means that "ca init" was killed before it was done.
var ErrInitCut = fault.New(fault.Unavailable, "the CA was begun to be made, and is not there yet")

// ErrProjectCut means that "project create" was killed before it was done.
var ErrProjectCut = fault.New(fault.Unavailable, "the project's CA was begun to be made, and is not there yet")

func (e *examination) cut() error {
	if e.req.Authority == Cluster {
		return ErrInitCut
	}
	return ErrProjectCut
}

// ErrPublicationCut means that a CA was made active and not all of its files are in
// their places yet.
var ErrPublicationCut = fault.New(fault.Unavailable, "the CA's files are not all in their places: a process was killed at that")

// published reads the authority's row, and asks whether cert.pem is its active CA.
func (e *examination) published() {
	if e.db == nil || !e.readRow() || e.ca == nil {
		return
	}
	path := e.inCA(authority.CertName)
	if e.row.Active == (authority.Fingerprint{}) {
		e.row = nil
		e.say(SeverityError, e.ca.Path(), e.cut())
		return
	}
	is, err := e.ca.Published(e.row.Active)
	if err == nil && !is {
		is, err = e.ca.Prepared(e.row.Active)
		if err == nil && is {
			e.sayAndMend(SeverityWarning, path, ErrPublicationCut, e.publish())
			return
		}
		if err == nil {
			err = ErrNotPublished
		}
	}
	if err != nil {
		e.unread(path, err)
	}
}

// readRow reads what the database knows, once its schema is known to be right.
func (e *examination) readRow() bool {
	err := e.db.Read(e.ctx, func(tx *store.Tx) error {
		row, err := tx.Authority(e.req.Authority)
		if err != nil {
			return notInitialised(e.req.Authority, err)
		}
		e.newest, err = tx.Newest(e.req.Authority)
		e.row = &row
		return err
	})
	if errors.Is(err, noAuthority(e.req.Authority)) {
		err = e.cut()
	}
	if err != nil {
		e.row = nil
		e.unread(e.path(databaseFile), err)
	}
	return err == nil
}

// publish puts the active CA and what verifiers need into their places.
func (e *examination) publish() mend {
	if e.locked == nil || e.row == nil {
		return mend{}
	}
	return mend{"published", func() error { return e.locked.Publish(alive(*e.row), e.row.Counter.Floor) }}
}

// key asks whether key.pem is the key of cert.pem. A key that nobody can decrypt here
// is not an error: the passphrase may be elsewhere on purpose.
func (e *examination) key() {
	if e.ca == nil || e.said(authority.CertName, authority.ChainName) {
		return
	}
	_, err := e.ca.Load(e.passphrase)
	path := e.inCA(authority.KeyName)
	switch {
	case err == nil || fault.KindOf(err) == fault.NotFound: // that of the certificate, as was said
	case errors.Is(err, errNoPassphrase):
		e.say(SeverityNote, path, ErrPassphraseNeeded)
	default:
		e.unread(path, err)
	}
}

// errNoPassphrase means that there is none to be had here, for whatever reason.
var errNoPassphrase = errors.New("no passphrase")

func (e *examination) passphrase() (phrase []byte, err error) {
	if e.m.config.Passphrase != nil {
		phrase, err = e.m.config.Passphrase()
	}
	if err != nil || len(phrase) == 0 {
		return nil, errNoPassphrase
	}
	return phrase, nil
}

// request asks whether an answer to the request that is there could be installed. What a
// killed process left of one is removed.
func (e *examination) request() {
	if e.ca == nil {
		return
	}
	dir := e.inCA(authority.RequestName)
	_, err := e.ca.RequestKey(e.passphrase)
	switch {
	case err == nil || errors.Is(err, errNoPassphrase):
	case fault.KindOf(err) == fault.NotFound:
		if st, err := e.ca.Dir().Stat(authority.RequestName); err == nil && st.Mode.IsDir() && e.locked != nil {
			e.sayAndMend(SeverityNote, dir, fmt.Errorf("%s: %w", dir, ErrLeftover), mend{"removed", e.locked.RemoveRequest})
		}
	default:
		e.unread(dir, err)
	}
}

// foresight is how long before its end a CA is warned of.
const foresight = 30 * 24 * time.Hour

// A ValidityError is a CA certificate at the end of its validity, near it, or before
// its beginning.
type ValidityError struct {
	Cert *x509.Certificate
	Now  time.Time
}

func (e *ValidityError) Error() string {
	switch c := e.Cert; {
	case e.Now.Before(c.NotBefore):
		return fmt.Sprintf("the certificate of %v is valid from %s on, and now it is %s", c.Subject, date(c.NotBefore), date(e.Now))
	case e.expired():
		return fmt.Sprintf("the certificate of %v expired on %s", c.Subject, date(c.NotAfter))
	default:
		return fmt.Sprintf("the certificate of %v expires on %s", c.Subject, date(c.NotAfter))
	}
}

// FaultKind makes the error [fault.Invalid].
func (e *ValidityError) FaultKind() fault.Kind { return fault.Invalid }

// expired says whether the last second, which counts, is over.
func (e *ValidityError) expired() bool { return e.Now.Unix() > e.Cert.NotAfter.Unix() }

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (e *examination) validity() {
	if e.ca == nil || e.deleted {
		return
	}
	chain, err := e.ca.Public()
	if err != nil && fault.KindOf(err) != fault.NotFound && !e.said(authority.ChainName) {
		e.unread(e.inCA(authority.CertName), err)
	}
	for i, cert := range chain {
		path := e.inCA(authority.CertName)
		if i > 0 {
			path = e.inCA(authority.ChainName)
		}
		wrong := &ValidityError{cert, e.now}
		switch {
		case e.now.Before(cert.NotBefore): // clock says so
		case wrong.expired():
			e.say(SeverityError, path, wrong)
		case e.now.Add(foresight).After(cert.NotAfter):
			e.say(SeverityWarning, path, wrong)
		}
	}
}

// A BundleError is a bundle.pem that is not this CA's.
type BundleError struct{ Problem string }

func (e *BundleError) Error() string { return "bundle.pem " + e.Problem }

// FaultKind makes the error [fault.Invalid].
func (e *BundleError) FaultKind() fault.Kind { return fault.Invalid }

func (e *examination) bundle() {
	if e.row == nil || e.ca == nil || e.said(authority.CertName, authority.ChainName, authority.BundleName) {
		return
	}
	err := e.judgeBundle()
	if err == nil {
		return
	}
	again := e.publish()
	if publish := again.do; publish != nil {
		again.do = func() error {
			if err := publish(); err != nil {
				return err
			}
			return e.judgeBundle()
		}
	}
	e.sayAndMend(SeverityError, e.inCA(authority.BundleName), err, again)
}

// judgeBundle wants the active CA in the bundle, and no CA that is not known.
func (e *examination) judgeBundle() error {
	data, err := e.ca.Bundle()
	if fault.KindOf(err) == fault.NotFound {
		return fmt.Errorf("opening %s: %w", e.inCA(authority.BundleName), ErrNoBundle)
	}
	if err != nil {
		return err
	}
	b, err := trust.ParseBundle(data)
	if err != nil {
		return &BundleError{"can't be read: " + err.Error()}
	}
	known := e.knownCAs()
	active := false
	for _, cert := range b.Own() {
		sum := sha256.Sum256(cert.Raw)
		active = active || sum == e.row.Active
		if _, ours := known[sum]; !ours {
			return &BundleError{fmt.Sprintf("lets verifiers trust %v, which is none of this cluster's CAs", cert.Subject)}
		}
	}
	if !active {
		return &BundleError{"does not have the active CA"}
	}
	return nil
}

// knownCAs are the CA certificates that may be in the bundle, by their SHA-256.
func (e *examination) knownCAs() map[authority.Fingerprint]struct{} {
	known := map[authority.Fingerprint]struct{}{e.row.Active: {}, e.row.Next: {}}
	for _, f := range e.row.Old {
		known[f] = struct{}{}
	}
	return known
}
