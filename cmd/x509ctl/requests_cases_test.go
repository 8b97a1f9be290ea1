package main_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// What is put into requests and beside them, and never shown.
const (
	challenge  = "hunter2hunter2"
	secretLine = "MHcCAQEEIBSecretSecretSecretSecretSecretSecretSecretSecretSecre"
)

// content returns how a file with such content is made.
func content(data []byte) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func requestCases(t *testing.T) []requestCase {
	t.Helper()
	return slices.Concat(keyCases(t), structureCases(t), nameCases(t), wishCases(t), formCases(t), fileCases())
}

// keyCases are the requests of testdata/requests, each with a word of the verdict.
func keyCases(t *testing.T) []requestCase {
	t.Helper()
	const dir = "../../testdata/requests"
	verdicts := map[string]struct {
		status int
		want   string
	}{
		"rsa-1024":            {5, "1024 bits"},
		"rsa-2047":            {5, "2047 bits"},
		"rsa-exponent-1":      {5, "exponent is 1"},
		"rsa-exponent-3":      {5, "exponent is 3"},
		"rsa-exponent-17":     {5, "exponent is 17"},
		"rsa-exponent-even":   {5, "exponent is 65538"},
		"rsa-even":            {5, "divided by 2"},
		"rsa-small-factor":    {5, "divided by 3"},
		"rsa-close-primes":    {5, "too close"},
		"rsa-roca":            {5, "ROCA"},
		"p224":                {5, "P-224"},
		"secp256k1":           {5, "secp256k1"},
		"brainpoolP256r1":     {5, "brainpoolP256r1"},
		"sm2":                 {5, "SM2"},
		"explicit-parameters": {5, "does not name its curve"},
		"ed448":               {5, "Ed448"},
		"dsa":                 {5, "DSA"},
		"gost":                {5, "GOST R 34.10-2012"},
		"md5":                 {5, "MD5"},
		"pyopenssl-sha1":      {0, ""},
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var cases []requestCase
	for _, e := range entries {
		name, isRequest := strings.CutSuffix(e.Name(), ".csr")
		if !isRequest {
			continue
		}
		verdict, ok := verdicts[name]
		if !ok {
			t.Fatalf("%s has no verdict", e.Name())
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, requestCase{name, content(data), verdict.status, verdict.want})
	}
	if len(cases) != len(verdicts) {
		t.Fatalf("%d requests for %d verdicts", len(cases), len(verdicts))
	}
	return cases
}

// structureCases are requests that are not well formed, or not signed well.
func structureCases(t *testing.T) []requestCase {
	t.Helper()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki := reqSPKI()
	longer := slices.Concat([]byte{0x30, spki[1] + 2}, spki[2:], []byte{5, 0})
	inKey := slices.Concat([]byte{0x30, spki[1] + 1}, spki[2:24], []byte{spki[24] + 1}, spki[25:], []byte{0})
	changed := bytes.Replace(reqSpec{subject: cnOf("node2.example.com")}.der(t), []byte("node2"), []byte("node1"), 1)
	san := extension(oidSAN, tlv(tagSeq, dnsName(node1)))
	of := func(name string, q reqSpec, status int, want string) requestCase {
		return requestCase{name, content(q.pem(t)), status, want}
	}
	return []requestCase{
		of("signed by another key", reqSpec{signer: other}, 5, "signature does not verify"),
		{"changed after it was signed", content(changed), 5, "signature does not verify"},
		of("version 1", reqSpec{version: tlv(tagInt, []byte{1})}, 2, "version"),
		of("version -1", reqSpec{version: tlv(tagInt, []byte{0xff})}, 2, "version"),
		of("version of 100 octets", reqSpec{version: tlv(tagInt, make([]byte, 100))}, 2, "version"),
		of("bytes after the key", reqSpec{spki: longer}, 2, "public key"),
		of("bytes after the point", reqSpec{spki: inKey}, 2, "not a point"),
		of("bytes after the signature", reqSpec{end: []byte{5, 0}}, 2, "octets after it"),
		of("an extension twice", reqSpec{attributes: [][]byte{asking(san, san)}}, 2, "asks twice"),
		of("extensions in two places", reqSpec{attributes: [][]byte{asking(san), asking(san)}}, 2, "two places"),
		of("empty alternative names", reqSpec{attributes: [][]byte{names()}}, 2, "alternative names"),
		of("an attribute that is none", reqSpec{attributes: [][]byte{tlv(tagOctets, []byte("x"))}}, 2, "attributes"),
	}
}

// nameCases are well made requests for names that are not to be had.
func nameCases(t *testing.T) []requestCase {
	t.Helper()
	rdn := func(attributes ...[]byte) []byte { return tlv(tagSet, attributes...) }
	cn := func(name string) []byte { return attribute(oidCN, tagUTF8, name) }
	org := attribute(oid(2, 5, 4, 10), tagUTF8, "Example")
	subject := func(name string, subject []byte, want string) requestCase {
		return requestCase{name, content(reqSpec{subject: subject}.pem(t)), 5, want}
	}
	asks := func(name, want string, list ...[]byte) requestCase {
		return requestCase{name, content(reqSpec{attributes: [][]byte{names(list...)}}.pem(t)), 5, want}
	}
	many := make([][]byte, 20_000)
	for i := range many {
		many[i] = dnsName(node1[:5])
	}
	return []requestCase{
		subject("two common names of one node", cnOf(node1, node1), "2 common names"),
		subject("two common names of two nodes", cnOf(node1, "node2.example.com"), "2 common names"),
		subject("two common names, the last one ours", cnOf("evil.example.org", node1), "2 common names"),
		subject("multi-valued", tlv(tagSeq, rdn(cn(node1), org)), "several values"),
		subject("no common name", tlv(tagSeq, rdn(org)), "no common name"),
		subject("empty subject", tlv(tagSeq), "no common name"),
		subject("unknown", cnOf("evil.example.org"), `"evil.example.org"`),
		subject("NUL", cnOf(node1+"\x00.evil.example.org"), `\x00`),
		subject("wildcard", cnOf("*.example.com"), "wildcard"),
		subject("IP address as a name", cnOf("127.0.0.1"), "IP address"),
		subject("KELVIN SIGN", cnOf("\u212Ailo.example.com"), `\u212a`),
		subject("Cyrillic o", cnOf("n\u043ede1.example.com"), `\u043e`),
		subject("fullwidth letters", cnOf("\uff4eode1.example.com"), `\uff4e`),
		subject("zero-width joiner", cnOf("node1\u200d.example.com"), `\u200d`),
		subject("right-to-left override", cnOf("\u202enode1.example.com"), `\u202e`),
		subject("65 characters", cnOf(strings.Repeat("a.", 32)+"a"), "64"),
		subject("a label of 64 characters", cnOf(strings.Repeat("a", 64)), "label longer than 63"),
		subject("190,000 characters", cnOf(strings.Repeat("a", 190_000)), "longer than 253"),
		subject("trailing dot", cnOf(node1+"."), "ends in a dot"),
		subject("escape sequences", cnOf("\x1b]0;owned\a\x1b[2J"), `\x1b`),
		subject("C1 control characters", cnOf("\u009b2J"), `\u009b`),
		subject("not UTF-8", cnOf("\xff\xfe"), `\xff`),
		subject("BMPString", tlv(tagSeq, rdn(attribute(oidCN, tagBMP, "\x00n\x00o"))), "BMPString"),

		asks("DNS name of nobody", "evil.example.org", dnsName("evil.example.org")),
		asks("DNS name of two nodes", "belong", dnsName(node1), dnsName("node2.example.com")),
		asks("DNS name with a NUL", `\x00`, dnsName(node1+"\x00")),
		asks("DNS name with a wildcard", "wildcard", dnsName("*."+node1)),
		asks("DNS name that is an address", "IP address", dnsName("127.0.0.1")),
		asks("IP address of nobody", "192.0.2.99", tlv(tagIP, []byte{192, 0, 2, 99})),
		asks("IP address of another node", "127.0.0.2", tlv(tagIP, []byte{127, 0, 0, 2})),
		asks("IP network", "octets", tlv(tagIP, []byte{10, 0, 0, 0, 255, 0, 0, 0})),
		asks("email address", "email", tlv(tagEmail, []byte("root@"+node1))),
		asks("URI", "URI", tlv(tagURI, []byte("https://"+node1+"/"))),
		asks("other name", "other name", tlv(tagOther, oid(1, 3, 6, 1, 4, 1, 311, 20, 2, 3), tlv(0xa0, tlv(tagUTF8, []byte("root@"+node1))))),
		asks("X.400 address", "X.400", tlv(tagX400, tlv(tagSeq))),
		asks("directory name", "directory name", tlv(tagDirectory, cnOf(node1))),
		asks("EDI party name", "EDI", tlv(tagEDI, tlv(0xa1, tlv(tagUTF8, []byte(node1))))),
		asks("registered ID", "registered ID", tlv(tagRID, []byte{0x2a, 3})),
		asks("20,000 names", "more than 100 names", many...),
	}
}

// wishCases are requests that get a certificate, without some of what they ask for.
func wishCases(t *testing.T) []requestCase {
	t.Helper()
	of := func(name string, q reqSpec, want string) requestCase {
		return requestCase{name, content(q.pem(t)), 0, want}
	}
	constraints := extension(oid(2, 5, 29, 19), tlv(tagSeq, tlv(tagBool, []byte{0xff}), tlv(tagInt, []byte{3})))
	usage := extension(oid(2, 5, 29, 15), tlv(tagBits, []byte{1, 6}))
	purposes := extension(oid(2, 5, 29, 37), tlv(tagSeq, oid(1, 3, 6, 1, 5, 5, 7, 3, 3)))
	password := tlv(tagSeq, oid(1, 2, 840, 113549, 1, 9, 7), tlv(tagSet, tlv(tagUTF8, []byte(challenge))))
	org := tlv(tagSet, attribute(oid(2, 5, 4, 10), tagUTF8, "\x1b[2JExample"))
	return []requestCase{
		of("upper case", reqSpec{subject: cnOf(strings.ToUpper(node1))}, ""),
		of("PrintableString", reqSpec{subject: tlv(tagSeq, tlv(tagSet, attribute(oidCN, tagPrintable, node1)))}, ""),
		of("its own names", reqSpec{attributes: [][]byte{names(dnsName(node1), tlv(tagIP, []byte{127, 0, 0, 1}))}}, ""),
		of("CA:TRUE", reqSpec{attributes: [][]byte{asking(constraints)}}, "CA:TRUE, pathlen:3 were asked for and ignored"),
		of("key usage", reqSpec{attributes: [][]byte{asking(usage)}}, "key usage keyCertSign, key usage cRLSign were asked for and ignored"),
		of("other purposes", reqSpec{attributes: [][]byte{asking(purposes)}}, "extended key usage codeSigning was asked for and ignored"),
		of("challenge password", reqSpec{attributes: [][]byte{password}}, "attribute challengePassword was asked for and ignored"),
		of("organization", reqSpec{subject: tlv(tagSeq, org, tlv(tagSet, attribute(oidCN, tagUTF8, node1)))}, "ignored"),
	}
}

// formCases are files with good requests in good and in bad company, and with none.
func formCases(t *testing.T) []requestCase {
	t.Helper()
	raw, text := reqSpec{}.der(t), reqSpec{}.pem(t)
	crlf := bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	key := []byte("-----BEGIN EC PRIVATE KEY-----\n" + secretLine + "\n-----END EC PRIVATE KEY-----\n")
	many := make([][]byte, 100_000)
	for i := range many {
		many[i] = dnsName(node1[:5])
	}
	nested := []byte{5, 0}
	for range 5_000 {
		nested = tlv(tagSeq, nested)
	}
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	return []requestCase{
		{"DER", content(raw), 0, ""},
		{"PEM", content(text), 0, ""},
		{"CRLF", content(crlf), 0, ""},
		{"byte order mark", content(join([]byte("\xef\xbb\xbf"), text)), 0, ""},
		{"the old header", content(pemText("NEW CERTIFICATE REQUEST", raw)), 0, ""},
		{"garbage around PEM", content(join([]byte("\x00\x1b[2J\xff\n"), text, []byte("\n\x1b[2J\x00"))), 0, ""},

		{"two requests", content(join(text, text)), 2, "2 PEM blocks"},
		{"two requests in DER", content(join(raw, raw)), 2, "octets stand after"},
		{"a private key after it", content(join(text, key)), 2, "a private key stands beside"},
		{"a private key before it", content(join(key, text)), 2, "a private key stands beside"},
		{"a private key alone", content(key), 2, `"EC PRIVATE KEY"`},
		{"a private key in DER", content(privateDER(t)), 2, "not a certificate request"},
		{"a certificate", content(pemText("CERTIFICATE", raw)), 2, `"CERTIFICATE"`},
		{"escape sequences in the label", content(pemText("\x1b[2J", raw)), 2, `\x1b`},
		{"truncated PEM", content(text[:len(text)/2]), 2, "damaged"},
		{"truncated DER", content(raw[:len(raw)/2]), 2, "neither PEM nor DER"},
		{"truncated DER in PEM", content(pemText("CERTIFICATE REQUEST", raw[:len(raw)/2])), 2, "not a certificate request"},
		{"UTF-16", content([]byte("\xff\xfe-\x00-\x00-\x00-\x00-\x00B\x00")), 2, "UTF-16"},
		{"empty", content(nil), 2, "empty"},
		{"text", content([]byte("\x1b[2Jhello\n")), 2, "neither PEM nor DER"},
		{"100,000 names", content(reqSpec{attributes: [][]byte{names(many...)}}.pem(t)), 2, "larger than"},
		{"10 MB of a request", content(join(text, bytes.Repeat([]byte("\n"), 10<<20))), 2, "larger than"},
		{"10 MB of PEM headers", content(bytes.Repeat([]byte("-----BEGIN CERTIFICATE REQUEST-----\n"), 300_000)), 2, "larger than"},
		{"256 KiB of PEM headers", content(bytes.Repeat([]byte("-----BEGIN CERTIFICATE REQUEST-----\n"), 7_000)), 2, "PEM blocks"},
		{"a length of 2 GiB", content([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x30}), 2, "neither PEM nor DER"},
		{"indefinite length", content(join([]byte{0x30, 0x80}, raw, []byte{0, 0})), 2, "neither PEM nor DER"},
		{"deep nesting", content(nested), 2, "not a certificate request"},
		{"deep nesting in a name", content(reqSpec{attributes: [][]byte{names(tlv(tagDirectory, nested))}}.pem(t)), 5, "directory name"},
		{"deep nesting of indefinite lengths", content(bytes.Repeat([]byte{0x30, 0x80}, 120_000)), 2, "neither PEM nor DER"},
	}
}

func privateDER(t *testing.T) []byte {
	t.Helper()
	raw, err := x509.MarshalPKCS8PrivateKey(reqKey)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// fileCases are paths of what is no regular file, or can't be read.
func fileCases() []requestCase {
	link := func(target string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			_ = os.Remove(path)
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
		}
	}
	fifo := func(t *testing.T, path string) {
		t.Helper()
		_ = os.Remove(path)
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	endless := func(t *testing.T, path string) {
		t.Helper()
		fifo(t, path)
		go func() {
			w, err := os.OpenFile(path, os.O_WRONLY, 0)
			for err == nil { // until the reader leaves
				_, err = w.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST"}))
			}
			_ = w.Close()
		}()
	}
	return []requestCase{
		{"FIFO that nobody writes to", fifo, 7, "nobody writes to it"},
		{"FIFO without an end", endless, 2, "larger than"},
		{"/dev/zero", link("/dev/zero"), 2, "larger than"},
		{"/dev/null", link("/dev/null"), 2, "empty"},
		{"directory", func(t *testing.T, path string) { _ = os.Mkdir(path, 0o700) }, 3, "no file"},
		{"nothing", func(*testing.T, string) {}, 3, "no such file"},
		{"dangling link", link("nowhere"), 3, "no such file"},
		{"link to itself", func(t *testing.T, path string) { link(path)(t, path) }, 1, "symbolic links"},
	}
}
