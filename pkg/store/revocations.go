package store

import (
	"database/sql"
	"errors"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

// stateRevoked is the State of a certificate that was revoked by itself.
const stateRevoked = "revoked"

// A Revocation is the end of one certificate. Times have whole seconds.
type Revocation struct {
	Authority AuthorityID
	Serial    serial.Number
	Reason    profile.Reason
	Since     time.Time
}

// Revoke records r, for a certificate that is recorded, and changes its State to
// "revoked". One that is revoked already is so since the same time, for r's reason. It
// adds to the authority's CRLDue.
// Errors: [fault.NotFound].
func (tx *Tx) Revoke(r Revocation) error {
	n, err := tx.exec(`
INSERT INTO revocations (authority, serial, reason, since, not_after)
SELECT authority, serial, ?, ?, not_after
  FROM certificates
 WHERE authority = ? AND serial = ?
    ON CONFLICT (authority, serial) DO UPDATE SET reason = excluded.reason`,
		string(r.Reason), r.Since.Unix(), string(r.Authority), int64(r.Serial))
	if err == nil && n == 0 {
		err = fault.Errorf(fault.NotFound, "no certificate with the serial number %v", r.Serial)
	}
	if err != nil {
		return err
	}
	_, err = tx.exec(`UPDATE certificates SET state = '`+stateRevoked+`' WHERE authority = ? AND serial = ?`, string(r.Authority), int64(r.Serial))
	if err != nil {
		return err
	}
	return tx.crlDue(r.Authority)
}

// RestoreRevocation records r again, for a certificate that need not be recorded and is
// then taken to expire at a time. One that is revoked already stays so, but for
// [profile.KeyCompromise], which becomes its reason.
func (tx *Tx) RestoreRevocation(r Revocation, expiry time.Time) error {
	_, err := tx.exec(`
INSERT INTO revocations (authority, serial, reason, since, not_after)
VALUES (?, ?, ?, ?, coalesce((SELECT not_after FROM certificates WHERE authority = ? AND serial = ?), ?))
    ON CONFLICT (authority, serial) DO UPDATE SET reason = excluded.reason WHERE excluded.reason = '`+string(profile.KeyCompromise)+`'`,
		string(r.Authority), int64(r.Serial), string(r.Reason), r.Since.Unix(), string(r.Authority), int64(r.Serial), expiry.Unix())
	if err != nil {
		return err
	}
	_, err = tx.exec(`UPDATE certificates SET state = '`+stateRevoked+`' WHERE authority = ? AND serial = ?`, string(r.Authority), int64(r.Serial))
	if err != nil {
		return err
	}
	return tx.crlDue(r.Authority)
}

// Revocation returns the revocation of the certificate with that serial number.
// Errors: [fault.NotFound].
func (tx *Tx) Revocation(id AuthorityID, n serial.Number) (Revocation, error) {
	r := Revocation{Authority: id, Serial: n}
	err := tx.row(`SELECT reason, since FROM revocations WHERE authority = ? AND serial = ?`,
		[]any{string(id), int64(n)}, &r.Reason, second{&r.Since})
	if errors.Is(err, errNoRow) {
		err = fault.Errorf(fault.NotFound, "certificate %v is not revoked by itself", n)
	}
	return r, err
}

// fewRevoked is how many numbers of certificates revoked by themselves are remembered
// while the others are read. More are looked up one by one, which doubles the time; a
// NOT IN would have SQLite copy all of them into memory.
const fewRevoked = 1000

// RevokedCertificates calls yield for each certificate, but those of CAs, that has not
// expired before a time and is revoked: first those that are revoked by themselves, by
// their serial numbers, then the others below the floor, in no order, without a reason
// and with the zero time. yield must not use tx. Memory doesn't depend on how many they
// are.
func (tx *Tx) RevokedCertificates(id AuthorityID, notBefore time.Time, floor serial.Floor, yield func(serial.Number, time.Time, profile.Reason) error) error {
	seen := 0
	next := func(n serial.Number, since time.Time, reason profile.Reason) error {
		if seen++; seen%1024 == 0 && tx.ctx.Err() != nil {
			return tx.ctx.Err()
		}
		return yield(n, since, reason)
	}
	singles := map[serial.Number]bool{}
	err := tx.rows(`
SELECT serial, since, reason
  FROM revocations
 WHERE authority = ? AND not_after >= ?
 ORDER BY serial`,
		[]any{string(id), notBefore.Unix()}, func(r *sql.Rows) error {
			var n serial.Number
			var since time.Time
			var reason profile.Reason
			if err := r.Scan(&n, second{&since}, &reason); err != nil {
				return err
			}
			if len(singles) <= fewRevoked {
				singles[n] = true
			}
			return next(n, since, reason)
		})
	if err != nil {
		return err
	}
	query := `
SELECT serial
  FROM certificates
 WHERE authority = ? AND not_after >= ? AND +serial < ? AND kind <> 'ca'`
	if len(singles) > fewRevoked {
		query += `
   AND NOT EXISTS (SELECT 1 FROM revocations r WHERE r.authority = certificates.authority AND r.serial = certificates.serial)`
	}
	return tx.rows(query, []any{string(id), notBefore.Unix(), int64(floor)}, func(r *sql.Rows) error {
		var n int64
		if err := r.Scan(&n); err != nil || singles[serial.Number(n)] {
			return err
		}
		return next(serial.Number(n), time.Time{}, "")
	})
}

// SetCRLNumber notes the number of the latest revocation list, which is due until it
// is published.
// Errors: [fault.NotFound].
func (tx *Tx) SetCRLNumber(id AuthorityID, n int64) error {
	changed, err := tx.exec(`UPDATE authorities SET crl_number = ?, crl_due = crl_due + 1 WHERE id = ?`, n, string(id))
	return orNoAuthority(id, changed, err)
}

// crlDue notes a change that verifiers are to learn of by a revocation list.
func (tx *Tx) crlDue(id AuthorityID) error {
	_, err := tx.exec(`UPDATE authorities SET crl_due = crl_due + 1 WHERE id = ?`, string(id))
	return err
}

// CRLPublished notes that the list which was the latest one in a is in its place, as
// a.CRL, or that there is no use for one. What was changed since then stays due.
func (tx *Tx) CRLPublished(a Authority) error {
	_, err := tx.exec(`
UPDATE authorities
   SET crl_due = CASE crl_due WHEN ? THEN 0 ELSE crl_due END, crl_inode = ?, crl_birth = ?, crl_size = ?
 WHERE id = ? AND crl_number = ?`,
		a.CRLDue, int64(a.CRL.Inode), a.CRL.Birth, a.CRL.Size, string(a.ID), a.CRLNumber)
	return err
}

// A FloorRise says since when certificates below a floor are revoked.
type FloorRise struct {
	Floor serial.Floor
	Since time.Time
}

// NoteFloor notes that floor is in force, since at unless that is known already, and
// forgets rises before the time forget, but for the last. It returns what it knows then, the
// lowest first.
func (tx *Tx) NoteFloor(id AuthorityID, floor serial.Floor, at, forget time.Time) (rises []FloorRise, err error) {
	_, err = tx.exec(`INSERT INTO floors (authority, floor, since) VALUES (?, ?, ?) ON CONFLICT (authority, floor) DO NOTHING`,
		string(id), int64(floor), at.Unix())
	if err != nil {
		return nil, err
	}
	_, err = tx.exec(`DELETE FROM floors WHERE authority = ? AND floor < ? AND since < ?`, string(id), int64(floor), forget.Unix())
	if err != nil {
		return nil, err
	}
	err = tx.rows(`SELECT floor, since FROM floors WHERE authority = ? ORDER BY floor`, []any{string(id)}, func(r *sql.Rows) error {
		var f FloorRise
		err := r.Scan(&f.Floor, second{&f.Since})
		rises = append(rises, f)
		return err
	})
	return rises, err
}

// BlockKey blocks the key whose SubjectPublicKeyInfo has that SHA-256, for good; n is
// the certificate that it was revoked with, 0 for a CA's key. It counts as a change of nodes: see
// Authority.Generation. A key that is blocked already stays so.
// Errors: [fault.NotFound], no such authority.
func (tx *Tx) BlockKey(id AuthorityID, spkiHash [32]byte, n serial.Number, since time.Time) error {
	added, err := tx.exec(`
INSERT INTO blocked_keys (authority, spki_hash, serial, since) VALUES (?, ?, ?, ?)
ON CONFLICT (authority, spki_hash) DO NOTHING`,
		string(id), spkiHash[:], int64(n), since.Unix())
	if err != nil || added == 0 {
		return err
	}
	return tx.newGeneration(id)
}

// BlockedFile notes that f has all that CompromisedKeys yields, and nothing else.
// Errors: [fault.NotFound].
func (tx *Tx) BlockedFile(id AuthorityID, f File) error {
	n, err := tx.exec(`UPDATE authorities SET blocked_inode = ?, blocked_birth = ?, blocked_size = ? WHERE id = ?`,
		int64(f.Inode), f.Birth, f.Size, string(id))
	return orNoAuthority(id, n, err)
}

// CompromisedKeys calls yield for each blocked key that is no CA's, in no order that
// means something, with what BlockedKey returns for it. yield must not use tx.
func (tx *Tx) CompromisedKeys(id AuthorityID, yield func(spkiHash [32]byte, n serial.Number) error) error {
	return tx.rows(`SELECT spki_hash, serial FROM blocked_keys WHERE authority = ? AND serial <> 0 ORDER BY spki_hash`, []any{string(id)},
		func(r *sql.Rows) error {
			var key sum
			var n serial.Number
			if err := r.Scan(&key, &n); err != nil {
				return err
			}
			return yield(key, n)
		})
}

// BlockedKey reports whether a key is blocked, and returns the number of the certificate
// that it was revoked with, 0 for a CA's key.
func (tx *Tx) BlockedKey(id AuthorityID, spkiHash [32]byte) (n serial.Number, blocked bool, err error) {
	err = tx.row(`SELECT serial FROM blocked_keys WHERE authority = ? AND spki_hash = ?`, []any{string(id), spkiHash[:]}, &n)
	if errors.Is(err, errNoRow) {
		return 0, false, nil
	}
	return n, err == nil, err
}

// BlockedKeys returns all blocked keys of an authority, with what BlockedKey
// returns for each.
func (tx *Tx) BlockedKeys(id AuthorityID) (map[[32]byte]serial.Number, error) {
	all := map[[32]byte]serial.Number{}
	err := tx.rows(`SELECT spki_hash, serial FROM blocked_keys WHERE authority = ?`, []any{string(id)}, func(r *sql.Rows) error {
		var key sum
		var n serial.Number
		err := r.Scan(&key, &n)
		all[key] = n
		return err
	})
	return all, err
}

// CAUse is who needs a CA.
type CAUse struct {
	Live    int64     // certificates that it issued
	Last    time.Time // when the last of them expires; the zero time when there is none
	Holders []string  // of some of them, sorted
}

// CAUse returns the use of the CA whose certificate has the SHA-256 ca, and at most so
// many holders.
func (tx *Tx) CAUse(id AuthorityID, ca [32]byte, at time.Time, floor serial.Floor, holders int) (u CAUse, err error) {
	const live = `
  FROM certificates
 WHERE authority = ? AND not_after >= ? AND +serial >= ? AND ca = ? AND kind <> 'ca'
   AND serial NOT IN (SELECT serial FROM revocations WHERE authority = ?)`
	args := []any{string(id), at.Unix(), int64(floor), ca[:], string(id)}
	var last int64
	if err := tx.row(`SELECT count(*), coalesce(max(not_after), 0)`+live, args, &u.Live, &last); err != nil || u.Live == 0 {
		return u, err
	}
	u.Last = time.Unix(last, 0).UTC()
	err = tx.rows(`SELECT DISTINCT holder`+live+` ORDER BY holder LIMIT ?`, append(args, holders), func(r *sql.Rows) error {
		var name string
		err := r.Scan(&name)
		u.Holders = append(u.Holders, name)
		return err
	})
	return u, err
}
