package trust_test

import (
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

// A place is a directory with an authority's files, and a clock.
type place struct {
	t       testing.TB
	dir     string
	clock   time.Time
	reports []string
}

func newPlace(t testing.TB, root *ca) *place {
	p := &place{t: t, dir: t.TempDir(), clock: now}
	p.write("bundle.pem", pemOf(root.cert))
	p.write("min-serial", []byte("40\n"))
	return p
}

// write replaces a file, as the authority does.
func (p *place) write(name string, data []byte) {
	p.t.Helper()
	temp := filepath.Join(p.dir, ".new")
	if err := errors.Join(os.WriteFile(temp, data, 0o600), os.Rename(temp, filepath.Join(p.dir, name))); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) remove(name string) {
	p.t.Helper()
	if err := os.Remove(filepath.Join(p.dir, name)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) open(edits ...func(*trust.SourceOptions)) *trust.Source {
	p.t.Helper()
	o := trust.SourceOptions{Now: func() time.Time { return p.clock }, Report: func(err error) {
		if err == nil {
			err = errors.New("over")
		}
		p.reports = append(p.reports, err.Error())
	}}
	for _, edit := range edits {
		edit(&o)
	}
	s, err := trust.OpenSource(trust.DirFiles(p.dir), o)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// check lets a second pass, and returns the Check that there is then.
func (p *place) check(s *trust.Source) trust.Check {
	p.t.Helper()
	p.clock = p.clock.Add(time.Second)
	c, err := s.Check()
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// trouble compares what the source says with what it has to; "" is nothing.
func (p *place) trouble(s *trust.Source, want string) {
	p.t.Helper()
	if err := s.Trouble(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		p.t.Errorf("trouble: %v, want %q", err, want)
	}
}

func numbered(n int64) func(*crlTemplate) {
	return func(l *crlTemplate) { l.Number = big.NewInt(n) }
}

// TestSourceFollows changes each file, and sees the change a second later.
func TestSourceFollows(t *testing.T) {
	root, next := newCA(t, "cluster CA 1", nil), newCA(t, "cluster CA 9", nil)
	p := newPlace(t, root)
	s := p.open()
	leaf, nextLeaf := newLeaf(t, root), newLeaf(t, next)
	c := p.check(s)
	expect(t, c.Verify(leaf), "", "")
	if !c.At.Equal(p.clock) || c.Floor != 40 || c.CRL != nil {
		t.Errorf("%+v", c)
	}
	p.write("min-serial", []byte("43\n"))
	if c, err := s.Check(); err != nil || c.Floor != 40 {
		t.Error("looked again within the second:", c.Floor, err)
	}
	expect(t, p.check(s).Verify(leaf), trust.BelowFloor, "")

	p.write("bundle.pem", pemOf(next.cert, root.cert))
	expect(t, p.check(s).Verify(nextLeaf), trust.BelowFloor, "")
	p.write("bundle.pem", pemOf(root.cert))
	expect(t, p.check(s).Verify(nextLeaf), trust.WrongIssuer, "")

	p.write("crl.pem", newCRLBytes(t, root, listed(1)))
	if c := p.check(s); c.CRL == nil || c.CRL.Len() != 1 {
		t.Error("no list")
	}
	p.trouble(s, "")
	if len(p.reports) > 0 {
		t.Errorf("%q", p.reports)
	}
}

// TestFloorNeverFalls writes lower numbers, and no number.
func TestFloorNeverFalls(t *testing.T) {
	p := newPlace(t, newCA(t, "cluster CA 1", nil))
	s := p.open()
	for _, tc := range []struct {
		content string
		want    serial.Floor
		trouble string
	}{
		{"43\n", 43, ""}, {"42\n", 43, "min-serial went down from 43 to 42"}, {"", 43, "no serial number from 1"}, {"0\n", 43, "no serial number from 1"},
		{"44", 44, ""}, {"-1\n", 44, "no serial number from 1"}, {strings.Repeat("9", 2000), 44, "larger than"}, {"45\n", 45, ""}, {"44\n", 45, "went down"},
	} {
		p.write("min-serial", []byte(tc.content))
		if c := p.check(s); c.Floor != tc.want {
			t.Errorf("%q: %v", tc.content, c.Floor)
		}
		p.trouble(s, tc.trouble)
	}
}

// TestCRLNeverGoesBack publishes lists that may not follow.
func TestCRLNeverGoesBack(t *testing.T) {
	root, stranger := newCA(t, "cluster CA 1", nil), newCA(t, "cluster CA 2", nil)
	p := newPlace(t, root)
	s := p.open()
	for _, tc := range []struct {
		crl     []byte
		want    int64
		trouble string
	}{
		{newCRLBytes(t, root, numbered(7)), 7, ""},
		{newCRLBytes(t, root, numbered(6)), 7, "went back from number 7 to 6"},
		{newCRLBytes(t, root, numbered(8)), 8, ""},
		{newCRLBytes(t, stranger, numbered(9)), 8, "none of this authority's"},
		{[]byte("hello"), 8, "not a revocation list"},
		{newCRLBytes(t, root, numbered(8)), 8, ""},
	} {
		p.write("crl.pem", tc.crl)
		if c := p.check(s); c.CRL.Number().Int64() != tc.want {
			t.Errorf("number %v, want %d", c.CRL.Number(), tc.want)
		}
		p.trouble(s, tc.trouble)
	}
	p.remove("crl.pem")
	if c := p.check(s); c.CRL == nil {
		t.Error("a list that is gone is forgotten")
	}
	p.trouble(s, "there is no such file")
}

// TestCRLOfNewCA publishes a list before the bundle with its CA.
func TestCRLOfNewCA(t *testing.T) {
	root, next := newCA(t, "cluster CA 1", nil), newCA(t, "cluster CA 9", nil)
	p := newPlace(t, root)
	s := p.open()
	p.write("crl.pem", newCRLBytes(t, next, numbered(9)))
	p.check(s)
	p.trouble(s, "none of this authority's")
	p.write("bundle.pem", pemOf(root.cert, next.cert))
	if c := p.check(s); c.CRL == nil {
		t.Error("the list didn't follow its CA")
	}
	p.trouble(s, "")
	// A bundle without it is in force at once, and the list refuses.
	p.write("bundle.pem", pemOf(root.cert))
	expect(t, p.check(s).Verify(newLeaf(t, root)), trust.BadCRL, "")
	p.trouble(s, "none of this authority's")
}

// TestGrace damages the bundle, and waits.
func TestGrace(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	leaf := newLeaf(t, root)
	for _, damage := range []func(*place){
		func(p *place) { p.remove("bundle.pem") },
		func(p *place) { p.write("bundle.pem", []byte("hello")) },
		func(p *place) { p.remove("bundle.pem"); p.mkfifo("bundle.pem") },
		func(p *place) { p.remove("min-serial") },
	} {
		p := newPlace(t, root)
		s := p.open()
		damage(p)
		expect(t, p.check(s).Verify(leaf), "", "")
		p.clock = p.clock.Add(trust.DefaultGrace - time.Second)
		expect(t, p.check(s).Verify(leaf), "", "")
		p.clock = p.clock.Add(time.Second)
		if _, err := s.Check(); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "not known since 2026-01-02T03:04:06Z: reading") {
			t.Error(err)
		}
		p.write("bundle.pem", pemOf(root.cert))
		p.write("min-serial", []byte("40\n"))
		expect(t, p.check(s).Verify(leaf), "", "")
		p.trouble(s, "")
		if n := len(p.reports); n != 2 || p.reports[1] != "over" {
			t.Errorf("%q", p.reports)
		}
	}
	p := newPlace(t, root)
	s := p.open(func(o *trust.SourceOptions) { o.Grace = -1 })
	p.remove("bundle.pem")
	p.clock = p.clock.Add(time.Second)
	s.Check() //nolint:errcheck // the trouble begins
	p.clock = p.clock.Add(time.Second)
	if _, err := s.Check(); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

// TestOneDamaged raises the floor while the bundle is damaged.
func TestOneDamaged(t *testing.T) {
	p := newPlace(t, newCA(t, "cluster CA 1", nil))
	s := p.open()
	p.write("bundle.pem", nil)
	p.write("min-serial", []byte("43\n"))
	if c := p.check(s); c.Floor != 43 {
		t.Error(c.Floor)
	}
	p.trouble(s, "no certificate in the bundle")
}

func (p *place) mkfifo(name string) {
	p.t.Helper()
	if err := syscall.Mkfifo(filepath.Join(p.dir, name), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// TestMovedAway brings a file back just as it was.
func TestMovedAway(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	p := newPlace(t, root)
	s := p.open()
	path := filepath.Join(p.dir, "min-serial")
	for range 3 {
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		p.check(s)
		p.trouble(s, "no such file")
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
		p.check(s)
		p.trouble(s, "")
	}
}

// TestWrittenInPlace changes a file so that a stat doesn't show it.
func TestWrittenInPlace(t *testing.T) {
	p := newPlace(t, newCA(t, "cluster CA 1", nil))
	s := p.open()
	path := filepath.Join(p.dir, "min-serial")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, []byte("41\n"), 0o600), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	if c := p.check(s); c.Floor != 41 {
		t.Error(c.Floor)
	}
}

// TestOpenSource refuses what could make it trust more than it should.
func TestOpenSource(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	clock := func() time.Time { return now }
	good := trust.SourceOptions{Now: clock}
	for _, tc := range []struct {
		name    string
		damage  func(*place)
		files   func(*trust.Files)
		options trust.SourceOptions
		want    fault.Kind // "" for accepted
	}{
		{name: "good", options: good},
		{name: "no clock", want: fault.Malformed},
		{name: "no bundle asked for", options: good, files: func(f *trust.Files) { f.Bundle = "" }, want: fault.Malformed},
		{name: "no floor asked for, and no list", options: good, files: func(f *trust.Files) { f.Floor, f.CRL = "", "" }, want: fault.Malformed},
		{name: "no floor asked for, a list missing", options: good, files: func(f *trust.Files) { f.Floor = "" }, want: fault.NotFound},
		{name: "a list that is to tell the floor and doesn't", options: good, files: func(f *trust.Files) { f.Floor = "" },
			damage: func(p *place) { p.write("crl.pem", newCRLBytes(t, root)) }, want: fault.Malformed},
		{name: "a list that tells the floor", options: good, files: func(f *trust.Files) { f.Floor = "" },
			damage: func(p *place) { p.write("crl.pem", newCRLBytes(t, root, withFloor(2, 1, 40))) }},
		{name: "no list asked for", options: good, files: func(f *trust.Files) { f.CRL = "" }},
		{name: "endless grace", options: trust.SourceOptions{Now: clock, Grace: 25 * time.Hour}, want: fault.Malformed},
		{name: "no bundle", options: good, damage: func(p *place) { p.remove("bundle.pem") }, want: fault.NotFound},
		{name: "no floor", options: good, damage: func(p *place) { p.remove("min-serial") }, want: fault.NotFound},
		{name: "empty floor", options: good, damage: func(p *place) { p.write("min-serial", nil) }, want: fault.Malformed},
		{name: "damaged list", options: good, damage: func(p *place) { p.write("crl.pem", []byte("x")) }, want: fault.Malformed},
		{name: "a stranger's list", options: good, damage: func(p *place) { p.write("crl.pem", newCRLBytes(t, newCA(t, "x", nil))) }, want: fault.Invalid},
		{name: "a list", options: good, damage: func(p *place) {
			p.write("crl.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: newCRLBytes(t, root)}))
		}},
	} {
		p := newPlace(t, root)
		if tc.damage != nil {
			tc.damage(p)
		}
		files := trust.DirFiles(p.dir)
		if tc.files != nil {
			tc.files(&files)
		}
		_, err := trust.OpenSource(files, tc.options)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || fault.KindOf(err) != tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// TestSourceOfList has bundle and list alone.
func TestSourceOfList(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	p := newPlace(t, root)
	p.remove("min-serial")
	p.write("crl.pem", newCRLBytes(t, root, listed(), numbered(1), withFloor(2, 1, 42)))
	files := trust.DirFiles(p.dir)
	files.Floor = ""
	s, err := trust.OpenSource(files, trust.SourceOptions{Now: func() time.Time { return p.clock }})
	if err != nil {
		t.Fatal(err)
	}
	leaf := newLeaf(t, root)
	expect(t, p.check(s).Verify(leaf), "", "")
	p.write("crl.pem", newCRLBytes(t, root, listed(), numbered(2), withFloor(2, 1, 43)))
	expect(t, p.check(s).Verify(leaf), trust.BelowFloor, "")
	p.write("crl.pem", newCRLBytes(t, root, listed(), numbered(3), withFloor(2, 1, 42)))
	expect(t, p.check(s).Verify(leaf), trust.BelowFloor, "")
	p.trouble(s, "went down from 43 to 42")
	p.write("crl.pem", newCRLBytes(t, root, listed(), numbered(4)))
	expect(t, p.check(s).Verify(leaf), trust.BelowFloor, "")
	p.trouble(s, "doesn't say what min-serial is")
}

// TestSourceRequireFresh has no list, and then one.
func TestSourceRequireFresh(t *testing.T) {
	root := newCA(t, "cluster CA 1", nil)
	p := newPlace(t, root)
	s := p.open(func(o *trust.SourceOptions) { o.RequireFresh = true })
	expect(t, p.check(s).Verify(newLeaf(t, root)), trust.StaleCRL, "")
	p.write("crl.pem", newCRLBytes(t, root, listed()))
	expect(t, p.check(s).Verify(newLeaf(t, root)), "", "")
}

// TestSourceAtOnce has many ask while the floor rises: it never falls for any.
func TestSourceAtOnce(t *testing.T) {
	p := newPlace(t, newCA(t, "cluster CA 1", nil))
	s := p.open(func(o *trust.SourceOptions) { o.Interval, o.Report = -1, nil })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var last serial.Floor
			for range 300 {
				c, err := s.Check()
				if err != nil || c.Floor < last {
					t.Errorf("%v after %v: %v", c.Floor, last, err)
					return
				}
				last = c.Floor
			}
		})
	}
	for n := range 20 {
		p.write("min-serial", serial.Number(41+n).FileContent())
	}
	wg.Wait()
	if c := p.check(s); c.Floor != 60 {
		t.Error(c.Floor)
	}
}
