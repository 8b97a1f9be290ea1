package manager

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BenchmarkSign signs requests with P-256 keys by a P-256 CA, on SQLite, one or many
// in a call. One operation is one certificate, and cpu-us/op the processor's time for
// it. BenchmarkSignBare in the same run is the least that can be done: one signature
// verified, one made.
func BenchmarkSign(b *testing.B) {
	for _, batch := range []int{1, 10, 500} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			m := New(Config{
				Dir: filepath.Join(b.TempDir(), "state"), Clock: time.Now, MachineID: "m1",
				Caller: Caller{Who: "tester", From: "local"},
			})
			ctx := context.Background()
			if _, err := m.InitAuthority(ctx, InitRequest{Authority: Cluster, Name: "cluster.example.com"}); err != nil {
				b.Fatal(err)
			}
			if _, err := m.AddNode(ctx, AddNodeRequest{Authority: Cluster, Name: "node1.example.com"}); err != nil {
				b.Fatal(err)
			}
			req := SignRequest{Authority: Cluster}
			for range batch {
				req.Items = append(req.Items, SignItem{Request: benchmarkRequest(b)})
			}
			b.ResetTimer()
			before := cpuTime(b)
			for n := 0; n < b.N; n += batch {
				results, err := m.Sign(ctx, req)
				if err != nil || results[0].Err != nil {
					b.Fatal(err, results)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-before)/1e3/float64(b.N), "cpu-us/op")
			if err := m.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkSignBare is what cryptography alone costs.
func BenchmarkSignBare(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	hash := sha256.Sum256([]byte("bytes to be signed"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	before := cpuTime(b)
	for range b.N {
		if !ecdsa.VerifyASN1(&key.PublicKey, hash[:], signature) {
			b.Fatal("a signature does not verify")
		}
		if _, err := ecdsa.SignASN1(rand.Reader, key, hash[:]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/1e3/float64(b.N), "cpu-us/op")
}

func benchmarkRequest(b *testing.B) []byte {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	subject := pkix.Name{CommonName: "node1.example.com"}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		b.Fatal(err)
	}
	return der
}

// cpuTime returns the processor time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
