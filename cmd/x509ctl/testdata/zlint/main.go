// Command zlint checks certificates against the standards, by the lints of zlint.
//
// It reads certificates in PEM from its standard input and prints a line for each
// finding: the certificate's number in the input, from 1, the finding's level, the
// lint. The rules of the CA/Browser Forum and of browsers are left out: they are for
// certificates of the public web. Exit status 0: all were checked, whatever was found.
//
// It is a module of its own, so that x509ctl does not depend on what zlint needs.
package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "zlint:", err)
		os.Exit(1)
	}
}

func run(r io.Reader, w io.Writer) error {
	registry, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{
		lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC8813, lint.Community,
	}})
	if err != nil {
		return err
	}
	input, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	number := 0
	for {
		block, rest := pem.Decode(input)
		if block == nil {
			break
		}
		input = rest
		number++
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("certificate %d: %w", number, err)
		}
		report(w, number, zlint.LintCertificateEx(cert, registry))
	}
	if number == 0 {
		return errors.New("no certificate in the input")
	}
	fmt.Fprintln(w, "checked", number, "by", len(registry.CertificateLints().Lints()))
	return nil
}

// report prints the warnings and errors among the results.
func report(w io.Writer, number int, set *zlint.ResultSet) {
	var lines []string
	for name, result := range set.Results {
		if result.Status >= lint.Warn {
			lines = append(lines, fmt.Sprintln(number, result.Status, name, result.Details))
		}
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Fprint(w, line)
	}
}
