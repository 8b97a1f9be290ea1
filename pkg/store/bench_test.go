package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

var epoch = time.Unix(1_800_000_000, 0).UTC()

// sample returns the record of a P-256 node certificate, all of it made up.
func sample(n serial.Number) store.Certificate {
	name := fmt.Sprintf("node%05d.example.com", n%10_000)
	der := make([]byte, 560)
	for i := 0; i < len(der); i += 8 {
		binary.BigEndian.PutUint64(der[i:], uint64(n)*0x9e3779b97f4a7c15+uint64(i))
	}
	fingerprint := sha256.Sum256(der)
	return store.Certificate{
		Authority: store.Cluster, Serial: n, Kind: "node", State: "issued",
		CA: sha256.Sum256([]byte("ca")), CommonName: name, Holder: name, Names: []string{name},
		NotBefore: epoch.Add(time.Duration(n) * time.Second), NotAfter: epoch.Add(time.Duration(n)*time.Second + 24*time.Hour),
		SPKIHash: sha256.Sum256(der[:64]), RequestHash: sha256.Sum256(der[:65]), ResumeKey: fingerprint[:16],
		DER: der, Fingerprint: fingerprint, Requester: "root", Origin: "local", Created: epoch,
	}
}

func entry(c store.Certificate) store.AuditEntry {
	return store.AuditEntry{Time: epoch, Who: "root", From: "local", Action: "cert sign-csr", Object: c.Serial.String(),
		Outcome: "done", Detail: c.CommonName}
}

// fill records n certificates with their audit entries, 1,000 in a transaction.
func fill(tb testing.TB, s *storetest.Store, first, n serial.Number) {
	tb.Helper()
	for end := first + n; first < end; {
		cs := make([]store.Certificate, 0, store.MaxInsert)
		es := make([]store.AuditEntry, 0, store.MaxInsert)
		for ; first < end && len(cs) < store.MaxInsert; first++ {
			cs = append(cs, sample(first))
			es = append(es, entry(cs[len(cs)-1]))
		}
		err := s.Write(context.Background(), func(tx *store.Tx) error {
			if err := tx.InsertCertificates(cs); err != nil {
				return err
			}
			return tx.Audit(es...)
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

func withAuthority(tb testing.TB, s *storetest.Store) *storetest.Store {
	tb.Helper()
	err := s.Write(context.Background(), func(tx *store.Tx) error {
		a := store.Authority{ID: store.Cluster, Name: "test", Created: epoch}
		if err := tx.PutAuthority(a); err != nil {
			return err
		}
		return tx.AddNode(store.Cluster, store.Node{Name: "node00001.example.com", Created: epoch})
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// cpu returns the processor time that this process has used.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBulk records certificates with their audit entries, as a batch does: one
// operation is one certificate.
func BenchmarkBulk(b *testing.B) {
	run := func(b *testing.B, s *storetest.Store) {
		withAuthority(b, s)
		b.ResetTimer()
		before := cpu(b)
		fill(b, s, 1, serial.Number(b.N))
		b.ReportMetric(float64(b.N)/(cpu(b)-before).Seconds(), "certificates/cpu-s")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certificates/s")
	}
	b.Run("sqlite", func(b *testing.B) { run(b, storetest.SQLite(b).Open(b, store.Options{})) })
	b.Run("postgres", func(b *testing.B) { run(b, storetest.PostgreSQL(b).Open(b, store.Options{})) })
}

// BenchmarkOneShot is what a process does that signs one request: open the database,
// read, count, record, close.
func BenchmarkOneShot(b *testing.B) {
	backend := storetest.SQLite(b)
	first := withAuthority(b, backend.Open(b, store.Options{}))
	if err := first.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	before := cpu(b)
	for i := range b.N {
		if err := oneShot(backend.Path(), sample(serial.Number(i+1))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

func oneShot(path string, c store.Certificate) error {
	ctx := context.Background()
	s, err := store.OpenSQLite(ctx, path, store.Options{})
	if err != nil {
		return err
	}
	err = s.Write(ctx, func(tx *store.Tx) error {
		a, err := tx.Authority(store.Cluster)
		if err != nil {
			return err
		}
		if _, err := tx.NodeByKey(store.Cluster, "node00001.example.com"); err != nil {
			return err
		}
		a.Counter.Reserved, a.Counter.Last = c.Serial, c.Serial
		if err := tx.SetCounter(store.Cluster, a.Counter); err != nil {
			return err
		}
		if err := tx.InsertCertificates([]store.Certificate{c}); err != nil {
			return err
		}
		return tx.Audit(entry(c))
	})
	return errors.Join(err, s.Close())
}

// million makes an inventory of 1,000,000 certificates, in a file, and returns a
// moment at which one in five of them is live. With -short they are 50,000.
func million(b *testing.B) (backend storetest.Backend, n serial.Number, at time.Time) {
	b.Helper()
	n = 1_000_000
	if testing.Short() {
		n = 50_000
	}
	backend = storetest.SQLite(b)
	s := withAuthority(b, backend.Open(b, store.Options{}))
	fill(b, s, 1, n)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return backend, n, sample(n / 5 * 4).NotAfter.Add(time.Second)
}

// BenchmarkList reads a large inventory: pages as a process does that opens the
// database for it, and all of it in another process, whose memory it reports.
func BenchmarkList(b *testing.B) {
	backend, n, at := million(b)
	page := func(f store.CertificateFilter) func(b *testing.B) {
		f.Authority, f.At, f.Limit = store.Cluster, at, 100
		return func(b *testing.B) {
			for b.Loop() {
				s := backend.Open(b, store.Options{})
				if got := len(list(b, s, f)); got != f.Limit {
					b.Fatalf("%d certificates", got)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("first page", page(store.CertificateFilter{}))
	b.Run("middle page", page(store.CertificateFilter{After: n / 2}))
	b.Run("live", page(store.CertificateFilter{Status: store.Live}))
	b.Run("expired", page(store.CertificateFilter{Status: store.Expired}))
	b.Run("count", func(b *testing.B) {
		s := backend.Open(b, store.Options{})
		for b.Loop() {
			read(b, s, func(tx *store.Tx) error {
				c, err := tx.CountCertificates(store.Cluster, at, serial.Floor(n/10*9))
				if c.Total != int64(n) || c.Live != int64(n/10)+1 {
					b.Fatalf("%+v", c)
				}
				return err
			})
		}
	})
	for _, what := range []string{"all", "live"} {
		b.Run("stream "+what, func(b *testing.B) {
			for b.Loop() {
				p := start(b, "stream", backend.Address, what, at.Format(time.RFC3339))
				numbers := p.numbers()
				if err := p.wait(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(numbers[0])*float64(b.N)/b.Elapsed().Seconds(), "certificates/s")
				b.ReportMetric(float64(numbers[1])/1024, "peak-MiB")
			}
		})
	}
}

func init() {
	// stream ADDRESS STATUS TIME: reads all certificates and prints how many there
	// are and the most memory that the process had, in KiB.
	helpers["stream"] = func(args []string) error {
		at, err := time.Parse(time.RFC3339, args[2])
		if err != nil {
			return err
		}
		s, err := storetest.Open(context.Background(), args[0], store.Options{})
		if err != nil {
			return err
		}
		f := store.CertificateFilter{Authority: store.Cluster, At: at}
		if args[1] == "live" {
			f.Status = store.Live
		}
		n := 0
		err = s.Read(context.Background(), func(tx *store.Tx) error {
			return tx.Certificates(f, func(store.Certificate) error { n++; return nil })
		})
		peak, status := peakMemory()
		fmt.Printf("%d\n%d\n", n, peak)
		return errors.Join(err, status, s.Close())
	}
}

// peakMemory returns the most memory that this process had, in KiB.
func peakMemory() (n int, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Sscan(after, &n)
	return n, err
}
