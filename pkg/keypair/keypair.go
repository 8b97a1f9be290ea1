// Package keypair makes and judges keypairs: what a guest lets its user in by. One of
// type ssh is an OpenSSH public key, one of type x509 a certificate that Windows
// logs a user in by over WinRM. Only public halves are kept, so this package hands
// out private ones once and reads none.
//
// # As Nova judges
//
// [Parse] accepts what OpenStack's Nova accepts as public_key, and refuses what Nova
// refuses, so that keypairs can move from one to the other. The text is kept byte
// for byte: clients compare it. Four rules are stricter, because Nova stores there
// what harms its users:
//
//   - a private key pasted along with a certificate;
//   - a line after the first that is no public key. Guests append the text to
//     authorized_keys, so such a line could be an option that runs a command; a
//     carriage return, NUL, or another sign that some program ends a line at, begins
//     one too;
//   - base64 with other signs in it, which Nova skips and sshd refuses;
//   - "." and ".." as names, which no URL can address.
//
// And in one place Nova is wrong about what it accepts: it splits a key at single
// blanks. For a key after two blanks it records the MD5 of nothing, one without a
// comment that another line follows it refuses or records wrongly. Here such keys
// are read as sshd reads them, with the fingerprint that ssh-keygen shows.
//
// # Why not golang.org/x/crypto/ssh
//
// It costs every start of the tool 0.2 ms, and judges in another way: it refuses DSA
// keys and certificates that Nova takes. What is needed of the format (RFC 4253,
// section 6.6; PROTOCOL.key of OpenSSH) is less than a page. Tests hold this package
// to that one, to ssh-keygen and to Nova's own functions.
package keypair

import (
	"crypto/md5"  // Nova's fingerprint of SSH keys
	"crypto/sha1" // Nova's fingerprint of certificates
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"x509ctl/pkg/fault"
)

// A Type is one of Nova's types of keypairs. The zero Type is none.
type Type string

// The types, in the letters that Nova's API has them in.
const (
	SSH  Type = "ssh"
	X509 Type = "x509"
)

// ParseType reads a type in any letter case. Error: [fault.Malformed].
func ParseType(s string) (Type, error) {
	for _, t := range []Type{SSH, X509} {
		if strings.ToLower(s) == string(t) {
			return t, nil
		}
	}
	return "", fault.Errorf(fault.Malformed, "the type of a keypair is ssh or x509, not %.40q", s)
}

// what says what a public half of type t is.
func (t Type) what() string {
	if t == X509 {
		return "a certificate in PEM"
	}
	return "an OpenSSH public key"
}

// MaxPublic is the longest text of a public half in octets, inclusive: what Nova's
// own column takes.
const MaxPublic = 65535

// A Public is the public half of a keypair. [Parse] makes one.
type Public struct {
	Type      Type
	Text      string // as it was given, byte for byte
	Algorithm string // of the first key, as OpenSSH or X.509 names it: "ssh-ed25519", "RSA"
	Bits      int    // of the first key; 0 when that isn't known
	Comment   string // of the first SSH key
	Keys      int    // how many SSH keys there are
	DER       []byte // of the certificate

	blob  []byte // what fingerprints are of
	extra bool   // X.509: there is text beside the certificate
}

// Fingerprint is what Nova shows: of the first SSH key the MD5, of a certificate the
// SHA-1, in hexadecimal with colons.
func (p *Public) Fingerprint() string {
	if p.Type == X509 {
		sum := sha1.Sum(p.blob)
		return colons(sum[:])
	}
	sum := md5.Sum(p.blob)
	return colons(sum[:])
}

// SHA256 is the fingerprint that today's programs show: of the first SSH key as
// ssh-keygen does, of a certificate in hexadecimal with colons, as openssl does
// but in small letters.
func (p *Public) SHA256() string {
	sum := sha256.Sum256(p.blob)
	if p.Type == X509 {
		return colons(sum[:])
	}
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

func colons(sum []byte) string {
	var b strings.Builder
	for i := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(hex.EncodeToString(sum[i : i+1]))
	}
	return b.String()
}

// Warnings says what Nova would store without a word, and guests may refuse at the
// time now.
func (p *Public) Warnings(now time.Time) []string {
	if p.Type == X509 {
		return p.certificateWarnings(now)
	}
	switch {
	case p.Algorithm == "ssh-dss":
		return []string{"it is a DSA key, which OpenSSH has refused since version 7.0"}
	case strings.HasPrefix(p.Algorithm, "ssh-rsa") && p.Bits < 1024:
		return []string{"it is an RSA key of less than 1024 bits, which OpenSSH refuses"}
	}
	return nil
}

// MaxName is the longest name of a keypair or user in characters, inclusive.
const MaxName = 255

// CheckName returns an error of kind [fault.Malformed] unless name is 1 to [MaxName]
// printable characters, neither begins nor ends with a blank, and is not "." or "..".
// That is what is stored; entrances have narrower rules, as [CheckNovaName].
func CheckName(name string) error {
	switch {
	case name == ".", name == "..":
		return fault.Errorf(fault.Malformed, "%q can't be the name of a keypair", name)
	}
	return checkText("the name of a keypair", name)
}

// CheckUser is CheckName for the name or id of a user.
func CheckUser(user string) error { return checkText("the name of a user", user) }

func checkText(what, text string) error {
	n := utf8.RuneCountInString(text)
	switch {
	case text == "":
		return fault.Errorf(fault.Malformed, "%s is empty", what)
	case n > MaxName:
		return fault.Errorf(fault.Malformed, "%s has %d characters, at most %d are allowed", what, n, MaxName)
	case !utf8.ValidString(text):
		return fault.Errorf(fault.Malformed, "%s is not UTF-8: %.100q", what, text)
	case strings.TrimFunc(text, unicode.IsSpace) != text:
		return fault.Errorf(fault.Malformed, "%s begins or ends with a blank: %.100q", what, text)
	}
	for _, r := range text {
		// IsPrint knows no blank but the ASCII one.
		if !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r) {
			return fault.Errorf(fault.Malformed, "%s has a character in it that can't be printed: %.100q", what, text)
		}
	}
	return nil
}

// CheckNovaName is [CheckName] with the rule of Nova's API since 2.92: ASCII letters
// and digits, and "_", "-", "@", "." and blanks in between.
func CheckNovaName(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	for _, r := range name {
		if r >= utf8.RuneSelf || !isAlphanumeric(byte(r)) && !strings.ContainsRune("_-@. ", r) {
			return fault.Errorf(fault.Malformed, "the name of a keypair has letters, digits, blanks and _ - @ . in it, not %q", r)
		}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
