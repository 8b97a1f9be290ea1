package profile

import (
	"fmt"
	"time"

	"x509ctl/pkg/fault"
)

// Lifetimes. A lifetime is the whole difference between notAfter and notBefore. Both
// ends belong to the validity (RFC 5280, section 4.1.2.5), so a certificate is valid
// for one second more than its lifetime.
const (
	// MaxLifetime is the longest lifetime of a node certificate, itself allowed:
	// 604,798 s. The certificate is then valid for 604,799 s, less than a week.
	MaxLifetime = 168*time.Hour - 2*time.Second
	// DefaultLifetime is a node certificate's lifetime when nobody asks for another.
	DefaultLifetime = 24 * time.Hour
	// MaxMemberLifetime is the longest lifetime of a certificate of a project's member or
	// server, itself allowed: a year of 365 days.
	MaxMemberLifetime = 365 * 24 * time.Hour
	// DefaultMemberLifetime is 90 days.
	DefaultMemberLifetime = 90 * 24 * time.Hour
	// Backdate is how long before now a certificate begins, for clocks that are
	// behind: OpenSSL tolerates no difference, and the nodes of a Ganeti cluster may
	// differ by 150 s.
	Backdate = 5 * time.Minute

	// MinCALifetime is the shortest lifetime of a CA, itself allowed.
	MinCALifetime = time.Hour
	// MaxCALifetime is the longest lifetime of a CA, itself allowed: 25 years of 365 days.
	MaxCALifetime = 25 * 365 * 24 * time.Hour
	// DefaultCALifetime is 5 years of 365 days.
	DefaultCALifetime = 5 * 365 * 24 * time.Hour
	// DefaultProjectRootLifetime is 10 years of 365 days.
	DefaultProjectRootLifetime = 10 * 365 * 24 * time.Hour
)

// ErrOutlivesCA means that a certificate would not end before every certificate of
// its chain does.
var ErrOutlivesCA = fault.New(fault.Denied, "certificate would outlive the CA")

// ErrCANotValid means that a CA's certificate is not valid now: nothing can be signed
// that anybody would accept.
var ErrCANotValid = fault.New(fault.Denied, "the CA's certificate is not valid now")

// A LifetimeError is a lifetime that is too short or too long. Min and Max are
// allowed themselves.
type LifetimeError struct{ Requested, Min, Max time.Duration }

func (e *LifetimeError) Error() string {
	return fmt.Sprintf("lifetime %v is not between %v and %v", e.Requested, shortDuration(e.Min), shortDuration(e.Max))
}

// FaultKind makes the error [fault.Denied].
func (e *LifetimeError) FaultKind() fault.Kind { return fault.Denied }

// shortDuration returns d in hours where it is whole hours: "1h" for "1h0m0s".
func shortDuration(d time.Duration) string {
	if d > 0 && d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}

// A Validity is when a certificate is valid, checked. Only [LeafValidity] makes one
// that [NewLeaf] takes. The zero Validity is refused.
type Validity struct {
	profile             Profile // empty for a CA
	notBefore, notAfter time.Time
	shortened           bool
}

// NotBefore returns the first second, in UTC.
func (v Validity) NotBefore() time.Time { return v.notBefore }

// NotAfter returns the last second, itself valid, in UTC.
func (v Validity) NotAfter() time.Time { return v.notAfter }

// Shortened reports whether the certificate ends earlier than was asked for, because
// its chain does.
func (v Validity) Shortened() bool { return v.shortened }

// LeafValidity returns when a certificate of a profile, signed by issuer, is valid:
// lifetime, from 1 s to [Profile.MaxLifetime], parts of a second cut off, beginning
// [Backdate] before now.
//
// A lifetime below twice Backdate begins half of itself before now: no certificate
// is dead on arrival, and one for 4 minutes can still be used for 2. None begins
// before the CA's own certificate; it then ends as much later. One that would not end
// before every certificate of the chain is refused, or, with shorten, ends one second
// before the first that does.
//
// Errors, all [fault.Denied]: [*LifetimeError], [ErrOutlivesCA], [ErrCANotValid].
func LeafValidity(p Profile, now time.Time, lifetime time.Duration, issuer *Issuer, shorten bool) (Validity, error) {
	if err := issuer.check(); err != nil {
		return Validity{}, err
	}
	if longest := p.MaxLifetime(); lifetime < time.Second || lifetime > longest {
		return Validity{}, &LifetimeError{Requested: lifetime, Min: time.Second, Max: longest}
	}
	now = now.UTC().Truncate(time.Second)
	if err := issuer.validAt(now); err != nil {
		return Validity{}, err
	}
	v := period(now, lifetime, issuer.notBefore)
	v.profile = p
	if last := issuer.notAfter.Add(-time.Second); v.notAfter.After(last) {
		if !shorten || !last.After(now) {
			return Validity{}, fault.Errorf(fault.Denied, "%w: it would end %s, and the CA or one of its issuers ends %s",
				ErrOutlivesCA, v.notAfter.Format(time.RFC3339), issuer.notAfter.Format(time.RFC3339))
		}
		v.notAfter, v.shortened = last, true
	}
	return v, nil
}

// period returns lifetime from shortly before now, not before earliest.
func period(now time.Time, lifetime time.Duration, earliest time.Time) Validity {
	lifetime = lifetime.Truncate(time.Second)
	back := min(Backdate, (lifetime / 2).Truncate(time.Second))
	v := Validity{notBefore: now.UTC().Truncate(time.Second).Add(-back)}
	if v.notBefore.Before(earliest) {
		v.notBefore = earliest
	}
	v.notAfter = v.notBefore.Add(lifetime)
	return v
}
