package manager

import (
	"errors"
	"fmt"
	"slices"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
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
		if err == nil {
			err = checkRootTrusted(tx, *e.row)
		}
		return err
	})
	switch {
	case err == nil:
	case errors.Is(err, ErrProjectDeleted):
		e.deleted = true
	case errors.Is(err, ErrCARevoked), errors.Is(err, ErrRootGone):
		e.say(SeverityError, e.ca.Path(), err)
	default:
		e.unread(e.path(databaseFile), err)
	}
}

// ErrRootGone means that a CA of a project is below a root that is trusted no more, as one
// whose key was stolen, and that the project's bundle has that still.
var ErrRootGone = fault.New(fault.Invalid, "the project's bundle has a root that was given up")

// checkRootTrusted wants that the root which signed each CA of a project is one of those
// that are alive. Error: ErrRootGone.
func checkRootTrusted(tx *store.Tx, row store.Authority) error {
	root, err := tx.Authority(ProjectRoot)
	if err != nil {
		return err
	}
	trusted := append([]authority.Fingerprint{root.Active, root.Next}, root.Old...)
	for _, f := range append([]authority.Fingerprint{row.Active, row.Next}, row.Old...) {
		c, err := tx.CACertificate(ProjectRoot, f)
		switch {
		case fault.KindOf(err) == fault.NotFound: // a third party's, or none
		case err != nil:
			return err
		case !slices.Contains(trusted, c.CA):
			return fmt.Errorf("%w: it signed certificate %v", ErrRootGone, c.Serial)
		}
	}
	return nil
}
