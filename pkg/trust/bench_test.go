package trust_test

import (
	"crypto/x509"
	"math/big"
	"syscall"
	"testing"
	"time"

	"x509ctl/pkg/trust"
)

// Benchmarks judge one leaf of a P-256 CA, self-signed or an intermediate's: as
// a parsed certificate, and from its DER as "cert verify" of many does. The time
// that counts is the processor's, cpu-ns/op, and its ratio to that of
// BenchmarkSignature in the same run.

// BenchmarkSignature is the least that any verification has to do.
func BenchmarkSignature(b *testing.B) {
	root := newCA(b, "cluster CA 1", nil)
	benchmark(b, newLeaf(b, root), func(leaf *x509.Certificate) error {
		return root.cert.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature)
	})
}

func BenchmarkVerify(b *testing.B) {
	root := newCA(b, "cluster CA 1", nil)
	check := trust.Check{Bundle: bundleOf(b, root), At: now, Name: "node1.example.com", Floor: 42}
	benchmark(b, newLeaf(b, root), func(leaf *x509.Certificate) error { return check.Verify(leaf) })
}

func BenchmarkVerifyIntermediate(b *testing.B) {
	root := newCA(b, "Root", nil, pathLen(-1))
	own := newCA(b, "cluster CA 1", root)
	check := trust.Check{Bundle: bundleOf(b, own, root), At: now, Name: "node1.example.com", Floor: 42}
	benchmark(b, newLeaf(b, own), func(leaf *x509.Certificate) error { return check.Verify(leaf) })
}

// BenchmarkGo is the rival: crypto/x509 with the same root, time, name and usage.
func BenchmarkGo(b *testing.B) {
	root := newCA(b, "cluster CA 1", nil)
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	benchmarkGo(b, newLeaf(b, root), x509.VerifyOptions{Roots: pool})
}

func BenchmarkGoIntermediate(b *testing.B) {
	root := newCA(b, "Root", nil, pathLen(-1))
	own := newCA(b, "cluster CA 1", root)
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	opts.Roots.AddCert(root.cert)
	opts.Intermediates.AddCert(own.cert)
	benchmarkGo(b, newLeaf(b, own), opts)
}

func benchmarkGo(b *testing.B, leaf *x509.Certificate, opts x509.VerifyOptions) {
	opts.CurrentTime, opts.DNSName = now, "node1.example.com"
	opts.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	benchmark(b, leaf, func(leaf *x509.Certificate) error {
		_, err := leaf.Verify(opts)
		return err
	})
}

func benchmark(b *testing.B, leaf *x509.Certificate, verify func(*x509.Certificate) error) {
	b.Run("parsed", func(b *testing.B) {
		repeat(b, func() error { return verify(leaf) })
	})
	b.Run("from DER", func(b *testing.B) {
		repeat(b, func() error {
			leaf, err := trust.ParseCertificate(leaf.Raw)
			if err != nil {
				return err
			}
			return verify(leaf)
		})
	})
}

func repeat(b *testing.B, f func() error) {
	b.ReportAllocs()
	start := cpuTime(b)
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N), "cpu-ns/op")
}

// cpuTime returns the processor time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkVerifyCRL asks a list of a million numbers as well.
func BenchmarkVerifyCRL(b *testing.B) {
	root := newCA(b, "cluster CA 1", nil)
	l, err := trust.ParseCRL(longCRL(b, root))
	if err != nil {
		b.Fatal(err)
	}
	check := trust.Check{Bundle: bundleOf(b, root), At: now, Name: "node1.example.com", CRL: l, RequireFresh: true}
	benchmark(b, newLeaf(b, root), func(leaf *x509.Certificate) error { return check.Verify(leaf) })
}

// BenchmarkParseCRL reads a list of a million numbers, here and with crypto/x509.
func BenchmarkParseCRL(b *testing.B) {
	der := longCRL(b, newCA(b, "cluster CA 1", nil))
	b.Run("here", func(b *testing.B) {
		repeat(b, func() error { _, err := trust.ParseCRL(der); return err })
	})
	b.Run("Go", func(b *testing.B) {
		repeat(b, func() error { _, err := x509.ParseRevocationList(der); return err })
	})
}

func longCRL(b *testing.B, issuer *ca) []byte {
	entries := make([]x509.RevocationListEntry, 1_000_000)
	for i := range entries {
		entries[i] = x509.RevocationListEntry{SerialNumber: big.NewInt(int64(i + 1000)), RevocationTime: now}
	}
	return newCRLBytes(b, issuer, func(l *crlTemplate) { l.RevokedCertificateEntries = entries })
}

// BenchmarkChain judges a leaf of somebody else's intermediate.
func BenchmarkChain(b *testing.B) {
	root := newCA(b, "Root", nil, pathLen(-1))
	middle := newCA(b, "Middle", root)
	check := trust.ChainCheck{Pool: poolOf(b, []*ca{root}, []*ca{middle}), At: now, Name: "node1.example.com", Purpose: trust.Server}
	benchmark(b, newLeaf(b, middle), func(leaf *x509.Certificate) error { _, err := check.Verify(leaf); return err })
}

// BenchmarkSource makes a Check while nothing changes: the time is that of three
// stats.
func BenchmarkSource(b *testing.B) {
	p := newPlace(b, newCA(b, "cluster CA 1", nil))
	s := p.open(func(o *trust.SourceOptions) { o.Interval = -1 })
	repeat(b, func() error { _, err := s.Check(); return err })
}
