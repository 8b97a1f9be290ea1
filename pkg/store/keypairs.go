package store

import (
	"database/sql"
	"time"

	"x509ctl/pkg/fault"
)

// A Keypair is the public half of a user's keypair. User and name together are
// unique, and their letter case counts. Times have whole seconds.
type Keypair struct {
	ID          int64 // given by the database
	User        string
	Name        string
	Type        string // "ssh" or "x509"
	Fingerprint string
	PublicKey   string
	Requester   string // who recorded it
	Created     time.Time
}

// A KeypairFilter selects keypairs. Every field that is not zero restricts the
// selection further.
type KeypairFilter struct {
	User string // whose; empty: all users'
	Type string
	// AfterUser and After are user and name of the last keypair of the page before,
	// exclusive. With User, only After counts.
	AfterUser, After string
	Limit            int // 0: no limit
}

const keypairColumns = `id, user_id, name, type, fingerprint, public_key, requester, created`

// AddKeypair records k. Its ID is ignored.
// Errors: [fault.Exists], after which tx is as before.
func (tx *Tx) AddKeypair(k Keypair) error {
	for what, key := range map[string]string{"user": k.User, "name": k.Name} {
		if err := checkKey(what, key); err != nil {
			return tx.fail(err)
		}
	}
	n, err := tx.exec(`
INSERT INTO key_pairs (user_id, name, type, fingerprint, public_key, requester, created)
VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (user_id, name) DO NOTHING`,
		k.User, k.Name, k.Type, k.Fingerprint, k.PublicKey, k.Requester, k.Created.Unix())
	if err == nil && n == 0 {
		return fault.Errorf(fault.Exists, "user %q has a keypair %q already", k.User, k.Name)
	}
	return err
}

// Keypair returns one keypair. Errors: [fault.NotFound].
func (tx *Tx) Keypair(user, name string) (Keypair, error) {
	var k Keypair
	found := false
	err := tx.rows(`SELECT `+keypairColumns+` FROM key_pairs WHERE user_id = ? AND name = ?`, []any{user, name}, func(r *sql.Rows) error {
		found = true
		return scanKeypair(r, &k)
	})
	if err == nil && !found {
		err = noKeypair(user, name)
	}
	return k, err
}

// DeleteKeypair forgets a keypair; its name is free again. Errors: [fault.NotFound].
func (tx *Tx) DeleteKeypair(user, name string) error {
	n, err := tx.exec(`DELETE FROM key_pairs WHERE user_id = ? AND name = ?`, user, name)
	if err == nil && n == 0 {
		err = noKeypair(user, name)
	}
	return err
}

func noKeypair(user, name string) error {
	return fault.Errorf(fault.NotFound, "user %q has no keypair %q", user, name)
}

// Keypairs calls yield for each keypair that f selects, by user and name in the order
// of their bytes, until yield returns an error, which it returns. However many there
// are, few are in memory at a time, and a page costs the same wherever it begins. yield
// may use tx.
func (tx *Tx) Keypairs(f KeypairFilter, yield func(Keypair) error) error {
	var q where
	order := "user_id, name"
	if f.User != "" {
		order = "name"
		q.and(`name > ?`, f.After)
		q.and(`user_id = ?`, f.User)
	} else {
		q.and(`(user_id, name) > (?, ?)`, f.AfterUser, f.After)
	}
	if f.Type != "" {
		q.and(`type = ?`, f.Type)
	}
	text := `SELECT ` + keypairColumns + ` FROM key_pairs` + q.text() + ` ORDER BY ` + order + ` LIMIT ?`
	return paged(tx, f.Limit, func(page []Keypair, n int) ([]Keypair, error) {
		if len(page) > 0 {
			last := page[len(page)-1]
			if q.args[0] = last.Name; f.User == "" {
				q.args[0], q.args[1] = last.User, last.Name
			}
		}
		page = page[:0]
		err := tx.rows(text, append(q.args, n), func(r *sql.Rows) error {
			page = append(page, Keypair{})
			return scanKeypair(r, &page[len(page)-1])
		})
		return page, err
	}, yield)
}

func scanKeypair(r *sql.Rows, k *Keypair) error {
	return r.Scan(&k.ID, &k.User, &k.Name, &k.Type, &k.Fingerprint, &k.PublicKey, &k.Requester, second{&k.Created})
}
