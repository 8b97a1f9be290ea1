package pkcs12

import (
	"strings"
	"testing"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"

	"x509ctl/pkg/fault"
)

// TestWhy makes files by the habits of other programs and people, and asks why the
// password doesn't open them.
func TestWhy(t *testing.T) {
	c := newContents(t, 0)
	for _, e := range []*gopkcs12.Encoder{gopkcs12.Modern2023, gopkcs12.Modern2026, gopkcs12.LegacyDES, gopkcs12.LegacyRC2} {
		for _, tc := range []struct{ file, given, want string }{
			{"secret", "secret", ""},
			{"", "", ""},
			{"pässwörd", "pässwörd", ""},
			{"secret", "other", "the password is wrong, or the PKCS#12 file is damaged"},
			{"secret", "", "the password is wrong, or the PKCS#12 file is damaged"},
			{"", "secret", "the file's is empty"},
			{"secret\n", "secret", "the file's ends in a newline"},
			{"secret\r\n", "secret", "the file's ends in a carriage return and a newline"},
			{"\n", "", "the file's ends in a newline"},
			{"secret", " secret\t", "blanks or a newline around it, and the file's has not"},
			{"secret", `"secret"`, "quotes around it, and the file's has not"},
			{"'secret'", "secret", "the file's has quotes around it"},
			{"Secret", "sECRET", "caps lock"},
			{"secret", "\uFEFFsecret", "a byte order mark"},
			{"pÃ¤ss", "päss", "each of its octets for a character"},
			{"päss", "p\xe4ss", ""},
			{"secret", strings.Repeat("x", 5000), "more than 4096 octets"},
		} {
			f, err := Parse(encodeWith(e, c, tc.file))
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Open(tc.given)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || fault.KindOf(err) != fault.Denied) {
				t.Errorf("%q for %q: %v", tc.given, tc.file, err)
			}
			if err != nil && tc.given != "" && strings.Contains(err.Error(), tc.given) {
				t.Errorf("the error tells the password: %v", err)
			}
		}
	}
}

// TestWithoutMAC reads files that nobody protected.
func TestWithoutMAC(t *testing.T) {
	c := newContents(t, 1)
	bare := encodeWith(gopkcs12.Passwordless, c, "")
	cut := edit(t, encodeWith(gopkcs12.Modern2023, c, "secret"), func(f *node) { f.children = f.children[:2] })
	for name, tc := range map[string]struct {
		data     []byte
		password string
		needless bool
		want     string
	}{
		"nothing encrypted":                {bare, "", true, ""},
		"nothing encrypted, some password": {bare, "secret", true, ""},
		"encrypted":                        {cut, "secret", false, ""},
		"encrypted, wrong password":        {cut, "other", false, "the password is wrong, or"},
		"encrypted, a blank":               {cut, " secret", false, "blanks or a newline"},
	} {
		f, err := Parse(tc.data)
		if err != nil || f.MAC != nil {
			t.Fatalf("%s: %v, %v", name, f.MAC, err)
		}
		got, err := f.Open(tc.password)
		if tc.want != "" {
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || got.Needless != tc.needless || len(got.Keys) != 1 || len(got.Certificates) != 2 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if !strings.Contains(f.Readers(), "MAC") {
			t.Errorf("%s: %s", name, f.Readers())
		}
	}
}
