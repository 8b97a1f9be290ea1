package manager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
)

// CheckRequest asks what is wrong with a state directory.
type CheckRequest struct {
	Authority AuthorityID
	// Repair mends what is safe to mend: nothing that is lost by it, no number gets
	// lower, and no key's content is touched.
	Repair bool
	// Settings says what is wrong with the content of x509ctl.yaml. Optional.
	Settings func(content []byte) error
	// Progress is told which of all checks begins, by its id. Optional.
	Progress func(done, all int, id string)
}

// A Severity is how much a [Finding] matters. Its words are part of the interface.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // something does not work, or is not safe
	SeverityWarning Severity = "warning" // it will be an error, or is one for somebody
	SeverityNote    Severity = "note"    // worth knowing
)

// A Finding is one thing that is wrong.
type Finding struct {
	Check    string      // the id of the check that found it
	Of       AuthorityID // the authority that was asked about
	Severity Severity
	Path     string // of the file or directory it is about
	Err      error  // what is wrong
	Mendable bool   // Repair would do something about it, or has
	Mended   string // what Repair did; empty for nothing
	Failed   error  // why Repair could not
}

// A Report is what Check found, in the order of the checks.
type Report struct{ Findings []Finding }

// Count returns how many findings of a severity there are that were not mended.
func (r Report) Count(s Severity) (n int) {
	for _, f := range r.Findings {
		if f.Severity == s && f.Mended == "" {
			n++
		}
	}
	return n
}

// checks are the questions that Check asks, in this order: each may use what those
// before it found out, and says nothing where one before it has said why it can't be
// answered.
func checks() []check {
	return []check{
		{"files", (*examination).files, true},          // owners, modes, symbolic links
		{"disk", (*examination).disk, false},           // room, and whether it is a local one
		{"settings", (*examination).settings, false},   // x509ctl.yaml can be understood
		{"database", (*examination).database, false},   // it is there, and of this schema
		{"integrity", (*examination).integrity, false}, // its pages and indexes are sound
		{"lock", (*examination).lock, true},            // nobody holds it for ever
		{"leftovers", (*examination).leftovers, true},  // of killed processes
		{"published", (*examination).published, true},  // cert.pem is the active CA
		{"project", (*examination).standing, true},     // is neither deleted nor its CA revoked
		{"key", (*examination).key, true},              // key.pem is its key
		{"request", (*examination).request, true},      // it has its key
		{"validity", (*examination).validity, true},    // of the CA and the chain above it
		{"serial", (*examination).serial, true},        // row, file, copies and mark agree
		{"min-serial", (*examination).floor, true},     // row and file agree
		{"blocked-keys", (*examination).blocked, true}, // row and file agree
		{"inventory", (*examination).inventory, true},  // holds nothing that the row doesn't know
		{"bundle", (*examination).bundle, true},        // has the active CA and own CAs only
		{"crl", (*examination).crl, true},              // is the CA's, and fresh
		{"decrypt", (*examination).decrypt, true},      // a project's key and certificate for secrets
		{"clock", (*examination).clock, true},          // is not behind what is on record
	}
}

type check struct {
	id   string
	ask  func(*examination)
	each bool // asked of each authority
}

// An examination is a Check under way. What could not be opened is nil.
type examination struct {
	m   *Manager
	ctx context.Context
	req CheckRequest
	now time.Time

	state   *durable.Dir // opened without a look at owners and modes
	ca      *authority.Directory
	db      *store.Store
	locked  *authority.Locked
	row     *store.Authority
	newest  store.Newest // with row
	owner   int          // of the directory
	deleted bool         // the project is
	exposed bool         // others can put their files into it, or into the authority's
	remote  bool         // it is on a network file system

	id      string              // of the check that asks
	blamed  map[string]struct{} // paths that a finding was about already
	report  Report
	mending bool // whether anything was mended
}

// Check implements Service. It opens the directory by itself, for it may be one that
// every other method refuses.
func (m *Manager) Check(ctx context.Context, req CheckRequest) (_ Report, err error) {
	names, err := dirPath(req.Authority)
	if err != nil {
		return Report{}, err
	}
	e := &examination{m: m, ctx: ctx, req: req, now: m.now(), blamed: map[string]struct{}{}}
	defer func() { err = errors.Join(err, e.close()) }()
	if err := e.open(names); err != nil {
		return Report{}, err
	}
	all := checks()
	for i, c := range all {
		if err := ctx.Err(); err != nil {
			return e.report, err
		}
		if req.Progress != nil {
			req.Progress(i, len(all), c.id)
		}
		e.id = c.id
		c.ask(e)
	}
	err = e.audit()
	if req.Authority == Cluster {
		err = errors.Join(err, e.projects())
	}
	return e.report, errors.Join(ctx.Err(), err)
}

// projects asks the same of the project root and of every project's authority.
func (e *examination) projects() error {
	if e.row == nil {
		return nil
	}
	var ids []AuthorityID
	err := e.db.Read(e.ctx, func(tx *store.Tx) (err error) {
		ids, err = tx.AuthorityIDs()
		return err
	})
	for _, id := range ids {
		if err == nil && id != Cluster {
			err = errors.Join(e.ctx.Err(), e.project(id))
		}
	}
	return err
}

func (e *examination) project(id AuthorityID) (err error) {
	names, err := dirPath(id)
	if err != nil {
		return err
	}
	p := *e
	p.req.Authority, p.ca, p.locked, p.row, p.report, p.mending, p.deleted = id, nil, nil, nil, Report{}, false, false
	if ca, err := authority.OpenDirectory(e.state, names...); err == nil {
		p.ca = ca
	}
	defer func() { err = errors.Join(err, p.closeAuthority()) }()
	for _, c := range checks() {
		if p.id = c.id; c.each && e.ctx.Err() == nil {
			c.ask(&p)
		}
	}
	e.report.Findings = append(e.report.Findings, p.report.Findings...)
	return p.audit()
}

// open opens what there is, if it is a state directory at all.
func (e *examination) open(names []string) error {
	dir := e.m.config.Dir
	none := fmt.Errorf("opening %s: %w", dir, ErrNotInitialised)
	state, err := durable.OpenSuspect(dir)
	if fault.KindOf(err) == fault.NotFound {
		return none
	}
	if err != nil {
		return err
	}
	e.state = state
	_, noDatabase := state.Stat(databaseFile)
	ca, err := authority.OpenDirectory(state, names...)
	if fault.KindOf(err) == fault.NotFound && e.req.Authority != Cluster {
		return fmt.Errorf("opening %s: %w", e.path(names...), ErrNoProject)
	}
	if fault.KindOf(noDatabase) == fault.NotFound && fault.KindOf(err) == fault.NotFound {
		return none
	}
	if err != nil { // files says what is wrong with it
		return nil
	}
	e.ca = ca
	c, err := ca.Contents()
	if err == nil && fault.KindOf(noDatabase) == fault.NotFound && !c.Cert && !c.Key {
		return none
	}
	return nil
}

func (e *examination) closeAuthority() error {
	var errs []error
	if e.locked != nil {
		errs = append(errs, e.locked.Unlock())
	}
	if e.ca != nil {
		errs = append(errs, e.ca.Close())
	}
	return errors.Join(errs...)
}

func (e *examination) close() error {
	errs := []error{e.closeAuthority()}
	if e.db != nil {
		errs = append(errs, e.db.Close())
	}
	if e.state != nil {
		errs = append(errs, e.state.Close())
	}
	return errors.Join(errs...)
}

// path is the path of something in the state directory.
func (e *examination) path(elem ...string) string {
	return filepath.Join(append([]string{e.m.config.Dir}, elem...)...)
}

// inCA is the path of something in the authority's directory.
func (e *examination) inCA(name string) string {
	return filepath.Join(e.ca.Path(), name)
}

// say reports that something is wrong with what is at path.
func (e *examination) say(s Severity, path string, err error) {
	e.sayAndMend(s, path, err, mend{})
}

// unread reports that what is at path can't be read, unless a finding before said
// already what is wrong with it.
func (e *examination) unread(path string, err error) {
	if damaged := (*DamagedError)(nil); errors.As(err, &damaged) {
		path = damaged.Path
	}
	if _, said := e.blamed[path]; !said && e.ctx.Err() == nil {
		e.say(SeverityError, path, err)
	}
}

// said says whether a finding was about one of these files of the authority.
func (e *examination) said(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, said := e.blamed[e.inCA(name)]
		return said
	})
}

// A mend is what Repair does about a finding. The zero mend is none.
type mend struct {
	does string // in the past tense: "removed"
	do   func() error
}

func (e *examination) sayAndMend(s Severity, path string, err error, m mend) {
	e.blamed[path] = struct{}{}
	if e.exposed {
		m = mend{} // it would be done to whatever they put there
	}
	f := Finding{Check: e.id, Of: e.req.Authority, Severity: s, Path: path, Err: err, Mendable: m.do != nil}
	if e.req.Repair && m.do != nil {
		if f.Failed = m.do(); f.Failed == nil {
			f.Mended = m.does
			e.mending = true
			delete(e.blamed, path)
		}
	}
	e.report.Findings = append(e.report.Findings, f)
}

// audit records what was mended.
func (e *examination) audit() error {
	if !e.mending || e.row == nil {
		return nil
	}
	var entries []AuditEntry
	for _, f := range e.report.Findings {
		if f.Mended != "" {
			entries = append(entries, e.m.audit("repair", f.Path, done, f.Mended))
		}
	}
	return e.db.Write(e.ctx, func(tx *store.Tx) error { return tx.Audit(entries...) })
}
