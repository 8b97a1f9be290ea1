package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"x509ctl/pkg/fault"
)

// MaxText is the largest text or blob that a Tx accepts, in bytes; MaxKey the
// largest one that something is found by: names, setting names, resume keys.
const (
	MaxText = 1 << 20
	MaxKey  = 1024
)

// A Tx is a transaction. It is valid until the function that it was given to
// returns, and for one goroutine at a time.
//
// Text is UTF-8 without NUL; anything else, or more of it than [MaxText] and
// [MaxKey] allow, is [fault.Malformed].
type Tx struct {
	ctx     context.Context
	session session
	engine  engine
	write   bool
	failed  error // the first error of a statement: nothing will be committed
}

var errReadOnly = errors.New("writing in a transaction that only reads")

// Timeline returns PostgreSQL's timeline, which changes when a standby is promoted
// or the database is restored to a point in time; 0 on SQLite.
// Errors: [fault.Unavailable] on a standby.
func (tx *Tx) Timeline() (uint32, error) {
	t, err := tx.session.timeline()
	return t, tx.fail(err)
}

// exec runs a statement that returns no rows, and says how many it changed.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	if !tx.write {
		return 0, tx.fail(errReadOnly)
	}
	if err := checkArgs(args); err != nil {
		return 0, tx.fail(err)
	}
	r, err := tx.session.exec(query, args...)
	if err != nil {
		return 0, tx.fail(err)
	}
	n, err := r.RowsAffected()
	return n, tx.fail(err)
}

// row runs a query and scans its first row into dest. Error: errNoRow.
func (tx *Tx) row(query string, args []any, dest ...any) error {
	found := false
	err := tx.rows(query, args, func(r *sql.Rows) error {
		if found {
			return nil
		}
		found = true
		return r.Scan(dest...)
	})
	if err == nil && !found {
		return errNoRow
	}
	return err
}

var errNoRow = fault.New(fault.NotFound, "no such row")

// rows runs a query and calls scan for each row.
func (tx *Tx) rows(query string, args []any, scan func(*sql.Rows) error) error {
	if err := checkArgs(args); err != nil {
		return tx.fail(err)
	}
	r, err := tx.session.query(query, args...)
	if err != nil {
		return tx.fail(err)
	}
	defer r.Close() // its error is Err's
	for r.Next() {
		if err := scan(r); err != nil {
			return tx.fail(err)
		}
	}
	return tx.fail(r.Err())
}

// fail notes that the transaction is broken, and gives err its kind.
func (tx *Tx) fail(err error) error {
	if err == nil {
		return nil
	}
	err = tx.engine.sort(err)
	if tx.failed == nil {
		tx.failed = err
	}
	return err
}

// checkArgs refuses what one of the databases would refuse, so that both do.
func checkArgs(args []any) error {
	for _, a := range args {
		switch a := a.(type) {
		case string:
			if len(a) > MaxText {
				return fault.Errorf(fault.Malformed, "text of %d bytes is too long, at most %d", len(a), MaxText)
			}
			if !utf8.ValidString(a) || strings.IndexByte(a, 0) >= 0 {
				return fault.Errorf(fault.Malformed, "text is not UTF-8 without NUL: %.100q", a)
			}
		case []byte:
			if len(a) > MaxText {
				return fault.Errorf(fault.Malformed, "data of %d bytes is too long, at most %d", len(a), MaxText)
			}
		}
	}
	return nil
}

func checkKey(what, key string) error {
	if len(key) > MaxKey {
		return fault.Errorf(fault.Malformed, "%s of %d bytes is too long, at most %d", what, len(key), MaxKey)
	}
	return nil
}

// lines is a list of strings as a column keeps it, one a line. Empty strings and
// line breaks have no place in it.
func lines(list []string) (string, error) {
	for _, s := range list {
		if s == "" || strings.IndexByte(s, '\n') >= 0 {
			return "", fault.Errorf(fault.Malformed, "%.100q can't be kept in a list", s)
		}
	}
	return strings.Join(list, "\n"), nil
}

func unlines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// A sum is a SHA-256 as a column keeps it; the zero sum is kept as an empty blob.
type sum [32]byte

func (s *sum) bytes() []byte {
	if *s == (sum{}) {
		return []byte{}
	}
	return s[:]
}

// Scan implements [sql.Scanner].
func (s *sum) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok && v != nil || len(b) != 0 && len(b) != len(s) {
		return errors.New("a SHA-256 in the database is damaged")
	}
	clear(s[:])
	copy(s[:], b)
	return nil
}

// sums are a list of sums as a column keeps it: in hexadecimal, one a line.
type sums []Sum

func (s sums) text() string {
	var list []string
	for _, x := range s {
		list = append(list, hex.EncodeToString(x[:]))
	}
	return strings.Join(list, "\n")
}

// Scan implements [sql.Scanner].
func (s *sums) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return errors.New("a list in the database is damaged")
	}
	*s = nil
	for _, line := range unlines(text) {
		var x Sum
		if n, err := hex.Decode(x[:], []byte(line)[:min(len(line), 64)]); err != nil || n != len(x) || len(line) != 64 {
			return errors.New("a SHA-256 in the database is damaged")
		}
		*s = append(*s, x)
	}
	return nil
}

// A blob is bytes as a column keeps them; none are nil.
type blob []byte

// Scan implements [sql.Scanner].
func (b *blob) Scan(v any) error {
	data, ok := v.([]byte)
	if !ok && v != nil {
		return errors.New("data in the database is damaged")
	}
	*b = append(blob(nil), data...)
	return nil
}

// A second is a time as a column keeps it: seconds since 1970.
type second struct{ t *time.Time }

// Scan implements [sql.Scanner].
func (s second) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return errors.New("a time in the database is damaged")
	}
	*s.t = time.Unix(n, 0).UTC()
	return nil
}
