package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strconv"
	"strings"
	"unicode/utf8"

	"x509ctl/pkg/fault"
)

// Bounds of what is read. A bundle of a hundred CAs is forty years of yearly
// renewals that nobody retired.
const (
	maxInput  = 1 << 20 // octets in a file
	maxBlocks = 100     // PEM blocks in a file

	// Those of a file of roots: the public ones are 150, of 230,000 octets.
	maxPoolInput = 4 << 20

	minRSA, maxRSA = 2048, 8192 // bits of a CA's RSA key
)

var (
	byteOrderMark = []byte("\xef\xbb\xbf")
	pemBegin      = []byte("-----BEGIN")
)

// ParseCertificate reads one certificate: DER, or the first CERTIFICATE block of
// a PEM file, whatever stands around it. So a file of key and certificate, and
// one of a certificate and its chain, can both be given. The file is at most
// 1 MiB and 100 blocks.
//
// Errors are [fault.Malformed].
func ParseCertificate(data []byte) (*x509.Certificate, error) {
	if len(data) > maxInput {
		return nil, fault.Errorf(fault.Malformed, "the certificate file is larger than %d octets", maxInput)
	}
	if !bytes.Contains(data, pemBegin) {
		return parseDER(data)
	}
	blocks, err := decodePEM(data, maxBlocks)
	if err != nil {
		return nil, err
	}
	for _, b := range blocks {
		if b.Type == "CERTIFICATE" {
			return parseDER(b.Bytes)
		}
	}
	return nil, fault.New(fault.Malformed, "there is no certificate in the file")
}

// ParseChain reads a certificate and those that stand behind it in the same file, of
// which servers have such: DER, or the CERTIFICATE blocks of a PEM file, whatever
// stands around them. The first is the leaf, the others are what came with it for
// [ChainCheck.Verify]. The file is at most 1 MiB and 100 blocks.
//
// Errors are [fault.Malformed].
func ParseChain(data []byte) (leaf *x509.Certificate, sent []*x509.Certificate, err error) {
	if len(data) > maxInput || !bytes.Contains(data, pemBegin) {
		leaf, err = ParseCertificate(data)
		return leaf, nil, err
	}
	blocks, err := decodePEM(data, maxBlocks)
	if err != nil {
		return nil, nil, err
	}
	for i, b := range blocks {
		if b.Type != "CERTIFICATE" {
			continue
		}
		cert, err := parseDER(b.Bytes)
		switch {
		case err != nil:
			return nil, nil, fault.Errorf(fault.Malformed, "PEM block %d of the file: %w", i+1, err)
		case leaf == nil:
			leaf = cert
		default:
			sent = append(sent, cert)
		}
	}
	if leaf == nil {
		return nil, nil, fault.New(fault.Malformed, "there is no certificate in the file")
	}
	return leaf, sent, nil
}

// ParseCertificates reads a file of roots or intermediates for a [Pool]: 1 to 1,000
// certificates in PEM, with any text around them, or one in DER, at most 4 MiB.
//
// Anything else is refused, and not passed over: a damaged block, a private key.
// Errors are [fault.Malformed].
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	if len(data) > maxPoolInput {
		return nil, fault.Errorf(fault.Malformed, "the file of certificates is larger than %d octets", maxPoolInput)
	}
	if !bytes.Contains(data, pemBegin) {
		cert, err := parseDER(data)
		if err != nil {
			return nil, err
		}
		return []*x509.Certificate{cert}, nil
	}
	blocks, err := decodePEM(data, maxPool)
	if err != nil {
		return nil, err
	}
	certs := make([]*x509.Certificate, 0, len(blocks))
	for i, b := range blocks {
		if b.Type != "CERTIFICATE" {
			return nil, fault.Errorf(fault.Malformed, "PEM block %d of the file: %s is not a CERTIFICATE", i+1, quoted(b.Type))
		}
		cert, err := parseDER(b.Bytes)
		if err != nil {
			return nil, fault.Errorf(fault.Malformed, "PEM block %d of the file: %w", i+1, err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

func parseDER(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		why := strings.TrimPrefix(err.Error(), "x509: ")
		return nil, fault.Errorf(fault.Malformed, "not a certificate that can be understood: %s", printable(why))
	}
	return cert, nil
}

// decodePEM returns every block of data, at most so many. [pem.Decode] passes over a block that it
// can't decode as if it were text; here that is an error, because a bundle with a
// damaged block must not pass for a shorter one.
func decodePEM(data []byte, most int) ([]*pem.Block, error) {
	data = bytes.TrimPrefix(data, byteOrderMark)
	begun := bytes.Count(data, pemBegin)
	if begun > most {
		return nil, fault.Errorf(fault.Malformed, "the file has %d PEM blocks, more than %d", begun, most)
	}
	var blocks []*pem.Block
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	if len(blocks) != begun {
		return nil, fault.Errorf(fault.Malformed, "the file begins %d PEM blocks, of which %d can be decoded", begun, len(blocks))
	}
	return blocks, nil
}

// printable returns text that came from a file so that a terminal shows it as it
// is: cut short, and quoted when there is anything unusual in it.
func printable(s string) string {
	s = cut(s)
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

// quoted returns a name that came from a file in quotes.
func quoted(s string) string { return strconv.Quote(cut(s)) }

func cut(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
