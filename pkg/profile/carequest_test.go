package profile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// TestRequestCA asks for each kind of CA, with keys of every kind, and holds what is asked
// for against what is put together here.
func TestRequestCA(t *testing.T) {
	root := lintedProjectRoot(t)
	for _, tc := range []struct {
		make       func(string, serial.Number, crypto.Signer) ([]byte, error)
		name, want string
		subject    []byte
		pathLength byte
	}{
		{RequestCA, "cluster.example.com", "CN=cluster.example.com CA 300", lintedCA(t).subject, 0},
		{RequestProjectRoot, "cluster.example.com", "CN=cluster.example.com projects CA 300,O=Projects", root.subject, 1},
		{RequestProjectCA, "p_1", "CN=p_1 CA 300,O=p_1", lintedProjectCA(t).subject, 0},
	} {
		for _, a := range KeyAlgorithms() {
			der, err := tc.make(tc.name, 300, testKey(t, a))
			if err != nil {
				t.Fatal(err)
			}
			csr, err := x509.ParseCertificateRequest(der)
			if err != nil || csr.CheckSignature() != nil {
				t.Fatal(err, csr.CheckSignature())
			}
			if got := csr.Subject.String(); got != tc.want || !bytes.Equal(csr.RawSubject, tc.subject) {
				t.Errorf("%s: the subject is %s", a, got)
			}
			want := map[string]string{
				"2.5.29.19": "\x30\x06\x01\x01\xff\x02\x01" + string(tc.pathLength), // CA:TRUE
				"2.5.29.15": "\x03\x02\x01\x06",                                     // keyCertSign, cRLSign
			}
			for _, e := range csr.Extensions {
				if !e.Critical || want[e.Id.String()] != string(e.Value) {
					t.Errorf("%s: extension %v is %x", a, e.Id, e.Value)
				}
				delete(want, e.Id.String())
			}
			if len(want) > 0 {
				t.Errorf("%s: it does not ask for %v", a, want)
			}
		}
		if _, err := tc.make("a/b", 1, testKey(t, ECDSAP256)); fault.KindOf(err) != fault.Denied {
			t.Errorf("another name: %v", err)
		}
		if _, err := tc.make(tc.name, 0, testKey(t, ECDSAP256)); fault.KindOf(err) != fault.Internal {
			t.Errorf("no number: %v", err)
		}
	}
}
