package trust_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"x509ctl/pkg/trust"
)

// fileOf reads a file with these lists.
func fileOf(t testing.TB, lists ...[]byte) *trust.CRL {
	t.Helper()
	var data []byte
	for _, der := range lists {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
	}
	l, err := trust.ParseCRL(data)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestLatestOfFile has an older list in the file, before the one that counts or
// behind it.
func TestLatestOfFile(t *testing.T) {
	older, newer, stranger := newCA(t, "cluster CA 1", nil), newCA(t, "cluster CA 9", nil), newCA(t, "cluster CA 5", nil)
	leaf := newLeaf(t, newer)
	revoking := newCRLBytes(t, newer, numbered(8))
	for name, file := range map[string]*trust.CRL{
		"alone":              fileOf(t, revoking),
		"after an old one":   fileOf(t, newCRLBytes(t, newer, listed()), revoking),
		"before an old one":  fileOf(t, revoking, newCRLBytes(t, newer, listed())),
		"after another CA's": fileOf(t, newCRLBytes(t, older, listed()), revoking),
		"after a stranger's": fileOf(t, newCRLBytes(t, stranger, listed(), numbered(9)), revoking),
		"after a lower one":  fileOf(t, newCRLBytes(t, newer, listed(), numbered(0)), revoking),
	} {
		c := trust.Check{Bundle: bundleOf(t, older, newer), CRL: file, At: now}
		if err := c.Verify(leaf); err == nil || c.Asked().Number().Int64() != 8 {
			t.Errorf("%s: %v, list %v was asked", name, err, c.Asked().Number())
		}
	}
	c := trust.Check{Bundle: bundleOf(t, older, newer), CRL: fileOf(t, revoking, newCRLBytes(t, newer, listed(), numbered(9))), At: now}
	expect(t, c.Verify(leaf), "", "")
}

// TestCRLIssuerInOtherWords has lists whose issuer is the CA by RFC 5280, section 7.1,
// and not by its octets.
func TestCRLIssuerInOtherWords(t *testing.T) {
	root := newCA(t, "cluster CA 9", nil) // a PrintableString
	text := func(tag byte, s string) []byte {
		return tlv(0x30, tlv(0x31, tlv(0x30, tlv(0x06, []byte{0x55, 4, 3}), tlv(tag, []byte(s)))))
	}
	for _, tc := range []struct {
		name []byte
		same bool
	}{
		{text(0x13, "cluster CA 9"), true},
		{text(0x0c, "cluster CA 9"), true},
		{text(0x13, "Cluster  ca 9 "), true},
		{text(0x0c, "cluster CA 8"), false},
		{text(0x0c, "clusterCA 9"), false},
		{text(0x14, "cluster CA 9"), false}, // Teletex: nobody knows which letters
	} {
		cert := *root.cert
		cert.RawSubject, cert.SubjectKeyId = tc.name, root.cert.SubjectKeyId
		list := newCRL(t, &ca{&cert, root.key})
		own, chain := trust.BadCRL, trust.Reason("")
		if tc.same {
			own, chain = trust.Revoked, trust.Revoked
		}
		leaf := newLeaf(t, root)
		expect(t, trust.Check{Bundle: bundleOf(t, root), CRL: list, At: now}.Verify(leaf), own, "")
		pool, err := trust.NewPool([]*x509.Certificate{root.cert}, nil, []*trust.CRL{list})
		if err != nil {
			t.Fatal(err)
		}
		_, err = trust.ChainCheck{Pool: pool, At: now}.Verify(leaf)
		expect(t, err, chain, "")
	}
}

// tlv is a short element of DER.
func tlv(tag byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	return append([]byte{tag, byte(len(content))}, content...)
}
