package store

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

// KindCA is the Kind of a CA's own certificate. KindLeaf, in a filter, stands for those
// that are made for somebody to show: neither a CA's nor that of a decrypt key.
const (
	KindCA   = "ca"
	KindLeaf = "leaf"
)

// A Certificate is one entry of the inventory. Times have whole seconds.
type Certificate struct {
	Authority   AuthorityID
	Serial      serial.Number
	Kind        string   // KindCA, or a profile.Profile
	State       string   // "issued", "revoked"
	CA          [32]byte // SHA-256 of the issuing CA certificate
	CommonName  string
	Holder      string   // the node's name, or the cluster's; empty for none
	Names       []string // of the subject alternative name
	NotBefore   time.Time
	NotAfter    time.Time
	SPKIHash    [32]byte
	RequestHash [32]byte // zero when there was no request
	ResumeKey   []byte   // what a batch finds its work by when it is run again; nil: none
	DER         []byte
	Fingerprint [32]byte // SHA-256 of DER
	Requester   string
	Origin      string
	Exceptions  []string
	Created     time.Time

	// Since when and why it is revoked by itself; only [Tx.Certificate] tells.
	Revoked time.Time
	Reason  profile.Reason
}

// The roles of a name in certificate_names.
const (
	roleName   = 1 // in the certificate
	roleHolder = 2
)

// A foundBy is a name that a certificate is found by.
type foundBy struct {
	serial serial.Number
	name   string // folded
	role   int64
	resume int64 // of the common name: what resumeHint returns
}

// resumeHint is what is kept of a resume key beside the common name: enough to tell
// it from those of the same name's other certificates. It is 0 without a key only.
func resumeHint(key []byte) int64 {
	if len(key) == 0 {
		return 0
	}
	var b [4]byte
	copy(b[:], key)
	return max(1, int64(binary.BigEndian.Uint32(b[:])))
}

// appendFoundBy appends the names that c is found by, none twice.
func appendFoundBy(all []foundBy, c *Certificate) []foundBy {
	first := len(all)
	add := func(name string, role, resume int64) {
		if name == "" {
			return
		}
		name = profile.FoldName(name)
		for i := first; i < len(all); i++ {
			if all[i].name == name {
				all[i].role |= role
				return
			}
		}
		all = append(all, foundBy{c.Serial, name, role, resume})
	}
	add(c.CommonName, roleName, resumeHint(c.ResumeKey))
	for _, n := range c.Names {
		add(n, roleName, 0)
	}
	add(c.Holder, roleHolder, 0)
	return all
}

// MaxInsert is the largest number of certificates that [Tx.InsertCertificates]
// takes: a lock is not to be held for much longer.
const MaxInsert = 1000

var insertCertificates = insert{
	into: `INSERT INTO certificates (` + certificateColumns + `, der) VALUES `,
	row:  `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
}

var insertNames = insert{
	into: `INSERT INTO certificate_names (authority, name, serial, role, resume) VALUES `,
	row:  `(?, ?, ?, ?, ?)`,
}

// InsertCertificates records up to [MaxInsert] certificates.
// Errors: [fault.Exists] for a serial number that is recorded already.
func (tx *Tx) InsertCertificates(cs []Certificate) error {
	if len(cs) > MaxInsert {
		return tx.fail(fault.Errorf(fault.Malformed, "%d certificates at once are too many, at most %d", len(cs), MaxInsert))
	}
	var names []foundBy
	var authorities []string
	for i := range cs {
		if err := cs[i].check(); err != nil {
			return tx.fail(err)
		}
		names = appendFoundBy(names, &cs[i])
		for len(authorities) < len(names) {
			authorities = append(authorities, string(cs[i].Authority))
		}
	}
	err := insertCertificates.run(tx, len(cs), func(args []any, i int) []any { return cs[i].values(args) })
	if err != nil {
		return err
	}
	return insertNames.run(tx, len(names), func(args []any, i int) []any {
		return append(args, authorities[i], names[i].name, int64(names[i].serial), names[i].role, names[i].resume)
	})
}

func (c *Certificate) check() error {
	if c.Serial < 1 {
		return fault.Errorf(fault.Malformed, "a certificate with the serial number %d", int64(c.Serial))
	}
	if _, err := lines(c.Names); err != nil {
		return err
	}
	if _, err := lines(c.Exceptions); err != nil {
		return err
	}
	for _, n := range c.Names {
		if err := checkKey("name", n); err != nil {
			return err
		}
	}
	for _, k := range [...]string{string(c.Authority), c.CommonName, c.Holder, c.Kind, string(c.ResumeKey)} {
		if err := checkKey("text of a certificate", k); err != nil {
			return err
		}
	}
	return nil
}

const certificateColumns = `authority, serial, kind, state, ca, common_name, holder, names, not_before, not_after,
       spki_hash, request_hash, resume_key, fingerprint, requester, origin, exceptions, created`

// values appends the values of c, in the order of certificateColumns and der.
func (c *Certificate) values(args []any) []any {
	names, _ := lines(c.Names) // checked before
	exceptions, _ := lines(c.Exceptions)
	var resume any
	if len(c.ResumeKey) > 0 {
		resume = c.ResumeKey
	}
	der := c.DER
	if der == nil {
		der = []byte{}
	}
	return append(args, string(c.Authority), int64(c.Serial), c.Kind, c.State, (*sum)(&c.CA).bytes(),
		c.CommonName, c.Holder, names, c.NotBefore.Unix(), c.NotAfter.Unix(),
		(*sum)(&c.SPKIHash).bytes(), (*sum)(&c.RequestHash).bytes(), resume, (*sum)(&c.Fingerprint).bytes(),
		c.Requester, c.Origin, exceptions, c.Created.Unix(), der)
}

// scanCertificate reads a row of certificateColumns, followed by der or not.
func scanCertificate(r *sql.Rows, c *Certificate, der bool) error {
	var authority, names, exceptions string
	dest := [...]any{&authority, &c.Serial, &c.Kind, &c.State, (*sum)(&c.CA), &c.CommonName, &c.Holder, &names,
		second{&c.NotBefore}, second{&c.NotAfter}, (*sum)(&c.SPKIHash), (*sum)(&c.RequestHash), (*blob)(&c.ResumeKey),
		(*sum)(&c.Fingerprint), &c.Requester, &c.Origin, &exceptions, second{&c.Created}, (*blob)(&c.DER)}
	n := len(dest)
	if !der {
		n--
	}
	if err := r.Scan(dest[:n]...); err != nil {
		return err
	}
	c.Authority, c.Names, c.Exceptions = AuthorityID(authority), unlines(names), unlines(exceptions)
	return nil
}

// Certificate returns the certificate with that serial number.
// Errors: [fault.NotFound].
func (tx *Tx) Certificate(id AuthorityID, n serial.Number) (Certificate, error) {
	c, err := tx.certificate(` WHERE authority = ? AND serial = ?`, string(id), int64(n))
	if errors.Is(err, errNoRow) {
		err = fault.Errorf(fault.NotFound, "no certificate with the serial number %v", n)
	}
	if err != nil || c.State != stateRevoked {
		return c, err
	}
	r, err := tx.Revocation(id, n)
	c.Revoked, c.Reason = r.Since, r.Reason
	return c, err
}

// CACertificate returns the CA certificate whose DER has that SHA-256.
// Errors: [fault.NotFound].
func (tx *Tx) CACertificate(id AuthorityID, fingerprint [32]byte) (Certificate, error) {
	c, err := tx.certificate(` WHERE authority = ? AND fingerprint = ? AND kind = 'ca'`, string(id), fingerprint[:])
	if errors.Is(err, errNoRow) {
		err = fault.Errorf(fault.NotFound, "no CA certificate with the SHA-256 %x", fingerprint)
	}
	return c, err
}

// toResume finds the certificate to resume in the index that has resume hints only.
const toResume = `
 WHERE authority = ? AND resume_key = ?
   AND serial IN (SELECT serial FROM certificate_names WHERE authority = ? AND name = ? AND resume = ? AND resume <> 0)
 ORDER BY serial DESC
 LIMIT 1`

// CertificateToResume returns the certificate with the highest serial number of
// those with that common name and resume key.
// Errors: [fault.NotFound].
func (tx *Tx) CertificateToResume(id AuthorityID, commonName string, key []byte) (Certificate, error) {
	c, err := tx.certificate(toResume, string(id), key, string(id), profile.FoldName(commonName), resumeHint(key))
	if errors.Is(err, errNoRow) {
		err = fault.Errorf(fault.NotFound, "no certificate for that request of %q", commonName)
	}
	return c, err
}

func (tx *Tx) certificate(where string, args ...any) (c Certificate, err error) {
	found := false
	err = tx.rows(`SELECT `+certificateColumns+`, der FROM certificates`+where, args, func(r *sql.Rows) error {
		found = true
		return scanCertificate(r, &c, true)
	})
	if err == nil && !found {
		err = errNoRow
	}
	return c, err
}

// PruneCertificates forgets up to limit certificates, CA certificates excepted,
// whose NotAfter is before expiredBefore, and returns how many: the earliest ones.
func (tx *Tx) PruneCertificates(id AuthorityID, expiredBefore time.Time, limit int) (int, error) {
	expired, err := tx.expired(id, expiredBefore, max(limit, 0))
	if err != nil {
		return 0, err
	}
	for i := range expired {
		n := int64(expired[i].Serial)
		_, err := tx.exec(`DELETE FROM certificates WHERE authority = ? AND serial = ?`, string(id), n)
		if err != nil {
			return 0, err
		}
		if expired[i].State == stateRevoked {
			_, err := tx.exec(`DELETE FROM revocations WHERE authority = ? AND serial = ?`, string(id), n)
			if err != nil {
				return 0, err
			}
		}
		for _, by := range appendFoundBy(nil, &expired[i]) {
			_, err := tx.exec(`DELETE FROM certificate_names WHERE authority = ? AND name = ? AND serial = ?`, string(id), by.name, n)
			if err != nil {
				return 0, err
			}
		}
	}
	return len(expired), nil
}

// expired returns the certificates to be pruned: their numbers, and what they are
// found by.
func (tx *Tx) expired(id AuthorityID, before time.Time, limit int) (all []Certificate, err error) {
	err = tx.rows(`
SELECT serial, state, common_name, holder, names
  FROM certificates
 WHERE authority = ? AND not_after < ? AND kind <> 'ca'
 ORDER BY not_after, serial
 LIMIT ?`,
		[]any{string(id), before.Unix(), limit}, func(r *sql.Rows) error {
			var c Certificate
			var names string
			err := r.Scan(&c.Serial, &c.State, &c.CommonName, &c.Holder, &names)
			c.Names = unlines(names)
			all = append(all, c)
			return err
		})
	return all, err
}
