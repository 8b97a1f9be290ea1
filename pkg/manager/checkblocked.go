package manager

import (
	"fmt"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
)

// A BlockedError is a file of blocked keys that is not what the database has.
type BlockedError struct{ Problem string }

func (e *BlockedError) Error() string { return authority.BlockName + " " + e.Problem }

// FaultKind makes the error [fault.Invalid].
func (e *BlockedError) FaultKind() fault.Kind { return fault.Invalid }

// blocked asks whether file and database have the same blocked keys.
func (e *examination) blocked() {
	if e.row == nil || e.locked == nil || e.said(authority.BlockName) {
		return
	}
	path := e.inCA(authority.BlockName)
	wrong, err := e.judgeBlocked(path)
	if err != nil {
		e.unread(path, err)
		return
	}
	if wrong == nil {
		return
	}
	e.sayAndMend(SeverityError, path, wrong, mend{"has what both had", func() error {
		return e.db.Write(e.ctx, func(tx *store.Tx) error {
			row, err := tx.Authority(e.row.ID)
			if err == nil {
				err = e.m.mergeBlocked(tx, e.locked, &row, true)
			}
			return err
		})
	}})
}

// judgeBlocked returns what is wrong, or why it can't be found out.
func (e *examination) judgeBlocked(path string) (wrong, err error) {
	var known map[[32]byte]bool
	err = e.db.Read(e.ctx, func(tx *store.Tx) error {
		known = map[[32]byte]bool{}
		all, err := tx.BlockedKeys(e.row.ID)
		for key, n := range all {
			known[key] = n == 0 // a CA's need not be in the file
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	unknown := 0
	damaged, err := e.locked.ReadBlocked(func(k authority.BlockedKey) error {
		if _, ok := known[k.SPKIHash]; !ok {
			unknown++
		}
		known[k.SPKIHash] = true
		return nil
	})
	missing := 0
	for _, found := range known {
		if !found {
			missing++
		}
	}
	switch {
	case err != nil:
		return nil, err
	case damaged > 0:
		return &BlockedFileError{path, damaged}, nil
	case unknown > 0:
		return &BlockedError{fmt.Sprintf("has keys that the database does not know, %d of them", unknown)}, nil
	case missing > 0:
		return &BlockedError{fmt.Sprintf("does not have keys that were revoked for compromise, %d of them", missing)}, nil
	}
	return nil, nil
}
