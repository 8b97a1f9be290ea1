package keypair_test

import (
	"encoding/base64"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/keypair"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestParseType(t *testing.T) {
	for text, want := range map[string]keypair.Type{"ssh": keypair.SSH, "SSH": keypair.SSH, "x509": keypair.X509, "X509": keypair.X509, "Ssh": keypair.SSH} {
		if got, err := keypair.ParseType(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "rsa", "ssh ", "x.509", "\u017fsh", strings.Repeat("x", 1000)} {
		if got, err := keypair.ParseType(text); got != "" || fault.KindOf(err) != fault.Malformed || len(err.Error()) > 100 {
			t.Errorf("%.20q: %v, %v", text, got, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "key 1", "alice@example.com", "...", "a.b_c-d", strings.Repeat("x", 255), "-rf"} {
		if err := keypair.CheckNovaName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", ".", "..", " a", "a ", "a\n", "\na", "a\x00b", "a\x1b[2J", "a\tb", strings.Repeat("x", 256), "a\xff", "\u00a0a", "a\u202eb", "a\u200bb",
	} {
		for what, check := range map[string]func(string) error{"": keypair.CheckName, "Nova's": keypair.CheckNovaName} {
			if err := check(name); fault.KindOf(err) != fault.Malformed || err == nil {
				t.Errorf("%s %.20q: %v", what, name, err)
			}
		}
	}
	for _, name := range []string{"a/b", "a:b", "Schlüssel", "鍵", "a'b", `a"b`, "a;b", "a\u00a0b"} {
		if err := keypair.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if err := keypair.CheckNovaName(name); fault.KindOf(err) != fault.Malformed {
			t.Errorf("Nova's %q: %v", name, err)
		}
	}
	if err := keypair.CheckUser(strings.Repeat("ü", 255)); err != nil {
		t.Error(err)
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/import/" + name)
	must(t, err)
	return string(b)
}

// Without a type the content decides, and a type that contradicts it is refused with
// both named.
func TestDetect(t *testing.T) {
	key, certificate := read(t, "ssh-ed25519"), read(t, "x509-winrm")
	for text, want := range map[string]keypair.Type{
		key: keypair.SSH, certificate: keypair.X509, read(t, "x509-text-before"): keypair.X509, key + certificate: keypair.SSH,
		" " + key: keypair.SSH, read(t, "ssh-options"): keypair.SSH, read(t, "x509-request"): "", "": "", "hello": "",
	} {
		if got := keypair.Detect(text); got != want {
			t.Errorf("%.30q: %q, want %q", text, got, want)
		}
	}
	for typ, text := range map[keypair.Type]string{keypair.SSH: certificate, keypair.X509: key} {
		_, err := keypair.Parse(typ, text)
		if fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), map[keypair.Type]string{keypair.SSH: "X.509", keypair.X509: "SSH"}[typ]) || !strings.Contains(err.Error(), "type "+string(typ)) {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

// No error says what is in the file.
func TestErrorsKeepSecrets(t *testing.T) {
	for _, file := range corpus(t) {
		text := read(t, strings.TrimPrefix(file, "testdata/import/"))
		for _, typ := range []keypair.Type{"", keypair.SSH, keypair.X509} {
			_, err := keypair.Parse(typ, text)
			if err == nil {
				continue
			}
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); len(line) > 20 && strings.Contains(err.Error(), line[len(line)-16:]) {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	for name, want := range map[string][]string{
		"ssh-ed25519":         nil,
		"ssh-dsa":             {"DSA"},
		"x509-winrm":          nil,
		"x509-text-before":    {"beside the certificate"},
		"x509-two":            {"beside the certificate"},
		"x509-plain":          {"user principal name", "client authentication"},
		"x509-ec":             {"user principal name", "client authentication", "not RSA"},
		"x509-brainpool":      {"can't be understood"},
		"x509-signed-expired": {"user principal name", "client authentication", "expired", "self-signed"},
	} {
		p, err := keypair.Parse("", read(t, name))
		must(t, err)
		got := p.Warnings(now.AddDate(1, 0, 0))
		if len(got) != len(want) {
			t.Errorf("%s: %q, want %q", name, got, want)
			continue
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
}

// FuzzParse judges a text as each type. What is accepted as SSH must be safe to append
// to authorized_keys, however a program splits lines, and mean to Go's own parser what it
// means here.
func FuzzParse(f *testing.F) {
	for _, file := range corpus(f) {
		if b, err := os.ReadFile(file); err == nil && len(b) < 8192 {
			f.Add(string(b))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, typ := range []keypair.Type{"", keypair.SSH, keypair.X509} {
			p, err := keypair.Parse(typ, text)
			if err != nil {
				if fault.KindOf(err) != fault.Malformed {
					t.Fatalf("%v is %v", err, fault.KindOf(err))
				}
				continue
			}
			if p.Text != text || p.Keys < 1 || len(p.Fingerprint()) != map[keypair.Type]int{keypair.SSH: 47, keypair.X509: 59}[p.Type] {
				t.Fatalf("%+v", p)
			}
			_, _, _ = p.Warnings(now), p.UPN(), p.SHA256()
			if p.Type == keypair.SSH {
				checkLines(t, p)
			}
		}
	})
}

func checkLines(t *testing.T, p *keypair.Public) {
	t.Helper()
	lines := strings.FieldsFunc(p.Text, func(r rune) bool { return strings.ContainsRune("\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029\x00", r) })
	for i, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if word, _, _ := strings.Cut(line, " "); strings.ContainsAny(word, `"=,`) {
			t.Fatalf("line %d begins with %q", i+1, word)
		}
		key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			continue // it knows fewer keys: no DSA, only well-formed certificates
		}
		if len(options) > 0 {
			t.Fatalf("line %d has options: %q", i+1, options)
		}
		if i > 0 {
			continue
		}
		// It writes numbers with leading zeros anew, without them; Nova takes the MD5 of
		// what was given.
		anew := !strings.Contains(line, base64.StdEncoding.EncodeToString(key.Marshal()))
		if key.Type() != p.Algorithm || !anew && ssh.FingerprintLegacyMD5(key) != p.Fingerprint() {
			t.Fatalf("%s %s, want %s %s", p.Algorithm, p.Fingerprint(), key.Type(), ssh.FingerprintLegacyMD5(key))
		}
	}
}
