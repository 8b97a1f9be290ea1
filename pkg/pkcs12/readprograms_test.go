package pkcs12_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"x509ctl/pkg/pkcs12"
)

// TestReadPrograms reads what real programs write, by every algorithm that they
// offer.
func TestReadPrograms(t *testing.T) {
	id := identities()["ecdsa-p256"]
	openssl := func(args ...string) []string {
		return append([]string{"openssl", "pkcs12", "-export", "-in", "all.pem", "-name", "node 1", "-passout", "file:password", "-out", "out.p12"}, args...)
	}
	keytool := func(args ...string) []string {
		return append([]string{"keytool", "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC"}, args...)
	}
	generate := keytool("-genkeypair", "-alias", "node 1", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=node1",
		"-storetype", "PKCS12", "-keystore", "out.p12", "-storepass:file", "password")
	javaTrust := keytool("-importcert", "-noprompt", "-alias", "ca", "-file", "ca.pem",
		"-storetype", "PKCS12", "-keystore", "out.p12", "-storepass:file", "password")
	certtool := func(args ...string) []string {
		return append([]string{"certtool", "--to-p12", "--load-privkey", "key.pem", "--load-certificate", "leaf.pem",
			"--p12-name", "node 1", "--password", ordinary, "--outder", "--outfile", "out.p12"}, args...)
	}
	for name, tc := range map[string]struct {
		command []string
		keys    int
		certs   int
		mac     string // name, hash and iterations
		part    string // cipher, key derivation, hash and iterations of the first part
		like    pkcs12.Likeness
	}{
		"openssl":                 {openssl(), 1, 3, "HMAC SHA-256 2048", "AES-256-CBC PBKDF2 SHA-256 2048", pkcs12.Likeness{Profile: pkcs12.Modern2023, Exact: true}},
		"openssl -descert":        {openssl("-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"), 1, 3, "HMAC SHA-1 2048", "3DES-CBC PKCS#12 SHA-1 2048", pkcs12.Likeness{Profile: pkcs12.LegacyDES, Exact: true}},
		"openssl -legacy":         {openssl("-legacy"), 1, 3, "HMAC SHA-1 2048", "RC2-CBC with 40 bits PKCS#12 SHA-1 2048", pkcs12.Likeness{Profile: pkcs12.LegacyRC2, Exact: true}},
		"openssl, RC2-128":        {openssl("-legacy", "-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-2DES"), 1, 3, "HMAC SHA-1 2048", "RC2-CBC with 128 bits PKCS#12 SHA-1 2048", pkcs12.Likeness{}},
		"openssl, AES-128":        {openssl("-certpbe", "AES-128-CBC", "-keypbe", "AES-192-CBC", "-macalg", "sha384"), 1, 3, "HMAC SHA-384 2048", "AES-128-CBC PBKDF2 SHA-256 2048", pkcs12.Likeness{Profile: pkcs12.Modern2023}},
		"openssl, 3DES by PBES2":  {openssl("-certpbe", "DES-EDE3-CBC", "-macalg", "sha512"), 1, 3, "HMAC SHA-512 2048", "3DES-CBC PBKDF2 SHA-256 2048", pkcs12.Likeness{}},
		"openssl, no MAC":         {openssl("-nomac"), 1, 3, "none", "none", pkcs12.Likeness{Profile: pkcs12.Modern2023}},
		"openssl, certs in clear": {openssl("-certpbe", "NONE"), 1, 3, "HMAC SHA-256 2048", "none", pkcs12.Likeness{Profile: pkcs12.Modern2023, Exact: true}},
		"openssl, all in clear":   {openssl("-certpbe", "NONE", "-keypbe", "NONE", "-nomac"), 1, 3, "none", "none", pkcs12.Likeness{Profile: pkcs12.LegacyDES}},
		"openssl, no key":         {openssl("-nokeys"), 0, 3, "HMAC SHA-256 2048", "AES-256-CBC PBKDF2 SHA-256 2048", pkcs12.Likeness{Profile: pkcs12.Modern2023, Exact: true}},
		"openssl, one iteration":  {openssl("-nomaciter", "-noiter"), 1, 3, "HMAC SHA-256 1", "AES-256-CBC PBKDF2 SHA-256 1", pkcs12.Likeness{Profile: pkcs12.Modern2023, Exact: true}},
		"openssl, many":           {openssl("-iter", "300000"), 1, 3, "HMAC SHA-256 300000", "AES-256-CBC PBKDF2 SHA-256 300000", pkcs12.Likeness{Profile: pkcs12.Modern2023, Exact: true}},
		"keytool":                 {generate, 1, 1, "HMAC SHA-256 10000", "none", pkcs12.Likeness{Profile: pkcs12.Modern2023, Exact: true}},
		"keytool, of old":         {slices.Insert(slices.Clone(generate), 1, "-J-Dkeystore.pkcs12.legacy"), 1, 1, "HMAC SHA-1 100000", "none", pkcs12.Likeness{Profile: pkcs12.LegacyRC2, Exact: true}},
		"keytool, trust":          {javaTrust, 0, 1, "HMAC SHA-256 10000", "AES-256-CBC PBKDF2 SHA-256 10000", pkcs12.Likeness{Profile: pkcs12.Modern2023, Exact: true}},
		"certtool":                {certtool(), 1, 1, "HMAC SHA-256", "AES-128-CBC PBKDF2 SHA-256", pkcs12.Likeness{Profile: pkcs12.Modern2023}},
		"certtool, 3DES":          {certtool("--pkcs-cipher", "3des-pkcs12"), 1, 1, "HMAC SHA-256", "3DES-CBC PKCS#12 SHA-1", pkcs12.Likeness{Profile: pkcs12.Modern2023}},
		"certtool, RC2":           {certtool("--pkcs-cipher", "rc2-40"), 1, 1, "HMAC SHA-256", "RC2-CBC with 40 bits PKCS#12 SHA-1", pkcs12.Likeness{Profile: pkcs12.LegacyRC2}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range programs {
				if p.name == tc.command[0] && installedVersion(t, p) == "" {
					t.Skipf("%s is not installed", p.product)
				}
			}
			b := benchFor(t, id)
			if err := b.run("", tc.command[0], tc.command[1:]...); err != nil {
				t.Fatal(err)
			}
			f, err := pkcs12.Parse(b.read("out.p12"))
			if err != nil {
				t.Fatal(err)
			}
			c, err := f.Open(ordinary)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Keys) != tc.keys || len(c.Certificates) != tc.certs || c.CheckKeys() != nil {
				t.Errorf("%d keys, %d certificates, %v", len(c.Keys), len(c.Certificates), c.CheckKeys())
			}
			if tc.keys == 1 && c.Keys[0].Bag.Name != "node 1" {
				t.Errorf("the key is called %q", c.Keys[0].Bag.Name)
			}
			if trusted := name == "keytool, trust"; c.Certificates[0].Bag.Trusted != trusted {
				t.Errorf("trusted: %v", !trusted)
			}
			if mac := describe(f.MAC, true); !strings.HasPrefix(mac, tc.mac) {
				t.Errorf("MAC %s, want %s", mac, tc.mac)
			}
			if part := describe(f.Parts[0].Encryption, false); !strings.HasPrefix(part, tc.part) {
				t.Errorf("first part %s, want %s", part, tc.part)
			}
			if like := f.Like(); like != tc.like {
				t.Errorf("like %+v, want %+v", like, tc.like)
			}
			if f.MAC != nil && f.MAC.Iterations > 100_000 {
				return // that takes as long as it should
			}
			_, err = f.Open(ordinary + "x")
			var wrong *pkcs12.PasswordError
			if name == "openssl, all in clear" {
				if err != nil || !c.Needless {
					t.Errorf("needless %v, %v", c.Needless, err)
				}
			} else if !errors.As(err, &wrong) || wrong.Why != "" {
				t.Errorf("with another password: %v", err)
			}
		})
	}
}

// TestReadNSS reads what pk12util and with it Firefox write: BER with indefinite
// lengths, which is refused by name, and readable after openssl has rewritten it.
func TestReadNSS(t *testing.T) {
	for _, p := range programs {
		if (p.name == "pk12util" || p.name == "openssl") && installedVersion(t, p) == "" {
			t.Skipf("%s is not installed", p.product)
		}
	}
	b := benchFor(t, identities()["ecdsa-p256"])
	for _, command := range [][]string{
		{"mkdir", "db"},
		{"certutil", "-N", "-d", "sql:db", "--empty-password"},
		{"pk12util", "-i", "in.p12", "-d", "sql:db", "-w", "password"},
		{"pk12util", "-o", "nss.p12", "-n", leafName, "-d", "sql:db", "-w", "password"},
		{"openssl", "pkcs12", "-in", "nss.p12", "-passin", "file:password", "-nodes", "-out", "nss.pem"},
		{"openssl", "pkcs12", "-export", "-in", "nss.pem", "-passout", "file:password", "-out", "out.p12"},
	} {
		if err := b.run("", command[0], command[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pkcs12.Parse(b.read("nss.p12")); !errors.Is(err, pkcs12.ErrBER) {
		t.Errorf("as NSS writes it: %v", err)
	}
	f, err := pkcs12.Parse(b.read("out.p12"))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := f.Open(ordinary); err != nil || len(c.Keys) != 1 || len(c.Certificates) != 3 {
		t.Errorf("rewritten: %+v, %v", c, err)
	}
}

func describe(a *pkcs12.Algorithm, mac bool) string {
	switch {
	case a == nil:
		return "none"
	case mac:
		return strings.Join([]string{a.Name, a.Cipher, strconv.FormatInt(a.Iterations, 10)}, " ")
	}
	return strings.Join([]string{a.Cipher, a.KDF, a.Hash, strconv.FormatInt(a.Iterations, 10)}, " ")
}

// benchFor returns a folder with the files of id in PEM.
func benchFor(t *testing.T, id identity) *bench {
	b := &bench{t, t.TempDir()}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(id.key))})
	certificate := func(c *x509.Certificate) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	b.write("password", []byte(ordinary+"\n"))
	b.write("key.pem", key)
	b.write("leaf.pem", certificate(id.leaf))
	b.write("ca.pem", certificate(id.chain[0]))
	b.write("all.pem", slices.Concat(key, certificate(id.leaf), certificate(id.chain[0]), certificate(id.chain[1])))
	b.write("in.p12", must(pkcs12.Encode(pkcs12.LegacyDES, id.key, id.leaf, id.chain, ordinary)))
	return b
}
