package trust_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/trust"
)

// TestParseBundle reads files that people and programs leave.
func TestParseBundle(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	good := pemOf(root.cert)
	leaf := newLeaf(t, root)
	key, err := x509.MarshalPKCS8PrivateKey(root.key)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	var many []byte
	for range 101 {
		many = append(many, good...)
	}
	join := func(parts ...string) []byte { return []byte(strings.Join(parts, "")) }
	for _, tc := range []struct {
		name string
		data []byte
		want string // "" for accepted
	}{
		{"plain", good, ""},
		{"twice", append(bytes.Clone(good), good...), ""},
		{"a hundred times", many[len(good):], ""},
		{"CRLF", bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), ""},
		{"byte order mark", join("\xef\xbb\xbf", string(good)), ""},
		{"text around", join("# made by hand\n\n", string(good), "\nthe end"), ""},
		{"empty", nil, "no certificate"},
		{"text", []byte("hello"), "no certificate"},
		{"DER", root.cert.Raw, "no certificate"},
		{"a hundred and one", many, "101 PEM blocks"},
		{"too large", make([]byte, 1<<20+1), "larger than"},
		{"cut", good[:len(good)-30], "1 PEM blocks, of which 0"},
		{"cut, then whole", append(bytes.Clone(good[:len(good)-30]), good...), "PEM blocks, of which"},
		{"indented", join(string(good), "  ", string(good)), "2 PEM blocks, of which 1"},
		{"damaged in base64", bytes.Replace(good, []byte("MII"), []byte("M!I"), 1), "of which 0"},
		{"damaged in DER", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.cert.Raw[:100]}), "not a certificate"},
		{"trailing octet", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: append(bytes.Clone(root.cert.Raw), 0)}), "trailing"},
		{"private key", append(bytes.Clone(good), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...), `block 2 of the bundle: "PRIVATE KEY"`},
		{"strange type", pem.EncodeToMemory(&pem.Block{Type: "\x1b[2J", Bytes: []byte{0}}), `"\x1b[2J"`},
		{"leaf", append(bytes.Clone(good), pemOf(leaf)...), "is not a CA's"},
		{"CA that may not sign", pemOf(newCA(t, "x", nil, func(c *template) { c.KeyUsage = x509.KeyUsageCRLSign }).cert), "may not sign"},
		{"RSA-1024", pemOf(newCAWithKey(t, "x", small, nil).cert), "1024 bits"},
	} {
		_, err := trust.ParseBundle(tc.data)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || fault.KindOf(err) != fault.Malformed):
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// TestOnlyCircle refuses two CAs that signed each other and no other.
func TestOnlyCircle(t *testing.T) {
	a := newCA(t, "A", nil, pathLen(-1))
	b := newCA(t, "B", a, pathLen(-1))
	again := newCAWithKey(t, "A", a.key, b, pathLen(-1))
	if _, err := trust.ParseBundle(pemOf(again.cert, b.cert)); fault.KindOf(err) != fault.Malformed {
		t.Error(err)
	}
}

// TestHugeKey refuses a CA whose key would take hours to verify with.
func TestHugeKey(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	n := new(big.Int).SetBit(big.NewInt(1), 100_000, 1)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"},
		BasicConstraintsValid: true, IsCA: true, NotBefore: now, NotAfter: now}
	huge := sign(t, template, root, &rsa.PublicKey{N: n, E: 65537})
	if _, err := trust.ParseBundle(pemOf(huge)); fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), "100001 bits") {
		t.Error(err)
	}
}

// TestSameNames bounds the work of a bundle made to cost much.
func TestSameNames(t *testing.T) {
	var cas []*ca
	root := newCA(t, "x", nil, pathLen(-1))
	for range 60 {
		cas = append(cas, newCA(t, "x", root, pathLen(-1), func(c *template) {
			c.SubjectKeyId, c.AuthorityKeyId = nil, nil
		}))
	}
	_, err := trust.ParseBundle(pemOf(certsOf(cas)...))
	if fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), "same name") {
		t.Error(err)
	}
}

func TestParseCertificate(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	leaf := newLeaf(t, root)
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")})
	for name, data := range map[string][]byte{
		"PEM":                 pemOf(leaf),
		"DER":                 leaf.Raw,
		"with its chain":      pemOf(leaf, root.cert),
		"behind a key":        append(bytes.Clone(key), pemOf(leaf)...),
		"with text and a BOM": append([]byte("\xef\xbb\xbfBag Attributes\r\n"), bytes.ReplaceAll(pemOf(leaf), []byte("\n"), []byte("\r\n"))...),
	} {
		if cert, err := trust.ParseCertificate(data); err != nil || !cert.Equal(leaf) {
			t.Errorf("%s: %v", name, err)
		}
		sent := 0
		if name == "with its chain" {
			sent = 1
		}
		if cert, others, err := trust.ParseChain(data); err != nil || !cert.Equal(leaf) || len(others) != sent {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "key only": key, "damaged": pemOf(leaf)[:100],
		"more after DER": append(bytes.Clone(leaf.Raw), 0), "too large": make([]byte, 1<<20+1),
	} {
		if _, err := trust.ParseCertificate(data); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := trust.ParseChain(data); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s, as a chain: %v", name, err)
		}
	}
}

func TestParseCertificates(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	leaf := newLeaf(t, root)
	for _, tc := range []struct {
		name string
		data []byte
		want int // 0 for refused
	}{
		{"PEM", pemOf(leaf, root.cert), 2},
		{"DER", leaf.Raw, 1},
		{"with text", append([]byte("hello\n"), pemOf(leaf)...), 1},
		{"a thousand", bytes.Repeat(pemOf(leaf), 1000), 1000},
		{"more", bytes.Repeat(pemOf(leaf), 1001), 0},
		{"with a key", append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")}), pemOf(leaf)...), 0},
		{"damaged", append(pemOf(leaf)[:100], pemOf(leaf)...), 0},
		{"not a certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}}), 0},
		{"nothing", nil, 0},
		{"text", []byte("hello"), 0},
		{"too large", make([]byte, 4<<20+1), 0},
	} {
		certs, err := trust.ParseCertificates(tc.data)
		if len(certs) != tc.want || tc.want == 0 && fault.KindOf(err) != fault.Malformed || tc.want > 0 && err != nil {
			t.Errorf("%s: %d, %v", tc.name, len(certs), err)
		}
	}
}

// FuzzParseCertificates puts questions about whatever can be read, to the first
// certificate, with all of them as roots.
func FuzzParseCertificates(f *testing.F) {
	root := newCA(f, "Root", nil, pathLen(-1))
	f.Add(newLeaf(f, root).Raw)
	f.Add(pemOf(newLeaf(f, root), root.cert))
	cases, _ := limboCases(f)
	for _, c := range cases {
		if len(c.Leaf) < 4000 {
			f.Add([]byte(c.Leaf + strings.Join(c.Intermediates, "") + strings.Join(c.Roots, "")))
		}
	}
	bundle := bundleOf(f, root)
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := trust.ParseCertificates(data)
		one, oneErr := trust.ParseCertificate(data)
		if oneErr != nil && fault.KindOf(oneErr) != fault.Malformed {
			t.Errorf("kind %q: %v", fault.KindOf(oneErr), oneErr)
		}
		first, sent, chainErr := trust.ParseChain(data)
		switch { // a chain is refused when any certificate of it can't be read
		case chainErr == nil && (oneErr != nil || !first.Equal(one) || len(sent) > 100):
			t.Errorf("%v alone, and %d before %d others", oneErr, first.SerialNumber, len(sent))
		case chainErr != nil && fault.KindOf(chainErr) != fault.Malformed:
			t.Errorf("kind %q: %v", fault.KindOf(chainErr), chainErr)
		}
		if err != nil {
			if fault.KindOf(err) != fault.Malformed {
				t.Errorf("kind %q: %v", fault.KindOf(err), err)
			}
			return
		}
		var v *trust.VerifyError
		for _, roots := range [][]*x509.Certificate{certs, certs[len(certs)-1:]} {
			pool, err := trust.NewPool(roots, certs, nil)
			if err != nil {
				t.Fatal(err)
			}
			check := trust.ChainCheck{Pool: pool, At: now, Name: "example.com", Email: "a@example.com", Purpose: trust.Server}
			if _, err := check.Verify(certs[0], certs[:min(len(certs), 100)]...); err != nil && !errors.As(err, &v) {
				t.Error(err)
			}
		}
		if err := (trust.Check{Bundle: bundle, At: now, Name: "example.com"}).Verify(certs[0]); !errors.As(err, &v) {
			t.Errorf("a stranger: %v", err)
		}
	})
}

// FuzzParseBundle looks for input that crashes, and for bundles that are not read
// the same way when written again.
func FuzzParseBundle(f *testing.F) {
	root := newCA(f, "Root", nil, pathLen(-1))
	own := newCA(f, "cluster CA 1", root)
	f.Add(pemOf(own.cert, root.cert))
	f.Add(pemOf(root.cert))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	leaf := newLeaf(f, own)
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := trust.ParseBundle(data)
		if err != nil {
			if fault.KindOf(err) != fault.Malformed {
				t.Errorf("kind %q: %v", fault.KindOf(err), err)
			}
			return
		}
		if n := len(b.Own()) + len(b.Path()); len(b.Own()) == 0 || n > 100 {
			t.Errorf("%d own of %d", len(b.Own()), n)
		}
		if _, err := trust.FormatBundle(b.Own(), b.Path()); err != nil {
			t.Errorf("formatting again: %v", err)
		}
		var v *trust.VerifyError
		if err := (trust.Check{Bundle: b, At: now}).Verify(leaf); err != nil && !errors.As(err, &v) {
			t.Error(err)
		}
	})
}
