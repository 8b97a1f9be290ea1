package profile_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

func TestParseNameAccepts(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	for _, s := range []string{
		"a",
		"node1",
		"node1.example.com",
		"NODE1.Example.COM",
		"xn--bcher-kva.example",
		"3com.example",
		"10.example",
		"a--b.example",
		"1.2.3.4.example",
		"deadbeef",
		"0xyz",
		label63 + ".example",
		label63 + "." + label63 + "." + label63 + "." + label63[:61], // 253
	} {
		if got, err := profile.ParseName(s); err != nil || got != s {
			t.Errorf("ParseName(%q) = %q, %v", s, got, err)
		}
	}
}

func TestParseNameRefuses(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	for _, tc := range []struct{ name, in, want string }{
		{"empty", "", "empty"},
		{"wildcard", "*.example.com", "wildcards"},
		{"partial wildcard", "n*.example.com", "wildcards"},
		{"trailing dot", "node1.example.com.", "dot"},
		{"dot", ".", "dot"},
		{"leading dot", ".example.com", "empty label"},
		{"empty label", "node1..example.com", "empty label"},
		{"space", "node 1", "holds ' '"},
		{"underscore", "node_1", "holds '_'"},
		{"slash", "node1/example", "holds '/'"},
		{"at", "root@example.com", "holds '@'"},
		{"colon", "node1:443", "holds ':'"},
		{"NUL", "node1.example.com\x00.evil.test", `holds '\x00'`},
		{"newline", "node1\n", `holds '\n'`},
		{"escape", "node1\x1b[2J", `holds '\x1b'`},
		{"Cyrillic a", "n\u043ede1.example.com", `holds '\u043e'`},
		{"Kelvin sign", "\u212aelvin.example", `holds '\u212a'`},
		{"fullwidth", "\uff4eode1", `holds '\uff4e'`},
		{"ideographic full stop", "node1\u3002example", `holds '\u3002'`},
		{"not UTF-8", "node\xff", `holds '\ufffd'`},
		{"long label", label63 + "a.example", "63"},
		{"254 characters", label63 + "." + label63 + "." + label63 + "." + label63[:62], "253"},
		{"leading hyphen", "-node1.example.com", "hyphen"},
		{"trailing hyphen", "node1-.example.com", "hyphen"},
		{"only a hyphen", "-", "hyphen"},
		{"IPv4", "192.0.2.1", "IP address"},
		{"short IPv4", "127.1", "IP address"},
		{"number", "2130706433", "IP address"},
		{"hexadecimal", "0x7f000001", "IP address"},
		{"hexadecimal at the end", "127.0.0.0X1", "IP address"},
		{"bare 0x", "node1.0x", "IP address"},
		{"numeric top", "node1.123", "IP address"},
		{"IPv6", "2001:db8::1", "holds ':'"},
	} {
		_, err := profile.ParseName(tc.in)
		if err == nil {
			t.Errorf("%s: accepted", tc.name)
			continue
		}
		var ne *profile.NameError
		if !errors.As(err, &ne) || fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v (%v), want a denial with %q", tc.name, err, fault.KindOf(err), tc.want)
		}
		if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' && r != '…' }) {
			t.Errorf("%s: the error shows raw characters: %q", tc.name, err)
		}
	}
}

func TestFoldName(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "",
		"node1.example.com": "node1.example.com",
		"Node1.EXAMPLE.com": "node1.example.com",
		"[`@{":              "[`@{",
		"\u212a\u0130É":     "\u212a\u0130É", // strings.ToLower makes k and i of the first two
	} {
		if got := profile.FoldName(in); got != want {
			t.Errorf("FoldName(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestAddressKey(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":             "192.0.2.1",
		"::ffff:192.0.2.1":      "192.0.2.1",
		"2001:DB8:0:0:0:0:0:1":  "2001:db8::1",
		"fe80::1%eth0":          "fe80::1",
		"::ffff:192.0.2.1%eth0": "192.0.2.1",
	} {
		if got := profile.AddressKey(netip.MustParseAddr(in)); got != want {
			t.Errorf("AddressKey(%s) = %q, want %q", in, got, want)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{
		"", "node1.example.com", "*.example.com", "192.0.2.1", "0x7f.1", "xn--bcher-kva.example",
		"a.", "-a", "n\u043ede1", "a\x00b", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := profile.ParseName(s)
		folded := profile.FoldName(s)
		if profile.FoldName(folded) != folded || len(folded) != len(s) {
			t.Fatalf("FoldName(%q) = %q", s, folded)
		}
		if _, err2 := profile.ParseName(folded); (err == nil) != (err2 == nil) {
			t.Fatalf("%q: %v, but folded: %v", s, err, err2)
		}
		if err != nil {
			if fault.KindOf(err) != fault.Denied {
				t.Fatalf("%q: %v is %v", s, err, fault.KindOf(err))
			}
			return
		}
		if got != s || len(s) < 1 || len(s) > 253 {
			t.Fatalf("ParseName(%q) = %q", s, got)
		}
		if _, err := netip.ParseAddr(s); err == nil {
			t.Fatalf("%q is an IP address", s)
		}
		if strings.Trim(folded, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
			t.Fatalf("%q holds other characters", s)
		}
	})
}
