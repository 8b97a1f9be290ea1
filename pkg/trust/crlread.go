package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// maxCRLExtensions bounds the extensions of one entry, of which RFC 5280 has three.
const maxCRLExtensions = 16

// maxLists bounds the lists of one file: those of all CAs of a bundle, and of its root.
const maxLists = 2 * maxBlocks

// ParseCRL reads revocation lists of version 2: one in DER, or the X509 CRL blocks of
// a PEM file, 200 at most, together at most [MaxCRL] octets. The bytes are kept, so the
// caller must not change them.
//
// A list with a critical extension is refused, and so is one with a critical
// extension in an entry: they mark lists that are about a part of the
// certificates, about changes only, or about other issuers' certificates, from
// which nothing follows for the others. The extensions for the first two,
// issuingDistributionPoint and deltaCRLIndicator, are not accepted as uncritical
// ones either. Errors are [fault.Malformed].
func ParseCRL(data []byte) (*CRL, error) {
	if len(data) > MaxCRL {
		return nil, fault.Errorf(fault.Malformed, "the revocation list is larger than %d octets", MaxCRL)
	}
	if !bytes.Contains(data[:min(len(data), maxInput)], pemBegin) {
		return readCRL(data)
	}
	blocks, err := decodePEM(data, maxLists)
	if err != nil {
		return nil, err
	}
	var first *CRL
	for _, b := range slices.Backward(blocks) {
		if b.Type != "X509 CRL" {
			return nil, fault.Errorf(fault.Malformed, "the file has a PEM block of the type %s among its revocation lists", quoted(b.Type))
		}
		l, err := readCRL(b.Bytes)
		if err != nil {
			return nil, err
		}
		l.next, first = first, l
	}
	if first == nil {
		return nil, fault.New(fault.Malformed, "there is no revocation list in the file")
	}
	return first, nil
}

// LooksLikeCRL returns an error of kind [fault.Malformed] when no file that begins with
// head, its first mebibyte or all of it, can be a revocation list.
func LooksLikeCRL(head []byte) error {
	if bytes.Contains(head, pemBegin) || len(head) > 0 && head[0] == tagSequence {
		return nil
	}
	return malformedCRL("not a revocation list that can be used: it is damaged, or something else")
}

func readCRL(der []byte) (*CRL, error) {
	l, err := parseCRL(der)
	if err != nil {
		return nil, fault.Errorf(fault.Malformed, "not a revocation list that can be used: %w", err)
	}
	return l, nil
}

func malformedCRL(text string) error { return fault.New(fault.Malformed, text) }

// parseCRL takes the list apart. crypto/x509 would read every entry into two
// structures of some hundred octets, so it gets the list without its entries.
func parseCRL(der []byte) (*CRL, error) {
	outer, rest, ok := readTag(der, tagSequence)
	parts, all := readAll(outer.content, 3)
	if !ok || !all || len(rest) > 0 || len(parts) != 3 || parts[0].tag != tagSequence {
		return nil, malformedCRL("it is damaged, or something else")
	}
	fields, ok := readAll(parts[0].content, 7)
	if !ok {
		return nil, malformedCRL("it is damaged, or something else")
	}
	l := &CRL{tbs: parts[0].full, signers: map[[sha256.Size]byte]error{}}
	var head [][]byte
	for i, f := range fields {
		if isEntries := i >= 4 && f.tag == tagSequence; isEntries && l.entries == nil {
			l.entries = f.content
			continue
		}
		head = append(head, f.full)
	}
	small := writeElement(tagSequence, writeElement(tagSequence, head...), parts[1].full, parts[2].full)
	var err error
	if l.head, err = x509.ParseRevocationList(small); err != nil {
		return nil, fault.Errorf(fault.Malformed, "%s", printable(err.Error()))
	}
	l.issuer = nameKey(l.head.RawIssuer)
	if err := l.checkHead(head); err != nil {
		return nil, err
	}
	return l, l.index()
}

// A partialMark is an extension of lists that are about a part of the certificates, or
// about changes. RFC 5280, sections 5.2.4 and 5.2.5, has them critical.
type partialMark struct {
	id   asn1.ObjectIdentifier
	name string
}

var partial = []partialMark{
	{asn1.ObjectIdentifier{2, 5, 29, 27}, "deltaCRLIndicator"},
	{asn1.ObjectIdentifier{2, 5, 29, 28}, "issuingDistributionPoint"},
}

// checkHead refuses what crypto/x509 passes over.
func (l *CRL) checkHead(fields [][]byte) error {
	known := 4 // version, algorithm, issuer, thisUpdate
	if !l.head.NextUpdate.IsZero() {
		known++
	}
	if len(l.head.Extensions) > 0 {
		known++
	}
	if len(fields) != known {
		return malformedCRL("it has a part that no revocation list has")
	}
	for i, e := range l.head.Extensions {
		for _, other := range l.head.Extensions[:i] {
			if other.Id.Equal(e.Id) {
				return fault.Errorf(fault.Malformed, "it has the extension %s twice", cut(e.Id.String()))
			}
		}
		if i := slices.IndexFunc(partial, func(p partialMark) bool { return p.id.Equal(e.Id) }); i >= 0 {
			return fault.Errorf(fault.Malformed, "it has the extension %s, %s: it is about some certificates only", partial[i].name, e.Id)
		}
		if e.Critical {
			return fault.Errorf(fault.Malformed, "it has a critical extension, %s: it may be about some certificates only", cut(e.Id.String()))
		}
	}
	if n := l.head.Number; n != nil && (n.Sign() < 0 || n.BitLen() > 160) {
		return malformedCRL("its number is negative, or longer than 20 octets")
	}
	return l.readFloor()
}

func (l *CRL) readFloor() error {
	value, ok := l.Extension(MinSerialExtension)
	if !ok {
		return nil
	}
	var n int64
	if rest, err := asn1.Unmarshal(value, &n); err != nil || len(rest) > 0 || n < 1 {
		return malformedCRL("its min-serial is not a serial number")
	}
	l.floor = serial.Floor(n)
	return nil
}

// index finds out where each entry is, and puts them in order.
func (l *CRL) index() error {
	var last []byte
	sorted := true
	for rest := l.entries; len(rest) > 0; {
		start := uint32(len(l.entries) - len(rest))
		e, more, ok := readTag(rest, tagSequence)
		if !ok {
			return malformedCRL("an entry is damaged")
		}
		serial, err := checkEntry(e.content)
		if err != nil {
			return err
		}
		sorted = sorted && compareIntegers(last, serial) <= 0
		l.starts, last, rest = append(l.starts, start), serial, more
	}
	if !sorted {
		slices.SortStableFunc(l.starts, func(a, b uint32) int { return compareIntegers(l.serialAt(a), l.serialAt(b)) })
	}
	return nil
}

// checkEntry returns the serial number of an entry, given its content.
func checkEntry(b []byte) ([]byte, error) {
	serial, b, ok := readTag(b, tagInteger)
	if n := serial.content; !ok || len(n) == 0 || len(n) > 1 && (n[0] == 0 && n[1] < 0x80 || n[0] == 0xff && n[1] >= 0x80) {
		return nil, malformedCRL("the serial number of an entry is damaged")
	}
	when, b, ok := readElement(b)
	if !ok || !isDate(when) {
		return nil, malformedCRL("the date of an entry is damaged")
	}
	if len(b) == 0 {
		return serial.content, nil
	}
	exts, b, ok := readTag(b, tagSequence)
	if !ok || len(b) > 0 {
		return nil, malformedCRL("the extensions of an entry are damaged")
	}
	return serial.content, checkEntryExtensions(exts.content)
}

// isDate reports whether e is a moment: YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ (RFC 5280,
// section 4.1.2.5). There may be millions of them, so they are not made into times.
func isDate(e element) bool {
	century := 2
	if e.tag == tagUTCTime {
		century = 0
	}
	b := e.content
	if e.tag != tagUTCTime && e.tag != tagGeneralizedTime || len(b) != century+13 || b[century+12] != 'Z' {
		return false
	}
	var n [7]int // in twos
	for i, c := range b[:century+12] {
		if c < '0' || c > '9' {
			return false
		}
		at := (i + 2 - century) / 2
		n[at] = 10*n[at] + int(c-'0')
	}
	year, month, day := 100*n[0]+n[1], n[2], n[3]
	return month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month) && n[4] < 24 && n[5] < 60 && n[6] < 60
}

// daysIn returns how many days a month has. The years 0 to 99 are those of this century.
func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

var oidReasonCode = []byte{0x55, 0x1d, 0x15} // 2.5.29.21

// checkEntryExtensions walks the extensions of an entry.
func checkEntryExtensions(b []byte) error {
	all, ok := readAll(b, maxCRLExtensions)
	if !ok {
		return malformedCRL("the extensions of an entry are damaged, or too many")
	}
	for _, ext := range all {
		id, critical, value, ok := readExtension(ext)
		switch {
		case !ok:
			return malformedCRL("an extension of an entry is damaged")
		case critical:
			return malformedCRL("an entry has a critical extension: it may be about another issuer's certificate")
		case bytes.Equal(id, oidReasonCode):
			if code, rest, ok := readTag(value, tagEnumerated); !ok || len(rest) > 0 || len(code.content) != 1 {
				return malformedCRL("the reason of an entry is damaged")
			}
		}
	}
	return nil
}

// readExtension takes an Extension (RFC 5280, section 4.1) apart.
func readExtension(e element) (id []byte, critical bool, value []byte, ok bool) {
	name, rest, ok := readTag(e.content, tagOID)
	if !ok || e.tag != tagSequence || !isOID(name.content) {
		return nil, false, nil, false
	}
	if flag, more, isFlag := readTag(rest, tagBoolean); isFlag {
		if len(flag.content) != 1 || flag.content[0] != 0 && flag.content[0] != 0xff {
			return nil, false, nil, false
		}
		critical, rest = flag.content[0] != 0, more
	}
	octets, rest, ok := readTag(rest, tagOctetString)
	return name.content, critical, octets.content, ok && len(rest) == 0
}

// isOID reports whether b is the content of an OBJECT IDENTIFIER (X.690, section 8.19)
// whose numbers have at most 31 bits, as crypto/x509 wants them.
func isOID(b []byte) bool {
	arc := 0
	for i, c := range b {
		first := i == 0 || b[i-1] < 0x80
		if first {
			arc = 0
		}
		if first && c == 0x80 || arc >= 1<<(31-7) {
			return false
		}
		arc = arc<<7 | int(c&0x7f)
	}
	return len(b) > 0 && b[len(b)-1] < 0x80
}

// reasonCode finds the reason in what follows the date of an entry.
func reasonCode(b []byte) (byte, bool) {
	exts, _, ok := readTag(b, tagSequence)
	if !ok {
		return 0, false
	}
	all, _ := readAll(exts.content, maxCRLExtensions)
	for _, ext := range all {
		if id, _, value, ok := readExtension(ext); ok && bytes.Equal(id, oidReasonCode) {
			if code, _, ok := readTag(value, tagEnumerated); ok && len(code.content) == 1 {
				return code.content[0], true
			}
		}
	}
	return 0, false
}
