package trust_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

// An example stands for a test where there is none: what fails ends the program.
type example struct{ testing.TB }

func (example) Helper() {}

func (example) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// fresh is a clock that stands still, as all certificates here are of one moment. In
// real life it is time.Now.
func fresh() time.Time { return now }

// A program that judges one certificate, such as one that came in a message, by copies
// of the three files that the authority publishes.
func ExampleCheck() {
	ca := newCA(example{}, "cluster CA 1", nil)
	bundlePEM, minSerial, crlPEM := pemOf(ca.cert), []byte("40\n"), newCRLBytes(example{}, ca, listed(43))

	bundle, err := trust.ParseBundle(bundlePEM)
	if err != nil {
		fmt.Println(err)
		return
	}
	floor, err := serial.ParseFile(minSerial)
	if err != nil {
		fmt.Println(err)
		return
	}
	crl, err := trust.ParseCRL(crlPEM)
	if err != nil {
		fmt.Println(err)
		return
	}
	check := trust.Check{
		Bundle: bundle, Floor: serial.Floor(floor), CRL: crl, RequireFresh: true,
		At: fresh(), Purpose: trust.Client, Name: "node1.example.com",
	}
	for _, n := range []int64{42, 43, 39} {
		leaf, err := trust.ParseCertificate(pemOf(newLeaf(example{}, ca, numberedLeaf(n))))
		if err != nil {
			fmt.Println(err)
			return
		}
		var why *trust.VerifyError
		switch err := check.Verify(leaf); {
		case err == nil:
			fmt.Println("valid, as to", check.Revocation())
		case errors.As(err, &why): // for programs, and in words
			fmt.Printf("%s: %v\n", why.Reason, why)
		default:
			fmt.Println(err)
		}
	}
	// Output:
	// valid, as to crl
	// revoked: certificate 43 is revoked since 2026-01-02T01:04:05Z
	// below-floor: certificate 39 is revoked: min-serial is 40, and all numbers below are
}

// A program that runs, and sees what the operator changes. TLS servers and clients
// hand the Source to package trusttls.
func ExampleSource() {
	// In real life: /var/lib/x509ctl/ca, or a copy of its three files.
	dir, err := os.MkdirTemp("", "ca")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a directory for a moment
	publish := func(name string, data []byte) {
		temp := filepath.Join(dir, ".new")
		if err := errors.Join(os.WriteFile(temp, data, 0o600), os.Rename(temp, filepath.Join(dir, name))); err != nil {
			fmt.Println(err)
		}
	}
	ca := newCA(example{}, "cluster CA 1", nil)
	publish("bundle.pem", pemOf(ca.cert))
	publish("min-serial", []byte("40\n"))

	source, err := trust.OpenSource(trust.DirFiles(dir), trust.SourceOptions{
		Now:      fresh,
		Interval: -1, // look each time; a second, unless given
		Report:   func(err error) { fmt.Println("trouble:", strings.ReplaceAll(err.Error(), dir+"/", "")) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	leaf := newLeaf(example{}, ca)
	verify := func() {
		check, err := source.Check()
		if err != nil {
			fmt.Println(err) // the files have been in trouble for too long
			return
		}
		check.Purpose, check.Name = trust.Server, "node1.example.com"
		fmt.Printf("%v (%s)\n", check.Verify(leaf), check.Revocation())
	}

	verify()
	publish("crl.pem", newCRLBytes(example{}, ca, listed(42)))
	verify()
	publish("crl.pem", newCRLBytes(example{}, ca, numbered(8), listed()))
	publish("min-serial", []byte("43\n"))
	verify()
	publish("min-serial", []byte("1\n")) // somebody's mistake
	verify()
	// Output:
	// <nil> (floor only)
	// certificate 42 is revoked since 2026-01-02T01:04:05Z (crl)
	// certificate 42 is revoked: min-serial is 43, and all numbers below are (crl)
	// trouble: reading min-serial: min-serial went down from 43 to 1: the higher one stays in force
	// certificate 42 is revoked: min-serial is 43, and all numbers below are (crl)
}

// A program that judges somebody else's certificate with what its server sent, by
// RFC 5280 alone.
func ExampleChainCheck() {
	root := newCA(example{}, "Root", nil, pathLen(-1))
	middle := newCA(example{}, "Middle", root)
	rootsPEM, sentPEM := pemOf(root.cert), pemOf(newLeaf(example{}, middle), middle.cert)

	roots, err := trust.ParseCertificates(rootsPEM)
	if err != nil {
		fmt.Println(err)
		return
	}
	pool, err := trust.NewPool(roots, nil, nil) // intermediates, and revocation lists
	if err != nil {
		fmt.Println(err)
		return
	}
	leaf, sent, err := trust.ParseChain(sentPEM)
	if err != nil {
		fmt.Println(err)
		return
	}
	check := trust.ChainCheck{Pool: pool, At: fresh(), Purpose: trust.Server, Name: "node1.example.com"}
	chain, err := check.Verify(leaf, sent...)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, cert := range chain.Certificates {
		fmt.Println(cert.Subject)
	}
	fmt.Println("revocation:", chain.Revocation)

	_, err = check.Verify(leaf)
	fmt.Println(err)
	// Output:
	// CN=node1.example.com
	// CN=Middle
	// CN=Root
	// revocation: unchecked
	// certificate 42 was issued by "CN=Middle", whose certificate is neither among the roots nor the intermediates
}

// numberedLeaf sets a leaf's number.
func numberedLeaf(n int64) func(*template) {
	return func(c *template) { c.SerialNumber.SetInt64(n) }
}
