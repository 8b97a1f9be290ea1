package store

import "x509ctl/pkg/fault"

// Facts that a caller may have a hint for. All are [fault.Unavailable].
var (
	ErrOldSchema = fault.New(fault.Unavailable, "the database has an older schema")
	ErrNewSchema = fault.New(fault.Unavailable, "the database has a newer schema than this program knows")
	ErrReplaced  = fault.New(fault.Unavailable, "the database file was replaced or deleted while in use")
	ErrBusy      = fault.New(fault.Unavailable, "the database is busy")
	ErrDamaged   = fault.New(fault.Unavailable, "the database is damaged, or no database of x509ctl")
)
