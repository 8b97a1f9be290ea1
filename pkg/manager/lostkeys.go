package manager

import (
	"context"
	"fmt"
	"slices"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/store"
)

// findLost finds the certificates whose keys are lost.
// Errors: [fault.NotFound]; [fault.Denied].
func (r *reissuer) findLost(tx *store.Tx) error {
	r.lost, r.keys = nil, map[[32]byte]bool{}
	for _, n := range r.req.LostSerials {
		c, err := tx.Certificate(r.id, n)
		switch {
		case err != nil:
			return err
		case c.Kind == kindCA:
			return fault.Errorf(fault.Denied, "certificate %v is a CA's: those are replaced, not put out", n)
		case r.state.to.Accepts(n):
			return fault.Errorf(fault.Denied, "certificate %v is not below min-serial %v, so it would stay accepted", n, r.state.to)
		}
		r.addLost(c)
	}
	for _, name := range r.req.LostNames {
		if err := r.findLostName(tx, name); err != nil {
			return err
		}
	}
	slices.SortFunc(r.lost, func(a, b Certificate) int { return int(a.Serial - b.Serial) })
	r.begun.Lost = len(r.lost)
	return nil
}

func (r *reissuer) addLost(c Certificate) {
	c.DER = nil
	if !slices.ContainsFunc(r.lost, func(o Certificate) bool { return o.Serial == c.Serial }) {
		r.lost = append(r.lost, c)
	}
	r.keys[c.SPKIHash] = true
}

// findLostName finds the certificates of a name or of the node of that name. A name that
// is in none is a mistake.
func (r *reissuer) findLostName(tx *store.Tx, name string) error {
	known, cut := false, false
	for _, f := range []CertificateFilter{{Name: name}, {Holder: name}} {
		f.Authority, f.Kind, f.OmitDER = r.id, kindLeaf, true
		err := tx.Certificates(f, func(c Certificate) error {
			known = true
			switch {
			case c.NotAfter.Unix() < r.now().Unix():
			case !r.state.to.Accepts(c.Serial):
				cut = true
				r.addLost(c)
			case !r.begun.Resumed.IsZero() && !r.byNumber(r.state) && c.State == stateIssued:
				return &ReissueAgainError{name, c.Serial, r.state.begun, r.state.to}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if !known {
		return fault.Errorf(fault.NotFound, "there is no certificate for %q", name)
	}
	if !cut {
		r.begun.Unused = append(r.begun.Unused, name)
	}
	return nil
}

// revokeLost revokes the lost certificates and blocks their keys. Certificates that are
// not cut off are left alone, unless they have one of these keys: a node may have got a
// new one by now.
func (r *reissuer) revokeLost(ctx context.Context) error {
	for batch := range slices.Chunk(r.lost, revokeBatch) {
		req := RevokeRequest{Authority: r.id, Reason: profile.KeyCompromise}
		for _, c := range batch {
			req.Serials = append(req.Serials, c.Serial)
		}
		v := revocation{Manager: r.Manager, req: req}
		if err := v.targets(ctx); err != nil {
			return fmt.Errorf("revoking the certificates of lost keys: %w", err)
		}
	}
	return nil
}
