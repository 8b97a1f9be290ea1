package trust_test

import (
	"bytes"
	"crypto/x509"
	"slices"
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
	{"two own of the same name, one of them ended", func(t *testing.T) world {
		a, b := newCA(t, "cluster CA", nil, ends(-time.Second)), newCA(t, "cluster CA", nil)
		return world{own: []*ca{a, b}, verdicts: map[*ca]trust.Reason{a: trust.BadChain, b: ""}}
	}},
	{"two adopted ones of the same name", func(t *testing.T) world {
		a, b := newCA(t, "adopted", nil, pathLen(-1)), newCA(t, "adopted", nil, pathLen(-1))
		return world{own: []*ca{a, b}, verdicts: map[*ca]trust.Reason{a: "", b: ""}}
	}},
	{"renamed with the same key", func(t *testing.T) world {
		a := newCA(t, "adopted", nil, pathLen(-1))
		b := newCAWithKey(t, "cluster CA 7", a.key, a)
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
		forged := newCA(t, "Root", nil, pathLen(-1), keyID(root))
		return world{own: []*ca{own}, path: []*ca{forged}, verdicts: map[*ca]trust.Reason{own: trust.BadChain, forged: trust.WrongIssuer}}
	}},
	{"self-signed by another key", func(t *testing.T) world {
		a := newCA(t, "cluster CA 1", nil)
		forged := newCA(t, "cluster CA 1", a, keyID(a))
		return world{own: []*ca{forged}, verdicts: map[*ca]trust.Reason{forged: trust.BadChain}}
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
	{"constraint that a path certificate of the same key lacks", func(t *testing.T) world {
		own := newCA(t, "A", nil, permitted("example.org"))
		path := newCAWithKey(t, "A", own.key, nil, pathLen(-1))
		below := newCA(t, "B", path)
		return world{own: []*ca{own, below}, path: []*ca{path}, verdicts: map[*ca]trust.Reason{own: trust.BadChain, below: ""}}
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

// keyID gives a CA the key identifier of another.
func keyID(of *ca) func(*template) {
	return func(c *template) { c.SubjectKeyId = of.cert.SubjectKeyId }
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
// another; a second own CA of the name doesn't change the answer.
func TestForgedKeyIdentifier(t *testing.T) {
	a, other := newCA(t, "cluster CA 1", nil), newCA(t, "cluster CA 1", nil)
	forger := newCA(t, "cluster CA 1", nil, keyID(a))
	for _, b := range []*trust.Bundle{bundleOf(t, a), bundleOf(t, a, other), bundleOf(t, other, a)} {
		err := trust.Check{Bundle: b, At: now}.Verify(newLeaf(t, forger))
		expect(t, err, trust.BadSignature, "changed or forged")
	}
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
