package profile

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"x509ctl/pkg/fault"
)

// Lengths of names in octets, both included in what is allowed.
const (
	maxNameLength       = 253 // RFC 1035, section 2.3.4, without the root's dot
	maxLabelLength      = 63
	maxCommonNameLength = 64 // ub-common-name, RFC 5280, appendix A.1
)

// tooLong is said of common names.
const tooLong = "longer than 64 characters, the most that a common name may have"

// A NameError is a name that policy refuses. Reason is in words; the cause, when
// it is one that a caller can act on, is found with errors.Is: [ErrUnknownName],
// [ErrMixedNames], [ErrOtherHolder].
type NameError struct {
	Kind   string // "name", "common name", "DNS name", "IP address", "email address", …
	Name   string // as found; empty when the error is about all names together
	Reason string
	Cause  error // nil, or one of the sentinels above
}

func (e *NameError) Error() string {
	if e.Name == "" {
		return e.Reason
	}
	return e.Kind + " " + quote(e.Name) + ": " + e.Reason
}

// Unwrap returns the cause, which may be nil.
func (e *NameError) Unwrap() error { return e.Cause }

// FaultKind makes the error [fault.Denied].
func (e *NameError) FaultKind() fault.Kind { return fault.Denied }

// ParseName checks that s is one DNS name fit for a certificate and returns it as
// given: labels of 1 to 63 ASCII letters, digits and inner hyphens (RFC 1123,
// section 2.1), 1 to 253 characters in all. IDNs come as "xn--" labels.
//
// Refused are a wildcard, a dot at the end, and anything that programs may take for
// an IP address: a last label that is all digits, or "0x" and hexadecimal digits.
//
// Errors: [*NameError].
func ParseName(s string) (string, error) {
	if reason := nameFlaw(s); reason != "" {
		return "", &NameError{Kind: "name", Name: s, Reason: reason}
	}
	return s, nil
}

// nameFlaw returns what is wrong with s as a DNS name, or "".
func nameFlaw(s string) string {
	switch {
	case s == "":
		return "the name is empty"
	case len(s) > maxNameLength:
		return "longer than " + strconv.Itoa(maxNameLength) + " characters"
	case strings.Contains(s, "*"):
		return "wildcards are not allowed"
	case s[len(s)-1] == '.':
		return "ends in a dot"
	}
	if c, ok := foreignCharacter(s); ok {
		return "holds " + strconv.QuoteRuneToASCII(c) + "; allowed are ASCII letters, digits, hyphens and dots"
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		switch {
		case label == "":
			return "has an empty label"
		case len(label) > maxLabelLength:
			return "has a label longer than " + strconv.Itoa(maxLabelLength) + " characters"
		case label[0] == '-' || label[len(label)-1] == '-':
			return "has a label that begins or ends with a hyphen"
		}
		last = label
	}
	if isNumber(last) {
		return "looks like an IP address"
	}
	return ""
}

// foreignCharacter returns the first character of s that no name may hold.
func foreignCharacter(s string) (rune, bool) {
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' {
			continue
		}
		r, _ := utf8.DecodeRuneInString(s[i:])
		return r, true
	}
	return 0, false
}

// isNumber reports whether label, at the end of a name, makes a parser of IP
// addresses try its luck ("127.1", "0x7f000001").
func isNumber(label string) bool {
	const digits, hex = "0123456789", "0123456789abcdefABCDEF"
	if strings.Trim(label, digits) == "" {
		return true
	}
	rest, ok := strings.CutPrefix(FoldName(label), "0x")
	return ok && strings.Trim(rest, hex) == ""
}

// FoldName returns s with the letters A to Z in lower case and all else as it is:
// names are equal when their folded forms are (RFC 4343). Unlike strings.ToLower
// it makes no ASCII letter out of any other character.
func FoldName(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return foldFrom(s, i)
		}
	}
	return s
}

func foldFrom(s string, first int) string {
	b := []byte(s)
	for i := first; i < len(b); i++ {
		if 'A' <= b[i] && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// AddressKey returns the key under which a [Finder] knows an IP address: its
// canonical text (RFC 5952), an IPv4 address mapped into IPv6 as IPv4. A zone has no
// place in a certificate and is dropped.
func AddressKey(a netip.Addr) string { return a.Unmap().WithZone("").String() }

// quote returns s quoted for an error message: ASCII only, so that look-alikes and
// control characters show, and cut where it gets long.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
