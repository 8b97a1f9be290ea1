package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"x509ctl/pkg/serial"
)

// maxComplaints is how many things a QuickCheck names.
const maxComplaints = 5

// QuickCheck reads all of an SQLite database and judges its structure, while others
// go on: pages, rows, and the number of entries in each index (PRAGMA quick_check). It
// reads a gigabyte in some seconds; the caller's ctx bounds it.
//
// Errors: [ErrDamaged], with the first things that are wrong; ctx's;
// [x509ctl/pkg/fault.Denied] on PostgreSQL, which has tools of its own.
func (s *Store) QuickCheck(ctx context.Context) error { return s.engine.quickCheck(ctx) }

func (e *sqlite) quickCheck(ctx context.Context) (err error) {
	if err := e.file.check(); err != nil {
		return err
	}
	db, conn, err := connect(ctx, dataSource(e.file.path, DefaultWait))
	if err != nil {
		return e.sort(err)
	}
	defer func() { err = errors.Join(err, conn.Close(), db.Close()) }()
	rows, err := conn.QueryContext(ctx, fmt.Sprintf("PRAGMA quick_check(%d)", maxComplaints))
	if err != nil {
		return interruptedOr(ctx, e.sort(err))
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return interruptedOr(ctx, e.sort(err))
		}
		found = append(found, line)
	}
	if err := rows.Err(); err != nil {
		return interruptedOr(ctx, e.sort(err))
	}
	if text := strings.Join(found, "; "); text != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, text)
	}
	return nil
}

// interruptedOr is ctx's error once ctx has ended, whatever SQLite says then.
func interruptedOr(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return err
}

// Newest is the latest that a database knows of an authority.
type Newest struct {
	Serial  serial.Number // the highest number in the inventory; 0 for none
	Written time.Time     // of the inventory's and the audit trail's newest entry; zero for none
}

// Newest returns the latest that is on record. It searches nothing.
func (tx *Tx) Newest(id AuthorityID) (n Newest, err error) {
	var issued time.Time
	err = tx.row(`SELECT serial, created FROM certificates WHERE authority = ? ORDER BY serial DESC LIMIT 1`,
		[]any{string(id)}, &n.Serial, second{&issued})
	if err == nil || errors.Is(err, errNoRow) {
		err = tx.row(`SELECT at FROM audit ORDER BY id DESC LIMIT 1`, nil, second{&n.Written})
	}
	if errors.Is(err, errNoRow) {
		err = nil
	}
	if issued.After(n.Written) {
		n.Written = issued
	}
	return n, err
}
