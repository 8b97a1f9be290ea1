package store_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

func TestCertificate(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		full := sample(serial.Max)
		full.CommonName, full.Holder = "Ünï.example.com", "Holder.example.com"
		full.Names = []string{"Ünï.example.com", "192.0.2.1", "ALIAS"}
		full.Exceptions = []string{"other.example.com", "日本"}
		full.Requester, full.Origin, full.State = "rööt \"$1\" ?", "unix:@/x'--", "of another kind"
		full.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		full.NotBefore = time.Date(1949, 12, 31, 0, 0, 0, 0, time.UTC)
		bare := store.Certificate{Authority: store.Cluster, Serial: 1, DER: []byte{}}
		ca := store.Certificate{Authority: store.Cluster, Serial: 2, Kind: store.KindCA, DER: []byte{0, 1, 255}, Fingerprint: [32]byte{5}}
		large := store.Certificate{Authority: store.Cluster, Serial: 3, DER: bytes.Repeat([]byte{7}, store.MaxText)}

		write(t, s, func(tx *store.Tx) error {
			return tx.InsertCertificates([]store.Certificate{full, bare, ca, large})
		})
		bare.DER = nil
		read(t, s, func(tx *store.Tx) error {
			for _, want := range []store.Certificate{full, bare, ca, large} {
				got, err := tx.Certificate(store.Cluster, want.Serial)
				must(t, err)
				wantEqual(t, "certificate", got, want)
			}
			got, err := tx.CACertificate(store.Cluster, ca.Fingerprint)
			must(t, err)
			wantEqual(t, "CA certificate", got, ca)
			_, err = tx.CACertificate(store.Cluster, full.Fingerprint)
			wantKind(t, "a leaf as a CA certificate", err, fault.NotFound)
			_, err = tx.Certificate(store.Cluster, 4)
			wantKind(t, "a number never issued", err, fault.NotFound)
			_, err = tx.Certificate("other", 1)
			wantKind(t, "another authority", err, fault.NotFound)
			return nil
		})
	})
}

func TestCertificateToResume(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		key := []byte("key of a request")
		one, two, three, other := sample(1), sample(2), sample(3), sample(4)
		for _, c := range []*store.Certificate{&one, &two, &three, &other} {
			c.CommonName, c.ResumeKey = "Node", key
		}
		three.ResumeKey = []byte("key of another")            // the same first bytes
		other.CommonName, other.Names = "x", []string{"Node"} // the name, but not the common one
		none := sample(5)
		none.CommonName, none.ResumeKey = "Node", nil
		write(t, s, func(tx *store.Tx) error {
			return tx.InsertCertificates([]store.Certificate{one, two, three, other, none})
		})
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.CertificateToResume(store.Cluster, "nODE", key)
			must(t, err)
			wantEqual(t, "the newest", got, two)
			got, err = tx.CertificateToResume(store.Cluster, "node", three.ResumeKey)
			must(t, err)
			wantEqual(t, "the one with a similar key", got, three)
			for what, call := range map[string]func() (store.Certificate, error){
				"no such key":       func() (store.Certificate, error) { return tx.CertificateToResume(store.Cluster, "node", []byte("k")) },
				"no such name":      func() (store.Certificate, error) { return tx.CertificateToResume(store.Cluster, "nodf", key) },
				"no such authority": func() (store.Certificate, error) { return tx.CertificateToResume("other", "node", key) },
				"no key":            func() (store.Certificate, error) { return tx.CertificateToResume(store.Cluster, "node", nil) },
			} {
				_, err := call()
				wantKind(t, what, err, fault.NotFound)
			}
			return nil
		})
	})
}

func TestInsertCertificatesAgain(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		fill(t, s, 1, 50)
		var batch []store.Certificate
		for n := serial.Number(100); n < 200; n++ {
			batch = append(batch, sample(n))
		}
		batch[90] = sample(50)
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			wantKind(t, "a number recorded already", tx.InsertCertificates(batch), fault.Exists)
			return nil // nothing is committed all the same
		})
		wantKind(t, "a transaction whose error was dropped", err, fault.Exists)
		read(t, s, func(tx *store.Tx) error {
			_, err := tx.Certificate(store.Cluster, 100)
			wantKind(t, "a certificate of the refused batch", err, fault.NotFound)
			return nil
		})
		write(t, s, func(tx *store.Tx) error {
			c := sample(50)
			c.Authority = "other" // has numbers of its own
			return tx.InsertCertificates([]store.Certificate{c})
		})
	})
}

func TestInsertCertificatesRefused(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		for what, spoil := range map[string]func(c *store.Certificate){
			"zero":             func(c *store.Certificate) { c.Serial = 0 },
			"a negative one":   func(c *store.Certificate) { c.Serial = -1 },
			"a broken name":    func(c *store.Certificate) { c.Names = []string{"a\nb"} },
			"an empty name":    func(c *store.Certificate) { c.Names = []string{""} },
			"a broken one":     func(c *store.Certificate) { c.Exceptions = []string{"a\n"} },
			"a long name":      func(c *store.Certificate) { c.Names = []string{strings.Repeat("x", store.MaxKey+1)} },
			"a long subject":   func(c *store.Certificate) { c.CommonName = strings.Repeat("x", store.MaxKey+1) },
			"a long holder":    func(c *store.Certificate) { c.Holder = strings.Repeat("x", store.MaxKey+1) },
			"a long key":       func(c *store.Certificate) { c.ResumeKey = make([]byte, store.MaxKey+1) },
			"a large one":      func(c *store.Certificate) { c.DER = make([]byte, store.MaxText+1) },
			"a long requester": func(c *store.Certificate) { c.Requester = strings.Repeat("x", store.MaxText+1) },
			"NUL":              func(c *store.Certificate) { c.Origin = "\x00" },
			"not UTF-8":        func(c *store.Certificate) { c.CommonName = "\xc3" },
		} {
			c := sample(1)
			spoil(&c)
			err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.InsertCertificates([]store.Certificate{c}) })
			wantKind(t, what, err, fault.Malformed)
		}
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			return tx.InsertCertificates(make([]store.Certificate, store.MaxInsert+1))
		})
		wantKind(t, "too many", err, fault.Malformed)
		write(t, s, func(tx *store.Tx) error { return tx.InsertCertificates(nil) })
	})
}

func TestInsertCertificatesInBatches(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		next := serial.Number(1)
		for _, n := range []serial.Number{1, 2, 31, 32, 33, 63, 64, 65, 999, 1000} {
			fill(t, s, next, n)
			next += n
		}
		got := list(t, s, store.CertificateFilter{Authority: store.Cluster})
		for i, c := range got {
			wantEqual(t, fmt.Sprint("certificate ", i), c, sample(serial.Number(i+1)))
		}
		wantEqual(t, "number of certificates", len(got), int(next-1))
		wantEqual(t, "number of entries", len(entries(t, s, store.AuditFilter{})), int(next-1))
	})
}

func TestPruneCertificates(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		fill(t, s, 1, 100)
		ca := sample(101)
		ca.Kind, ca.NotAfter = store.KindCA, epoch
		nameless := store.Certificate{Authority: store.Cluster, Serial: 102, NotAfter: sample(1).NotAfter}
		write(t, s, func(tx *store.Tx) error { return tx.InsertCertificates([]store.Certificate{ca, nameless}) })
		prune := func(before time.Time, limit int) (n int) {
			write(t, s, func(tx *store.Tx) (err error) {
				n, err = tx.PruneCertificates(store.Cluster, before, limit)
				return err
			})
			return n
		}
		at := sample(61).NotAfter
		wantEqual(t, "none", prune(at, 0)+prune(at, -1), 0)
		wantEqual(t, "first", prune(at, 40), 40)
		wantEqual(t, "rest", prune(at, 40), 21)
		wantEqual(t, "nothing left", prune(at, 40), 0)
		got := list(t, s, store.CertificateFilter{Authority: store.Cluster})
		wantEqual(t, "what is kept", []serial.Number{got[0].Serial, got[39].Serial, got[40].Serial}, []serial.Number{61, 100, 101})
		wantEqual(t, "by the name of a pruned one", len(list(t, s, store.CertificateFilter{Authority: store.Cluster, Name: sample(1).CommonName})), 0)
		write(t, s, func(tx *store.Tx) error { // with names left over this would clash
			return tx.InsertCertificates([]store.Certificate{sample(1)})
		})
	})
}

// A batch of one name's requests looks for each among all that the name ever had.
func TestResumeIsFoundByIndex(t *testing.T) {
	s := storetest.SQLite(t).Open(t, store.Options{})
	must(t, s.Read(t.Context(), func(tx *store.Tx) error {
		plan, err := tx.PlanToResume()
		const want = "certificate_names_resume (authority=? AND name=? AND resume=?)"
		if !strings.Contains(strings.Join(plan, "\n"), want) {
			t.Errorf("the plan has no %s:\n%s", want, strings.Join(plan, "\n"))
		}
		return err
	}))
}
