package cli

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

// FuzzSettings reads data as x509ctl.yaml. What is accepted can be shown, and means what
// it must.
func FuzzSettings(f *testing.F) {
	for _, s := range []string{
		"", "# nothing\n", "wait: 5s\nlifetime: 7d\nkey_type: rsa-2048\n",
		"ca_passphrase_file: /etc/x509ctl/pass\nserial_copies: [/mnt/a/serial, /mnt/b/serial]\n",
		"serial_hook:\n  - /usr/bin/true\n  - \"a b\"\nserial_hook_timeout: 1m30s\n",
		"serial_hook: [relative]\n", "wait: &a 5s\nlifetime: *a\n", "<<: {wait: 5s}\n", "wait: 5s\nwait: 6s\n",
		"{", "? [a]\n: b\n", "wait: !!int 5\n", "--- |\n x\n", "wait:\n\t- 5s\n", "\x00\xff", "wait: \"\\x\"", "a: [[[[{b: [", "!!binary aGVsbG8=\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > maxSettingsFile {
			return
		}
		s := defaultSettings()
		defs := settingDefs(s)
		begin := time.Now()
		err := applyYAML(data, s, defs)
		if took := time.Since(begin); took > 5*time.Second {
			t.Fatalf("%d bytes took %v", len(data), took)
		}
		if err != nil {
			return
		}
		for _, d := range defs {
			_ = d.show()
		}
		if _, err := profile.ParseKeyAlgorithm(string(s.keyType)); err != nil {
			t.Fatal(err)
		}
		for _, d := range []time.Duration{s.wait, s.lifetime, s.serialHookTimeout} {
			if d < time.Second {
				t.Fatalf("a duration of %v", d)
			}
		}
		for _, path := range append(s.serialCopies, s.serialHook[:min(1, len(s.serialHook))]...) {
			if !filepath.IsAbs(path) {
				t.Fatalf("%q is no absolute path", path)
			}
		}
	})
}

// FuzzArguments reads s as each of the small things that an argument can be. What is
// accepted is read again from how it is shown.
func FuzzArguments(f *testing.F) {
	for _, s := range []string{
		"90s", "1h30m", "5y", "7d12h", "106751d", "9223372036854775807y", "1.5h", "-1h", "0x1F", "0x0", "0x+1", "0x_1", "9223372036854775807",
		"10..20", "..5", "7..", "..", "5..1", "node1.csr", ".csr", "a/b.PEM", "..", "/", "P-256", "rsa:2048", "ECDSA_P384",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := parseDuration(s); err == nil {
			if again, err := parseDuration(formatDuration(d)); d < time.Second || err != nil || again != d {
				t.Errorf("%q is %v, shown as %q, read as %v, %v", s, d, formatDuration(d), again, err)
			}
		}
		if n, err := parseSerial(s); err == nil {
			for _, shown := range []string{n.String(), serialHex(n)} {
				if again, err := parseSerial(shown); n < 1 || err != nil || again != n {
					t.Errorf("%q is %v, shown as %q, read as %v, %v", s, n, shown, again, err)
				}
			}
		} else if fault.KindOf(err) != fault.Malformed {
			t.Errorf("%v is %v", err, fault.KindOf(err))
		}
		var r, again serialRange
		if r.Set(s) == nil {
			if err := again.Set(r.String()); err != nil || again != r {
				t.Errorf("%q is %v, shown as %q, read as %v, %v", s, r, r.String(), again, err)
			}
		}
		if a, err := profile.ParseKeyAlgorithm(s); err == nil {
			if again, err := profile.ParseKeyAlgorithm(string(a)); err != nil || again != a {
				t.Errorf("%q is %q, read as %q, %v", s, a, again, err)
			}
		}
		if base := baseName(s); strings.Contains(base, "/") && base != "/" || base == "" {
			t.Errorf("the name of %q is %q", s, base)
		}
	})
}
