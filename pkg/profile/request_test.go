package profile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
)

func mustParseRequest(tb testing.TB, data []byte) *Request {
	tb.Helper()
	r, err := ParseRequest(data)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// wantRefusal checks that err is of kind, holds want and shows nothing raw.
func wantRefusal(t *testing.T, name string, err error, kind fault.Kind, want string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: accepted", name)
		return
	}
	if fault.KindOf(err) != kind || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v (%v), want %v with %q", name, err, fault.KindOf(err), kind, want)
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' && r != '…' }) {
		t.Errorf("%s: the error shows raw characters: %q", name, err)
	}
}

func TestParseRequestForms(t *testing.T) {
	key := newP256(t)
	spec := requestSpec{key: key}
	raw := spec.build(t)
	text := pemOf("CERTIFICATE REQUEST", raw)
	crlf := bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	for _, tc := range []struct {
		name string
		data []byte
	}{
		{"DER", raw},
		{"PEM", text},
		{"NEW CERTIFICATE REQUEST", pemOf("NEW CERTIFICATE REQUEST", raw)},
		{"CRLF", crlf},
		{"byte order mark", append([]byte("\xef\xbb\xbf"), text...)},
		{"text around", slices.Concat([]byte("0 Certificate Request:\n  see -----BEGIN below\n"), text, []byte("Thanks,\nbob\n"))},
		{"text and CRLF", slices.Concat([]byte("Hello\r\n"), crlf, []byte("\r\n"))},
		{"no newline at the end", bytes.TrimSpace(text)},
		{"DER that holds the text of a PEM block", requestSpec{subject: tlv(tagSequence, rdn(attr("\x55\x04\x0a", 0x0c, "\n-----BEGIN CERTIFICATE REQUEST-----\n")))}.build(t)},
	} {
		r, err := ParseRequest(tc.data)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if strings.HasPrefix(tc.name, "DER that") {
			continue
		}
		if r.CommonName() != "node1.example.com" || r.Hash() != sha256.Sum256(raw) {
			t.Errorf("%s: read %q", tc.name, r.CommonName())
		}
		if !key.PublicKey.Equal(r.PublicKey()) || len(r.RawSPKI()) != 91 {
			t.Errorf("%s: another key", tc.name)
		}
	}
	// The request keeps no hold on what it was read from.
	r := mustParseRequest(t, raw)
	hash := r.Hash()
	clear(raw)
	if r.Hash() != hash || r.CommonName() != "node1.example.com" {
		t.Error("the request changed with its input")
	}
}

func TestParseRequestRefusesForms(t *testing.T) {
	raw := requestSpec{}.build(t)
	text := pemOf("CERTIFICATE REQUEST", raw)
	key := pemOf("PRIVATE KEY", []byte("secret, not a key"))
	broken := bytes.Clone(text)
	broken[60] = '!'
	withHeader := bytes.Replace(text, []byte("-----\n"), []byte("-----\nProc-Type: 4,ENCRYPTED\n\n"), 1)
	for _, tc := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "empty"},
		{"white space", []byte(" \r\n"), "empty"},
		{"text", []byte("hello"), "neither PEM nor DER"},
		{"escape sequences", []byte("\x1b[2J\x00\xff"), "neither PEM nor DER"},
		{"only base64", []byte(base64.StdEncoding.EncodeToString(raw)), "neither PEM nor DER"},
		{"UTF-16", []byte("\xff\xfe-\x00-\x00"), "UTF-16"},
		{"two requests", append(bytes.Clone(text), text...), "2 PEM blocks"},
		{"private key after", append(bytes.Clone(text), key...), "a private key stands beside"},
		{"private key before", append(bytes.Clone(key), text...), "a private key stands beside"},
		{"damaged private key beside", append(bytes.Clone(text), "-----BEGIN RSA PRIVATE KEY-----\n"...), "a private key stands beside"},
		{"certificate beside", append(bytes.Clone(text), pemOf("CERTIFICATE", raw)...), "2 PEM blocks"},
		{"a certificate", pemOf("CERTIFICATE", raw), `"CERTIFICATE"`},
		{"a private key alone", key, `"PRIVATE KEY"`},
		{"label with control characters", pemOf("\x1b[2J", raw), `"\x1b[2J"`},
		{"not at the start of a line", append([]byte("x"), text...), "no line begins"},
		{"damaged base64", broken, "damaged"},
		{"no END", text[:len(text)-20], "damaged"},
		{"PEM headers", withHeader, "damaged"},
		{"octets after DER", append(bytes.Clone(raw), 0), "1 octets stand after"},
		{"octets after DER in PEM", pemOf("CERTIFICATE REQUEST", append(bytes.Clone(raw), 0)), "not a certificate request"},
		{"cut DER", raw[:len(raw)-1], "neither PEM nor DER"},
		{"empty PEM", pemOf("CERTIFICATE REQUEST", nil), "not a certificate request"},
		{"too large", append(bytes.Clone(text), bytes.Repeat([]byte("\n"), MaxRequestSize)...), "256 KiB"},
	} {
		_, err := ParseRequest(tc.data)
		wantRefusal(t, tc.name, err, fault.Malformed, tc.want)
	}
}

func TestParseRequestRefusesStructure(t *testing.T) {
	dns := tlv(0x82, []byte("node1.example.com"))
	san := sanOf(dns)
	many := make([][]byte, MaxNames)
	for i := range many {
		many[i] = dns
	}
	good := newP256(t)
	spki, err := marshalSPKI(&good.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	explicitFalse := tlv(tagSequence, tlv(tagOID, []byte(oidKeyUsage)), tlv(tagBoolean, []byte{1}), tlv(tagOctetString, nil))
	longForm := bytes.Clone(spki) // 30 59 … becomes 30 81 59 …
	longForm = slices.Concat([]byte{0x30, 0x81}, longForm[1:])
	for _, tc := range []struct {
		name string
		spec requestSpec
		kind fault.Kind
		want string
	}{
		{"version 1", requestSpec{version: derInteger(1)}, fault.Malformed, "version"},
		{"version 2 in two octets", requestSpec{version: []byte{2, 2, 0, 0}}, fault.Malformed, "version"},
		{"no version", requestSpec{version: []byte{}}, fault.Malformed, "not a certificate request"},
		{"no subject", requestSpec{subject: []byte{}}, fault.Malformed, "no subject or no key"},
		{"subject that is a set", requestSpec{subject: tlv(tagSet)}, fault.Malformed, "no subject"},
		{"empty RDN", requestSpec{subject: tlv(tagSequence, rdn())}, fault.Malformed, "subject can't be understood"},
		{"octets after an attribute", requestSpec{subject: tlv(tagSequence, rdn(tlv(tagSequence, tlv(tagOID, []byte(oidCommonName)), tlv(12), tlv(12))))}, fault.Malformed, "subject can't be understood"},
		{"octets after the attributes", requestSpec{after: tlv(tagSequence)}, fault.Malformed, "octets after it"},
		{"octets after the signature", requestSpec{end: tlv(tagSequence)}, fault.Malformed, "octets after it"},
		{"key in a length that is not DER", requestSpec{spki: longForm}, fault.Malformed, "no key"},
		{"extension twice", requestSpec{attributes: [][]byte{asking(san, san)}}, fault.Malformed, "twice for the extension subjectAltName"},
		{"two extension requests", requestSpec{attributes: [][]byte{asking(san), asking()}}, fault.Malformed, "two places"},
		{"a second one in Microsoft's words", requestSpec{attributes: [][]byte{asking(san), tlv(tagSequence, tlv(tagOID, []byte(oidMSExtensionRequest)), tlv(tagSet, tlv(tagSequence, san)))}}, fault.Malformed, "two places"},
		{"two values of an extension request", requestSpec{attributes: [][]byte{tlv(tagSequence, tlv(tagOID, []byte(oidExtensionRequest)), tlv(tagSet, tlv(tagSequence, san), tlv(tagSequence)))}}, fault.Malformed, "extensions can't be understood"},
		{"critical neither true nor false", requestSpec{attributes: [][]byte{asking(explicitFalse)}}, fault.Malformed, "extensions can't be understood"},
		{"empty SAN", requestSpec{attributes: [][]byte{asking(sanOf())}}, fault.Malformed, "alternative names"},
		{"octets after SAN", requestSpec{attributes: [][]byte{asking(extension(oidSubjectAltName, 0, append(tlv(tagSequence, dns), 0)))}}, fault.Malformed, "alternative names"},
		{"unknown kind of SAN", requestSpec{attributes: [][]byte{asking(sanOf(tlv(0x89, []byte("x"))))}}, fault.Malformed, "no known kind"},
		{"constructed DNS name", requestSpec{attributes: [][]byte{asking(sanOf(tlv(0xa2, dns)))}}, fault.Malformed, "no known kind"},
		{"101 names", requestSpec{attributes: [][]byte{asking(sanOf(many...))}}, fault.Denied, "more than 100 names"},
		{"MD5", requestSpec{algorithm: tlv(tagSequence, tlv(tagOID, []byte(oidMD5WithRSA)), []byte{5, 0})}, fault.Denied, "MD5 with RSA is not accepted"},
		{"unknown signature algorithm", requestSpec{algorithm: tlv(tagSequence, tlv(tagOID, []byte{0x2a, 3, 4}))}, fault.Denied, "1.2.3.4 is not accepted"},
		{"RSASSA-PSS without parameters", requestSpec{algorithm: tlv(tagSequence, tlv(tagOID, []byte(oidRSAPSS)))}, fault.Denied, "RSASSA-PSS"},
		{"another algorithm", requestSpec{algorithm: tlv(tagSequence, tlv(tagOID, []byte(oidSHA256WithRSA)), []byte{5, 0})}, fault.Denied, "does not verify"},
		{"parameters beside ECDSA", requestSpec{algorithm: tlv(tagSequence, tlv(tagOID, []byte(oidECDSAWithSHA256)), tlv(tagSequence))}, fault.Malformed, "parameters"},
		{"another key's signature", requestSpec{spki: spki}, fault.Denied, "does not verify"},
	} {
		_, err := ParseRequest(tc.spec.build(t))
		wantRefusal(t, tc.name, err, tc.kind, tc.want)
	}
}

func TestParseRequestChanged(t *testing.T) {
	raw := requestSpec{attributes: [][]byte{asking(sanOf(tlv(0x82, []byte("node1.example.com"))))}}.build(t)
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		if _, err := ParseRequest(changed); err == nil {
			t.Errorf("octet %d of %d can be changed", i, len(raw))
		}
	}
}

// TestParseRequestKeys covers keys that a request is refused for, each in a
// request that is properly signed where that can be.
func TestParseRequestKeys(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa1024, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	key := newP256(t)
	spki, err := marshalSPKI(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	point := bytes.Clone(spki)
	point[len(point)-1] ^= 1
	compressed := slices.Concat([]byte{0x30, 0x39, 0x30, 0x13}, spki[4:23], []byte{3, 0x22, 0, 2}, spki[27:59])
	rsaSPKI := func(n, e *big.Int) []byte {
		number := func(i *big.Int) []byte { return tlv(tagInteger, i.FillBytes(make([]byte, i.BitLen()/8+1))) }
		id := tlv(tagSequence, tlv(tagOID, []byte(oidRSAKey)), []byte{5, 0})
		return tlv(tagSequence, id, derBits(tlv(tagSequence, number(n), number(e))))
	}
	large := new(big.Int).SetBit(big.NewInt(1), 1<<20-1, 1)
	for _, tc := range []struct {
		name string
		spec requestSpec
		kind fault.Kind
		want string
	}{
		{"P-224", requestSpec{key: p224}, fault.Denied, "P-224"},
		{"RSA 1024", requestSpec{key: rsa1024}, fault.Denied, "1024 bits"},
		{"RSA of a million bits", requestSpec{spki: rsaSPKI(large, big.NewInt(65537))}, fault.Denied, "1048576 bits"},
		{"RSA with a huge exponent", requestSpec{spki: rsaSPKI(new(big.Int).SetBit(big.NewInt(1), 2047, 1), large)}, fault.Denied, "exponent has 1048576 bits"},
		{"not on the curve", requestSpec{spki: point}, fault.Malformed, "not a point"},
		{"compressed point", requestSpec{spki: compressed}, fault.Denied, "compressed"},
		{"RSASSA-PSS key", requestSpec{spki: tlv(tagSequence, tlv(tagSequence, tlv(tagOID, []byte(oidRSAPSSKey))), derBits(nil))}, fault.Denied, "RSASSA-PSS keys"},
		{"DSA key", requestSpec{spki: tlv(tagSequence, tlv(tagSequence, tlv(tagOID, []byte(oidDSAKey))), derBits(nil))}, fault.Denied, "DSA keys"},
		{"Ed448 key", requestSpec{spki: tlv(tagSequence, tlv(tagSequence, tlv(tagOID, []byte(oidEd448Key))), derBits(nil))}, fault.Denied, "Ed448 keys"},
		{"secp256k1", requestSpec{spki: tlv(tagSequence, tlv(tagSequence, tlv(tagOID, []byte(oidECKey)), tlv(tagOID, []byte("\x2b\x81\x04\x00\x0a"))), derBits(nil))}, fault.Denied, "secp256k1 keys"},
		{"a curve nobody knows", requestSpec{spki: tlv(tagSequence, tlv(tagSequence, tlv(tagOID, []byte(oidECKey)), tlv(tagOID, []byte{0x2a, 3})), derBits(nil))}, fault.Denied, "curve 1.2.3 keys"},
		{"GOST key", requestSpec{spki: tlv(tagSequence, tlv(tagSequence, tlv(tagOID, []byte("\x2a\x85\x03\x07\x01\x01\x01\x01"))), derBits(nil))}, fault.Denied, "GOST R 34.10-2012 (256 bits) keys"},
		{"explicit curve", requestSpec{spki: tlv(tagSequence, tlv(tagSequence, tlv(tagOID, []byte(oidECKey)), tlv(tagSequence)), derBits(nil))}, fault.Denied, "does not name its curve"},
		{"short Ed25519", requestSpec{spki: tlv(tagSequence, tlv(tagSequence, tlv(tagOID, []byte(oidEd25519Key))), derBits(make([]byte, 31)))}, fault.Malformed, "not an Ed25519 key"},
	} {
		start := time.Now()
		_, err := ParseRequest(tc.spec.build(t))
		wantRefusal(t, tc.name, err, tc.kind, tc.want)
		if d := time.Since(start); d > time.Second {
			t.Errorf("%s: took %v", tc.name, d)
		}
	}
}

// TestParseRequestSHA1 pins that a signature made with SHA-1 will do for a proof
// that the requester has the key.
func TestParseRequestSHA1(t *testing.T) {
	for _, key := range [][]string{{"-newkey", "rsa:2048"}, {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}} {
		r := mustParseRequest(t, opensslRequest(t, append(key, "-sha1", "-subj", "/CN=node1.example.com")...))
		if r.CommonName() != "node1.example.com" {
			t.Errorf("read %q", r.CommonName())
		}
	}
}

func TestParseRequestOpenSSL(t *testing.T) {
	san := "subjectAltName=DNS:node1.example.com,DNS:NODE1,IP:192.0.2.1,IP:2001:db8::1"
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"P-256", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}},
		{"P-384", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"}},
		{"P-521 with SHA-512", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-sha512"}},
		{"Ed25519", []string{"-newkey", "ed25519"}},
		{"RSA", []string{"-newkey", "rsa:2048"}},
		{"RSASSA-PSS", []string{"-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"}},
		{"DER", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-outform", "DER"}},
		{"with text", []string{"-newkey", "ed25519", "-text"}},
		{"NEW", []string{"-newkey", "ed25519", "-newhdr"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := mustParseRequest(t, opensslRequest(t, append(tc.args, "-subj", "/CN=node1.example.com", "-addext", san)...))
			want := []string{"CN:node1.example.com", "DNS:node1.example.com", "DNS:NODE1", "IP:192.0.2.1", "IP:2001:db8::1"}
			if got := r.Names(); !slices.Equal(got, want) {
				t.Errorf("names %q", got)
			}
			if len(r.Ignored(Approved{})) > 0 {
				t.Errorf("ignored %q", r.Ignored(Approved{}))
			}
		})
	}
}
