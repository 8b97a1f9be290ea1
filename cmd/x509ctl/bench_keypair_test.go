package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// buildSeeded builds the program in folder with testdata/seeded, which fixes its random
// numbers.
func buildSeeded(b *testing.B, folder string) string {
	b.Helper()
	dir := b.TempDir()
	there, err := filepath.Abs(filepath.Join(folder, "seeded.go"))
	if err != nil {
		b.Fatal(err)
	}
	file, err := filepath.Abs("testdata/seeded/seeded.go")
	if err != nil {
		b.Fatal(err)
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{there: file}})
	if err != nil {
		b.Fatal(err)
	}
	overlay, path := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "program")
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		b.Fatal(err)
	}
	if err := install(folder, path, "-overlay", overlay); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkKeypair is a call that makes an RSA-2048 keypair, SSH or for Windows as
// PKCS#12, against a program that does nothing but make such a key, or sign its
// certificate and pack both besides. The time to make a key varies from key to key by
// more than is asked about, so all make the same one each time.
func BenchmarkKeypair(b *testing.B) {
	theirs, ours, s := buildSeeded(b, "testdata/bare"), buildSeeded(b, "."), newSite(b, 0)
	add := func(kind string, args ...string) func(int) cost {
		return func(round int) cost {
			name := fmt.Sprint(kind, round)
			args := append([]string{"keypair-add", name, "--user", "alice", "--dir", s.dir}, args...)
			return spend(b, ours, append(args, filepath.Join(s.out, name))...)
		}
	}
	costs := inTurn(b, 100,
		func(int) cost { return spend(b, theirs, "keys", "1") },
		func(int) cost { return spend(b, theirs, "pfx") },
		add("ssh", "--key-algorithm", "rsa-2048", "--private-key"),
		add("x509", "--keypair-type", "x509", "--no-password", "--p12"))
	first, err := os.ReadFile(filepath.Join(s.out, "ssh0"))
	second, errAgain := os.ReadFile(filepath.Join(s.out, "ssh1"))
	if err := errors.Join(err, errAgain); err != nil || !bytes.Equal(first, second) {
		b.Fatalf("two calls with the same seed made different keys: %v", err)
	}
	g := goal{must: 5, aim: 2, unit: " ms"}
	key, pfx, ssh, x509 := costs[0], costs[1], costs[2], costs[3]
	more, wrong := differenceCPU(ssh, key)
	record(b, "RSA-2048 keypair, SSH", more.Seconds()*1e3, g, "mean CPU over bare generation, +-%s; %s and %s",
		ms(wrong), ms(medianCPU(ssh)), ms(medianCPU(key)))
	more, wrong = differenceCPU(x509, pfx)
	overKey, _ := differenceCPU(x509, key)
	record(b, "RSA-2048 keypair, PKCS#12", more.Seconds()*1e3, g, "mean CPU over bare generation, signing and packing, +-%s; over generation alone %s; %s, %s and %s",
		ms(wrong), ms(overKey), ms(medianCPU(x509)), ms(medianCPU(pfx)), ms(medianCPU(key)))
}

// differenceCPU returns the mean of what calls took more than those of another program
// in the same round, and its standard error.
func differenceCPU(ours, theirs []cost) (mean, err time.Duration) {
	var sum, squares float64
	for i := range ours {
		d := float64(ours[i].cpu - theirs[i].cpu)
		sum += d
		squares += d * d
	}
	n := float64(len(ours))
	m := sum / n
	return time.Duration(m), time.Duration(math.Sqrt((squares/n - m*m) / n))
}

// BenchmarkKeypairs is one call for a thousand names, durable and on record, against
// bare generation on all processors.
func BenchmarkKeypairs(b *testing.B) {
	const names = 1000
	generator, s := filepath.Join(b.TempDir(), "bare"), newSite(b, 0)
	if err := install("testdata/bare", generator); err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "names")
	var text strings.Builder
	for i := range names {
		fmt.Fprintf(&text, "name%d\n", i)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	costs := inTurn(b, 1,
		func(int) cost { return spend(b, generator, "keys", strconv.Itoa(names)) },
		func(round int) cost {
			return s.spend("keypair-add", "--from", file, "--out-dir", s.out, "--user", fmt.Sprint("user", round), "--keypair-type", "x509", "--no-password")
		})
	theirs, ours := costs[0][0], costs[1][0]
	record(b, "1,000 RSA-2048 keypairs", ours.wall.Seconds()/theirs.wall.Seconds(), goal{must: 1.2, aim: 1.1, unit: "x"},
		"wall %.1f s, of bare generation on %d processors %.1f s; CPU each %s and %s", ours.wall.Seconds(),
		runtime.GOMAXPROCS(0), theirs.wall.Seconds(), ms(ours.cpu/names), ms(theirs.cpu/names))
}
