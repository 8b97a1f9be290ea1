package manager

import (
	"context"
	"fmt"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/keypair"
	"x509ctl/pkg/store"
)

type (
	// Keypair is the record of a public half.
	Keypair = store.Keypair
	// KeypairFilter says which keypairs are wanted.
	KeypairFilter = store.KeypairFilter
)

// AddKeypairRequest asks for a record of a public half. Where keypairs are made, the
// private half stays.
type AddKeypairRequest struct {
	User      string
	Name      string
	Type      keypair.Type // empty: as the content shows
	PublicKey string       // kept byte for byte
	Created   time.Time    // elsewhere, before; zero: now
	IfMissing bool         // the same public half under the same name is no error
}

// A KeypairResult is the answer to one request.
type KeypairResult struct {
	Keypair  Keypair // without an ID
	Public   *keypair.Public
	WasThere bool  // with IfMissing
	Err      error // the refusal; the other fields are empty then
}

// AddKeypairs implements Service.
func (m *Manager) AddKeypairs(ctx context.Context, reqs []AddKeypairRequest) ([]KeypairResult, error) {
	if len(reqs) > MaxBatch {
		return nil, fault.Errorf(fault.Malformed, "%d keypairs in one call, at most %d are taken", len(reqs), MaxBatch)
	}
	db, err := m.database(ctx)
	if err != nil {
		return nil, err
	}
	judged := make([]KeypairResult, len(reqs))
	for i, req := range reqs {
		judged[i] = m.judgeKeypair(req)
	}
	var out []KeypairResult
	err = db.Write(ctx, func(tx *store.Tx) error {
		out = append([]KeypairResult(nil), judged...)
		entries := make([]store.AuditEntry, 0, len(reqs))
		for i := range out {
			if out[i].Err == nil {
				if err := addKeypair(tx, &out[i], reqs[i].IfMissing); err != nil {
					return err
				}
			}
			entries = append(entries, m.keypairEntry(reqs[i], out[i]))
		}
		return tx.Audit(entries...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// judgeKeypair checks a request, and returns what is to be recorded.
func (m *Manager) judgeKeypair(req AddKeypairRequest) KeypairResult {
	err := keypair.CheckUser(req.User)
	if err == nil {
		err = keypair.CheckName(req.Name)
	}
	if err != nil {
		return KeypairResult{Err: err}
	}
	p, err := keypair.Parse(req.Type, req.PublicKey)
	if err != nil {
		return KeypairResult{Err: err}
	}
	k := Keypair{
		User: req.User, Name: req.Name, Type: string(p.Type), Fingerprint: p.Fingerprint(), PublicKey: p.Text,
		Requester: m.config.Caller.Who, Created: req.Created,
	}
	if k.Created.IsZero() {
		k.Created = m.now()
	}
	return KeypairResult{Keypair: k, Public: p}
}

// addKeypair records what was judged. A name that is taken is the result's error.
func addKeypair(tx *store.Tx, r *KeypairResult, ifMissing bool) error {
	err := tx.AddKeypair(r.Keypair)
	if fault.KindOf(err) != fault.Exists {
		return err
	}
	if ifMissing {
		have, lookup := tx.Keypair(r.Keypair.User, r.Keypair.Name)
		if lookup != nil {
			return lookup
		}
		if have.Type == r.Keypair.Type && have.PublicKey == r.Keypair.PublicKey {
			r.Keypair, r.WasThere = have, true
			return nil
		}
	}
	*r = KeypairResult{Err: err}
	return nil
}

// keypairEntry is what the audit table says of an answer.
func (m *Manager) keypairEntry(req AddKeypairRequest, r KeypairResult) store.AuditEntry {
	object := keypairObject(req.User, req.Name)
	switch {
	case r.Err != nil:
		return m.audit("keypair-add", object, refused, r.Err.Error())
	case r.WasThere:
		return m.audit("keypair-add", object, done, "it was there already")
	}
	return m.audit("keypair-add", object, done, r.Keypair.Type+" "+r.Keypair.Fingerprint)
}

// keypairObject names a keypair in the audit table, however wrong the name is.
func keypairObject(user, name string) string { return fmt.Sprintf("%.255q of %.255q", name, user) }

// Keypair implements Service.
func (m *Manager) Keypair(ctx context.Context, user, name string) (Keypair, error) {
	db, err := m.database(ctx)
	if err != nil {
		return Keypair{}, err
	}
	var out Keypair
	err = db.Read(ctx, func(tx *store.Tx) (err error) {
		out, err = tx.Keypair(user, name)
		return err
	})
	return out, err
}

// Keypairs implements Service.
func (m *Manager) Keypairs(ctx context.Context, f KeypairFilter, yield func(Keypair) error) error {
	db, err := m.database(ctx)
	if err != nil {
		return err
	}
	return db.Read(ctx, func(tx *store.Tx) error { return tx.Keypairs(f, yield) })
}

// DeleteKeypair implements Service.
func (m *Manager) DeleteKeypair(ctx context.Context, user, name string) (Keypair, error) {
	db, err := m.database(ctx)
	if err != nil {
		return Keypair{}, err
	}
	var gone Keypair
	err = db.Write(ctx, func(tx *store.Tx) (err error) {
		if gone, err = tx.Keypair(user, name); err != nil {
			return err
		}
		if err := tx.DeleteKeypair(user, name); err != nil {
			return err
		}
		return tx.Audit(m.audit("keypair-delete", keypairObject(user, name), done, gone.Type+" "+gone.Fingerprint))
	})
	return gone, err
}
