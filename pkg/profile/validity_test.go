package profile

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"x509ctl/pkg/fault"
)

func TestLeafValidity(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 999_999_999, time.FixedZone("", -7200))
	second := now.UTC().Truncate(time.Second)
	old := newTestIssuer(t, newP256(t), now.Add(-24*time.Hour))
	fixed := fixedLeaf(t)
	ending := func(left time.Duration) *Issuer { // ends so long after second
		i := *old
		i.notAfter = second.Add(left)
		return &i
	}
	begun := func(ago time.Duration) *Issuer {
		i := *old
		i.notBefore = second.Add(-ago)
		return &i
	}
	const day, week = 24 * time.Hour, MaxLifetime
	for _, tc := range []struct {
		name     string
		issuer   *Issuer
		lifetime time.Duration
		shorten  bool
		begins   time.Duration // before now
		ends     time.Duration // after notBefore
		short    bool
		err      error
	}{
		{name: "a day", lifetime: day, begins: Backdate, ends: day},
		{name: "longest", lifetime: week, begins: Backdate, ends: 604798 * time.Second},
		{name: "longest and a nanosecond", lifetime: week + 1, err: &LifetimeError{}},
		{name: "a second more", lifetime: week + time.Second, err: &LifetimeError{}},
		{name: "168 h", lifetime: 168 * time.Hour, err: &LifetimeError{}},
		{name: "168 h is not shortened", lifetime: 168 * time.Hour, shorten: true, err: &LifetimeError{}},
		{name: "zero", err: &LifetimeError{}},
		{name: "negative", lifetime: -time.Hour, err: &LifetimeError{}},
		{name: "below a second", lifetime: time.Second - 1, err: &LifetimeError{}},
		{name: "a second", lifetime: time.Second, begins: 0, ends: time.Second},
		{name: "parts of a second", lifetime: day + 999*time.Millisecond, begins: Backdate, ends: day},
		{name: "4 minutes", lifetime: 4 * time.Minute, begins: 2 * time.Minute, ends: 4 * time.Minute},
		{name: "5 minutes", lifetime: 5 * time.Minute, begins: 150 * time.Second, ends: 5 * time.Minute},
		{name: "10 minutes", lifetime: 10 * time.Minute, begins: Backdate, ends: 10 * time.Minute},
		{name: "CA begun just now", issuer: begun(time.Minute), lifetime: day, begins: time.Minute, ends: day},
		{name: "CA begun this second", issuer: begun(0), lifetime: time.Minute, begins: 0, ends: time.Minute},
		{name: "CA not yet valid", issuer: begun(-time.Second), lifetime: day, err: ErrCANotValid},
		{name: "CA not yet valid, shortened", issuer: begun(-time.Second), lifetime: day, shorten: true, err: ErrCANotValid},
		{name: "ends a second before the CA", issuer: ending(time.Hour + time.Second), lifetime: time.Hour + Backdate, begins: Backdate, ends: time.Hour + Backdate},
		{name: "ends with the CA", issuer: ending(time.Hour), lifetime: time.Hour + Backdate, err: ErrOutlivesCA},
		{name: "outlives the CA", issuer: ending(time.Hour), lifetime: day, err: ErrOutlivesCA},
		{name: "shortened", issuer: ending(time.Hour), lifetime: day, shorten: true, begins: Backdate, ends: time.Hour + Backdate - time.Second, short: true},
		{name: "shortened without need", issuer: ending(2 * day), lifetime: day, shorten: true, begins: Backdate, ends: day},
		{name: "shortened to nothing", issuer: ending(time.Second), lifetime: day, shorten: true, err: ErrOutlivesCA},
		{name: "shortened to a second", issuer: ending(2 * time.Second), lifetime: day, shorten: true, begins: Backdate, ends: Backdate + time.Second, short: true},
		{name: "CA expired", issuer: ending(-time.Second), lifetime: day, shorten: true, err: ErrCANotValid},
	} {
		if tc.issuer == nil {
			tc.issuer = old
		}
		v, err := LeafValidity(Node, now, tc.lifetime, tc.issuer, tc.shorten)
		if tc.err != nil {
			var le *LifetimeError
			isLifetime := errors.As(tc.err, &le)
			if err == nil || fault.KindOf(err) != fault.Denied || !isLifetime && !errors.Is(err, tc.err) || isLifetime != errors.As(err, &le) || v != (Validity{}) {
				t.Errorf("%s: %v, want %v", tc.name, err, tc.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if begins, ends := second.Sub(v.NotBefore()), v.NotAfter().Sub(v.NotBefore()); begins != tc.begins || ends != tc.ends || v.Shortened() != tc.short {
			t.Errorf("%s: begins %v before now and lasts %v (shortened: %v), want %v and %v", tc.name, begins, ends, v.Shortened(), tc.begins, tc.ends)
		}
		if !v.NotAfter().After(second) || v.NotBefore().Location() != time.UTC {
			t.Errorf("%s: %v to %v", tc.name, v.NotBefore(), v.NotAfter())
		}
		leaf, err := NewLeaf(tc.issuer, fixed.names, fixed.key, v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.TBS(1); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if _, err := LeafValidity(Node, now, day, nil, false); fault.KindOf(err) != fault.Internal {
		t.Errorf("no issuer: %v", err)
	}
}

// TestLeafValidityChain: the chain above the CA bounds a leaf as well.
func TestLeafValidityChain(t *testing.T) {
	now := time.Now()
	ca := newTestCA(t, newP256(t), now, DefaultCALifetime)
	root := newTestCA(t, newP256(t), now, time.Hour)
	issuer, err := NewIssuer([]*x509.Certificate{ca, root})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LeafValidity(Node, now, time.Hour, issuer, false); !errors.Is(err, ErrOutlivesCA) {
		t.Errorf("outlives the root: %v", err)
	}
	v, err := LeafValidity(Node, now, DefaultLifetime, issuer, true)
	if err != nil || !v.Shortened() || !v.NotAfter().Equal(root.NotAfter.Add(-time.Second)) {
		t.Errorf("shortened to %v, %v", v.NotAfter(), err)
	}
	young := newTestCA(t, newP256(t), now.Add(time.Minute), DefaultCALifetime) // begins 4 minutes ago
	issuer, err = NewIssuer([]*x509.Certificate{ca, young})
	if err != nil {
		t.Fatal(err)
	}
	v, err = LeafValidity(Node, now, time.Hour, issuer, false)
	if err != nil || !v.NotBefore().Equal(young.NotBefore) {
		t.Errorf("begins %v, the chain %v (%v)", v.NotBefore(), young.NotBefore, err)
	}
}

func TestLifetimeErrorText(t *testing.T) {
	_, err := LeafValidity(Node, time.Now(), 168*time.Hour, newTestIssuer(t, newP256(t), time.Now()), false)
	if want := "lifetime 168h0m0s is not between 1s and 167h59m58s"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
