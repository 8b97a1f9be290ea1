package pkcs12

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"

	"x509ctl/pkg/fault"
)

var (
	most31 = []byte{0x7f, 0xff, 0xff, 0xff}
	most63 = []byte{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
)

func encodeWith(e *gopkcs12.Encoder, c contents, password string) []byte {
	data, err := e.Encode(c.key, c.leaf, c.chain, password)
	if err != nil {
		panic(err)
	}
	return data
}

// TestParseRefuses reads what is no PKCS#12 file, or not one that is read here.
func TestParseRefuses(t *testing.T) {
	c := newContents(t, 1)
	good := encodeWith(gopkcs12.Modern2023, c, "secret")
	for name, tc := range map[string]struct {
		data []byte
		want string
		is   error
	}{
		"nothing":         {nil, "damaged, or none", nil},
		"text":            {[]byte("hello"), "damaged, or none", nil},
		"a certificate":   {c.leaf.Raw, "damaged, or none", nil},
		"cut":             {good[:len(good)-1], "damaged", nil},
		"one octet more":  {append(good[:len(good):len(good)], 0), "trailing data", nil},
		"too large":       {make([]byte, MaxFile+1), "larger than 1048576", nil},
		"version":         {edit(t, good, func(f *node) { f.at(0).value = []byte{4} }), "of version 4", nil},
		"signed":          {edit(t, good, func(f *node) { f.at(1, 0).value[8] = 2 }), "by a signature", nil},
		"BER all around":  {edit(t, good, func(f *node) { f.endless = true }), "an indefinite length", ErrBER},
		"BER inside":      {edit(t, good, func(f *node) { f.at(1, 1).endless = true }), "an indefinite length", ErrBER},
		"BER in the safe": {editSafe(t, good, func(s *node) { s.at(0).endless = true }), "an indefinite length", ErrBER},
		"BER in the MAC":  {edit(t, good, func(f *node) { f.at(2, 0).endless = true }), "an indefinite length", ErrBER},
		"a string in pieces": {edit(t, good, func(f *node) {
			n := f.at(safePath...)
			n.tag, n.children = 0x24, []*node{{tag: 4, value: n.value[:10]}, {tag: 4, value: n.value[10:]}}
		}), "a string in pieces", ErrBER},
		"many parts": {editSafe(t, good, func(s *node) {
			for range 100 {
				s.children = append(s.children, s.at(1))
			}
		}), "102 parts", nil},
		"contents in contents": {editSafe(t, good, func(s *node) {
			nested := s.at(1, 1, 0)
			bags := nested.value
			for range 6 {
				bags = element(0x30, element(0x30, append([]byte("\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x06"), element(0xa0, bags)...)))
			}
			nested.value = bags
		}), "more than 4 deep", nil},
	} {
		start := time.Now()
		f, err := Parse(tc.data)
		if err == nil {
			t.Errorf("%s: read %+v", name, f)
			continue
		}
		if fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), tc.want) ||
			tc.is != nil && !errors.Is(err, tc.is) || tc.is == nil && errors.Is(err, ErrBER) || time.Since(start) > time.Second {
			t.Errorf("%s: %v of kind %q after %v", name, err, fault.KindOf(err), time.Since(start))
		}
	}
}

// TestCheckRefuses opens files that ask for too much, or for what is not safe, and
// says so at once.
func TestCheckRefuses(t *testing.T) {
	c := newContents(t, 1)
	modern, pbmac1 := encodeWith(gopkcs12.Modern2023, c, "secret"), encodeWith(gopkcs12.Modern2026, c, "secret")
	legacy := encodeWith(gopkcs12.LegacyDES, c, "secret")
	mac := func(data []byte, n []byte) []byte {
		return edit(t, data, func(f *node) { f.at(macPath...).at(2).value = n })
	}
	inMAC := func(path []int, n []byte) []byte {
		return edit(t, pbmac1, func(f *node) { f.at(2, 0, 0, 1).at(path...).value = n })
	}
	part := func(path []int, n []byte) []byte {
		return editSafe(t, modern, func(s *node) { s.at(0, 1, 0, 1, 1, 1).at(path...).value = n })
	}
	for name, tc := range map[string]struct {
		data []byte
		is   error
		want string
	}{
		"MAC, 2^31-1":            {mac(modern, most31), ErrTooMuchWork, "the MAC: "},
		"MAC, 2^63-1":            {mac(modern, most63), ErrTooMuchWork, "9223372036854775807 iterations"},
		"MAC, 2^71":              {mac(modern, append(most63, 0xff)), ErrTooMuchWork, "2361183241434822606847 iterations"},
		"MAC, none":              {mac(modern, []byte{0}), errParameters, ""},
		"MAC, below none":        {mac(modern, []byte{0xff}), errParameters, ""},
		"PBMAC1, 2^31-1":         {inMAC([]int{0, 1, 1}, most31), ErrTooMuchWork, "2147483647 iterations of SHA-256"},
		"PBMAC1, 1 octet":        {inMAC([]int{0, 1, 2}, []byte{1}), ErrShortKey, "1 octets"},
		"PBMAC1, 19 octets":      {inMAC([]int{0, 1, 2}, []byte{19}), ErrShortKey, "19 octets"},
		"PBMAC1, no octet":       {inMAC([]int{0, 1, 2}, []byte{0}), ErrShortKey, "how long"},
		"PBMAC1, 65 octets":      {inMAC([]int{0, 1, 2}, []byte{65}), ErrTooMuchWork, "65 octets"},
		"PBMAC1, 2^31-1 octets":  {inMAC([]int{0, 1, 2}, most31), ErrTooMuchWork, "2147483647 octets"},
		"PBMAC1, -1 octets":      {inMAC([]int{0, 1, 2}, []byte{0xff}), errParameters, ""},
		"part, 2^31-1":           {part([]int{0, 1, 1}, most31), ErrTooMuchWork, "part 1: "},
		"part, unknown cipher":   {part([]int{1, 0}, []byte{0x2a, 3}), ErrUnsupported, "1.2.3"},
		"part, unknown PRF":      {part([]int{0, 1, 2, 0}, []byte{0x2a, 3}), ErrUnsupported, "PBKDF2 over 1.2.3"},
		"part, unknown KDF":      {part([]int{0, 0}, []byte{0x2a, 3}), ErrUnsupported, "1.2.3"},
		"part, short IV":         {part([]int{1, 1}, []byte{1, 2, 3}), errParameters, ""},
		"MAC by something":       {edit(t, modern, func(f *node) { f.at(2, 0, 0, 0).value = []byte{0x2a, 3} }), ErrUnsupported, "a MAC by 1.2.3"},
		"key, 2^31-1":            {editKey(t, modern, []int{0, 1, 0, 1, 1}, most31), ErrTooMuchWork, "a key in part 2"},
		"3DES, three times 4 M":  {editKey(t, legacy, []int{0, 1, 1}, []byte{0x3d, 9, 0}), ErrTooMuchWork, "a key in part 2"},
		"many that are little":   {manyKeys(t, modern, 20, []byte{9, 0x27, 0xc0}), ErrTooMuchWork, "with all others"},
		"for a public key":       {editSafe(t, modern, func(s *node) { s.at(0, 0).value[8] = 3 }), ErrUnsupported, "owner of a private key"},
		"encryption, RC4":        {editSafe(t, legacy, func(s *node) { s.at(0, 1, 0, 1, 1, 0).value[9] = 1 }), ErrUnsupported, "RC4"},
		"scrypt, much memory":    {scrypted(t, modern, 1<<20, 8, 1), ErrTooMuchWork, "N=1048576, r=8, p=1"},
		"scrypt, much work":      {scrypted(t, modern, 1<<14, 8, 16), nil, ""},
		"scrypt, no power of 2":  {scrypted(t, modern, 1000, 8, 1), errParameters, ""},
		"scrypt, lanes":          {scrypted(t, modern, 2, 1, 17), ErrTooMuchWork, "p=17"},
		"scrypt, blocks":         {scrypted(t, modern, 2, math.MaxInt32, 1), ErrTooMuchWork, "r=2147483647"},
		"as they are":            {modern, nil, ""},
		"as they are, by PBMAC1": {pbmac1, nil, ""},
	} {
		f, err := Parse(tc.data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		start := time.Now()
		err = f.Check()
		if !errors.Is(err, tc.is) || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if tc.is == nil {
			continue
		}
		if _, again := f.Open("secret"); again == nil || again.Error() != err.Error() || time.Since(start) > time.Second {
			t.Errorf("%s: opening it: %v after %v", name, again, time.Since(start))
		}
	}
}

// editKey changes a value in the EncryptedPrivateKeyInfo of the second part.
func editKey(t *testing.T, data []byte, path []int, value []byte) []byte {
	return editSafe(t, data, func(s *node) {
		octets := s.at(1, 1, 0)
		octets.value = edit(t, octets.value, func(bags *node) { bags.at(0, 1, 0, 0).at(path[1:]...).value = value })
	})
}

// manyKeys repeats the key, with a number of iterations.
func manyKeys(t *testing.T, data []byte, n int, iterations []byte) []byte {
	data = editKey(t, data, []int{0, 1, 0, 1, 1}, iterations)
	return editSafe(t, data, func(s *node) {
		octets := s.at(1, 1, 0)
		octets.value = edit(t, octets.value, func(bags *node) {
			for range n - 1 {
				bags.children = append(bags.children, bags.at(0))
			}
		})
	})
}

// scrypted gives the first part scrypt parameters.
func scrypted(t *testing.T, data []byte, n, r, p int) []byte {
	integer := func(v int) []byte {
		return element(2, []byte{0, byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}[firstOctet(v):])
	}
	params := append(element(4, []byte("saltsalt")), integer(n)...)
	params = append(append(params, integer(r)...), integer(p)...)
	kdf := append([]byte("\x06\x09\x2b\x06\x01\x04\x01\xda\x47\x04\x0b"), element(0x30, params)...)
	return editSafe(t, data, func(s *node) {
		scheme := s.at(0, 1, 0, 1, 1, 1)
		scheme.children[0] = parseNodes(t, element(0x30, kdf))[0]
	})
}

// firstOctet is where the shortest form of v begins, in five octets.
func firstOctet(v int) int {
	for i, bits := 4, 7; i > 0; i, bits = i-1, bits+8 {
		if v < 1<<bits {
			return i
		}
	}
	return 0
}

// TestOpenJudges opens files whose contents are hostile to one who has the password.
func TestOpenJudges(t *testing.T) {
	c, other := newContents(t, 1), newContents(t, 0)
	modern := encodeWith(gopkcs12.Modern2023, c, "secret")
	for name, tc := range map[string]struct {
		data []byte
		is   error
	}{
		"as it is":                   {modern, nil},
		"changed after the MAC":      {editSafe(t, modern, func(s *node) { s.at(1, 1, 0).value[len(s.at(1, 1, 0).value)-1] ^= 1 }), ErrDamaged},
		"changed in the first part":  {editSafe(t, modern, func(s *node) { s.at(0, 1, 0, 1, 2).value[400] ^= 1 }), ErrDamaged},
		"the MAC changed":            {edit(t, modern, func(f *node) { f.at(2, 0, 1).value[0] ^= 1 }), ErrDamaged},
		"another password inside":    {remac(t, modern, "another"), &PasswordError{}},
		"BER under the encryption":   {editBags(t, modern, "secret", func(b *node) { b.at(0).endless = true }), ErrBER},
		"hidden key, 2^31-1":         {hiddenKey(t, modern), ErrTooMuchWork},
		"damaged under a right MAC":  {remac(t, editSafe(t, modern, func(s *node) { v := s.at(0, 1, 0, 1, 2).value; v[len(v)-17] ^= 0xff }), "secret"), ErrOtherPassword},
		"another's certificate":      {encodeWith(gopkcs12.Modern2023, contents{c.key, other.leaf, nil}, "secret"), nil},
		"no certificate understands": {editBags(t, modern, "secret", func(b *node) { b.at(0, 1, 0, 1, 0).value = []byte("x") }), fault.New(fault.Malformed, "")},
	} {
		f, err := Parse(tc.data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, err = f.Open("secret")
		var wrong *PasswordError
		switch {
		case name == "another password inside":
			if !errors.As(err, &wrong) {
				// The MAC is another's, but the parts are by this one: it was changed.
				if !errors.Is(err, ErrDamaged) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if _, err := f.Open("another"); !errors.Is(err, ErrOtherPassword) {
				t.Errorf("%s: %v", name, err)
			}
		case name == "no certificate understands":
			if fault.KindOf(err) != fault.Malformed {
				t.Errorf("%s: %v", name, err)
			}
		case !errors.Is(err, tc.is):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// hiddenKey moves the key into the encrypted part, and has it ask for 2^31-1
// iterations.
func hiddenKey(t *testing.T, data []byte) []byte {
	f, err := Parse(editKey(t, data, []int{0, 1, 0, 1, 1}, most31))
	if err != nil {
		t.Fatal(err)
	}
	bag := parseNodes(t, f.Parts[1].data)[0].at(0)
	return editBags(t, data, "secret", func(b *node) { b.children = append(b.children, bag) })
}

// TestCheckKeys tells a key with another one's certificate.
func TestCheckKeys(t *testing.T) {
	c, other := newContents(t, 1), newContents(t, 0)
	noID := func(data []byte) []byte {
		return editBags(t, data, "secret", func(b *node) {
			for _, bag := range b.children {
				bag.children = bag.children[:2]
			}
		})
	}
	mixed := contents{c.key, other.leaf, []*x509.Certificate{c.leaf}}
	for name, tc := range map[string]struct {
		data []byte
		want error
	}{
		"its own":                          {encodeWith(gopkcs12.Modern2023, c, "secret"), nil},
		"its own, without ID":              {noID(encodeWith(gopkcs12.Modern2023, c, "secret")), nil},
		"another's":                        {encodeWith(gopkcs12.Modern2023, contents{c.key, other.leaf, nil}, "secret"), ErrNotTheKeys},
		"another's, without ID":            {noID(encodeWith(gopkcs12.Modern2023, contents{c.key, other.leaf, nil}, "secret")), ErrNotTheKeys},
		"another's ID, its own beside":     {encodeWith(gopkcs12.Modern2023, mixed, "secret"), ErrNotTheKeys},
		"another's first, its own, no IDs": {noID(encodeWith(gopkcs12.Modern2023, mixed, "secret")), nil},
	} {
		f, err := Parse(tc.data)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Open("secret")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := got.CheckKeys(); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func vector(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestVectors opens those of RFC 9579, appendix A, and a forged trust store.
func TestVectors(t *testing.T) {
	for name, want := range map[string]error{
		"rfc9579-a1.txt":              nil,
		"rfc9579-a2.txt":              nil,
		"rfc9579-a3.txt":              nil,
		"rfc9579-a4.txt":              ErrDamaged, // a wrong iteration count
		"rfc9579-a5.txt":              ErrDamaged, // a wrong salt
		"rfc9579-a6.txt":              ErrShortKey,
		"pbmac1-short-key-bypass.txt": ErrShortKey,
	} {
		f, err := Parse(vector(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c, err := f.Open("1234")
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (len(c.Keys) != 1 || len(c.Certificates) != 1 || c.CheckKeys() != nil) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestLike recognizes the files of each profile, and what others make of them.
func TestLike(t *testing.T) {
	c := newContents(t, 1)
	for _, p := range Profiles() {
		a, _ := algorithmsOf(p)
		f, err := Parse(encodeWith(a.encoder, c, "secret"))
		if err != nil {
			t.Fatal(err)
		}
		if like := f.Like(); like.Profile != p || !like.Exact || f.Readers() != p.Readers() {
			t.Errorf("%s: %+v, %s", p, like, f.Readers())
		}
	}
	modern := encodeWith(gopkcs12.Modern2023, c, "secret")
	for name, tc := range map[string]struct {
		data []byte
		want Likeness
	}{
		"modern, without a MAC":     {edit(t, modern, func(f *node) { f.children = f.children[:2] }), Likeness{Modern2023, false}},
		"modern, MAC by SHA-1":      {edit(t, modern, func(f *node) { f.at(2, 0, 0, 0).value = []byte{0x2b, 0x0e, 3, 2, 0x1a} }), Likeness{Modern2023, false}},
		"modern, scrypt":            {scrypted(t, modern, 1<<14, 8, 1), Likeness{}},
		"in the clear":              {encodeWith(gopkcs12.Passwordless, c, ""), Likeness{LegacyDES, false}},
		"modern, an unknown cipher": {editSafe(t, modern, func(s *node) { s.at(0, 1, 0, 1, 1, 1, 1, 0).value = []byte{0x2a, 3} }), Likeness{}},
	} {
		f, err := Parse(tc.data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := f.Like(); got != tc.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
