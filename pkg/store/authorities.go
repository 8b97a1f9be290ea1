package store

import (
	"errors"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// An AuthorityID names an authority in the database, in at most [MaxKey] bytes.
type AuthorityID string

// Cluster is the cluster's own authority.
const Cluster AuthorityID = "cluster"

// An Authority is a CA as the database knows it. Times have whole seconds.
type Authority struct {
	ID         AuthorityID
	Name       string   // the cluster's name
	Active     [32]byte // SHA-256 of the active CA certificate; zero: none yet
	Next       [32]byte // SHA-256 of the one that is prepared; zero: none
	Old        []Sum    // those of replaced ones that are trusted still, the latest last
	Counter    serial.Row
	Generation int64 // changes with every node added or removed, and every key blocked
	CRLNumber  int64 // of the latest revocation list; 0: none yet
	CRLDue     int64 // changes since the latest one that was published; 0: it tells all
	Created    time.Time

	// Blocked and CRL are the files that say what the rows say; PutAuthority leaves them.
	Blocked, CRL File
}

// A File tells a file from others, and from what it was before something was appended.
// The zero File is none.
type File struct {
	Inode uint64
	Birth int64 // nanoseconds since 1970
	Size  int64
}

// A Sum is the SHA-256 of a certificate.
type Sum = [32]byte

const selectAuthority = `
SELECT name, active, next, old, reserved, floor, last, file_machine, file_inode, file_birth, timeline, generation, crl_number, crl_due, created,
       blocked_inode, blocked_birth, blocked_size, crl_inode, crl_birth, crl_size
  FROM authorities
 WHERE id = ?`

// Authority returns the authority id. In [Store.Write] no other transaction
// changes it, or reads it in a Write, until this one ends.
// Errors: [fault.NotFound].
func (tx *Tx) Authority(id AuthorityID) (Authority, error) {
	a := Authority{ID: id}
	var inode, timeline, blocked, list int64
	c := &a.Counter
	err := tx.row(selectAuthority+tx.session.forUpdate(), []any{string(id)},
		&a.Name, (*sum)(&a.Active), (*sum)(&a.Next), (*sums)(&a.Old), &c.Reserved, &c.Floor, &c.Last,
		&c.File.Machine, &inode, &c.File.Birth, &timeline, &a.Generation, &a.CRLNumber, &a.CRLDue, second{&a.Created},
		&blocked, &a.Blocked.Birth, &a.Blocked.Size, &list, &a.CRL.Birth, &a.CRL.Size)
	if errors.Is(err, errNoRow) {
		return Authority{}, fault.Errorf(fault.NotFound, "no authority %q", string(id))
	}
	c.File.Inode, c.Timeline = uint64(inode), uint32(timeline)
	a.Blocked.Inode, a.CRL.Inode = uint64(blocked), uint64(list)
	return a, err
}

const putAuthority = `
INSERT INTO authorities (id, name, active, next, old, reserved, floor, last, file_machine, file_inode, file_birth, timeline, generation, crl_number, crl_due, created)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
       name = excluded.name, active = excluded.active, next = excluded.next, old = excluded.old, reserved = excluded.reserved, floor = excluded.floor,
       last = excluded.last, file_machine = excluded.file_machine, file_inode = excluded.file_inode,
       file_birth = excluded.file_birth, timeline = excluded.timeline, generation = excluded.generation,
       crl_number = excluded.crl_number, created = excluded.created,
       crl_due = excluded.crl_due + CASE WHEN authorities.active <> excluded.active OR authorities.next <> excluded.next
              OR authorities.old <> excluded.old OR authorities.floor <> excluded.floor THEN 1 ELSE 0 END`

// PutAuthority inserts a, or replaces the whole row of that id. Other CAs, and another
// floor, add to CRLDue.
func (tx *Tx) PutAuthority(a Authority) error {
	if err := checkKey("authority id", string(a.ID)); err != nil {
		return tx.fail(err)
	}
	active, next, c := sum(a.Active), sum(a.Next), a.Counter
	_, err := tx.exec(putAuthority, string(a.ID), a.Name, active.bytes(), next.bytes(), sums(a.Old).text(),
		int64(c.Reserved), int64(c.Floor), int64(c.Last), c.File.Machine, int64(c.File.Inode), c.File.Birth,
		int64(c.Timeline), a.Generation, a.CRLNumber, a.CRLDue, a.Created.Unix())
	return err
}

// SetCounter replaces the counter of the authority id. Another floor adds to CRLDue; 0 and 1
// are the same.
// Errors: [fault.NotFound].
func (tx *Tx) SetCounter(id AuthorityID, r serial.Row) error {
	n, err := tx.exec(`
UPDATE authorities
   SET crl_due = crl_due + CASE WHEN floor <> ? AND (floor > 1 OR ? > 1) THEN 1 ELSE 0 END,
       reserved = ?, floor = ?, last = ?, file_machine = ?, file_inode = ?, file_birth = ?, timeline = ?
 WHERE id = ?`,
		int64(r.Floor), int64(r.Floor), int64(r.Reserved), int64(r.Floor), int64(r.Last), r.File.Machine, int64(r.File.Inode), r.File.Birth,
		int64(r.Timeline), string(id))
	return orNoAuthority(id, n, err)
}

// newGeneration notes that the nodes or blocked keys of an authority have changed, and keeps
// others from changing them until the transaction ends.
func (tx *Tx) newGeneration(id AuthorityID) error {
	n, err := tx.exec(`UPDATE authorities SET generation = generation + 1 WHERE id = ?`, string(id))
	return orNoAuthority(id, n, err)
}

func orNoAuthority(id AuthorityID, changed int64, err error) error {
	if err == nil && changed == 0 {
		return fault.Errorf(fault.NotFound, "no authority %q", string(id))
	}
	return err
}
