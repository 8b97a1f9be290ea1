package profile

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte/asn1"

	"x509ctl/pkg/fault"
)

// A nameKind is a place where a request can hold a name.
type nameKind int

const (
	kindCommonName nameKind = iota
	kindDNS
	kindIP
	kindEmail
	kindURI
	kindOther
	kindX400
	kindDirectory
	kindEDI
	kindRegisteredID
)

// nameKinds holds for each nameKind what errors call it and what [Request.Names]
// puts in front of it.
var nameKinds = [...]struct{ word, prefix string }{
	kindCommonName:   {"common name", "CN"},
	kindDNS:          {"DNS name", "DNS"},
	kindIP:           {"IP address", "IP"},
	kindEmail:        {"email address", "email"},
	kindURI:          {"URI", "URI"},
	kindOther:        {"other name", "otherName"},
	kindX400:         {"X.400 address", "X400"},
	kindDirectory:    {"directory name", "dirName"},
	kindEDI:          {"EDI party name", "EDI"},
	kindRegisteredID: {"registered ID", "RID"},
}

// A requestedName is one name of a request, as found.
type requestedName struct {
	kind nameKind
	text string     // as found; for kinds that are no text, a description
	addr netip.Addr // of a kindIP without flaw
	flaw string     // why no policy accepts it, or ""
}

func (n requestedName) String() string {
	text := quote(n.text)
	if plain := text[1 : len(text)-1]; plain == n.text {
		text = plain
	}
	return nameKinds[n.kind].prefix + ":" + text
}

// refuse returns the error of a name that is refused.
func (n requestedName) refuse(reason string, cause error) error {
	return &NameError{Kind: nameKinds[n.kind].word, Name: n.text, Reason: reason, Cause: cause}
}

// addName keeps one more name, up to [MaxNames].
func (r *Request) addName(n requestedName) error {
	if len(r.names) == MaxNames {
		return fault.Errorf(fault.Denied, "the request has more than %d names", MaxNames)
	}
	r.names = append(r.names, n)
	return nil
}

const (
	oidCommonName   oid = "\x55\x04\x03"
	oidOrganization oid = "\x55\x04\x0a"
)

// subjectAttributeName returns the short name of an attribute type (RFC 5280,
// appendix A.1; RFC 2985; RFC 4519), or its dotted form.
func subjectAttributeName(kind oid) string {
	switch kind {
	case oidCommonName:
		return "CN"
	case "\x55\x04\x04":
		return "SN"
	case "\x55\x04\x05":
		return "serialNumber"
	case "\x55\x04\x06":
		return "C"
	case "\x55\x04\x07":
		return "L"
	case "\x55\x04\x08":
		return "ST"
	case "\x55\x04\x09":
		return "street"
	case "\x55\x04\x0a":
		return "O"
	case "\x55\x04\x0b":
		return "OU"
	case "\x55\x04\x0c":
		return "title"
	case "\x55\x04\x2a":
		return "GN"
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01":
		return "emailAddress"
	case "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01":
		return "UID"
	case "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19":
		return "DC"
	}
	return kind.String()
}

// An attribute is one type and value of a distinguished name.
type attribute struct {
	kind  oid
	tag   asn1.Tag
	value der
}

func (a attribute) String() string {
	text, _ := stringText(a.tag, a.value)
	return subjectAttributeName(a.kind) + "=" + quote(text)
}

// readRDN reads one RelativeDistinguishedName at the start of s.
func readRDN(s *der) ([]attribute, bool) {
	var set, pair der
	if !s.ReadASN1(&set, asn1.SET) || set.Empty() {
		return nil, false
	}
	var rdn []attribute
	for !set.Empty() {
		var a attribute
		ok := set.ReadASN1(&pair, asn1.SEQUENCE)
		if ok {
			a.kind, ok = readOID(&pair)
		}
		if !ok || !pair.ReadAnyASN1(&a.value, &a.tag) || !pair.Empty() || len(rdn) == MaxNames {
			return nil, false
		}
		rdn = append(rdn, a)
	}
	return rdn, true
}

// parseSubject takes the common names from the content of the subject, and notes
// what else stands there.
func (r *Request) parseSubject(subject der) error {
	for count := 0; !subject.Empty(); count++ {
		rdn, ok := readRDN(&subject)
		if !ok || count == MaxNames {
			return malformed("the certificate request's subject can't be understood")
		}
		for _, a := range rdn {
			if err := r.addAttribute(a, len(rdn) > 1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Request) addAttribute(a attribute, several bool) error {
	r.multiValued = r.multiValued || several
	if a.kind != oidCommonName {
		r.ignore(subjectAttribute(a))
		return nil
	}
	n := requestedName{kind: kindCommonName}
	n.text, n.flaw = stringText(a.tag, a.value)
	return r.addName(n)
}

// stringText returns the text of a string type, and what is wrong with its being
// encoded so: a name of ours is ASCII, and an encoding that ASCII does not
// need hides what is in it from simple readers.
func stringText(tag asn1.Tag, value der) (text, flaw string) {
	switch tag {
	case asn1.UTF8String, asn1.PrintableString, asn1.IA5String, asn1.T61String:
		return string(value), ""
	case asn1.Tag(18): // NumericString
		return string(value), "is encoded as a NumericString; use UTF8String"
	case asn1.Tag(30):
		return utf16Text(value), "is encoded as a BMPString; use UTF8String"
	case asn1.Tag(28):
		return "#" + hexText(value), "is encoded as a UniversalString; use UTF8String"
	}
	return "#" + hexText(value), "is not a text"
}

func utf16Text(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	return string(utf16.Decode(units))
}

// hexText returns b in hexadecimal digits, cut where it gets long.
func hexText(b []byte) string {
	const most = 32
	if len(b) > most {
		return hex.EncodeToString(b[:most]) + "..." // ASCII, since it is quoted
	}
	return hex.EncodeToString(b)
}

// parseSAN takes the names of a subjectAltName extension (RFC 5280, section
// 4.2.1.6).
func (r *Request) parseSAN(value der) error {
	names, ok := readWhole(value, asn1.SEQUENCE)
	if !ok || names.Empty() {
		return malformed("the requested subject alternative names can't be understood")
	}
	for !names.Empty() {
		var content der
		var tag asn1.Tag
		if !names.ReadAnyASN1(&content, &tag) {
			return malformed("the requested subject alternative names can't be understood")
		}
		n, ok := generalName(tag, content)
		if !ok {
			return malformed("a requested subject alternative name is of no known kind")
		}
		if err := r.addName(n); err != nil {
			return err
		}
	}
	return nil
}

// generalName returns the name that a GeneralName holds. It knows every kind of RFC
// 5280; those that no certificate of ours has carry a flaw.
func generalName(tag asn1.Tag, content der) (requestedName, bool) {
	const never = "names of this kind are not allowed"
	simple := func(n int) asn1.Tag { return asn1.Tag(n).ContextSpecific() }
	switch tag {
	case simple(2):
		return requestedName{kind: kindDNS, text: string(content)}, true
	case simple(7):
		return addressName(content), true
	case simple(1):
		return requestedName{kind: kindEmail, text: string(content), flaw: never}, true
	case simple(6):
		return requestedName{kind: kindURI, text: string(content), flaw: never}, true
	case simple(8):
		return requestedName{kind: kindRegisteredID, text: oid(content).String(), flaw: never}, true
	case simple(0).Constructed():
		return requestedName{kind: kindOther, text: otherNameText(content), flaw: never}, true
	case simple(3).Constructed():
		return requestedName{kind: kindX400, text: "#" + hexText(content), flaw: never}, true
	case simple(4).Constructed():
		return requestedName{kind: kindDirectory, text: directoryNameText(content), flaw: never}, true
	case simple(5).Constructed():
		return requestedName{kind: kindEDI, text: "#" + hexText(content), flaw: never}, true
	}
	return requestedName{}, false
}

func addressName(content der) requestedName {
	addr, ok := netip.AddrFromSlice(content)
	if !ok {
		return requestedName{
			kind: kindIP,
			text: "#" + hexText(content),
			flaw: "has " + strconv.Itoa(len(content)) + " octets instead of 4 or 16",
		}
	}
	return requestedName{kind: kindIP, text: addr.String(), addr: addr}
}

// otherNameText describes an OtherName: its type, and its value where it is text.
func otherNameText(content der) string {
	kind, ok := readOID(&content)
	var wrapped, value der
	var tag asn1.Tag
	if !ok || !content.ReadASN1(&wrapped, asn1.Tag(0).ContextSpecific().Constructed()) || !wrapped.ReadAnyASN1(&value, &tag) {
		return "#" + hexText(content)
	}
	text, _ := stringText(tag, value)
	return kind.String() + "=" + text
}

// directoryNameText describes a Name, such as CN="x",O="y".
func directoryNameText(content der) string {
	name, ok := readWhole(content, asn1.SEQUENCE)
	if !ok {
		return "#" + hexText(content)
	}
	var parts []string
	for !name.Empty() && len(parts) < MaxNames {
		rdn, ok := readRDN(&name)
		if !ok {
			return "#" + hexText(content)
		}
		for _, a := range rdn {
			parts = append(parts, a.String())
		}
	}
	return strings.Join(parts, ",")
}
