package profile

import (
	"bytes"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

func TestCASubject(t *testing.T) {
	long := strings.Repeat("a", 50) + ".example.com"
	for _, tc := range []struct {
		cluster string
		n       serial.Number
		want    string
	}{
		{"cluster.example.com", 1, "cluster.example.com CA 1"},
		{"cluster.example.com", serial.Max, "cluster.example.com CA 9223372036854775807"},
		{long, 1, strings.Repeat("a", 50) + ".example CA 1"},
		{long, serial.Max, strings.Repeat("a", 41) + " CA 9223372036854775807"},
		{strings.Repeat("a", 40) + ".b", serial.Max, strings.Repeat("a", 40) + " CA 9223372036854775807"},
		{strings.Repeat("\u00e9", 50), serial.Max, strings.Repeat("\u00e9", 41) + " CA 9223372036854775807"},
	} {
		got := CASubject(tc.cluster, tc.n)
		if got != tc.want || len([]rune(got)) > 64 {
			t.Errorf("CASubject(%q, %v) = %q, want %q", tc.cluster, tc.n, got, tc.want)
		}
	}
}

func TestCAFields(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	for _, a := range KeyAlgorithms() {
		key := testKey(t, a)
		c := newTestCA(t, key, now, DefaultCALifetime)
		k := mustSubjectKey(t, key)
		for _, check := range []struct {
			what string
			ok   bool
		}{
			{"signature", c.CheckSignatureFrom(c) == nil},
			{"serial", c.SerialNumber.Cmp(big.NewInt(1)) == 0},
			{"subject", c.Subject.String() == "CN=cluster.example.com CA 1" && bytes.Equal(c.RawSubject, c.RawIssuer)},
			{"notBefore", c.NotBefore.Equal(time.Date(2026, 1, 2, 2, 59, 5, 0, time.UTC))},
			{"notAfter", c.NotAfter.Sub(c.NotBefore) == 5*365*24*time.Hour},
			{"rights", c.IsCA && c.MaxPathLenZero && c.KeyUsage == x509.KeyUsageCertSign|x509.KeyUsageCRLSign},
			{"key identifiers", bytes.Equal(c.SubjectKeyId, k.id[:]) && bytes.Equal(c.AuthorityKeyId, k.id[:])},
			{"extensions", len(c.Extensions) == 4 && c.Extensions[0].Critical && c.Extensions[1].Critical && !c.Extensions[2].Critical && !c.Extensions[3].Critical},
		} {
			if !check.ok {
				t.Errorf("%s: %s is wrong", a, check.what)
			}
		}
	}
}

func TestNewCARefuses(t *testing.T) {
	now := time.Now()
	key := mustSubjectKey(t, newP256(t))
	for _, tc := range []struct {
		name     string
		cluster  string
		key      *SubjectKey
		lifetime time.Duration
		kind     fault.Kind
		want     string
	}{
		{"too short", "c.example", key, time.Hour - 1, fault.Denied, "between 1h and 219000h"},
		{"too long", "c.example", key, MaxCALifetime + 1, fault.Denied, "between 1h and 219000h"},
		{"negative", "c.example", key, -time.Hour, fault.Denied, "between"},
		{"empty name", "", key, time.Hour, fault.Denied, "empty"},
		{"name with a space", "my cluster", key, time.Hour, fault.Denied, `cluster name "my cluster": holds ' '`},
		{"wildcard", "*.example", key, time.Hour, fault.Denied, "wildcards"},
		{"no key", "c.example", nil, time.Hour, fault.Internal, "key"},
		{"zero key", "c.example", &SubjectKey{}, time.Hour, fault.Internal, "key"},
	} {
		_, err := NewCA(tc.cluster, tc.key, now, tc.lifetime)
		wantRefusal(t, tc.name, err, tc.kind, tc.want)
	}
	for _, lifetime := range []time.Duration{MinCALifetime, MaxCALifetime} {
		ca, err := NewCA("c.example", key, now, lifetime)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ca.TBS(1); err != nil {
			t.Errorf("%v: %v", lifetime, err)
		}
		if _, err := ca.TBS(0); err == nil {
			t.Error("a CA with number 0")
		}
	}
}

// TestCAPast2049 crosses the year from which times are written in another form.
func TestCAPast2049(t *testing.T) {
	now := time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
	key := newP256(t)
	issuer := newTestIssuer(t, key, now)
	tbs, err := newTestLeaf(t, issuer, newP256(t), now).TBS(2)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(tbs.raw, []byte("\x17\x0d491231235459Z\x18\x0f20500101235459Z")) {
		t.Errorf("the validity isn't in\n%x", tbs.raw)
	}
	dir := t.TempDir()
	writeFile(t, dir, "ca.pem", pemOf("CERTIFICATE", issuer.Certificate().Raw))
	writeFile(t, dir, "leaf.pem", pemOf("CERTIFICATE", mustSign(t, tbs, key).Raw))
	openssl(t, dir, "verify", "-x509_strict", "-attime", "2524608000", "-CAfile", "ca.pem", "leaf.pem")
}

func TestCACheckTBSEveryBit(t *testing.T) {
	ca, err := NewCA("cluster.example.com", mustSubjectKey(t, seededKey(1)), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	good := ca.build(128)
	if err := ca.CheckTBS(good, 128); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if err := ca.CheckTBS(bad, 128); err == nil || fault.KindOf(err) != fault.Internal {
				t.Errorf("octet %d, bit %d: %v", i, bit, err)
			}
		}
	}
	if err := ca.CheckTBS(good, 129); err == nil {
		t.Error("another number passes")
	}
}

func TestNewIssuerRefuses(t *testing.T) {
	good := newTestCA(t, newP256(t), time.Now(), time.Hour)
	with := func(change func(c *x509.Certificate)) []*x509.Certificate {
		c := *good
		change(&c)
		return []*x509.Certificate{&c}
	}
	for _, tc := range []struct {
		name  string
		chain []*x509.Certificate
		kind  fault.Kind
		want  string
	}{
		{"no certificate", nil, fault.Internal, "needs a certificate"},
		{"nil", []*x509.Certificate{nil}, fault.Internal, "needs a certificate"},
		{"nil in the chain", []*x509.Certificate{good, nil}, fault.Internal, "needs a certificate"},
		{"version 1", with(func(c *x509.Certificate) { c.Version = 1 }), fault.Denied, "CA:TRUE"},
		{"no CA", with(func(c *x509.Certificate) { c.IsCA = false }), fault.Denied, "CA:TRUE"},
		{"no basic constraints", with(func(c *x509.Certificate) { c.BasicConstraintsValid = false }), fault.Denied, "CA:TRUE"},
		{"no key usage", with(func(c *x509.Certificate) { c.KeyUsage = 0 }), fault.Denied, "keyCertSign"},
		{"no key identifier", with(func(c *x509.Certificate) { c.SubjectKeyId = nil }), fault.Denied, "subject key identifier"},
		{"long key identifier", with(func(c *x509.Certificate) { c.SubjectKeyId = make([]byte, 65) }), fault.Denied, "subject key identifier"},
		{"empty subject", with(func(c *x509.Certificate) { c.RawSubject = []byte{0x30, 0} }), fault.Denied, "subject is empty"},
		{"broken key", with(func(c *x509.Certificate) { c.RawSubjectPublicKeyInfo = nil }), fault.Denied, "can't sign"},
	} {
		_, err := NewIssuer(tc.chain)
		wantRefusal(t, tc.name, err, tc.kind, tc.want)
	}
}

func TestLeafValidity(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 999_999_999, time.FixedZone("", -7200))
	second := now.UTC().Truncate(time.Second)
	old := newTestIssuer(t, newP256(t), now.Add(-24*time.Hour))
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
		v, err := LeafValidity(now, tc.lifetime, tc.issuer, tc.shorten)
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
		if got := second.Sub(v.NotBefore()); got != tc.begins {
			t.Errorf("%s: begins %v before now, want %v", tc.name, got, tc.begins)
		}
		if got := v.NotAfter().Sub(v.NotBefore()); got != tc.ends || v.Shortened() != tc.short {
			t.Errorf("%s: lifetime %v (shortened: %v), want %v", tc.name, got, v.Shortened(), tc.ends)
		}
		if !v.NotAfter().After(second) || v.NotBefore().Location() != time.UTC {
			t.Errorf("%s: %v to %v", tc.name, v.NotBefore(), v.NotAfter())
		}
		leaf, err := NewLeaf(tc.issuer, fixedLeaf(t).names, fixedLeaf(t).key, v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.TBS(1); err != nil && slices.Contains([]*Issuer{old}, tc.issuer) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if _, err := LeafValidity(now, day, nil, false); fault.KindOf(err) != fault.Internal {
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
	if _, err := LeafValidity(now, time.Hour, issuer, false); !errors.Is(err, ErrOutlivesCA) {
		t.Errorf("outlives the root: %v", err)
	}
	v, err := LeafValidity(now, DefaultLifetime, issuer, true)
	if err != nil || !v.Shortened() || !v.NotAfter().Equal(root.NotAfter.Add(-time.Second)) {
		t.Errorf("shortened to %v, %v", v.NotAfter(), err)
	}
	young := newTestCA(t, newP256(t), now.Add(time.Minute), DefaultCALifetime) // begins 4 minutes ago
	issuer, err = NewIssuer([]*x509.Certificate{ca, young})
	if err != nil {
		t.Fatal(err)
	}
	v, err = LeafValidity(now, time.Hour, issuer, false)
	if err != nil || !v.NotBefore().Equal(young.NotBefore) {
		t.Errorf("begins %v, the chain %v (%v)", v.NotBefore(), young.NotBefore, err)
	}
}

func TestLifetimeErrorText(t *testing.T) {
	_, err := LeafValidity(time.Now(), 168*time.Hour, newTestIssuer(t, newP256(t), time.Now()), false)
	if want := "lifetime 168h0m0s is not between 1s and 167h59m58s"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
