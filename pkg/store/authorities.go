package store

import (
	"time"

	"x509ctl/pkg/serial"
)

// An AuthorityID names an authority in the database.
type AuthorityID string

// Cluster is the cluster's own authority.
const Cluster AuthorityID = "cluster"

// An Authority is a CA as the database knows it. Times have whole seconds.
type Authority struct {
	ID         AuthorityID
	Name       string   // the cluster's name
	Active     [32]byte // SHA-256 of the active CA certificate; zero: none yet
	Counter    serial.Row
	Generation int64 // changes with every node added or removed
	Created    time.Time
}

// Authority returns the authority id. In [Store.Write] no other transaction
// changes it, or reads it in a Write, until this one ends.
// Errors: [fault.NotFound].
func (tx *Tx) Authority(id AuthorityID) (Authority, error) { return Authority{}, errTODO }

// PutAuthority inserts a, or replaces the whole row of that id.
func (tx *Tx) PutAuthority(a Authority) error { return errTODO }

// SetCounter replaces the counter of the authority id.
// Errors: [fault.NotFound].
func (tx *Tx) SetCounter(id AuthorityID, r serial.Row) error { return errTODO }
