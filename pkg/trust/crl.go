package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"sort"
	"strconv"
	"sync"
	"time"

	"x509ctl/pkg/serial"
)

// MinSerialExtension names the extension of an authority's lists that holds the
// smallest serial number accepted: an INTEGER, of which every certificate below is
// revoked whether or not it is listed. It is not critical, since those that are not
// expired are listed, too. With it one file that is signed, dated and numbered tells
// all there is to know of revocation.
//
// The number below 2.25, which anybody may take at random (Recommendation ITU-T
// X.667), has 31 bits: crypto/x509 refuses a list with a longer one.
var MinSerialExtension = asn1.ObjectIdentifier{2, 25, 2094153072, 1}

// MaxCRL is the largest revocation list that is read, in octets of its file: two
// million entries, as they are in PEM.
const MaxCRL = 128 << 20

// A CRL is a certificate revocation list (RFC 5280, section 5) that was read and
// not yet believed: whose it is shows when a [Check] or a [ChainCheck] uses it.
//
// It holds the file as it was read and four octets for each entry more, and finds
// a serial number by halving. A CRL doesn't change, and may be used by several
// goroutines at once.
//
// An authority that has several CAs for a time publishes one file with the list of
// each. What is in such a file begins with the CRL that was read and goes on with
// [CRL.Next]; a check takes the latest that it can believe.
type CRL struct {
	next    *CRL                 // the list after this one in the file; nil for none
	floor   serial.Floor         // of its extension; 0 for none
	head    *x509.RevocationList // all but the entries
	issuer  string               // nameKey of it
	tbs     []byte               // what was signed
	entries []byte               // the elements of revokedCertificates
	starts  []uint32             // where each begins, in the order of serial numbers

	mu      sync.Mutex
	signers map[[sha256.Size]byte]error // the answer for each key asked about; guarded by mu
}

// An Entry is one line of a CRL.
type Entry struct {
	Serial *big.Int
	Time   time.Time // since when
	Reason string    // as RFC 5280, section 5.3.1, calls it; "" for none given
}

// Issuer returns the name of who issued l, for people.
func (l *CRL) Issuer() string { return l.head.Issuer.String() }

// Number returns the CRL number, nil when there is none. The higher of two
// numbers of one issuer is the later list.
func (l *CRL) Number() *big.Int { return l.head.Number }

// ThisUpdate returns when l was made.
func (l *CRL) ThisUpdate() time.Time { return l.head.ThisUpdate }

// NextUpdate returns when there is a newer list at the latest, the zero time when
// l doesn't say.
func (l *CRL) NextUpdate() time.Time { return l.head.NextUpdate }

// Extension returns the value of an extension of l. None but those that are not
// critical are in a CRL that was read.
//
// It is the place for what an authority says of itself in its list.
func (l *CRL) Extension(id asn1.ObjectIdentifier) (value []byte, ok bool) {
	for _, e := range l.head.Extensions {
		if e.Id.Equal(id) {
			return e.Value, true
		}
	}
	return nil, false
}

// Next returns the list that follows in the same file, nil after the last one.
func (l *CRL) Next() *CRL { return l.next }

// Floor returns the smallest serial number that l accepts, inclusive, 0 when it
// doesn't say.
func (l *CRL) Floor() serial.Floor { return l.floor }

// Len returns the number of entries.
func (l *CRL) Len() int { return len(l.starts) }

// FreshAt reports whether t is in the time that l was made for, both ends
// included. A list that doesn't say when the next one comes never is.
func (l *CRL) FreshAt(t time.Time) bool {
	return !l.NextUpdate().IsZero() && t.Unix() >= l.ThisUpdate().Unix() && t.Unix() <= l.NextUpdate().Unix()
}

// Entries calls yield with each entry by serial number, until it returns false.
func (l *CRL) Entries(yield func(Entry) bool) {
	for i := range l.starts {
		if !yield(l.entry(i)) {
			return
		}
	}
}

// Find returns the entry of a serial number.
func (l *CRL) Find(serial *big.Int) (Entry, bool) {
	key := integer(serial)
	i := sort.Search(len(l.starts), func(i int) bool { return compareIntegers(l.serialAt(l.starts[i]), key) >= 0 })
	if i == len(l.starts) || !bytes.Equal(l.serialAt(l.starts[i]), key) {
		return Entry{}, false
	}
	return l.entry(i), true
}

// integer returns the content of n as an INTEGER of DER.
func integer(n *big.Int) []byte {
	der, _ := asn1.Marshal(n) // no number is refused
	e, _, _ := readElement(der)
	return e.content
}

// compareIntegers orders the contents of INTEGERs that are not negative by value,
// and others somehow.
func compareIntegers(a, b []byte) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return bytes.Compare(a, b)
}

// serialAt returns the serial number, as DER, of the entry that starts there. The
// entry was read before, so that it can be read.
func (l *CRL) serialAt(start uint32) []byte {
	e, _, _ := readElement(l.entries[start:])
	n, _, _ := readElement(e.content)
	return n.content
}

func (l *CRL) entry(i int) Entry {
	e, _, _ := readElement(l.entries[l.starts[i]:])
	n, rest, _ := readElement(e.content)
	when, rest, _ := readElement(rest)
	var entry Entry
	if _, err := asn1.Unmarshal(n.full, &entry.Serial); err != nil {
		entry.Serial = new(big.Int)
	}
	if _, err := asn1.Unmarshal(when.full, &entry.Time); err != nil {
		entry.Time = time.Time{} // a date such as the 31st of February
	}
	if code, ok := reasonCode(rest); ok {
		entry.Reason = reasonName(code)
	}
	return entry
}

// reasonName names a CRLReason.
func reasonName(code byte) string {
	names := []string{
		"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded",
		"cessationOfOperation", "certificateHold", "", "removeFromCRL", "privilegeWithdrawn", "aACompromise",
	}
	if int(code) < len(names) && names[code] != "" {
		return names[code]
	}
	return "reason " + strconv.Itoa(int(code))
}

// namesIssuer reports whether l may be of issuer, whose subject has that nameKey, as
// far as names tell.
func (l *CRL) namesIssuer(issuer *x509.Certificate, subject string) bool {
	return l.issuer == subject &&
		(len(l.head.AuthorityKeyId) == 0 || len(issuer.SubjectKeyId) == 0 || bytes.Equal(l.head.AuthorityKeyId, issuer.SubjectKeyId))
}

var (
	errNoCRLSign   = errors.New("its issuer's key may not sign revocation lists (key usage cRLSign)")
	errCRLForged   = errors.New("its signature is not by its issuer's key: it was changed or forged")
	errCRLWeakHash = errors.New("its signature's algorithm is not accepted")
)

// signedBy returns nil when issuer may sign revocation lists and has signed l.
// Hashing a long list takes time, so an answer is kept.
func (l *CRL) signedBy(issuer *x509.Certificate) error {
	switch {
	case issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return errNoCRLSign
	case !slices.Contains(strong, l.head.SignatureAlgorithm):
		return errCRLWeakHash
	}
	key := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	l.mu.Lock()
	defer l.mu.Unlock()
	err, known := l.signers[key]
	if !known {
		if issuer.CheckSignature(l.head.SignatureAlgorithm, l.tbs, l.head.Signature) != nil {
			err = errCRLForged
		}
		if len(l.signers) >= maxBlocks {
			clear(l.signers) // only keys that strangers made up are that many
		}
		l.signers[key] = err
	}
	return err
}
