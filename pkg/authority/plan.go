package authority

import (
	"sync/atomic"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

// A Plan is a certificate that passed every check and is yet to be numbered and
// signed. Only [Authority.Plan] makes one.
type Plan struct {
	by    *Authority
	leaf  *profile.Leaf
	spent atomic.Bool
}

// Plan checks that a certificate of the profile of names for key may be issued now for lifetime,
// or for as much of it as the CA will live when shorten is set. It spends no number.
//
// Errors, all fault.Denied: *profile.LifetimeError; profile.ErrOutlivesCA; names of
// another project, or that the name constraints of a CA in the chain don't allow.
func (a *Authority) Plan(names profile.Approved, key *profile.SubjectKey, now time.Time, lifetime time.Duration, shorten bool) (*Plan, error) {
	validity, err := profile.LeafValidity(names.Profile(), now, lifetime, a.issuer, shorten)
	if err != nil {
		return nil, err
	}
	if a.limits != nil {
		if err := asUseless(a.limits.Check(names.CommonName(), names.DNSNames(), names.IPAddresses())); err != nil {
			return nil, err
		}
	}
	leaf, err := profile.NewLeaf(a.issuer, names, key, validity)
	if err != nil {
		return nil, err
	}
	return &Plan{by: a, leaf: leaf}, nil
}

// CheckLifetime says whether Plan would refuse the time that is asked for, whatever the
// names and the key. Errors: those of [Authority.Plan].
func (a *Authority) CheckLifetime(p profile.Profile, now time.Time, lifetime time.Duration, shorten bool) error {
	_, err := profile.LeafValidity(p, now, lifetime, a.issuer, shorten)
	return err
}

// Leaf returns what is going to be signed.
func (p *Plan) Leaf() *profile.Leaf { return p.leaf }

// By returns the CA that is going to sign.
func (p *Plan) By() *Authority { return p.by }

// Sign builds the certificate with number n, checks the bytes against the policy
// once more, and signs exactly those. A Plan can be signed once.
func (p *Plan) Sign(n serial.Number) (der []byte, err error) {
	if p.spent.Swap(true) {
		return nil, fault.New(fault.Internal, "a certificate was about to be signed twice")
	}
	tbs, err := p.leaf.TBS(n)
	if err != nil {
		return nil, err
	}
	return profile.Sign(tbs, p.by.key)
}

// CheckSignature checks that der is a certificate that a signed: a fault of memory
// or of the processor must not leave as a certificate.
func (a *Authority) CheckSignature(der []byte) error {
	return profile.VerifySignature(der, a.chain[0].PublicKey)
}
