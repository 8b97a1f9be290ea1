// Package serial numbers the certificates of an authority and says which of the
// numbers are still accepted.
//
// # Why a counter
//
// Public CAs draw serial numbers at random. This one counts, because the counter
// is also the revocation mechanism: instead of a list of revoked certificates
// there is one number, the [Floor], below which none is accepted, and a floor
// needs an order.
//
// # Why two records of one counter
//
// The counter stands in a row of the store and in a file beside the CA, and each
// guards against the other going back in time: [Reserve] continues above the
// larger of the two. A row remembers which file it was written with (inode and
// time of birth), so a directory that was copied or restored as a whole, where
// both records are old and agree, is refused until an operator says how far to
// jump. A third note ([Mark]) tells a database that lost commits, and with them
// certificates, from a process that died before its commit. Only pure decisions live here: files, locks and transactions belong to the
// callers, and so this package can be tested without any.
package serial

import (
	"strconv"

	"x509ctl/pkg/fault"
)

// A Number is the serial number of one certificate, 1 to [Max], both included.
// The zero Number is no certificate's.
//
// Numbers belong to an authority for ever, not to one of its CA certificates:
// installing or renewing a CA goes on with the count. A Number handed out for a
// certificate that then fails is spent. So Numbers are unique in the life of the
// authority, which is stricter than the uniqueness per issuer of RFC 5280,
// section 4.1.2.2, and they may have gaps. As a DER INTEGER a Number takes 1 to 8
// octets, within the 20 octets that section allows.
type Number int64

// Max is the largest Number: 2^63 - 1.
const Max Number = 1<<63 - 1

// ErrExhausted means that there are not as many numbers left as were asked for.
var ErrExhausted = fault.New(fault.Unavailable, "no serial numbers are left below 2^63")

// Parse reads a Number as people write it: decimal digits and nothing else, no
// sign, no blank, no leading zero. The error is [fault.Malformed].
func Parse(s string) (Number, error) {
	if s == "" || len(s) > 19 || s[0] == '0' {
		return 0, malformed(s)
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, malformed(s)
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, malformed(s)
	}
	return Number(n), nil
}

func malformed(s string) error {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return fault.Errorf(fault.Malformed, "%q is not a serial number from 1 to %d in decimal digits", s, Max)
}

// ParseFile reads the content of a serial or min-serial file: a Number and at
// most one newline, as Ganeti writes its own. Anything else is [fault.Malformed],
// an empty file too: it may be what a full disk left of a larger number. The error does
// not hold the content: a file that was named by mistake may have a passphrase in it.
func ParseFile(b []byte) (Number, error) {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	n, err := Parse(string(b))
	if err != nil {
		return 0, fault.Errorf(fault.Malformed, "it holds no serial number from 1 to %d in decimal digits", Max)
	}
	return n, nil
}

// FileContent returns n as ParseFile reads it.
func (n Number) FileContent() []byte { return append(strconv.AppendInt(nil, int64(n), 10), '\n') }

// String returns n in decimal digits.
func (n Number) String() string { return strconv.FormatInt(int64(n), 10) }

// A Floor is the smallest Number that an authority's verifiers still accept, the
// "minimum accepted serial" of Ganeti's design.
//
// The bound is inclusive: a certificate whose Number equals the Floor is
// accepted. To cut off every certificate issued so far, set the Floor to the last
// one's Number plus one. A Floor only rises. The zero Floor, like the Floor 1,
// accepts every Number.
type Floor Number

// Accepts reports whether n is a Number and not below f.
func (f Floor) Accepts(n Number) bool { return n >= 1 && n >= Number(f) }

// String returns f in decimal digits.
func (f Floor) String() string { return Number(f).String() }
