package store

import "time"

// An AuditEntry is one line of the audit trail.
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
}

// Audit appends entries. Their IDs are ignored.
func (tx *Tx) Audit(es ...AuditEntry) error { return errTODO }

// AuditEntries calls yield for each entry that f selects, in the order of their
// IDs, until yield returns an error, which it returns. yield may use tx.
func (tx *Tx) AuditEntries(f AuditFilter, yield func(AuditEntry) error) error { return errTODO }
