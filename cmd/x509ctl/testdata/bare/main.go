// Command bare does with Go's libraries, and nothing else, what is at the bottom of
// keypair-add: "bare keys N" makes RSA-2048 keys on all processors; "bare pfx" makes
// one, signs its certificate and packs both as PKCS#12.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

func main() {
	if os.Args[1] == "pfx" {
		pfx()
		return
	}
	n := must(strconv.Atoi(os.Args[2]))
	names := make(chan int, n)
	for i := range n {
		names <- i
	}
	close(names)
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for range names {
				newKey()
			}
		})
	}
	wg.Wait()
}

func newKey() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) }

func pfx() {
	key, now := newKey(), time.Now()
	template := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))),
		Subject:      pkix.Name{CommonName: "alice"},
		NotBefore:    now, NotAfter: now.AddDate(10, 0, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	must(pkcs12.Modern2023.Encode(key, must(x509.ParseCertificate(der)), nil, ""))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
