package store

import (
	"database/sql"
	"math"
	"slices"
	"time"
)

// An AuditEntry is one line of the audit trail. Times have whole seconds.
type AuditEntry struct {
	ID      int64 // given by the database; ascending
	Time    time.Time
	Who     string
	From    string
	Action  string
	Object  string
	Outcome string
	Detail  string
}

// An AuditFilter selects entries. Every field that is not zero restricts the
// selection further.
type AuditFilter struct {
	After  int64     // ID, exclusive
	Since  time.Time // inclusive
	Action string
	Limit  int // 0: no limit
	Last   int // of those selected, only so many of the newest; 0: all
}

var insertAudit = insert{
	into: `INSERT INTO audit (at, who, origin, action, object, outcome, detail) VALUES `,
	row:  `(?, ?, ?, ?, ?, ?, ?)`,
}

// Audit appends entries. Their IDs are ignored.
func (tx *Tx) Audit(es ...AuditEntry) error {
	return insertAudit.run(tx, len(es), func(args []any, i int) []any {
		e := &es[i]
		return append(args, e.Time.Unix(), e.Who, e.From, e.Action, e.Object, e.Outcome, e.Detail)
	})
}

// AuditEntries calls yield for each entry that f selects, in the order of their
// IDs, until yield returns an error, which it returns. yield may use tx.
//
// On PostgreSQL an entry can become visible after one with a higher ID, when its
// transaction took longer.
func (tx *Tx) AuditEntries(f AuditFilter, yield func(AuditEntry) error) error {
	var q where
	q.and(`id > ?`, f.After)
	if !f.Since.IsZero() {
		q.and(`at >= ?`, f.Since.Unix())
	}
	if f.Action != "" {
		q.and(`action = ?`, f.Action)
	}
	if f.Last > 0 {
		err := tx.rows(`SELECT id FROM audit`+q.text()+` ORDER BY id DESC LIMIT 1 OFFSET ?`, append(slices.Clone(q.args), f.Last-1), func(r *sql.Rows) error {
			var first int64
			err := r.Scan(&first)
			q.args[0] = first - 1
			return err
		})
		if err != nil {
			return err
		}
	}
	text := `SELECT id, at, who, origin, action, object, outcome, detail FROM audit` + q.text() + ` ORDER BY id LIMIT ?`
	return paged(tx, f.Limit, func(page []AuditEntry, n int) ([]AuditEntry, error) {
		if len(page) > 0 {
			q.args[0] = page[len(page)-1].ID
		}
		page = page[:0]
		err := tx.rows(text, append(q.args, n), func(r *sql.Rows) error {
			var e AuditEntry
			err := r.Scan(&e.ID, second{&e.Time}, &e.Who, &e.From, &e.Action, &e.Object, &e.Outcome, &e.Detail)
			page = append(page, e)
			return err
		})
		return page, err
	}, yield)
}

// pageSize is how many rows a list holds in memory at a time.
const pageSize = 256

// paged calls yield for up to limit rows (0: all), a page at a time. next returns
// the page, of up to n rows, that follows the one it is given, whose memory it may
// use; a shorter one is the last.
func paged[T any](tx *Tx, limit int, next func(page []T, n int) ([]T, error), yield func(T) error) (err error) {
	if limit <= 0 {
		limit = math.MaxInt
	}
	var page []T
	for limit > 0 {
		n := min(limit, pageSize)
		if page, err = next(page, n); err != nil {
			return err
		}
		for i := range page {
			if err := yield(page[i]); err != nil {
				return err
			}
		}
		if err := tx.ctx.Err(); err != nil || len(page) < n {
			return err
		}
		limit -= n
	}
	return nil
}
