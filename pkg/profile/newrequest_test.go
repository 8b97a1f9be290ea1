package profile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
)

func TestCreateRequest(t *testing.T) {
	for _, a := range KeyAlgorithms() {
		raw, err := CreateRequest(testKey(t, a), "node1.example.com", "NODE1", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.7")
		if err != nil {
			t.Errorf("%s: %v", a, err)
			continue
		}
		r := mustParseRequest(t, raw)
		want := []string{"CN:node1.example.com", "DNS:node1.example.com", "DNS:NODE1", "IP:192.0.2.1", "IP:2001:db8::1", "IP:192.0.2.7"}
		if !slices.Equal(r.Names(), want) || len(r.Ignored()) > 0 {
			t.Errorf("%s: names %q, ignored %q", a, r.Names(), r.Ignored())
		}
		dir := t.TempDir()
		writeFile(t, dir, "req.pem", pemOf("CERTIFICATE REQUEST", raw))
		openssl(t, dir, "req", "-in", "req.pem", "-verify", "-noout")
	}
}

func TestCreateRequestRefuses(t *testing.T) {
	key := newP256(t)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		key   crypto.Signer
		names []string
		want  string
	}{
		{"weak key", p224, []string{"node1"}, "P-224"},
		{"no name", key, nil, "1 to 99 names"},
		{"100 names", key, slices.Repeat([]string{"node1"}, 100), "1 to 99 names"},
		{"address first", key, []string{"192.0.2.1"}, "looks like an IP address"},
		{"wildcard", key, []string{"node1", "*.example.com"}, "wildcards"},
		{"65 characters", key, []string{strings.Repeat("a", 60) + ".test"}, "longer than 64"},
	} {
		_, err := CreateRequest(tc.key, tc.names...)
		wantRefusal(t, tc.name, err, fault.Denied, tc.want)
	}
	if _, err := CreateRequest(key, slices.Repeat([]string{"node1"}, 99)...); err != nil {
		t.Errorf("99 names: %v", err)
	}
}
