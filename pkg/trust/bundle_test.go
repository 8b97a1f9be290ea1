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
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/trust"
)

// ends sets when a CA ends, from now.
func ends(d time.Duration) func(*template) { return func(c *template) { c.NotAfter = now.Add(d) } }

// begins sets when a CA begins, from now.
func begins(d time.Duration) func(*template) { return func(c *template) { c.NotBefore = now.Add(d) } }

// A world is a bundle, and CAs whose leaves are to be judged by it.
type world struct {
	own, path []*ca // how the bundle is to be read
	others    []*ca // not in the bundle
	verdicts  map[*ca]trust.Reason
}

// chain makes the CAs of a third party's intermediate: root, middle, own.
func chain(t *testing.T, edits ...func(*template)) (root, middle, own *ca) {
	root = newCA(t, "Root", nil, pathLen(-1))
	middle = newCA(t, "Middle", root, pathLen(1))
	return root, middle, newCA(t, "cluster CA 1", middle, edits...)
}

var worldTests = []struct {
	name string
	make func(t *testing.T) world
}{
	{"one self-signed", func(t *testing.T) world {
		a := newCA(t, "cluster CA 1", nil)
		return world{own: []*ca{a}, verdicts: map[*ca]trust.Reason{a: ""}}
	}},
	{"one self-signed, without a path length", func(t *testing.T) world {
		a := newCA(t, "adopted", nil, pathLen(-1))
		return world{own: []*ca{a}, verdicts: map[*ca]trust.Reason{a: ""}}
	}},
	{"predecessors", func(t *testing.T) world {
		a, b, c := newCA(t, "adopted", nil, pathLen(-1)), newCA(t, "cluster CA 7", nil), newCA(t, "cluster CA 9", nil)
		return world{own: []*ca{c, b, a}, verdicts: map[*ca]trust.Reason{a: "", b: "", c: ""}}
	}},
	{"one of three ended", func(t *testing.T) world {
		a, b, c := newCA(t, "cluster CA 1", nil, ends(-time.Second)), newCA(t, "cluster CA 7", nil), newCA(t, "cluster CA 9", nil, begins(time.Second))
		return world{own: []*ca{a, b, c}, verdicts: map[*ca]trust.Reason{a: trust.BadChain, b: "", c: trust.BadChain}}
	}},
	{"ends now, begins now", func(t *testing.T) world {
		a, b := newCA(t, "cluster CA 1", nil, ends(0)), newCA(t, "cluster CA 7", nil, begins(0))
		return world{own: []*ca{a, b}, verdicts: map[*ca]trust.Reason{a: "", b: ""}}
	}},
	{"stranger of another name, and of the same", func(t *testing.T) world {
		a, b, c := newCA(t, "cluster CA 1", nil), newCA(t, "cluster CA 2", nil), newCA(t, "cluster CA 1", nil)
		return world{own: []*ca{a}, others: []*ca{b, c}, verdicts: map[*ca]trust.Reason{a: "", b: trust.WrongIssuer, c: trust.WrongIssuer}}
	}},
	{"two own of the same name", func(t *testing.T) world {
		a, b := newCA(t, "cluster CA", nil), newCA(t, "cluster CA", nil)
		return world{own: []*ca{a, b}, verdicts: map[*ca]trust.Reason{a: "", b: ""}}
	}},
	{"certified again with the same key", func(t *testing.T) world {
		a := newCA(t, "cluster CA 1", nil, pathLen(-1), ends(-time.Hour))
		b := newCAWithKey(t, "cluster CA 1", a.key, nil, pathLen(-1))
		return world{own: []*ca{a, b}, verdicts: map[*ca]trust.Reason{a: "", b: ""}}
	}},
	{"third party's intermediate", func(t *testing.T) world {
		root, middle, own := chain(t)
		sibling := newCA(t, "Sibling", middle)
		return world{own: []*ca{own}, path: []*ca{middle, root}, others: []*ca{sibling},
			verdicts: map[*ca]trust.Reason{own: "", middle: trust.WrongIssuer, root: trust.WrongIssuer, sibling: trust.WrongIssuer}}
	}},
	{"third party's intermediate without a path length", func(t *testing.T) world {
		root, middle, own := chain(t, pathLen(-1))
		return world{own: []*ca{own}, path: []*ca{middle, root},
			verdicts: map[*ca]trust.Reason{own: "", middle: trust.WrongIssuer, root: trust.WrongIssuer}}
	}},
	{"CA below an own one that forbids it", func(t *testing.T) world {
		a := newCA(t, "cluster CA 1", nil)
		b := newCA(t, "below", a)
		return world{own: []*ca{a}, others: []*ca{b}, verdicts: map[*ca]trust.Reason{a: "", b: trust.WrongIssuer}}
	}},
	{"CA below an own one that forbids it, in the bundle", func(t *testing.T) world {
		a := newCA(t, "cluster CA 1", nil)
		b := newCA(t, "below", a)
		return world{own: []*ca{a, b}, verdicts: map[*ca]trust.Reason{a: "", b: trust.BadChain}}
	}},
	{"root missing", func(t *testing.T) world {
		_, middle, own := chain(t)
		return world{own: []*ca{own}, path: []*ca{middle}, verdicts: map[*ca]trust.Reason{own: trust.BadChain, middle: trust.WrongIssuer}}
	}},
	{"middle missing", func(t *testing.T) world {
		_, _, own := chain(t)
		return world{own: []*ca{own}, verdicts: map[*ca]trust.Reason{own: trust.BadChain}}
	}},
	{"root ended", func(t *testing.T) world {
		root := newCA(t, "Root", nil, pathLen(-1), ends(-time.Second))
		own := newCA(t, "cluster CA 1", root)
		return world{own: []*ca{own}, path: []*ca{root}, verdicts: map[*ca]trust.Reason{own: trust.BadChain}}
	}},
	{"one of two roots ended", func(t *testing.T) world {
		old := newCA(t, "Root", nil, pathLen(-1), ends(-time.Second))
		root := newCAWithKey(t, "Root", old.key, nil, pathLen(-1))
		own := newCA(t, "cluster CA 1", root)
		return world{own: []*ca{own}, path: []*ca{old, root}, verdicts: map[*ca]trust.Reason{own: ""}}
	}},
	{"root forged", func(t *testing.T) world {
		root := newCA(t, "Root", nil, pathLen(-1))
		own := newCA(t, "cluster CA 1", root)
		forged := newCA(t, "Root", nil, pathLen(-1))
		return world{own: []*ca{own}, path: []*ca{forged}, verdicts: map[*ca]trust.Reason{own: trust.BadChain, forged: trust.WrongIssuer}}
	}},
	{"path length too short above", func(t *testing.T) world {
		root := newCA(t, "Root", nil, pathLen(1))
		middle := newCA(t, "Middle", root, pathLen(-1))
		own := newCA(t, "cluster CA 1", middle)
		return world{own: []*ca{own}, path: []*ca{root, middle}, verdicts: map[*ca]trust.Reason{own: trust.BadChain}}
	}},
	{"unknown critical extension above", func(t *testing.T) world {
		root := newCA(t, "Root", nil, pathLen(-1), extension(true, 1, 2, 3))
		own := newCA(t, "cluster CA 1", root)
		return world{own: []*ca{own}, path: []*ca{root}, verdicts: map[*ca]trust.Reason{own: trust.BadChain}}
	}},
	{"name constraints that fit", func(t *testing.T) world {
		root := newCA(t, "Root", nil, pathLen(-1), permitted("example.com"))
		own := newCA(t, "cluster CA 1", root)
		return world{own: []*ca{own}, path: []*ca{root}, verdicts: map[*ca]trust.Reason{own: ""}}
	}},
	{"name constraints that don't", func(t *testing.T) world {
		root := newCA(t, "Root", nil, pathLen(-1), permitted("example.org"))
		own := newCA(t, "cluster CA 1", root)
		return world{own: []*ca{own}, path: []*ca{root}, verdicts: map[*ca]trust.Reason{own: trust.BadChain}}
	}},
	{"name constraints of an own root", func(t *testing.T) world {
		a := newCA(t, "cluster CA 1", nil, permitted("example.org"))
		return world{own: []*ca{a}, verdicts: map[*ca]trust.Reason{a: trust.BadChain}}
	}},
	{"constraint that only one of two chains has", func(t *testing.T) world {
		old := newCA(t, "Root", nil, pathLen(-1), permitted("example.org"))
		root := newCAWithKey(t, "Root", old.key, nil, pathLen(-1))
		own := newCA(t, "cluster CA 1", root)
		return world{own: []*ca{own}, path: []*ca{old, root}, verdicts: map[*ca]trust.Reason{own: ""}}
	}},
	{"CA for servers only", func(t *testing.T) world {
		root := newCA(t, "Root", nil, pathLen(-1), usage(x509.ExtKeyUsageServerAuth))
		own := newCA(t, "cluster CA 1", root)
		return world{own: []*ca{own}, path: []*ca{root}, verdicts: map[*ca]trust.Reason{own: trust.BadChain}}
	}},
	{"CA for servers and clients", func(t *testing.T) world {
		root := newCA(t, "Root", nil, pathLen(-1), usage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth))
		own := newCA(t, "cluster CA 1", root)
		return world{own: []*ca{own}, path: []*ca{root}, verdicts: map[*ca]trust.Reason{own: ""}}
	}},
	{"chain of eight", func(t *testing.T) world {
		w := world{verdicts: map[*ca]trust.Reason{}}
		a := newCA(t, "Root", nil, pathLen(-1))
		for i := range 7 {
			w.path = append(w.path, a)
			a = newCA(t, "CA "+string(rune('0'+i)), a, pathLen(-1))
		}
		w.own, w.verdicts[a] = []*ca{a}, trust.BadChain
		return w
	}},
	{"circle above an own one", func(t *testing.T) world {
		a := newCA(t, "A", nil, pathLen(-1))
		b := newCA(t, "B", a, pathLen(-1))
		again := newCAWithKey(t, "A", a.key, b, pathLen(-1))
		own := newCA(t, "cluster CA 1", again)
		return world{own: []*ca{own}, path: []*ca{again, b}, verdicts: map[*ca]trust.Reason{own: trust.BadChain}}
	}},
}

func permitted(domain string) func(*template) {
	return func(c *template) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{domain}
	}
}

// TestWorlds reads each bundle in both orders, asks which certificates are own,
// and judges a leaf of each CA.
func TestWorlds(t *testing.T) {
	for _, tc := range worldTests {
		t.Run(tc.name, func(t *testing.T) {
			w := tc.make(t)
			cas := slices.Concat(w.own, w.path)
			for range 2 {
				slices.Reverse(cas)
				b := bundleOf(t, cas...)
				sameCerts(t, "own", b.Own(), w.own)
				sameCerts(t, "path", b.Path(), w.path)
				for a, want := range w.verdicts {
					err := trust.Check{Bundle: b, At: now}.Verify(newLeaf(t, a))
					t.Logf("%s: %v", a.cert.Subject, err)
					expect(t, err, want, "")
				}
			}
			if _, err := trust.FormatBundle(certsOf(w.own), certsOf(w.path)); err != nil {
				t.Errorf("formatting: %v", err)
			}
		})
	}
}

func certsOf(cas []*ca) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, a := range cas {
		certs = append(certs, a.cert)
	}
	return certs
}

func sameCerts(t *testing.T, what string, got []*x509.Certificate, want []*ca) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d %s certificates, want %d", len(got), what, len(want))
	}
	for _, a := range want {
		if !slices.ContainsFunc(got, a.cert.Equal) {
			t.Errorf("%s is not %s", a.cert.Subject, what)
		}
	}
}

// TestConstrainedPurpose asks a CA for servers only about servers.
func TestConstrainedPurpose(t *testing.T) {
	root := newCA(t, "Root", nil, pathLen(-1), usage(x509.ExtKeyUsageServerAuth))
	own := newCA(t, "cluster CA 1", root)
	check := trust.Check{Bundle: bundleOf(t, own, root), At: now, Purpose: trust.Server}
	expect(t, check.Verify(newLeaf(t, own)), "", "")
	check.Purpose = trust.Client
	expect(t, check.Verify(newLeaf(t, own)), trust.BadChain, "don't allow it")
}

// TestPathLeaf tells an operator that a root doesn't sign nodes.
func TestPathLeaf(t *testing.T) {
	root, middle, own := chain(t)
	err := trust.Check{Bundle: bundleOf(t, own, middle, root), At: now}.Verify(newLeaf(t, root))
	expect(t, err, trust.WrongIssuer, `"CN=Root", which stands above this authority's CA`)
}

// TestForgedKeyIdentifier names the right CA and its key, and is signed by
// another.
func TestForgedKeyIdentifier(t *testing.T) {
	a := newCA(t, "cluster CA 1", nil)
	b := newCAWithKey(t, "cluster CA 1", newKey(t), nil, func(c *template) { c.SubjectKeyId = a.cert.SubjectKeyId })
	check := trust.Check{Bundle: bundleOf(t, a), At: now}
	expect(t, check.Verify(newLeaf(t, b)), trust.BadSignature, "changed or forged")
}

// TestFormatBundle refuses what would be read otherwise, and round-trips what
// would not.
func TestFormatBundle(t *testing.T) {
	root, middle, own := chain(t)
	orphan := newCA(t, "Orphan", nil, pathLen(-1))
	plain := func(cas ...*ca) []*x509.Certificate { return certsOf(cas) }

	data, err := trust.FormatBundle(plain(own), plain(middle, root))
	if err != nil {
		t.Fatal(err)
	}
	if want := pemOf(own.cert, middle.cert, root.cert); !bytes.Equal(data, want) {
		t.Errorf("got %s, want %s", data, want)
	}
	for what, parts := range map[string][2][]*x509.Certificate{
		"orphaned root":    {plain(own), plain(middle, root, orphan)},
		"root as own":      {plain(own, root), plain(middle)},
		"own as path only": {plain(orphan), plain(own, middle, root)},
	} {
		if _, err := trust.FormatBundle(parts[0], parts[1]); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := trust.FormatBundle(nil, nil); err == nil {
		t.Error("an empty bundle was formatted")
	}
}

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
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "key only": key, "damaged": pemOf(leaf)[:100],
		"more after DER": append(bytes.Clone(leaf.Raw), 0), "too large": make([]byte, 1<<20+1),
	} {
		if _, err := trust.ParseCertificate(data); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
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
