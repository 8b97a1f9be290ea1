package project_test

import (
	"bytes"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/project"
)

func TestDecode(t *testing.T) {
	for _, tc := range []struct {
		e          project.Encoding
		text, want string
		bad        string
	}{
		{e: project.Raw, text: "a \n", want: "a \n"},
		{e: project.Base64, text: "c2Vj\r\ncmV0\n", want: "secret"},
		{e: project.Base64, text: " c2U= ", want: "se"},
		{e: project.Base64, text: "c2U", bad: "not base64"},
		{e: project.Base64, text: "c2V=", bad: "not base64"}, // bits that belong to nothing
		{e: project.Base64, text: "c2U=c2U=", bad: "not base64"},
		{e: project.Base64, text: "_-==", bad: "not base64"},
		{e: project.Base64, text: "\u00a0c2U=", bad: "not base64"},
		{e: project.Hex, text: "736563\n 526574", want: "secRet"},
		{e: project.Hex, text: "aAFf", want: "\xaa\xff", bad: ""},
		{e: project.Hex, text: "aAF", bad: "odd number"},
		{e: project.Hex, text: "0x00", bad: "not hex"},
		{e: project.Hex, text: "00\xff0", bad: "not hex"},
		{e: "", text: "", bad: `"" is no encoding`},
		{e: "rot13", text: "", bad: "raw, base64 and hex"},
	} {
		got, err := tc.e.Decode([]byte(tc.text))
		switch {
		case tc.bad != "":
			if fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), tc.bad) {
				t.Errorf("%s %q: %v", tc.e, tc.text, err)
			}
		case err != nil || string(got) != tc.want:
			t.Errorf("%s %q: got %q, %v", tc.e, tc.text, got, err)
		}
	}
	if _, err := project.Encoding("x").Encode(nil); fault.KindOf(err) != fault.Malformed {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{"", "c2VjcmV0", "736563 726574\n", "c2V=", "0g", "\xff\xfe"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, e := range project.Encodings() {
			// What was written is read as it was.
			written, err := e.Encode(text)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := e.Decode(written); err != nil || !bytes.Equal(got, text) {
				t.Fatalf("%s: got %x of %x, %v", e, got, text, err)
			}
			// What can be read is the one way to write it, but for space and case.
			octets, err := e.Decode(text)
			if err != nil {
				continue
			}
			again, err := e.Encode(octets)
			if err != nil || plain(e, again) != plain(e, text) {
				t.Fatalf("%s: %q was read, and is written %q, %v", e, text, again, err)
			}
		}
	})
}

// plain returns text as everybody would write it.
func plain(e project.Encoding, text []byte) string {
	s := string(text)
	if e != project.Raw {
		s = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "", "\v", "", "\f", "").Replace(s)
	}
	if e == project.Hex {
		s = strings.ToLower(s)
	}
	return s
}
