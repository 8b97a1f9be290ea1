package store

import (
	"database/sql"
	"errors"
	"strings"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

// A Status is what a certificate is worth at some moment, under some floor. CA
// certificates are never below the floor. The zero Status stands for all.
type Status string

// The statuses. A certificate has exactly one of them. The second NotAfter itself
// counts as valid (RFC 5280, section 4.1.2.5).
const (
	Live       Status = "live"
	Expired    Status = "expired"
	BelowFloor Status = "below floor" // and not expired
	Revoked    Status = "revoked"     // by itself, neither expired nor below the floor
)

// A CertificateFilter selects certificates of one authority. Every field that is
// not zero restricts the selection further.
type CertificateFilter struct {
	Authority      AuthorityID // required
	Status         Status      // as of At, under Floor
	At             time.Time
	Floor          serial.Floor
	ExpiringBefore time.Time // NotAfter is earlier
	Name           string    // in the certificate, common name or other, in any letter case
	Holder         string    // in any letter case
	Kind           string
	CA             [32]byte
	SPKIHash       [32]byte
	MinSerial      serial.Number // inclusive
	MaxSerial      serial.Number // inclusive
	After          serial.Number // exclusive: the last one of the page before
	Limit          int           // 0: no limit
	OmitDER        bool          // leave Certificate.DER empty
}

// Certificates calls yield for each certificate that f selects, in the order of
// their serial numbers, until yield returns an error, which it returns. However
// many there are, few are in memory at a time. yield may use tx.
func (tx *Tx) Certificates(f CertificateFilter, yield func(Certificate) error) error {
	next := tx.bySerial(f)
	if f.scattered() {
		next = tx.byExpiry(f)
	}
	return paged(tx, f.Limit, next, yield)
}

// LiveOfOthers returns a live certificate with a name, as of a time and by the floors of
// the database, of any authority but id; CAs' are left out. It takes a look-up for each
// authority: the CROSS JOINs keep SQLite from reading all names instead.
// Errors: [fault.NotFound].
func (tx *Tx) LiveOfOthers(id AuthorityID, name string, at time.Time) (of AuthorityID, n serial.Number, err error) {
	err = tx.row(`
SELECT c.authority, c.serial
  FROM authorities AS a
 CROSS JOIN certificate_names AS n
 CROSS JOIN certificates AS c
 WHERE n.authority = a.id AND n.name = ? AND n.role <> 2 AND c.authority = n.authority AND c.serial = n.serial
   AND a.id <> ? AND c.kind <> 'ca' AND c.not_after >= ? AND c.serial >= a.floor
   AND NOT EXISTS (SELECT 1 FROM revocations AS r WHERE r.authority = c.authority AND r.serial = c.serial)
 ORDER BY c.authority, c.serial
 LIMIT 1`,
		[]any{profile.FoldName(name), string(id), at.Unix()}, (*string)(&of), &n)
	if errors.Is(err, errNoRow) {
		err = fault.Errorf(fault.NotFound, "no live certificate for %.100q", name)
	}
	return of, n, err
}

// scattered says whether the certificates in question lie, in the order of their
// serial numbers, behind a mass of others: those that have expired.
func (f *CertificateFilter) scattered() bool {
	return (f.Status == Live || f.Status == BelowFloor) && f.Name == "" && f.Holder == "" && f.Kind != KindCA
}

// A pager returns the page of up to n certificates that follows page.
type pager func(page []Certificate, n int) ([]Certificate, error)

// bySerial reads certificates as they come.
func (tx *Tx) bySerial(f CertificateFilter) pager {
	q := f.where("serial")
	text := `SELECT ` + f.columns() + ` FROM certificates` + q.text() + "\n ORDER BY serial LIMIT ?"
	return func(page []Certificate, n int) ([]Certificate, error) {
		if len(page) > 0 {
			q.args[0] = int64(page[len(page)-1].Serial)
		}
		return tx.certificates(page[:0], f, text, append(q.args, n))
	}
}

// serialBatch is how many serial numbers byExpiry finds at a time, a multiple of
// pageSize: half a megabyte of them.
const serialBatch = 1 << 16

// byExpiry finds serial numbers in the index of expiry times first: +serial keeps
// the database from searching in their order. Then it reads the certificates.
func (tx *Tx) byExpiry(f CertificateFilter) pager {
	q := f.where("+serial")
	find := `SELECT serial FROM certificates` + q.text() + "\n ORDER BY +serial LIMIT ?"
	read := `SELECT ` + f.columns() + ` FROM certificates WHERE authority = ? AND serial IN (?` +
		strings.Repeat(", ?", pageSize-1) + ") ORDER BY serial"
	batch := serialBatch
	if f.Limit > 0 {
		batch = min(batch, f.Limit)
	}
	var found []int64
	return func(page []Certificate, n int) (_ []Certificate, err error) {
		if len(found) == 0 {
			if found, err = tx.serials(find, append(q.args, batch)); err != nil || len(found) == 0 {
				return nil, err
			}
			q.args[0] = found[len(found)-1]
		}
		n = min(n, len(found))
		args := []any{string(f.Authority)}
		for i := range pageSize {
			args = append(args, found[min(i, n-1)])
		}
		found = found[n:]
		return tx.certificates(page[:0], f, read, args)
	}
}

func (tx *Tx) serials(query string, args []any) (all []int64, err error) {
	err = tx.rows(query, args, func(r *sql.Rows) error {
		var n int64
		err := r.Scan(&n)
		all = append(all, n)
		return err
	})
	return all, err
}

func (tx *Tx) certificates(page []Certificate, f CertificateFilter, query string, args []any) ([]Certificate, error) {
	err := tx.rows(query, args, func(r *sql.Rows) error {
		page = append(page, Certificate{})
		return scanCertificate(r, &page[len(page)-1], !f.OmitDER)
	})
	return page, err
}

func (f *CertificateFilter) columns() string {
	if f.OmitDER {
		return certificateColumns
	}
	return certificateColumns + `, der`
}

// where returns the conditions of f. The first argument is f.After, which the next
// page replaces.
func (f *CertificateFilter) where(serial string) *where {
	q := &where{}
	q.and(serial+` > ?`, int64(f.After))
	q.and(`authority = ?`, string(f.Authority))
	if f.MinSerial > 0 {
		q.and(serial+` >= ?`, int64(f.MinSerial))
	}
	if f.MaxSerial > 0 {
		q.and(serial+` <= ?`, int64(f.MaxSerial))
	}
	if !f.ExpiringBefore.IsZero() {
		q.and(`not_after < ?`, f.ExpiringBefore.Unix())
	}
	switch f.Kind {
	case "":
	case KindCA:
		q.and(`kind = 'ca'`) // in so many words: there is an index of those
	case KindLeaf:
		q.and(`kind NOT IN ('` + KindCA + `', '` + string(profile.Decrypt) + `')`)
	default:
		q.and(`kind = ?`, f.Kind)
	}
	if f.CA != ([32]byte{}) {
		q.and(`ca = ?`, f.CA[:])
	}
	if f.SPKIHash != ([32]byte{}) {
		q.and(`spki_hash = ?`, f.SPKIHash[:])
	}
	f.status(q, serial)
	f.found(q)
	return q
}

func (f *CertificateFilter) status(q *where, serial string) {
	at, floor := f.At.Unix(), int64(f.Floor)
	switch f.Status {
	case "":
	case Live:
		q.and(`not_after >= ?`, at)
		q.and(`(`+serial+` >= ? OR kind = 'ca')`, floor)
		q.and(`serial NOT IN (SELECT serial FROM revocations WHERE authority = ?)`, string(f.Authority))
	case Revoked:
		q.and(`not_after >= ?`, at)
		q.and(serial+` >= ?`, floor)
		q.and(`serial IN (SELECT serial FROM revocations WHERE authority = ?)`, string(f.Authority))
	case Expired:
		q.and(`not_after < ?`, at)
	case BelowFloor:
		q.and(`not_after >= ?`, at)
		q.and(serial+` < ?`, floor)
		q.and(`kind <> 'ca'`)
	default:
		q.and(`1 = 0`)
	}
}

func (f *CertificateFilter) found(q *where) {
	const list = `serial IN (SELECT serial FROM certificate_names WHERE authority = ? AND name = ? AND `
	if f.Name != "" {
		q.and(list+`role <> 2)`, string(f.Authority), profile.FoldName(f.Name))
	}
	if f.Holder != "" {
		q.and(list+`role >= 2)`, string(f.Authority), profile.FoldName(f.Holder))
	}
}

// Counts are the numbers of an authority's certificates by [Status], those of its
// CAs left out.
type Counts struct{ Live, Expired, BelowFloor, Revoked, Total int64 }

// CountCertificates counts an authority's certificates, but for its CAs'.
func (tx *Tx) CountCertificates(id AuthorityID, now time.Time, floor serial.Floor) (n Counts, err error) {
	err = tx.row(`
SELECT count(*),
       count(CASE WHEN not_after < ? THEN 1 END),
       count(CASE WHEN not_after >= ? AND serial < ? THEN 1 END)
  FROM certificates
 WHERE authority = ? AND kind <> 'ca'`,
		[]any{now.Unix(), now.Unix(), int64(floor), string(id)}, &n.Total, &n.Expired, &n.BelowFloor)
	if err != nil {
		return n, err
	}
	err = tx.row(`
SELECT count(*)
  FROM revocations
 WHERE authority = ? AND not_after >= ? AND serial >= ?
   AND serial NOT IN (SELECT serial FROM certificates WHERE authority = ? AND kind = 'ca')`,
		[]any{string(id), now.Unix(), int64(floor), string(id)}, &n.Revoked)
	n.Live = n.Total - n.Expired - n.BelowFloor - n.Revoked
	return n, err
}
