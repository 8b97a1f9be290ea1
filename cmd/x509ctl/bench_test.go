package main_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// A site is a state directory to measure on, beside a directory for what is made.
// Every benchmark has its own: ext4 gets slow where many files were removed.
type site struct {
	b        *testing.B
	dir, out string
}

func newSite(b *testing.B, nodes int) site {
	b.Helper()
	if _, err := os.Stat(program); err != nil {
		b.Fatal(err)
	}
	s := site{b, filepath.Join(b.TempDir(), "state"), b.TempDir()}
	s.spend("ca", "init", "--cluster-name", "cluster1.example.com")
	s.write(func(tx *store.Tx) error {
		for i := range nodes {
			n := store.Node{Name: nodeName(i), Created: time.Now()}
			if err := tx.AddNode(store.Cluster, n); err != nil {
				return err
			}
		}
		return nil
	})
	return s
}

func nodeName(i int) string { return fmt.Sprintf("node%05d.example.com", i) }

// spend runs x509ctl on the site.
func (s site) spend(args ...string) cost {
	s.b.Helper()
	return spend(s.b, program, append(args, "--dir", s.dir)...)
}

// write changes the site's database, past the program.
func (s site) write(fn func(tx *store.Tx) error) {
	s.b.Helper()
	db, err := store.OpenSQLite(context.Background(), filepath.Join(s.dir, "x509ctl.db"), store.Options{})
	if err != nil {
		s.b.Fatal(err)
	}
	if err := db.Write(context.Background(), fn); err != nil {
		s.b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		s.b.Fatal(err)
	}
}

// requests makes a request of every node, with a P-256 key, and returns the files.
func requests(b *testing.B, n int) []string {
	b.Helper()
	dir := b.TempDir()
	files := make([]string, n)
	for i := range files {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		subject := pkix.Name{CommonName: nodeName(i)}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
		if err != nil {
			b.Fatal(err)
		}
		files[i] = filepath.Join(dir, nodeName(i)+".csr")
		if err := os.WriteFile(files[i], pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return files
}

// opensslCA makes a CA for "openssl ca" with the same key, hash and extensions, and
// returns the arguments that use it.
func opensslCA(b *testing.B) []string {
	b.Helper()
	dir := b.TempDir()
	config := filepath.Join(dir, "ca.cnf")
	for name, text := range map[string]string{
		"ca.cnf": `[ca]
default_ca = it
[it]
dir = ` + dir + `
database = $dir/index.txt
new_certs_dir = $dir/new
certificate = $dir/ca.pem
private_key = $dir/ca.key
serial = $dir/serial
crlnumber = $dir/crlnumber
default_crl_days = 7
default_md = sha256
default_days = 1
unique_subject = no
policy = names
x509_extensions = leaf
[names]
commonName = supplied
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
`,
		"index.txt": "",
		"serial":    "01\n",
		"crlnumber": "01\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "new"), 0o700); err != nil {
		b.Fatal(err)
	}
	spend(b, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", filepath.Join(dir, "ca.key"), "-out", filepath.Join(dir, "ca.pem"), "-subj", "/CN=ca", "-days", "100")
	return []string{"ca", "-config", config, "-batch", "-notext"}
}

// ms is a duration for the table.
func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1e3) }

// BenchmarkStart is what a call costs before it does anything.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module empty\n\ngo 1.26\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := install(dir, empty); err != nil {
		b.Fatal(err)
	}
	costs := inTurn(b, 100,
		func(int) cost { return spend(b, empty) },
		func(int) cost { return spend(b, program, "version") })
	bare, ours := medianCPU(costs[0]), medianCPU(costs[1])
	record(b, "start", (ours-bare).Seconds()*1e3, goal{must: 3, aim: 2, unit: " ms"},
		"CPU of version %s, of an empty Go program %s", ms(ours), ms(bare))
}

// BenchmarkSignOne is a call for one request: durable and on record, against openssl,
// which syncs nothing.
func BenchmarkSignOne(b *testing.B) {
	const work = "sign one request"
	if lacking(b, work, "openssl") {
		return
	}
	s, ca, files := newSite(b, 1), opensslCA(b), requests(b, 1)
	theirs := b.TempDir()
	costs := inTurn(b, 100,
		func(round int) cost {
			return spend(b, "openssl", append(ca, "-in", files[0], "-out", filepath.Join(theirs, strconv.Itoa(round)+".pem"))...)
		},
		func(round int) cost {
			return s.spend("cert", "sign-csr", files[0], "--out", filepath.Join(s.out, strconv.Itoa(round)+".pem"))
		})
	rival, ours := medianCPU(costs[0]), medianCPU(costs[1])
	record(b, work, ours.Seconds()/rival.Seconds(), goal{must: 1, aim: 0.65, unit: "x"},
		"CPU %s, of openssl ca %s; wall %s and %s", ms(ours), ms(rival), ms(medianWall(costs[1])), ms(medianWall(costs[0])))
}

// bulk is how many requests a large batch has.
const bulk = 10_000

// BenchmarkSignMany is a call for a batch, into a file each and into one for all.
func BenchmarkSignMany(b *testing.B) {
	const work = "sign 10,000, a file each"
	if lacking(b, work, "openssl") {
		return
	}
	s, ca, files := newSite(b, bulk), opensslCA(b), requests(b, bulk)
	dir := filepath.Dir(files[0])
	costs := inTurn(b, 3,
		func(int) cost { return spend(b, "openssl", append(append(ca, "-infiles"), files...)...) },
		func(round int) cost {
			out := filepath.Join(s.out, strconv.Itoa(round))
			if err := os.Mkdir(out, 0o700); err != nil {
				b.Fatal(err)
			}
			return s.spend("cert", "sign-csr", dir, "--out-dir", out)
		},
		func(round int) cost {
			return s.spend("cert", "sign-csr", dir, "--out", filepath.Join(s.out, strconv.Itoa(round)+".pem"))
		})
	rival := medianWall(costs[0])
	for i, work := range []string{work, "sign 10,000, one stream"} {
		ours := medianWall(costs[i+1])
		record(b, work, rival.Seconds()/ours.Seconds(), goal{must: 4, aim: 8, unit: "x", atLeast: true},
			"%.0f a second, openssl ca %.0f; CPU each %s and %s", bulk/ours.Seconds(), bulk/rival.Seconds(),
			ms(medianCPU(costs[i+1])/bulk), ms(medianCPU(costs[0])/bulk))
	}
}

// BenchmarkSignMemory is whether memory depends on the length of a batch.
func BenchmarkSignMemory(b *testing.B) {
	s, files := newSite(b, bulk), requests(b, bulk)
	var few, many int64
	round := 0
	for b.Loop() {
		call := func(files []string, out string) int64 {
			return peak(b, program, append([]string{"cert", "sign-csr", "--dir", s.dir, "--out", filepath.Join(s.out, out)}, files...)...)
		}
		few = max(few, call(files[:bulk/10], fmt.Sprintf("few%d.pem", round)))
		many = max(many, call(files, fmt.Sprintf("many%d.pem", round)))
		round++
	}
	b.ReportMetric(0, "ns/op")
	record(b, "memory, 10,000 against 1,000", float64(many)/float64(few), goal{must: 1.5, aim: 1.2, unit: "x"},
		"at most %.0f and %.0f MiB", mib(many), mib(few))
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// BenchmarkVerifyMany judges many certificates in one call.
func BenchmarkVerifyMany(b *testing.B) {
	const work, n = "verify 2,000", 2000
	if lacking(b, work, "openssl") {
		return
	}
	s := newSite(b, n)
	s.spend("cert", "sign-csr", filepath.Dir(requests(b, n)[0]), "--out-dir", s.out)
	certs, err := filepath.Glob(filepath.Join(s.out, "*.pem"))
	if err != nil || len(certs) != n {
		b.Fatal(err, len(certs))
	}
	costs := inTurn(b, 5,
		func(int) cost {
			return spend(b, "openssl", append([]string{"verify", "-CAfile", filepath.Join(s.dir, "ca", "cert.pem")}, certs...)...)
		},
		func(int) cost { return s.spend(append([]string{"cert", "verify"}, certs...)...) })
	rival, ours := medianCPU(costs[0]), medianCPU(costs[1])
	record(b, work, ours.Seconds()/rival.Seconds(), goal{must: 0.5, aim: 0.38, unit: "x"},
		"CPU each %s, of openssl verify %s", ms(ours/n), ms(rival/n))
}

// million is how many certificates a large inventory has.
const million = 1_000_000

// BenchmarkInventory is what depends on how much was issued, and what must not. What
// was issued has expired, as most of an inventory has that goes back 30 days: set-min
// publishes a revocation list, which is as long as what it cuts off (see BenchmarkCRL).
func BenchmarkInventory(b *testing.B) {
	small, large := newSite(b, 1), newSite(b, 1)
	large.fill(million, time.Now().Add(-time.Hour))
	file := requests(b, 1)[0]
	costs := inTurn(b, 10, func(int) cost { return large.spend("cert", "list", "--limit", "50") })
	record(b, "list 1,000,000, first page", medianWall(costs[0]).Seconds()*1e3, goal{must: 50, aim: 10, unit: " ms"},
		"wall; CPU %s", ms(medianCPU(costs[0])))

	begin := time.Now()
	most := peak(b, program, "cert", "list", "--dir", large.dir, "-o", "csv")
	record(b, "list 1,000,000, all", mib(most), goal{must: 64, aim: 32, unit: " MiB"},
		"memory; wall %.1f s", time.Since(begin).Seconds())

	certs := map[site]string{small: filepath.Join(small.out, "cert.pem"), large: filepath.Join(large.out, "cert.pem")}
	for s, cert := range certs {
		s.spend("cert", "sign-csr", file, "--out", cert)
	}
	for _, call := range []struct {
		work string
		args func(s site, round int) []string
	}{
		{"next serial, large inventory", func(s site, round int) []string {
			return []string{"cert", "sign-csr", file, "--out", filepath.Join(s.out, strconv.Itoa(round)+".pem")}
		}},
		{"verify, large inventory", func(s site, _ int) []string { return []string{"cert", "verify", certs[s]} }},
		{"set-min, large inventory, none cut off", func(s site, _ int) []string { return []string{"serial", "set-min", "last"} }},
	} {
		var costs [2][]cost
		for round := range 20 {
			for i, s := range []site{small, large} {
				costs[i] = append(costs[i], s.spend(call.args(s, round)...))
			}
		}
		few, many := medianCPU(costs[0]), medianCPU(costs[1])
		record(b, call.work, many.Seconds()/few.Seconds(), goal{must: 1.2, aim: 1, unit: "x"},
			"CPU with 1,000,000 certificates on record %s, with a few %s", ms(many), ms(few))
	}
}

// fill records n certificates from number 2 on, made up, as if the counter had come
// that far. n is a multiple of store.MaxInsert.
func (s site) fill(n serial.Number, notAfter time.Time) {
	s.b.Helper()
	db, err := store.OpenSQLite(context.Background(), filepath.Join(s.dir, "x509ctl.db"), store.Options{})
	if err != nil {
		s.b.Fatal(err)
	}
	for first := serial.Number(2); first < n+2; first += store.MaxInsert {
		certs := make([]store.Certificate, store.MaxInsert)
		for i := range certs {
			certs[i] = madeUp(first+serial.Number(i), notAfter)
		}
		if err := db.Write(context.Background(), func(tx *store.Tx) error { return tx.InsertCertificates(certs) }); err != nil {
			s.b.Fatal(err)
		}
	}
	err = db.Write(context.Background(), func(tx *store.Tx) error {
		a, err := tx.Authority(store.Cluster)
		if err != nil {
			return err
		}
		a.Counter.Last = n + 1
		return tx.PutAuthority(a)
	})
	if err != nil {
		s.b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		s.b.Fatal(err)
	}
	s.spend("serial", "recover", "--at-least", (n + 1).String(), "--keep-min-serial", "--yes")
}

// madeUp is a record of about the size of a P-256 certificate's.
func madeUp(n serial.Number, notAfter time.Time) store.Certificate {
	name, now := nodeName(int(n%bulk)), time.Now()
	der := make([]byte, 560)
	_, _ = rand.Read(der)
	return store.Certificate{
		Authority: store.Cluster, Serial: n, Kind: "node", State: "issued", CA: sha256.Sum256([]byte("ca")),
		CommonName: name, Holder: name, Names: []string{name}, NotBefore: notAfter.Add(-24 * time.Hour), NotAfter: notAfter,
		SPKIHash: sha256.Sum256(der[:64]), RequestHash: sha256.Sum256(der[64:]), Fingerprint: sha256.Sum256(der), DER: der,
		Requester: "root", Origin: "local", Created: now,
	}
}
