package profile

import (
	"bytes"
	"crypto/x509"
	"math/big"
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

func TestParseCASubject(t *testing.T) {
	for commonName, want := range map[string]string{
		"cluster.example.com CA 1":                   "cluster.example.com",
		"c CA 9223372036854775807":                   "c",
		strings.Repeat("a", 58) + " CA 1":            strings.Repeat("a", 58),
		strings.Repeat("a", 59) + " CA 1":            "", // perhaps cut
		"cluster.example.com CA 9223372036854775808": "",
		"cluster.example.com CA 01":                  "",
		"cluster.example.com CA ":                    "",
		"cluster.example.com CA 1 CA 2":              "",
		"cluster.example.com. CA 1":                  "",
		"My company CA 1":                            "",
		" CA 1":                                      "",
		"":                                           "",
	} {
		if got, ok := ParseCASubject(commonName); ok != (want != "") || ok && got != want {
			t.Errorf("ParseCASubject(%q) = %q, %v; want %q", commonName, got, ok, want)
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
