package pkcs12_test

import (
	"crypto"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"x509ctl/pkg/pkcs12"
)

var update = flag.Bool("update", false, "write compatibility.txt anew, from the programs installed")

// ordinary is the password of the files that have one: with everything in it that
// shells and parsers stumble over.
const ordinary = `Tr0ub4dor "&3' $x\ # ~`

// minimum is what Readers says of versions: a profile can be opened by the product
// from this version on.
var minimum = map[pkcs12.Profile]map[string]string{
	pkcs12.Modern2023: {"OpenSSL": "1.1", "Java": "12"},
	pkcs12.Modern2026: {"OpenSSL": "3.4", "Java": "26"},
}

// TestCompatibility makes a file of every kind, has every program open it, and
// compares who could with the table.
//
// With the version that is in the table the answers have to be the same. Another
// version is held to minimum, and a difference beyond it is only told: it may be
// that the program has learned something.
func TestCompatibility(t *testing.T) {
	versions := map[string]string{}
	for _, p := range programs {
		versions[p.name] = installedVersion(t, p)
	}
	if !slices.ContainsFunc(programs, func(p program) bool { return versions[p.name] != "" }) {
		t.Skip("no program that reads PKCS#12 is installed")
	}
	got := tryAll(t, versions)
	for _, r := range got {
		for _, p := range programs {
			if easiest := r.Profile == pkcs12.LegacyDES && r.Key == "rsa-2048" && !r.EmptyPassword; easiest &&
				versions[p.name] != "" && !slices.Contains(r.OpenedBy, p.name) {
				t.Fatalf("%s opens nothing: it is called in a wrong way", p.name)
			}
		}
	}
	if *update {
		writeTable(t, versions, got)
		return
	}
	listed, want := pkcs12.Compatibility()
	if len(want) != len(got) || len(listed) != len(programs) {
		t.Fatalf("the table has %d readings and %d programs, want %d and %d", len(want), len(listed), len(got), len(programs))
	}
	for i, w := range want {
		g := got[i]
		if g.Profile != w.Profile || g.Key != w.Key || g.EmptyPassword != w.EmptyPassword {
			t.Fatalf("row %d of the table is %v, want %v", i+1, w, g)
		}
		for _, p := range listed {
			version := versions[p.Name]
			opens, said := slices.Contains(g.OpenedBy, p.Name), slices.Contains(w.OpenedBy, p.Name)
			since, known := minimum[w.Profile][p.Product]
			switch {
			case version == "":
			case known && !w.EmptyPassword && opens != atLeast(version, since):
				t.Errorf("%s %s opens %v: %v, but Readers says from %s", p.Product, version, w, opens, since)
			case opens == said:
			case version == p.Version:
				t.Errorf("%s %s opens %v: %v, but the table says %v", p.Product, version, w, opens, said)
			default:
				t.Logf("%s %s opens %v: %v; the table, of %s, says %v", p.Product, version, w, opens, p.Version, said)
			}
		}
	}
}

// tryAll returns a reading for every kind of file, in the table's order.
func tryAll(t *testing.T, versions map[string]string) []pkcs12.Reading {
	var readings []pkcs12.Reading
	for _, p := range pkcs12.Profiles() {
		for _, key := range keyKinds {
			for _, empty := range []bool{false, true} {
				readings = append(readings, pkcs12.Reading{Profile: p, Key: key, EmptyPassword: empty})
			}
		}
	}
	t.Run("try", func(t *testing.T) {
		for i := range readings {
			r := &readings[i]
			t.Run(fmt.Sprint(r.Profile, " ", r.Key, " ", r.EmptyPassword), func(t *testing.T) {
				t.Parallel()
				tryOne(t, versions, r)
			})
		}
	})
	return readings
}

// tryOne has every program open one kind of file, and adds those that can to r.
func tryOne(t *testing.T, versions map[string]string, r *pkcs12.Reading) {
	id := identities()[r.Key]
	password, data, err := "", []byte(nil), error(nil)
	if r.EmptyPassword {
		data, err = pkcs12.EncodeEmptyPassword(r.Profile, id.key, id.leaf, id.chain)
	} else {
		password = ordinary
		data, err = pkcs12.Encode(r.Profile, id.key, id.leaf, id.chain, password)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if versions[p.name] == "" {
			continue
		}
		err := tryProgram(t, p, id, data, password)
		t.Logf("%s: %v", p.name, err)
		if err == nil {
			r.OpenedBy = append(r.OpenedBy, p.name)
		}
	}
}

// tryProgram has p open data, and compares what it got.
func tryProgram(t *testing.T, p program, id identity, data []byte, password string) error {
	b := &bench{t, t.TempDir()}
	b.write("in.p12", data)
	b.write("password", []byte(password+"\n"))
	got, err := p.open(b)
	if err != nil {
		return err
	}
	if got.key != nil {
		got.pub = got.key.(crypto.Signer).Public()
	}
	k, ok := got.key.(interface{ Equal(crypto.PrivateKey) bool })
	switch want := append(slices.Clone(id.chain), id.leaf); {
	case ok && !k.Equal(id.key), !id.key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(got.pub):
		err = errors.New("got another key")
	case len(got.certs) != len(want):
		err = fmt.Errorf("got %d certificates of %d", len(got.certs), len(want))
	case slices.ContainsFunc(want, func(c *x509.Certificate) bool { return !slices.ContainsFunc(got.certs, c.Equal) }):
		err = errors.New("got other certificates")
	}
	if err != nil {
		t.Errorf("%s succeeded, but %v", p.name, err)
	}
	return err
}

func writeTable(t *testing.T, versions map[string]string, readings []pkcs12.Reading) {
	var text strings.Builder
	text.WriteString("# Which programs open which files, as seen.\n" +
		"# Written by: go test ./pkg/pkcs12 -run TestCompatibility -update\n")
	for _, p := range programs {
		if versions[p.name] == "" {
			t.Fatalf("%s is not installed: the table would be incomplete", p.product)
		}
		fmt.Fprintln(&text, "program", p.name, versions[p.name], p.product)
	}
	for _, r := range readings {
		password := "normal"
		if r.EmptyPassword {
			password = "empty"
		}
		fmt.Fprintln(&text, strings.TrimSpace(fmt.Sprintf("reading %s %s %s %s", r.Profile, r.Key, password, strings.Join(r.OpenedBy, " "))))
	}
	if err := os.WriteFile("compatibility.txt", []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// atLeast compares versions number by number.
func atLeast(version, minimum string) bool {
	v, m := strings.Split(version, "."), strings.Split(minimum, ".")
	for i := range m {
		want, _ := strconv.Atoi(m[i]) // written in this file
		have := 0
		if i < len(v) {
			have, _ = strconv.Atoi(v[i]) // matched as a number
		}
		if have != want {
			return have > want
		}
	}
	return true
}

// TestHardPasswords has every program read passwords at the bounds of what is
// allowed, from a file as they are given.
func TestHardPasswords(t *testing.T) {
	id := identities()["ecdsa-p256"]
	var ascii strings.Builder
	for c := ' '; c <= '~'; c++ {
		ascii.WriteRune(c)
	}
	for _, password := range []string{
		" blanks around ", strings.Repeat("x", pkcs12.MaxPassword), ascii.String(),
	} {
		for _, profile := range []pkcs12.Profile{pkcs12.Modern2023, pkcs12.LegacyDES} {
			data, err := pkcs12.Encode(profile, id.key, id.leaf, id.chain, password)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range programs {
				if p.name == "openssl-legacy" || installedVersion(t, p) == "" {
					continue
				}
				if err := tryProgram(t, p, id, data, password); err != nil {
					t.Errorf("%s, %s, %.20q: %v", p.name, profile, password, err)
				}
			}
		}
	}
}

// TestReaders compares what users are told; what was tried comes from the table.
func TestReaders(t *testing.T) {
	for profile, want := range map[pkcs12.Profile]string{
		pkcs12.Modern2023: "OpenSSL 1.1.1, Java 12 and Windows Server 2019, and later ones; not Windows Server 2016, nor older macOS keychains; " +
			"tried with OpenSSL 3.0, Java 17.0, NSS 3.87 (not ed25519), GnuTLS 3.7",
		pkcs12.Modern2026: "OpenSSL 3.4 and Java 26, and later ones; none of OpenSSL 3.0, Java 17.0, NSS 3.87, GnuTLS 3.7",
		pkcs12.LegacyDES: "nearly all software, Windows Server 2016 and macOS keychains among it; " +
			"tried with OpenSSL 3.0, Java 17.0, NSS 3.87 (not ed25519), GnuTLS 3.7",
		pkcs12.LegacyRC2: "old software; tried with OpenSSL 3.0 with -legacy, Java 17.0, NSS 3.87 (not ed25519), GnuTLS 3.7",
		"unknown":        "",
	} {
		if got := profile.Readers(); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", profile, got, want)
		}
	}
}
