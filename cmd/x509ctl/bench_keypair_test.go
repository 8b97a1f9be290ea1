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

// bare is a program that does nothing but make RSA-2048 keys on all processors, as
// many as its argument says.
const bare = `package main

import (
	"crypto/rand"
	"crypto/rsa"
	"os"
	"runtime"
	"strconv"
	"sync"
)

func main() {
	n, _ := strconv.Atoi(os.Args[1])
	names := make(chan int, n)
	for i := range n {
		names <- i
	}
	close(names)
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for range names {
				if _, err := rsa.GenerateKey(rand.Reader, 2048); err != nil {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
}
`

// seeded is a file that makes a program of its folder take its random numbers from a
// seed, so that it makes the same keys in each call. The seed's key is one that is found
// soon: the longer the search, the more its time varies with the machine. A single
// octet does not count, because crypto/rsa reads one or none, by chance, to keep people
// from doing this.
const seeded = `//go:debug cryptocustomrand=1
package main

import (
	"crypto/rand"
	mathrand "math/rand/v2"
)

type seeded struct{ *mathrand.ChaCha8 }

func (s seeded) Read(b []byte) (int, error) {
	if len(b) == 1 {
		return 1, nil
	}
	return s.ChaCha8.Read(b)
}

func init() { rand.Reader = seeded{mathrand.NewChaCha8([32]byte{24})} }
`

// buildBare builds a program of some files.
func buildBare(b *testing.B, files map[string]string) string {
	b.Helper()
	dir := b.TempDir()
	writeFiles(b, dir, map[string]string{"go.mod": "module bare\n\ngo 1.26\n"})
	writeFiles(b, dir, files)
	path := filepath.Join(dir, "bare")
	if err := install(dir, path); err != nil {
		b.Fatal(err)
	}
	return path
}

func writeFiles(b *testing.B, dir string, files map[string]string) {
	b.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

// buildSeeded builds x509ctl with the file seeded.
func buildSeeded(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	file, err := filepath.Abs("seeded.go")
	if err != nil {
		b.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: filepath.Join(dir, "seeded.go")}})
	if err != nil {
		b.Fatal(err)
	}
	writeFiles(b, dir, map[string]string{"seeded.go": seeded, "overlay.json": string(overlay)})
	path := filepath.Join(dir, "x509ctl")
	if err := install(".", path, "-overlay", filepath.Join(dir, "overlay.json")); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkKeypair is a call that makes an RSA-2048 keypair, SSH or for Windows as
// PKCS#12, against a program that does nothing but make such a key. The time to make a
// key varies by more than is asked about, from key to key, so both make the same one
// each time.
func BenchmarkKeypair(b *testing.B) {
	theirs, ours, s := buildBare(b, map[string]string{"main.go": bare, "seeded.go": seeded}), buildSeeded(b), newSite(b, 0)
	add := func(kind string, args ...string) func(int) cost {
		return func(round int) cost {
			name := fmt.Sprint(kind, round)
			args := append([]string{"keypair-add", name, "--user", "alice", "--dir", s.dir}, args...)
			return spend(b, ours, append(args, filepath.Join(s.out, name))...)
		}
	}
	costs := inTurn(b, 100,
		func(int) cost { return spend(b, theirs, "1") },
		add("ssh", "--key-algorithm", "rsa-2048", "--private-key"),
		add("x509", "--keypair-type", "x509", "--no-password", "--p12"))
	first, err := os.ReadFile(filepath.Join(s.out, "ssh0"))
	second, errAgain := os.ReadFile(filepath.Join(s.out, "ssh1"))
	if err := errors.Join(err, errAgain); err != nil || !bytes.Equal(first, second) {
		b.Fatalf("two calls with the same seed made different keys: %v", err)
	}
	for i, work := range []string{"RSA-2048 keypair, SSH", "RSA-2048 keypair, PKCS#12"} {
		more, err := differenceCPU(costs[i+1], costs[0])
		record(b, work, more.Seconds()*1e3, goal{must: 5, aim: 2, unit: " ms"},
			"CPU over bare generation of the same key, +-%s; %s and %s", ms(err), ms(medianCPU(costs[i+1])), ms(medianCPU(costs[0])))
	}
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
	generator, s := buildBare(b, map[string]string{"main.go": bare}), newSite(b, 0)
	file := filepath.Join(b.TempDir(), "names")
	var text strings.Builder
	for i := range names {
		fmt.Fprintf(&text, "name%d\n", i)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	costs := inTurn(b, 1,
		func(int) cost { return spend(b, generator, strconv.Itoa(names)) },
		func(round int) cost {
			return s.spend("keypair-add", "--from", file, "--out-dir", s.out, "--user", fmt.Sprint("user", round), "--keypair-type", "x509", "--no-password")
		})
	theirs, ours := costs[0][0], costs[1][0]
	record(b, "1,000 RSA-2048 keypairs", ours.wall.Seconds()/theirs.wall.Seconds(), goal{must: 1.2, aim: 1.1, unit: "x"},
		"wall %.1f s, of bare generation on %d processors %.1f s; CPU each %s and %s", ours.wall.Seconds(),
		runtime.GOMAXPROCS(0), theirs.wall.Seconds(), ms(ours.cpu/names), ms(theirs.cpu/names))
}
