package manager

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

// strangeRequest makes a request for name, whatever it is.
func strangeRequest(t *testing.T, name string) []byte {
	t.Helper()
	subject, err := asn1.Marshal(pkix.RDNSequence{{{
		Type:  asn1.ObjectIdentifier{2, 5, 4, 3},
		Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(name)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := profile.GenerateKey(profile.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: subject}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestStrangeNames has a request for what no database would take as a text stand beside
// a good one: it is refused, the other one is signed, and the audit table tells of both,
// shortly.
func TestStrangeNames(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	for what, name := range map[string]string{
		"NUL": "node1\x00", "not UTF-8": "node1\xff", "long": strings.Repeat("n", 200_000),
	} {
		good, bad := csr(t, "node1.example.com"), strangeRequest(t, name)
		for _, dest := range []string{"", "/out/" + what} {
			out, err := m.Sign(t.Context(), SignRequest{Authority: Cluster, Items: []SignItem{
				{Request: bad, Destination: dest}, {Request: good, Destination: dest},
			}})
			if err != nil || fault.KindOf(out[0].Err) != fault.Denied || out[1].Err != nil {
				t.Errorf("%s: %v, %.300v", what, err, out)
			}
			out, err = m.Sign(t.Context(), SignRequest{Authority: Cluster, Items: []SignItem{{Request: bad, Destination: dest}}})
			if err != nil || fault.KindOf(out[0].Err) != fault.Denied {
				t.Errorf("%s alone: %v, %.300v", what, err, out)
			}
		}
		_, err := m.Issue(t.Context(), IssueRequest{Authority: Cluster, Name: name, SPKI: spki(t)})
		w.wantKind("issuing for "+what, err, fault.Denied)
	}
	refusals := 0
	err := m.Audit(t.Context(), AuditFilter{}, func(e AuditEntry) error {
		if e.Outcome == refused {
			refusals++
		}
		if len(e.Object)+len(e.Detail) > 2500 {
			t.Errorf("an entry has %d bytes", len(e.Object)+len(e.Detail))
		}
		return nil
	})
	if err != nil || refusals != 3*5 {
		t.Errorf("%d refusals on record, %v", refusals, err)
	}
}
