package manager

import (
	"context"
	"maps"
	"slices"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// recoverOthers lets the counts of the project root and of projects jump, which lie in the
// same directory as the cluster's: all of them when nobody knows the highest number, for
// then all went back; otherwise those that refuse to go on.
func (m *Manager) recoverOthers(ctx context.Context, req RecoverRequest) error {
	db, err := m.database(ctx)
	if err != nil {
		return err
	}
	rows, err := authorityRows(ctx, db)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if id == req.Authority {
			continue
		}
		jump := req.AtLeast == 0
		if !jump {
			if jump, err = m.stuck(ctx, id); err != nil {
				return err
			}
		}
		if !jump {
			continue
		}
		if _, err := m.recoverSerial(ctx, RecoverRequest{Authority: id, KeepFloor: req.KeepFloor}); err != nil {
			return err
		}
		if err := m.spread(ctx, id, "recover"); err != nil {
			return err
		}
	}
	return nil
}

// stuck reports whether an authority's count refuses to go on.
func (m *Manager) stuck(ctx context.Context, id AuthorityID) (stuck bool, err error) {
	err = m.change(ctx, id, func(tx *store.Tx, l *authority.Locked, row store.Authority) error {
		s, err := m.counted(tx, l, id)
		if err == nil {
			_, _, err = serial.Reserve(row.Counter, s, 1, m.now())
		}
		stuck = err != nil
		return nil
	})
	return stuck, err
}
