package main_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"x509ctl/pkg/serial"
)

// BenchmarkCRL makes the longest revocation list: everything issued is below the floor
// and alive. Ours is published durably as well.
func BenchmarkCRL(b *testing.B) {
	const work = "CRL of 1,000,000"
	if lacking(b, work, "openssl") {
		return
	}
	small, large := newSite(b, 1), newSite(b, 1)
	for s, n := range map[site]int{small: million / 10, large: million} {
		s.fill(serial.Number(n), time.Now().Add(24*time.Hour))
		s.spend("serial", "set-min", "next")
		list := filepath.Join(s.out, "list.pem")
		s.spend("ca", "crl", "--out", list)
		if text, err := exec.Command("openssl", "crl", "-in", list, "-noout", "-text").Output(); err != nil || bytes.Count(text, []byte("Serial Number:")) != n {
			b.Fatal("not a list of all that was issued: ", err)
		}
	}
	rival := append(opensslCA(b), "-gencrl", "-out", filepath.Join(b.TempDir(), "crl.pem"))
	writeIndex(b, filepath.Join(filepath.Dir(rival[2]), "index.txt"), million)
	ours := func(s site, name string) []string {
		return []string{"ca", "crl", "--dir", s.dir, "--out", filepath.Join(s.out, name)}
	}
	costs := inTurn(b, 3,
		func(int) cost { return spend(b, "openssl", rival...) },
		func(round int) cost { return spend(b, program, ours(large, strconv.Itoa(round))...) })
	few, many, theirs := peak(b, program, ours(small, "peak")...), peak(b, program, ours(large, "peak")...), peak(b, "openssl", rival...)

	record(b, work, medianCPU(costs[1]).Seconds()/medianCPU(costs[0]).Seconds(), goal{must: 0.4, aim: 0.1, unit: "x"},
		"CPU %s, of openssl ca %s; wall %s and %s", ms(medianCPU(costs[1])), ms(medianCPU(costs[0])),
		ms(medianWall(costs[1])), ms(medianWall(costs[0])))
	record(b, "memory, CRL of 1,000,000 against 100,000", float64(many)/float64(few), goal{must: 1.5, aim: 1.2, unit: "x"},
		"%.0f and %.0f MiB, openssl ca %.0f", mib(many), mib(few), mib(theirs))
}

// writeIndex writes what "openssl ca" keeps of n certificates that are revoked.
func writeIndex(b *testing.B, path string, n int) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	now := time.Now().UTC()
	const layout = "060102150405Z"
	revoked, expires := now.Format(layout), now.Add(24*time.Hour).Format(layout)
	for i := range n {
		fmt.Fprintf(w, "R\t%s\t%s\t%08X\tunknown\t/CN=%s\n", expires, revoked, i+2, nodeName(i%bulk))
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}
