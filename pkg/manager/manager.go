package manager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// Names in the state directory.
const (
	databaseFile = "x509ctl.db"
	settingsFile = "x509ctl.yaml"
	clusterDir   = "ca"
	rootDir      = "project-root"
	projectsDir  = "projects"
)

// DatabaseFile is the name of the SQLite database in the state directory.
const DatabaseFile = databaseFile

var (
	// ErrNotInitialised means that there is no authority yet.
	ErrNotInitialised = fault.New(fault.NotFound, "there is no CA here")
	// ErrNoDatabase means that a CA lost its database: the record of what it
	// issued. Only InitAuthority with Adopt and [Restore] make a new one.
	ErrNoDatabase = fault.New(fault.Unavailable, "there is a CA here, but its database is missing")
	// ErrNoBundle means that a CA lost a file that verifiers read. InitAuthority with
	// IfMissing writes it again.
	ErrNoBundle = fault.New(fault.Unavailable, "a file that verifiers need is missing")
	// ErrCAChanged means that another CA became active during a call.
	ErrCAChanged = fault.New(fault.Unavailable, "the CA was replaced in the meantime")
)

// Errors of the packages below that callers tell apart.
var (
	ErrPassphraseNeeded = authority.ErrPassphraseNeeded
	ErrWrongPassphrase  = authority.ErrWrongPassphrase
	ErrKeyMissing       = authority.ErrKeyMissing
	ErrKeyMismatch      = authority.ErrKeyMismatch
	ErrNotPublished     = authority.ErrNotPublished
	ErrRequestKey       = authority.ErrRequestKey
	ErrNoRoot           = authority.ErrNoRoot
)

// A NumberFileError is a serial or min-serial file without a number in it.
type NumberFileError = authority.NumberFileError

// A DamagedError is a file of a CA that can't be understood.
type DamagedError = authority.DamagedError

// A LostError is a CA that is trusted and whose files are gone.
type LostError = authority.LostError

// A ForeignCA is a CA that was made elsewhere.
type ForeignCA = authority.ForeignCA

// A CopyError is a copy of the serial file that can't be read or written.
type CopyError = authority.CopyError

// A Caller is who asks, as the inventory and the audit table record it.
type Caller struct {
	Who  string // a user's name
	From string // "local" or a peer's address
}

// Config is the world as a Manager needs to know it. All fields are required
// unless their comment says otherwise.
type Config struct {
	Dir       string // the state directory
	Clock     func() time.Time
	MachineID string // empty on a machine that has none
	Caller    Caller
	// Passphrase returns the passphrase of an encrypted CA key, nil for none. It is
	// called only for one that is encrypted. Optional.
	Passphrase func() ([]byte, error)
	// SerialCopies are further files that hold the highest serial number, by their
	// absolute paths. Optional.
	SerialCopies []string
	// SerialHook runs after every reservation, outside all locks; an error means
	// that no certificate of the reservation leaves. Optional.
	SerialHook func(context.Context, HookCall) error
	// ChangeHook runs after the floor was raised, certificates were revoked, or a CA was
	// replaced, outside all locks; an error is a [*SpreadError]. Optional.
	ChangeHook func(context.Context, HookCall) error
	// Waiting is called when a call begins to wait for the lock of others, perhaps more
	// than once. Optional.
	Waiting func()
	// Warn is told what a call could not finish that an earlier one had left. Optional.
	Warn func(error)
	// Wait bounds how long a call waits for the locks of others; 0 means
	// store.DefaultWait.
	Wait time.Duration
}

// A HookCall tells a hook what happened.
type HookCall struct {
	Authority AuthorityID
	Serial    string // the highest number reserved
	File      string // the path of the serial file
	Change    string // what was changed, for a change hook: "set-min", "revoke", …
}

// Manager is the Service that works in its own process on the state directory. It
// opens what a call needs when the first call needs it.
type Manager struct {
	config Config

	mu          sync.Mutex // guards what follows
	state       *durable.Dir
	store       *store.Store
	directories map[AuthorityID]*authority.Directory
	signers     map[AuthorityID]*authority.Authority
	nodes       map[AuthorityID]*nodeTable
	tables      map[AuthorityID]*table // of projects
}

var _ Service = (*Manager)(nil)

// New returns a Manager. It touches nothing yet.
func New(c Config) *Manager {
	if c.Wait == 0 {
		c.Wait = store.DefaultWait
	}
	return &Manager{
		config:      c,
		directories: map[AuthorityID]*authority.Directory{},
		signers:     map[AuthorityID]*authority.Authority{},
		nodes:       map[AuthorityID]*nodeTable{},
		tables:      map[AuthorityID]*table{},
	}
}

// Close implements Service.
func (m *Manager) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	if m.store != nil {
		errs = append(errs, m.store.Close())
	}
	for _, d := range m.directories {
		errs = append(errs, d.Close())
	}
	if m.state != nil {
		errs = append(errs, m.state.Close())
	}
	m.store, m.state = nil, nil
	clear(m.directories)
	return errors.Join(errs...)
}

func (m *Manager) now() time.Time { return m.config.Clock() }

// waiting returns ctx with the time limit for locks.
func (m *Manager) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, m.config.Wait)
	if m.config.Waiting == nil {
		return ctx, cancel
	}
	begins := time.AfterFunc(waitBegins, m.config.Waiting)
	return ctx, func() { begins.Stop(); cancel() }
}

// waitBegins is after how long taking a lock counts as waiting for it.
const waitBegins = 20 * time.Millisecond

// stateDir opens the state directory. Error: ErrNotInitialised.
func (m *Manager) stateDir() (*durable.Dir, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != nil {
		return m.state, nil
	}
	d, err := durable.OpenState(m.config.Dir)
	if fault.KindOf(err) == fault.NotFound {
		return nil, fmt.Errorf("opening %s: %w", m.config.Dir, ErrNotInitialised)
	}
	if err != nil {
		return nil, err
	}
	m.state = d
	return d, nil
}

// directory opens an authority's directory. Errors: ErrNotInitialised; ErrNoProject.
func (m *Manager) directory(id AuthorityID) (*authority.Directory, error) {
	path, err := dirPath(id)
	if err != nil {
		return nil, err
	}
	state, err := m.stateDir()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.directories[id]; d != nil {
		return d, nil
	}
	d, err := authority.OpenDirectory(state, path...)
	if fault.KindOf(err) == fault.NotFound {
		return nil, fmt.Errorf("opening %s: %w", filepath.Join(m.config.Dir, filepath.Join(path...)), noAuthority(id))
	}
	if err != nil {
		return nil, err
	}
	m.directories[id] = d
	return d, nil
}

// database opens the store.
// Errors: ErrNotInitialised; ErrNoDatabase; what store.OpenSQLite refuses.
func (m *Manager) database(ctx context.Context) (*store.Store, error) {
	m.mu.Lock()
	s := m.store
	m.mu.Unlock()
	if s != nil {
		return s, nil
	}
	return m.openDatabase(ctx, store.Options{Wait: m.config.Wait})
}

func (m *Manager) openDatabase(ctx context.Context, o store.Options) (*store.Store, error) {
	state, err := m.stateDir()
	if err != nil {
		return nil, err
	}
	err = checkDatabase(state)
	var s *store.Store
	if err == nil {
		s, err = store.OpenSQLite(ctx, filepath.Join(m.config.Dir, databaseFile), o)
	}
	if fault.KindOf(err) == fault.NotFound { // or gone between the two
		return nil, m.missingDatabase()
	}
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.store != nil { // another call was faster
		return m.store, s.Close()
	}
	m.store = s
	return s, nil
}

// checkDatabase refuses a database that others can read or write: it holds no key,
// but whoever writes it decides who gets certificates.
func checkDatabase(state *durable.Dir) error {
	st, err := state.Vet(databaseFile)
	if err != nil {
		return err
	}
	path := filepath.Join(state.Path(), databaseFile)
	if !st.Mode.IsRegular() {
		return fault.Errorf(fault.Denied, "%s is not a regular file", path)
	}
	if st.Mode.Perm()&0o077 != 0 {
		return &durable.SecrecyError{Path: path, Mode: st.Mode, Mend: 0o600}
	}
	return nil
}

// missingDatabase tells a directory where nothing was made yet from one that lost
// its database.
func (m *Manager) missingDatabase() error {
	d, err := m.directory(Cluster)
	if err != nil {
		return err
	}
	c, err := d.Contents()
	if err != nil {
		return err
	}
	if c.Cert || c.Key {
		return fmt.Errorf("opening %s: %w", filepath.Join(m.config.Dir, databaseFile), ErrNoDatabase)
	}
	return fmt.Errorf("opening %s: %w", m.config.Dir, ErrNotInitialised)
}

// lock takes an authority's lock.
func (m *Manager) lock(ctx context.Context, id AuthorityID) (*authority.Locked, error) {
	d, err := m.directory(id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := m.waiting(ctx)
	defer cancel()
	return d.Lock(ctx)
}

// change runs fn under the authority's lock and in one write transaction of the
// store, in this order: the only way in which this package changes an authority.
func (m *Manager) change(ctx context.Context, id AuthorityID, fn func(*store.Tx, *authority.Locked, store.Authority) error) error {
	db, err := m.database(ctx)
	if err != nil {
		return err
	}
	locked, err := m.lock(ctx, id)
	if err != nil {
		return err
	}
	err = write(ctx, db, locked, func(tx *store.Tx) error {
		row, err := tx.Authority(id)
		if err != nil {
			return notInitialised(id, err)
		}
		return fn(tx, locked, row)
	})
	return errors.Join(err, locked.Unlock())
}

// write runs fn in a write transaction and then notes the counter that it set, beside
// the database.
func write(ctx context.Context, db *store.Store, l *authority.Locked, fn func(*store.Tx) error) error {
	if err := db.Write(ctx, fn); err != nil {
		return err
	}
	return l.WriteMark()
}

// setCounter sets a counter in the caller's transaction, which is one of [write].
func setCounter(tx *store.Tx, l *authority.Locked, id AuthorityID, r serial.Row) error {
	l.Announce(r.Mark())
	return tx.SetCounter(id, r)
}

// read runs fn in a read transaction of the store.
func (m *Manager) read(ctx context.Context, id AuthorityID, fn func(*store.Tx, store.Authority) error) error {
	db, err := m.database(ctx)
	if err != nil {
		return err
	}
	return db.Read(ctx, func(tx *store.Tx) error {
		row, err := tx.Authority(id)
		if err != nil {
			return notInitialised(id, err)
		}
		return fn(tx, row)
	})
}

func notInitialised(id AuthorityID, err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return noAuthority(id)
	}
	return err
}

// audit makes an entry of what the caller did. Object and detail may be anything.
func (m *Manager) audit(action, object, outcome, detail string) store.AuditEntry {
	return store.AuditEntry{
		Time: m.now(), Who: m.config.Caller.Who, From: m.config.Caller.From,
		Action: action, Object: recordable(object), Outcome: outcome, Detail: recordable(detail),
	}
}

// recordable returns s as a text that both databases take and everybody can read:
// not too long, and with what is no printable character escaped. Somebody's request
// must be able to be refused, whatever name is in it.
func recordable(s string) string {
	const most = 1000
	if len(s) > most {
		s = s[:most] + "…"
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return s
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

// Outcomes in the audit table.
const (
	done    = "done"
	refused = "refused"
)
