package manager

import (
	"errors"

	"x509ctl/pkg/store"
)

// standing asks whether a project's authority is still to be used: of one that is deleted
// nobody needs a fresh list or a valid CA. It comes before the checks of these.
func (e *examination) standing() {
	if e.row == nil || e.ca == nil || ProjectOf(e.req.Authority) == "" {
		return
	}
	err := e.db.Read(e.ctx, func(tx *store.Tx) error {
		_, err := signingProject(tx, *e.row)
		return err
	})
	switch {
	case err == nil:
	case errors.Is(err, ErrProjectDeleted):
		e.deleted = true
	case errors.Is(err, ErrCARevoked):
		e.say(SeverityError, e.ca.Path(), err)
	default:
		e.unread(e.path(databaseFile), err)
	}
}
