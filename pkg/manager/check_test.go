package manager

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

// check is what Check finds, as "severity check path", the path below the directory.
func (h *history) check(req CheckRequest) (found []string, report Report) {
	h.t.Helper()
	req.Authority = Cluster
	h.fresh(func(m *Manager) {
		var err error
		if report, err = m.Check(context.Background(), req); err != nil {
			h.t.Fatal(err)
		}
	})
	for _, f := range report.Findings {
		path, err := filepath.Rel(h.dir, f.Path)
		if err != nil || strings.HasPrefix(path, "..") {
			path = f.Path
		}
		found = append(found, fmt.Sprint(f.Severity, " ", f.Check, " ", path))
	}
	return found, report
}

func (h *history) put(name, content string) {
	h.t.Helper()
	if err := os.WriteFile(h.path(name), []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// renew writes a file anew, as a copy or a restore would.
func (h *history) renew(name, content string) {
	h.t.Helper()
	if err := os.WriteFile(h.path("new"), []byte(content), 0o644); err != nil {
		h.t.Fatal(err)
	}
	h.must(os.Rename(h.path("new"), h.path(name)))
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) mode(name string, mode fs.FileMode) { h.must(os.Chmod(h.path(name), mode)) }

// sql changes the database as somebody else's program would.
func (h *history) sql(statements ...string) {
	h.t.Helper()
	db, err := sql.Open("sqlite", h.path(databaseFile))
	h.must(err)
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		_, err := db.Exec(s)
		h.must(err)
	}
	h.must(db.Close())
}

// otherCA is a CA certificate of somebody else, in PEM, with its key.
func otherCA(t *testing.T) (string, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "other CA"}, IsCA: true, BasicConstraintsValid: true,
		MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2045, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), key
}

func keyPEM(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// crl writes a revocation list of the CA, which is to be replaced by a time.
func (h *history) crl(next time.Time) {
	h.t.Helper()
	data, err := os.ReadFile(h.path("ca/cert.pem"))
	h.must(err)
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	h.must(err)
	data, err = os.ReadFile(h.path("ca/key.pem"))
	h.must(err)
	block, _ = pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	h.must(err)
	h.listBy(cert, key.(crypto.Signer), next)
}

func (h *history) listBy(cert *x509.Certificate, key crypto.Signer, next time.Time) {
	h.t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(h.crlNumber()), ThisUpdate: next.Add(-7 * 24 * time.Hour), NextUpdate: next}
	der, err := x509.CreateRevocationList(rand.Reader, template, cert, key)
	h.must(err)
	h.renew("ca/crl.pem", string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})))
}

// crlNumber is that of the latest list, as the database has it.
func (h *history) crlNumber() (n int64) {
	h.t.Helper()
	db, err := sql.Open("sqlite", h.path(databaseFile))
	h.must(err)
	h.must(db.QueryRow("SELECT crl_number FROM authorities").Scan(&n))
	h.must(db.Close())
	return n
}

const day = 24 * time.Hour

// checkCases break one thing each, and name the only finding.
var checkCases = []struct {
	name   string
	broken func(*history)
	want   string // "severity check path"; several are joined by a comma
	mended bool   // whether Repair mends all of it
}{
	{"nothing", func(*history) {}, "", false},

	{"key open", func(h *history) { h.mode("ca/key.pem", 0o444) }, "error files ca/key.pem", true},
	{"key of others", func(h *history) { h.mode("ca/key.pem", 0o666) }, "error files ca/key.pem", false},
	{"database open", func(h *history) { h.mode("x509ctl.db", 0o644) }, "error files x509ctl.db", true},
	{"directory of others", func(h *history) { h.mode(".", 0o777) }, "error files .", false},
	{"authority of others", func(h *history) {
		h.mode("ca", 0o777)
		h.mode("ca/key.pem", 0o444)
	}, "error files ca, error files ca/key.pem", false},
	{"certificate of others", func(h *history) { h.mode("ca/cert.pem", 0o664) }, "error files ca/cert.pem", false},
	{"serial of others", func(h *history) { h.mode("ca/serial", 0o664) }, "error files ca/serial", false},
	{"old key open", func(h *history) {
		h.must(os.MkdirAll(h.path("ca/old/1"), 0o700))
		h.put("ca/old/1/key.pem", "secret")
		h.mode("ca/old/1/key.pem", 0o640)
	}, "error files ca/old/1/key.pem", true},
	{"bundle hidden", func(h *history) { h.mode("ca/bundle.pem", 0o600) }, "warning files ca/bundle.pem", true},
	{"link", func(h *history) {
		h.must(os.Rename(h.path("ca/serial"), h.path("there")))
		h.must(os.Symlink(h.path("there"), h.path("ca/serial")))
	}, "error files ca/serial", false},
	{"linked directory", func(h *history) {
		h.must(os.Rename(h.path("ca"), h.path("there")))
		h.must(os.Symlink("there", h.path("ca")))
	}, "error files ca", false},
	{"no directory", func(h *history) { h.must(os.Rename(h.path("ca"), h.path("there"))) }, "error files ca", false},
	{"FIFO", func(h *history) {
		h.must(os.Remove(h.path("ca/bundle.pem")))
		h.must(syscall.Mkfifo(h.path("ca/bundle.pem"), 0o644))
	}, "error files ca/bundle.pem", false},

	{"settings", func(h *history) { h.put("x509ctl.yaml", "wrong\n") }, "error settings x509ctl.yaml", false},
	{"no database", func(h *history) { h.must(os.Remove(h.path("x509ctl.db"))) }, "error database x509ctl.db", false},
	{"no database at all", func(h *history) { h.renew("x509ctl.db", "hello"); h.mode("x509ctl.db", 0o600) }, "error database x509ctl.db", false},
	{"older schema", func(h *history) {
		h.sql("DELETE FROM schema_versions WHERE version_id = (SELECT max(version_id) FROM schema_versions)")
	}, "error database x509ctl.db", false},
	{"journal", func(h *history) { h.put("x509ctl.db-journal", "x") }, "error database x509ctl.db-journal", false},
	{"lost index", func(h *history) {
		h.sql("PRAGMA writable_schema = ON", "DELETE FROM sqlite_schema WHERE name = 'certificates_expiry'")
	}, "error integrity x509ctl.db", false},

	{"leftovers", func(h *history) {
		h.put(".x509ctl-tmp-1", "x")
		h.put("ca/.x509ctl-tmp-2", "x")
		h.must(os.Mkdir(h.path("x509ctl-snapshot-3"), 0o700))
		h.put("x509ctl-snapshot-3/x509ctl.db", "x")
	}, "note leftovers .x509ctl-tmp-1, note leftovers ca/.x509ctl-tmp-2, note leftovers x509ctl-snapshot-3", true},
	{"a directory that is taken for a leftover", func(h *history) {
		h.must(os.MkdirAll(h.path("ca/.x509ctl-tmp-4/x"), 0o700))
		h.mustIssue(1)
	}, "warning leftovers ca/.x509ctl-tmp-4", false},

	{"cut init", func(h *history) { h.sql("UPDATE authorities SET active = x''") }, "error published ca", false},
	{"another's certificate", func(h *history) { other, _ := otherCA(h.t); h.renew("ca/cert.pem", other) }, "error published ca/cert.pem", false},
	{"no certificate", func(h *history) { h.must(os.Remove(h.path("ca/cert.pem"))) }, "error published ca/cert.pem", false},
	{"damaged certificate", func(h *history) { h.renew("ca/cert.pem", "hello") }, "error published ca/cert.pem", false},
	{"damaged chain", func(h *history) { h.renew("ca/chain.pem", "hello") }, "error key ca/chain.pem", false},
	{"damaged key", func(h *history) { h.renew("ca/key.pem", "hello"); h.mode("ca/key.pem", 0o400) }, "error key ca/key.pem", false},
	{"cut publication", func(h *history) {
		h.must(os.Mkdir(h.path("ca/next"), 0o700))
		h.must(os.Rename(h.path("ca/cert.pem"), h.path("ca/next/cert.pem")))
		h.must(os.Rename(h.path("ca/key.pem"), h.path("ca/next/key.pem")))
	}, "warning published ca/cert.pem", true},
	{"no key", func(h *history) { h.must(os.Remove(h.path("ca/key.pem"))) }, "error key ca/key.pem", false},
	{"another's key", func(h *history) {
		_, key := otherCA(h.t)
		h.renew("ca/key.pem", keyPEM(h.t, key))
		h.mode("ca/key.pem", 0o400)
	}, "error key ca/key.pem", false},
	{"expired", func(h *history) { h.now = h.now.Add(6 * 366 * day) }, "error validity ca/cert.pem, error crl ca/crl.pem", false},
	{"expiring", func(h *history) { h.now = h.now.Add(5*365*day - 20*day); h.crl(h.now.Add(3 * day)) }, "warning validity ca/cert.pem", false},
	{"expired root", func(h *history) {
		h.now = time.Date(2045, 2, 1, 0, 0, 0, 0, time.UTC)
		root, _ := otherCA(h.t)
		h.renew("ca/chain.pem", root)
	}, "error validity ca/cert.pem, error validity ca/chain.pem, error crl ca/crl.pem", false},

	{"overwritten serial", func(h *history) { h.put("ca/serial", "1\n") }, "error serial ca/serial", true},
	{"older serial", func(h *history) { h.renew("ca/serial", "1\n") }, "error serial ca/serial", false},
	{"no serial", func(h *history) { h.must(os.Remove(h.path("ca/serial"))) }, "error serial ca/serial", false},
	{"empty serial", func(h *history) { h.put("ca/serial", "") }, "error serial ca/serial", false},
	{"another machine", func(h *history) { h.config.MachineID = "m2" }, "error serial ca/serial", false},
	{"older database", func(h *history) { h.sql("UPDATE authorities SET reserved = 2, last = 2") },
		"error serial ca/serial, error inventory x509ctl.db", false},
	{"older row", func(h *history) {
		h.put("ca/lock", "")
		h.sql("UPDATE authorities SET last = 1")
	}, "error inventory x509ctl.db", false},
	{"no disk for a copy", func(h *history) { h.config.SerialCopies = []string{"/proc/none/serial"} }, "error serial /proc/none/serial", false},
	{"newer copy", func(h *history) {
		h.put("copy", "99\n")
		h.config.SerialCopies = []string{h.path("copy")}
	}, "error serial ca/serial", false},

	{"lower min-serial", func(h *history) { h.put("ca/min-serial", "1\n") }, "error min-serial ca/min-serial", true},
	{"no min-serial", func(h *history) { h.must(os.Remove(h.path("ca/min-serial"))) }, "error min-serial ca/min-serial", true},
	{"empty min-serial", func(h *history) { h.put("ca/min-serial", "") }, "error min-serial ca/min-serial", true},
	{"no number in min-serial", func(h *history) { h.put("ca/min-serial", "-1\n") }, "error min-serial ca/min-serial", true},
	{"no word of min-serial", func(h *history) { h.put("ca/min-serial", "abc\n") }, "error min-serial ca/min-serial", true},
	{"min-serial far ahead", func(h *history) { h.put("ca/min-serial", "99999\n") }, "warning min-serial ca/min-serial", false},

	{"unknown blocked key", func(h *history) { h.put("ca/blocked-keys", strings.Repeat("ab", 32)+" 2\n") }, "error blocked-keys ca/blocked-keys", true},
	{"damaged blocked keys", func(h *history) { h.put("ca/blocked-keys", "x\n") }, "error blocked-keys ca/blocked-keys", true},
	{"lost blocked keys", func(h *history) {
		h.fresh(func(m *Manager) {
			h.revoke(m, RevokeRequest{Serials: []serial.Number{3}, Reason: profile.KeyCompromise})
		})
		h.must(os.Remove(h.path("ca/blocked-keys")))
	}, "error blocked-keys ca/blocked-keys", true},

	{"no bundle", func(h *history) { h.must(os.Remove(h.path("ca/bundle.pem"))) }, "error bundle ca/bundle.pem", true},
	{"empty bundle", func(h *history) { h.put("ca/bundle.pem", "") }, "error bundle ca/bundle.pem", true},
	{"another's bundle", func(h *history) { other, _ := otherCA(h.t); h.put("ca/bundle.pem", other) }, "error bundle ca/bundle.pem, error crl ca/crl.pem", true},
	{"another CA in the bundle", func(h *history) {
		other, _ := otherCA(h.t)
		b, err := os.ReadFile(h.path("ca/bundle.pem"))
		h.must(err)
		h.put("ca/bundle.pem", string(b)+other)
	}, "error bundle ca/bundle.pem", true},

	{"fresh list", func(h *history) { h.crl(h.now.Add(3 * day)) }, "", false},
	{"list at its end", func(h *history) { h.crl(h.now.Add(1 * day)) }, "warning crl ca/crl.pem", true},
	{"old list", func(h *history) { h.crl(h.now.Add(-time.Hour)) }, "error crl ca/crl.pem", true},
	{"no list", func(h *history) { h.renew("ca/crl.pem", "hello") }, "error crl ca/crl.pem", true},
	{"a list that is gone", func(h *history) { h.must(os.Remove(h.path("ca/crl.pem"))) }, "warning crl ca/crl.pem", true},
	{"another's list", func(h *history) {
		text, key := otherCA(h.t)
		block, _ := pem.Decode([]byte(text))
		cert, err := x509.ParseCertificate(block.Bytes)
		h.must(err)
		h.listBy(cert, key, h.now.Add(3*day))
	}, "error crl ca/crl.pem", true},

	{"clock behind", func(h *history) { h.now = h.now.Add(-2 * day) }, "error clock x509ctl.db", false},
	{"clock a bit behind", func(h *history) { h.now = h.now.Add(-time.Hour) }, "error clock ca/cert.pem", false},
}

// TestCheck breaks one thing after the other, each in a directory of its own.
func TestCheck(t *testing.T) {
	for _, c := range checkCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			last := h.mustIssue(3)
			h.setMinimum(2)
			c.broken(h)
			broken := errors.New("wrong")
			req := CheckRequest{Settings: func([]byte) error { return broken }}
			found, report := h.check(req)
			if got := strings.Join(found, ", "); got != c.want {
				t.Fatalf("found %q, want %q: %v", got, c.want, report.Findings)
			}
			req.Repair = true
			again, report := h.check(req)
			for _, f := range found { // and perhaps x509ctl.db-wal, which SQLite makes like the database
				if !slices.Contains(again, f) && f != "error crl ca/crl.pem" { // which a mended bundle mends
					t.Errorf("with repair, found %q", again)
				}
			}
			for _, f := range report.Findings {
				if f.Failed != nil || (f.Mended != "") != c.mended || f.Mendable != c.mended {
					t.Errorf("%v: mended %q, %v", f.Err, f.Mended, f.Failed)
				}
			}
			left, _ := h.check(CheckRequest{Settings: req.Settings})
			if c.mended && len(left) > 0 || !c.mended && !slices.Equal(left, found) {
				t.Errorf("left are %q", left)
			}
			if c.mended || c.want == "" {
				if n := h.mustIssue(1); n != last+1 {
					t.Errorf("after it, number %v was given, and before it %v", n, last)
				}
			}
		})
	}
}

func (h *history) setMinimum(n int) {
	h.t.Helper()
	h.fresh(func(m *Manager) {
		_, err := m.SetMinSerial(context.Background(), SetMinRequest{Authority: Cluster, Number: serial.Number(n)})
		h.must(err)
	})
}
