package manager

import (
	"context"
	"errors"
	"slices"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// successor puts a CA into next/: one that was made elsewhere, or a new one, of a project
// with the root that signed it. Its key is encrypted if the active CA's is, with the same
// passphrase.
func (r *renewal) successor(ctx context.Context, row store.Authority) (ca, root *authority.Authority, err error) {
	if r.req.Foreign == nil {
		return r.make(ctx, row)
	}
	passphrase, err := r.passphrase()
	if err != nil {
		return nil, nil, err
	}
	ca, err = r.locked.Install(*r.req.Foreign, roleOf(row.ID), row.Name, passphrase, r.now())
	return ca, nil, err
}

// checkForeign refuses a CA made elsewhere before anything is changed.
func (r *renewal) checkForeign(ctx context.Context, row store.Authority) error {
	f := r.req.Foreign
	if f == nil {
		return nil
	}
	if err := f.Check(roleOf(row.ID), row.Name, r.now()); err != nil {
		return err
	}
	for _, sum := range append(slices.Clone(row.Old), row.Active) {
		chain, err := r.locked.Chain(sum)
		if err != nil {
			return err
		}
		switch {
		case chain[0].Equal(f.Chain[0]):
			return fault.Errorf(fault.Exists, "this is the certificate of a CA that is trusted already: %q", chain[0].Subject.String())
		case f.Clashes(chain[0]):
			return fault.Errorf(fault.Denied, "another key has the name %q, by which verifiers find a CA", chain[0].Subject.String())
		}
	}
	return r.checkShared(ctx, *f)
}

// passphrase returns the active CA's, empty for a key that is not encrypted.
func (r *renewal) passphrase() ([]byte, error) {
	encrypted, err := r.locked.KeyEncrypted()
	if errors.Is(err, ErrKeyMissing) || err == nil && !encrypted {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// Whether it is the right one shows when it opens that key.
	if _, err := r.locked.Load(r.config.Passphrase); err != nil {
		return nil, err
	}
	return r.config.Passphrase()
}

// make makes a CA in next/, and returns it with the root that signed it, if it is a project's.
func (r *renewal) make(ctx context.Context, row store.Authority) (ca, root *authority.Authority, err error) {
	n := authority.NewCA{
		Role: roleOf(row.ID), Name: row.Name, Serial: 1, KeyAlgorithm: r.req.KeyAlgorithm, Now: r.now(), Lifetime: r.req.Lifetime,
	}
	if n.Role == authority.ProjectCA {
		if n.Root, err = r.finishedSigner(ctx, ProjectRoot); err != nil {
			return nil, nil, err
		}
	}
	if err := n.Check(); err != nil {
		return nil, nil, err
	}
	if n.Passphrase, err = r.passphrase(); err != nil {
		return nil, nil, err
	}
	if n.Serial, n.Root, err = r.number(ctx, row); err != nil {
		return nil, nil, err
	}
	ca, err = r.locked.Prepare(n)
	return ca, n.Root, err
}

// number takes a number for the CA's certificate: of the root's count for a project's, with
// that root.
func (r *renewal) number(ctx context.Context, row store.Authority) (serial.Number, *authority.Authority, error) {
	if roleOf(row.ID) == authority.ProjectCA {
		return r.reserveForProject(ctx, r.db, r.locked, row.ID)
	}
	n, err := r.reserveForCA(ctx, r.db, r.locked, row.ID)
	return n, nil, err
}
