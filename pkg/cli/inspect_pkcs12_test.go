package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	gopkcs12 "software.sslmate.com/src/go-pkcs12"
)

// Numbers as PKCS#12 files have them, each the value of an INTEGER.
var (
	usualIterations = []byte{8, 0}                   // 2,048
	most31          = []byte{0x7f, 0xff, 0xff, 0xff} // 2^31-1
	usualMACKey     = []byte{32}
)

// replaceNumber returns DER of which the last INTEGER of the value old, or the one so
// many before it, has the value new. It looks into octet strings that hold DER.
func replaceNumber(t *testing.T, der, old, new []byte, before int) []byte {
	t.Helper()
	total, at := 0, -1
	var rewrite func(b []byte) ([]byte, bool)
	rewrite = func(b []byte) ([]byte, bool) {
		var out cryptobyte.Builder
		for s := cryptobyte.String(b); !s.Empty(); {
			var value cryptobyte.String
			var tag asn1.Tag
			if !s.ReadAnyASN1(&value, &tag) {
				return nil, false
			}
			content := []byte(value)
			switch {
			case tag == asn1.INTEGER && bytes.Equal(content, old):
				if total++; total == at {
					content = new
				}
			case tag&0x20 != 0 || tag == asn1.OCTET_STRING && len(content) > 1 && content[0] == 0x30:
				if inner, ok := rewrite(content); ok {
					content = inner
				}
			}
			out.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
		}
		return out.BytesOrPanic(), true
	}
	rewrite(der)
	at, total = total-before, 0
	changed, ok := rewrite(der)
	if !ok || at < 1 || bytes.Equal(changed, der) {
		t.Fatalf("there is no number %x to be replaced", old)
	}
	return changed
}

// p12Samples makes files that do harm to programs that believe them. Their password
// is "secret", of those of other origin "1234".
func p12Samples(t *testing.T) map[string][]byte {
	t.Helper()
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	newKey := func() (*ecdsa.PrivateKey, *x509.Certificate) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node1"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
		cert, err := x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)))
		if err != nil {
			t.Fatal(err)
		}
		return key, cert
	}
	vector := func(name string) []byte {
		text := string(must(os.ReadFile(filepath.Join("../pkcs12/testdata", name))))
		return must(base64.StdEncoding.DecodeString(strings.TrimSpace(text)))
	}
	key, cert := newKey()
	_, other := newKey()
	modern, pbmac1 := must(gopkcs12.Modern2023.Encode(key, cert, nil, "secret")), must(gopkcs12.Modern2026.Encode(key, cert, nil, "secret"))
	return map[string][]byte{
		"good.p12":       modern,
		"good-1.p12":     pbmac1,
		"mac.p12":        replaceNumber(t, modern, usualIterations, most31, 0),
		"key.p12":        replaceNumber(t, modern, usualIterations, most31, 1),
		"part.p12":       replaceNumber(t, modern, usualIterations, most31, 2),
		"pbmac1.p12":     replaceNumber(t, pbmac1, usualIterations, most31, 0),
		"short.p12":      replaceNumber(t, pbmac1, usualMACKey, []byte{1}, 0),
		"shorter.p12":    replaceNumber(t, pbmac1, usualMACKey, []byte{19}, 0),
		"forged.p12":     vector("pbmac1-short-key-bypass.txt"),
		"salt.p12":       vector("rfc9579-a5.txt"),
		"other.p12":      must(gopkcs12.Modern2023.Encode(key, other, nil, "secret")),
		"indefinite.p12": slices.Concat([]byte{0x30, 0x80}, modern[4:], []byte{0, 0}),
		"trailing.p12":   append(bytes.Clone(modern), 0),
		"cut.p12":        modern[:len(modern)-1],
	}
}

// TestHostilePKCS12 has "inspect" read files that keep other programs busy for hours,
// that anybody could have forged, or that are not what they say.
func TestHostilePKCS12(t *testing.T) {
	w := workshop{t: t, dir: t.TempDir()}
	for name, data := range p12Samples(t) {
		if err := os.WriteFile(w.path(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, password := range map[string]string{"secret": "secret\n", "1234": "1234\n"} {
		if err := os.WriteFile(w.path(name), []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(w.path("absurd.key"), []byte(absurdKey), 0o600); err != nil {
		t.Fatal(err)
	}
	inspect := func(file, password string) []string {
		return []string{"inspect", w.path(file), "--password-file", w.path(password), "-o", "json"}
	}
	for _, tc := range []struct {
		args   []string
		status int
		text   string
		hint   string
	}{
		{inspect("good.p12", "secret"), exitOK, "", ""},
		{inspect("good-1.p12", "secret"), exitOK, "", ""},
		{inspect("mac.p12", "secret"), exitDenied, "the MAC: it asks for absurd work before a password can be tried: 2147483647 iterations of SHA-256", ""},
		{inspect("key.p12", "secret"), exitDenied, "a key in part 2: it asks for absurd work before a password can be tried: 2147483647 iterations", ""},
		{inspect("part.p12", "secret"), exitDenied, "part 1: it asks for absurd work before a password can be tried: 2147483647 iterations", ""},
		{inspect("pbmac1.p12", "secret"), exitDenied, "the MAC: it asks for absurd work before a password can be tried: 2147483647 iterations", ""},
		{inspect("short.p12", "secret"), exitDenied, "anybody could have forged: its PBMAC1 key has 1 octets, fewer than 20", ""},
		{inspect("shorter.p12", "secret"), exitDenied, "its PBMAC1 key has 19 octets, fewer than 20", ""},
		{inspect("forged.p12", "1234"), exitDenied, "anybody could have forged", ""},
		{inspect("salt.p12", "1234"), exitInvalid, "the password is right, but the PKCS#12 file was changed or damaged", ""},
		{inspect("other.p12", "secret"), exitInvalid, `a certificate in the PKCS#12 file is not its key's: key 1 of 1 goes with the certificate of "CN=node1"`, ""},
		{inspect("indefinite.p12", "secret"), exitUsage, "the PKCS#12 file is in BER, not in DER: an indefinite length", "openssl pkcs12 -in FILE -nodes | openssl pkcs12 -export -out NEW"},
		{inspect("trailing.p12", "secret"), exitUsage, "trailing data", ""},
		{inspect("cut.p12", "secret"), exitUsage, "damaged", ""},
		{[]string{"cert", "check-key", w.path("good.p12"), w.path("good.p12")}, exitUsage, "it is a PKCS#12 file", "x509ctl inspect"},
		{[]string{"cert", "check-key", w.path("absurd.key"), w.path("absurd.key")}, exitUsage, "there is no certificate and no request in it", ""},
		{[]string{"inspect", w.path("absurd.key"), "-o", "json"}, exitOK, "", ""},
	} {
		var out bytes.Buffer
		begin := time.Now()
		status, stderr := w.run(context.Background(), &out, tc.args...)
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s took %v", tc.args, took)
		}
		if status != tc.status || !strings.Contains(stderr, tc.text) || !strings.Contains(stderr, tc.hint) {
			t.Errorf("%s: status %d, want %d\n%s", tc.args, status, tc.status, stderr)
		}
		if tc.args[0] == "inspect" && !json.Valid(out.Bytes()) {
			t.Errorf("%s: no JSON: %s", tc.args, out.String())
		}
	}
}
