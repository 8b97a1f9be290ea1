package main_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// BenchmarkProjects makes a thousand projects with a thousand certificates each, and
// compares what is done with one of them against the only one of another directory.
func BenchmarkProjects(b *testing.B) {
	const projects = 1000
	one, many := newSite(b, 1), newSite(b, 1)
	made := many.createProjects(projects)
	one.createProjects(1)
	one.fillProjects(1)
	many.fillProjects(projects)

	record(b, "1,000 projects made in one call", made.wall.Seconds(), goal{must: 60, aim: 20, unit: "s"}, "CPU %s", ms(made.cpu))
	revoke := func(s site, project string) func(int) cost {
		return func(round int) cost {
			return s.spend("cert", "revoke", "--subject", userName(round), "--project", project, "--yes")
		}
	}
	list := func(s site, project string) func(int) cost {
		return func(round int) cost {
			return s.spend("ca", "crl", "--project", project, "--out", filepath.Join(s.out, strconv.Itoa(round)))
		}
	}
	only, last := projectName(0), projectName(projects-1)
	costs := inTurn(b, 9, revoke(one, only), revoke(many, last), list(one, only), list(many, last))
	for i, work := range []string{"revoke by subject", "CRL"} {
		alone, among := costs[2*i], costs[2*i+1]
		record(b, work+" in one of 1,000 projects", medianCPU(among).Seconds()/medianCPU(alone).Seconds(), goal{must: 1.2, aim: 1, unit: "x"},
			"CPU %s, in the only one %s; wall %s and %s", ms(medianCPU(among)), ms(medianCPU(alone)), ms(medianWall(among)), ms(medianWall(alone)))
	}
}

func projectName(i int) string { return fmt.Sprintf("tenant%04d", i) }

// userName is that of a member who has ten certificates.
func userName(i int) string { return fmt.Sprintf("user%03d", i%100) }

// createProjects makes n projects.
func (s site) createProjects(n int) cost {
	s.b.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = projectName(i)
	}
	list := filepath.Join(s.out, "projects.txt")
	if err := os.WriteFile(list, []byte(strings.Join(names, "\n")), 0o600); err != nil {
		s.b.Fatal(err)
	}
	return s.spend("project", "create", "--from", list)
}

// fillProjects records a thousand certificates of a hundred members for each of n projects.
func (s site) fillProjects(n int) {
	s.b.Helper()
	db, err := store.OpenSQLite(context.Background(), filepath.Join(s.dir, "x509ctl.db"), store.Options{})
	if err != nil {
		s.b.Fatal(err)
	}
	expires := time.Now().Add(90 * 24 * time.Hour)
	for i := range n {
		id := store.AuthorityID("project:" + projectName(i))
		certs := make([]store.Certificate, store.MaxInsert)
		for k := range certs {
			certs[k] = memberCertificate(id, serial.Number(k+1), expires)
		}
		err := db.Write(context.Background(), func(tx *store.Tx) error {
			a, err := tx.Authority(id)
			if err != nil {
				return err
			}
			a.Counter.Last = serial.Number(len(certs))
			if err := tx.PutAuthority(a); err != nil {
				return err
			}
			return tx.InsertCertificates(certs)
		})
		if err != nil {
			s.b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		s.b.Fatal(err)
	}
}

// memberCertificate is a record of about the size of a member's certificate.
func memberCertificate(id store.AuthorityID, n serial.Number, expires time.Time) store.Certificate {
	der := make([]byte, 560)
	_, _ = rand.Read(der)
	user := userName(int(n))
	return store.Certificate{
		Authority: id, Serial: n, Kind: "member", State: "issued", CA: sha256.Sum256([]byte("ca")), CommonName: user, Holder: user,
		NotBefore: time.Now(), NotAfter: expires, SPKIHash: sha256.Sum256(der[:64]), Fingerprint: sha256.Sum256(der), DER: der,
		Requester: "root", Origin: "local", Created: time.Now(),
	}
}
