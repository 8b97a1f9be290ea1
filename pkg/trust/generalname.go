package trust

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"x509ctl/pkg/fault"
)

// A generalName is one name of a certificate, or the base of one subtree (RFC
// 5280, section 4.2.1.6).
type generalName struct {
	form  byte
	value []byte // octets; a directory name's canonical ones
	text  string // for people
}

func (n generalName) String() string { return quoted(n.text) }

// readName reads a GeneralName.
func readName(e element) (generalName, error) {
	n := generalName{form: e.tag & 0x1f, value: e.content, text: string(e.content)}
	switch {
	case e.tag&0xc0 != 0x80 || n.form >= forms:
		return n, fault.New(fault.Malformed, "a name is damaged")
	case n.form == formDirectory:
		var err error
		n.value, err = canonicalName(e.content)
		n.text = "a directory name"
		return n, err
	case n.form == formIP:
		if addr, ok := netip.AddrFromSlice(e.content); ok {
			n.text = addr.String()
		}
	case n.form == formDNS || n.form == formEmail || n.form == formURI:
	default:
		n.text = "of a form that is not understood"
	}
	return n, nil
}

// checkShape refuses names of which nobody can say what they are within: other
// readers could see another name than this one.
func (n generalName) checkShape() error {
	ok := true
	switch n.form {
	case formDNS:
		ok = isDNS(string(n.value))
	case formEmail:
		_, _, ok = splitMailbox(string(n.value))
	case formURI:
		_, ok = hostOf(string(n.value))
	case formIP:
		ok = len(n.value) == net.IPv4len || len(n.value) == net.IPv6len
	case formDirectory:
	default:
		return fault.New(fault.Malformed, "one is of a form that is constrained and not understood")
	}
	if !ok {
		return fault.Errorf(fault.Malformed, "%v is none that can be constrained", n)
	}
	return nil
}

// isWithin reports whether the whole of n, with all that a wildcard stands for, is
// within base. Both are of one form.
func (n generalName) isWithin(base []byte) bool {
	name, limit := string(n.value), string(base)
	switch n.form {
	case formDNS:
		return isBelow(name, limit)
	case formEmail:
		return mailboxIsWithin(name, limit)
	case formURI:
		host, _ := hostOf(name)
		return hostIsWithin(host, limit)
	case formIP:
		return addressIsWithin(n.value, base)
	case formDirectory:
		return bytes.HasPrefix(n.value, base)
	}
	return false
}

// isExcludedBy reports whether any of n is within base.
func (n generalName) isExcludedBy(base []byte) bool {
	switch n.form {
	case formDNS:
		// One label of the wildcard's may be the one that leads to base.
		label, parent, _ := strings.Cut(string(n.value), ".")
		_, above, ok := strings.Cut(string(base), ".")
		if strings.Contains(label, "*") && ok && base[0] != '.' && strings.EqualFold(parent, above) {
			return true
		}
	case formIP:
		if addr, ok := netip.AddrFromSlice(n.value); ok && addr.Is4In6() && addressIsWithin(addr.Unmap().AsSlice(), base) {
			return true
		}
	}
	return n.isWithin(base)
}

// isDNS reports whether s has the shape of a DNS name: labels with something in
// them, perhaps a wildcard, no dot at the end.
func isDNS(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return false
		}
	}
	return true
}

// isBelow reports whether a DNS name is base or ends in it. A base that begins
// with a dot, which the RFC doesn't have and many CAs do, is about longer names only.
func isBelow(name, base string) bool {
	switch {
	case base == "":
		return true
	case base[0] != '.' && len(name) == len(base):
		return strings.EqualFold(name, base)
	case base[0] != '.':
		base = "." + base
	}
	return len(name) > len(base) && strings.EqualFold(name[len(name)-len(base):], base)
}

// hostIsWithin compares a host as constraints to mail and URIs do: a base is one
// host, or everything below when it begins with a dot.
func hostIsWithin(host, base string) bool {
	if base == "" || strings.HasPrefix(base, ".") {
		return isBelow(host, base)
	}
	return strings.EqualFold(host, base)
}

// splitMailbox takes a mail address apart, whose local part has to be a Dot-string (RFC
// 5321, section 4.1.2): quoted ones can be written in many ways, and others are read as
// something else by somebody.
func splitMailbox(s string) (local, host string, ok bool) {
	i := max(0, strings.LastIndexByte(s, '@'))
	local, host = s[:i], strings.TrimPrefix(s[i:], "@")
	if !isDNS(host) {
		return "", "", false
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.Trim(atom, atext) != "" {
			return "", "", false
		}
	}
	return local, host, true
}

// atext are the characters of an atom (RFC 5322, section 3.2.3).
const atext = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~"

func sameMailbox(a, b string) bool {
	local, host, ok := splitMailbox(a)
	otherLocal, otherHost, otherOK := splitMailbox(b)
	return ok && otherOK && local == otherLocal && foldASCII(host) == foldASCII(otherHost)
}

func mailboxIsWithin(name, base string) bool {
	if strings.Contains(base, "@") {
		return sameMailbox(name, base)
	}
	_, host, ok := splitMailbox(name)
	return ok && hostIsWithin(host, base)
}

// hostOf returns the host of a URI, which has to be a DNS name.
func hostOf(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || !isDNS(u.Hostname()) {
		return "", false
	}
	_, err = netip.ParseAddr(u.Hostname())
	return u.Hostname(), err != nil
}

// addressIsWithin compares an address with one and its mask.
func addressIsWithin(addr, base []byte) bool {
	if 2*len(addr) != len(base) {
		return false
	}
	for i, b := range addr {
		if mask := base[len(addr)+i]; b&mask != base[i]&mask {
			return false
		}
	}
	return true
}

// canonicalName returns a Name so that two are equal when RFC 5280, section 7.1,
// says so, and one is a prefix of another when it is within: text in lower case
// without superfluous space, the parts of each RDN in order.
func canonicalName(der []byte) ([]byte, error) {
	damaged := fault.New(fault.Malformed, "a directory name is damaged")
	seq, rest, ok := readTag(der, tagSequence)
	if !ok || len(rest) > 0 {
		return nil, damaged
	}
	var name []byte
	for b := seq.content; len(b) > 0; {
		set, rest, ok := readTag(b, tagSet)
		if b = rest; !ok {
			return nil, damaged
		}
		var parts [][]byte
		for b := set.content; len(b) > 0; {
			pair, rest, ok := readTag(b, tagSequence)
			if b = rest; !ok {
				return nil, damaged
			}
			both, ok := readAll(pair.content, 2)
			if !ok || len(both) != 2 || both[0].tag != tagOID {
				return nil, damaged
			}
			value, err := canonicalText(both[1])
			if err != nil {
				return nil, err
			}
			parts = append(parts, writeElement(tagSequence, both[0].full, value))
		}
		slices.SortFunc(parts, bytes.Compare)
		name = append(name, writeElement(tagSet, parts...)...)
	}
	return name, nil
}

// nameKey returns what two Names have in common when they are equal by RFC 5280,
// section 7.1. One that can't be compared so is equal to itself only.
func nameKey(der []byte) string {
	if name, err := canonicalName(der); err == nil {
		return string(name)
	}
	return string(der) // begins with another tag
}

// The kinds of text.
const (
	tagUTF8      = 0x0c
	tagNumeric   = 0x12
	tagPrintable = 0x13
	tagTeletex   = 0x14
	tagIA5       = 0x16
	tagUniversal = 0x1c
	tagBMP       = 0x1e
)

// canonicalText returns the value of an attribute, text as UTF-8.
func canonicalText(e element) ([]byte, error) {
	text := e.content
	switch e.tag {
	case tagUTF8, tagNumeric, tagPrintable, tagIA5:
	case tagBMP:
		if len(text)%2 != 0 {
			return nil, fault.New(fault.Malformed, "a directory name has half a character")
		}
		units := make([]uint16, 0, len(text)/2)
		for i := 0; i < len(text); i += 2 {
			units = append(units, binary.BigEndian.Uint16(text[i:]))
		}
		text = []byte(string(utf16.Decode(units)))
	case tagTeletex, tagUniversal:
		return nil, fault.New(fault.Malformed, "a directory name has text that can't be compared")
	default:
		return e.full, nil
	}
	if !utf8.Valid(text) {
		return nil, fault.New(fault.Malformed, "a directory name has text that is none")
	}
	return writeElement(tagUTF8, []byte(strings.ToLower(strings.Join(strings.Fields(string(text)), " ")))), nil
}
