package profile

import (
	"slices"
	"strings"
	"testing"
)

func TestRequestIgnored(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "req.cnf", []byte(`[req]
prompt = no
distinguished_name = dn
attributes = attrs
req_extensions = ext
[dn]
C = DE
O = Example Org
CN = node1.example.com
emailAddress = root@example.com
[attrs]
challengePassword = hunter2hunter2
unstructuredName = other.example.com
[ext]
basicConstraints = critical, CA:TRUE, pathlen:3
keyUsage = critical, digitalSignature, keyEncipherment, keyCertSign, decipherOnly
extendedKeyUsage = serverAuth, codeSigning, 1.2.3.4
subjectAltName = DNS:node1.example.com
subjectKeyIdentifier = hash
nameConstraints = permitted;DNS:example.com
1.2.3.4.5 = ASN1:NULL
`))
	openssl(t, dir, "req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", "key.pem", "-config", "req.cnf", "-out", "req.pem")
	r := mustParseRequest(t, readFile(t, dir, "req.pem"))
	got := r.Ignored(Approved{})
	want := []string{
		`subject attribute C="DE"`,
		`subject attribute O="Example Org"`,
		`subject attribute emailAddress="root@example.com"`,
		"attribute challengePassword",
		"attribute unstructuredName",
		"CA:TRUE",
		"pathlen:3",
		"key usage keyEncipherment",
		"key usage keyCertSign",
		"key usage decipherOnly",
		"extended key usage codeSigning",
		"extended key usage 1.2.3.4",
		"extension subjectKeyIdentifier",
		"extension nameConstraints",
		"extension 1.2.3.4.5",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("ignored:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	got[0] = "changed"
	if slices.Contains(r.Ignored(Approved{}), "changed") {
		t.Error("Ignored hands out its own memory")
	}
	for _, wish := range r.Ignored(Approved{}) {
		if strings.Contains(wish, "hunter2") {
			t.Errorf("shows the challenge password: %s", wish)
		}
	}
}

func TestRequestIgnoredUnreadable(t *testing.T) {
	junk := []byte{0x30, 0x80}
	r := mustParseRequest(t, requestSpec{attributes: [][]byte{asking(
		extension(oidKeyUsage, critical, junk),
		extension(oidExtendedKeyUsage, 0, junk),
		extension(oidBasicConstraints, critical, junk),
		extension(oidSubjectKeyID, 0, junk),
	)}}.build(t))
	want := []string{"extension keyUsage", "extension extKeyUsage", "extension basicConstraints", "extension subjectKeyIdentifier"}
	if got := r.Ignored(Approved{}); !slices.Equal(got, want) {
		t.Errorf("ignored %q", got)
	}
}

func TestRequestIgnoresOwnKeyID(t *testing.T) {
	key := newP256(t)
	k, err := NewSubjectKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	ski := extension(oidSubjectKeyID, 0, tlv(tagOctetString, k.id[:]))
	r := mustParseRequest(t, requestSpec{key: key, attributes: [][]byte{asking(ski)}}.build(t))
	if got := r.Ignored(Approved{}); len(got) > 0 {
		t.Errorf("ignored %q, which the certificate has", got)
	}
}
