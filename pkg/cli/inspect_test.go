package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/pkcs12"
	"x509ctl/pkg/trust"
)

// A sample is a thing of each kind that inspect knows.
type sample struct {
	name string
	data []byte
}

// inspectSamples makes one of each kind. secret are octets of the private key that nothing
// may show.
func inspectSamples(tb testing.TB) (all []sample, secret []byte) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check := func(b []byte, err error) []byte {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
	if err != nil {
		tb.Fatal(err)
	}
	secret = check(key.Bytes())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "evil\x1b[31m\u202e"}, DNSNames: []string{"a\nb"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign,
		SubjectKeyId: []byte{1},
	}
	cert := check(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	leaf, err := x509.ParseCertificate(cert)
	if err != nil {
		tb.Fatal(err)
	}
	pkcs8 := check(x509.MarshalPKCS8PrivateKey(key))
	sec1 := check(x509.MarshalECPrivateKey(key))
	block := func(label string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}) }
	return []sample{
		{"certificate", cert},
		{"request", check(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: template.Subject, DNSNames: []string{"x"}}, key))},
		{"crl", check(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(2), RevocationTime: time.Now(), ReasonCode: 99}},
		}, leaf, key))},
		{"private key", pkcs8},
		{"private key", sec1},
		{"public key", check(x509.MarshalPKIXPublicKey(key.Public()))},
		{"pkcs12", check(pkcs12.EncodeEmptyPassword(pkcs12.LegacyDES, key, leaf, nil))},
		{"private key", block("PRIVATE KEY", pkcs8)},
		{"private key", block("RSA PRIVATE KEY", sec1)}, // under a wrong label
		{"certificate", block("CERTIFICATE", cert)},
		{"dh parameters", block("DH PARAMETERS", []byte{0x30, 0})},
	}, secret
}

func newInspector(stdout *bytes.Buffer) *inspector {
	a := newApp()
	a.stdout = stdout
	a.lookupEnv = func(string) (string, bool) { return "", false }
	a.isTerminal = func(any) bool { return false }
	return &inspector{app: a, now: time.Now()}
}

// TestInspectKinds describes one of each kind, in every format: nothing secret and no
// control character is ever printed, and what is a list is none that is null.
func TestInspectKinds(t *testing.T) {
	all, secret := inspectSamples(t)
	dir := t.TempDir()
	for i, s := range all {
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, s.data, 0o600); err != nil {
			t.Fatal(err)
		}
		views, err := newInspector(nil).file(path)
		if err != nil || len(views) != 1 || views[0].Kind != s.name {
			t.Fatalf("sample %d, a %s: %+v, %v", i, s.name, views, err)
		}
		for _, f := range []format{formatTable, formatJSON, formatYAML, formatCSV} {
			var out bytes.Buffer
			in := newInspector(&out)
			if err := runInspect(context.Background(), in.app, inspectOptions{files: []string{path}, output: output{format: f}}); err != nil {
				t.Errorf("sample %d: %v", i, err)
			}
			text := out.String()
			if strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), unsafeRune) {
				t.Errorf("sample %d as %s has control characters:\n%q", i, f, text)
			}
			for _, half := range [][]byte{secret[:16], secret[16:]} {
				for _, form := range []string{string(half), hexNumber(half), strings.ToLower(hexNumber(half)), new(big.Int).SetBytes(half).String()} {
					if strings.Contains(text, form) {
						t.Errorf("sample %d as %s shows the private key", i, f)
					}
				}
			}
			if strings.Contains(text, "PRIVATE KEY-----") {
				t.Errorf("sample %d as %s shows a private key", i, f)
			}
			if f == formatJSON {
				noNullLists(t, text)
			}
		}
	}
}

// noNullLists wants null only where the views say so.
func noNullLists(t *testing.T, text string) {
	t.Helper()
	var v []map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				walk(name, value)
			}
		case []any:
			for _, value := range v {
				walk(path, value)
			}
		case nil:
			if path != "encryption" && path != "mac" && path != "next_update" {
				t.Errorf("%s is null", path)
			}
		}
	}
	walk("", any(toAny(v)))
}

func toAny(list []map[string]any) []any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = list[i]
	}
	return out
}

// TestInspectMinSerial reads the extension of x509ctl's own lists.
func TestInspectMinSerial(t *testing.T) {
	for _, tc := range []struct {
		value []byte
		want  string
	}{{nil, ""}, {[]byte{2, 1, 42}, "42"}, {[]byte{4, 1, 42}, "damaged"}, {[]byte{2, 1, 42, 0}, "damaged"}} {
		c := &x509.RevocationList{Extensions: []pkix.Extension{{Id: []int{2, 5, 29, 20}, Value: []byte{2, 1, 1}}}}
		if tc.value != nil {
			c.Extensions = append(c.Extensions, pkix.Extension{Id: trust.MinSerialExtension, Value: tc.value})
		}
		if got := minSerialOf(c); got != tc.want {
			t.Errorf("%x: %q, want %q", tc.value, got, tc.want)
		}
	}
}

// TestExtensionsText reads names that crypto/x509 refuses.
func TestExtensionsText(t *testing.T) {
	for name, tc := range map[string]struct {
		value []byte
		want  string
	}{
		"nothing":           {[]byte{}, "damaged: 0x"},
		"no name":           {[]byte{0x30, 0}, ""},
		"cut":               {[]byte{0x30, 3, 0x82, 5, 'a'}, "damaged: 0x820561"},
		"an address of 3":   {[]byte{0x30, 5, 0x87, 3, 1, 2, 3}, "IP:0x010203"},
		"mapped address":    {append([]byte{0x30, 18, 0x87, 16}, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01"...), "IP:::ffff:127.0.0.1"},
		"x400Address":       {[]byte{0x30, 4, 0xa3, 2, 0x30, 0}, "x400Address:0x3000"},
		"ediPartyName":      {[]byte{0x30, 4, 0xa5, 2, 0x30, 0}, "ediPartyName:0x3000"},
		"a kind of its own": {[]byte{0x30, 2, 0x89, 0}, "unknown:0x"},
		"damaged otherName": {[]byte{0x30, 2, 0xa0, 0}, "otherName:damaged"},
		"damaged OID":       {[]byte{0x30, 3, 0x88, 1, 0x80}, "registeredID:0x80"},
		"two":               {[]byte{0x30, 6, 0x82, 1, 'a', 0x81, 1, 'b'}, "DNS:a email:b"},
	} {
		names, _ := extensionsText([]pkix.Extension{{Id: []int{2, 5, 29, 17}, Value: tc.value}})
		if got := strings.Join(names, " "); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// FuzzInspect reads data as a file: whatever it is, it takes no time, and an error
// says that it can't be understood or must not be opened.
func FuzzInspect(f *testing.F) {
	all, _ := inspectSamples(f)
	for _, s := range all {
		f.Add(s.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		in := newInspector(&out)
		blocks, format, err := splitBlocks(data)
		if err != nil && fault.KindOf(err) != fault.Malformed {
			t.Fatalf("%v is %v", err, fault.KindOf(err))
		}
		for i, b := range blocks {
			v := inspectView{File: "f", Block: i + 1, Format: format}
			if err := in.block(&v, b); err != nil {
				v.Error = err.Error()
				if fault.KindOf(err) == fault.Internal {
					t.Fatalf("%v is internal", err)
				}
			}
			if v.Kind == "" || v.Summary == "" {
				t.Fatalf("a thing without kind or summary: %+v", v)
			}
			if err := in.app.printTrees(func(yield func(inspectView) error) error { return yield(v) }); err != nil {
				t.Fatal(err)
			}
		}
		if strings.ContainsFunc(strings.ReplaceAll(out.String(), "\n", ""), unsafeRune) {
			t.Fatalf("control characters: %q", out.String())
		}
	})
}
