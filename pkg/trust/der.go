package trust

// The tags of DER that are looked for by hand. Everything else is left to
// crypto/x509 and encoding/asn1.
const (
	tagBoolean         = 0x01
	tagInteger         = 0x02
	tagOctetString     = 0x04
	tagOID             = 0x06
	tagEnumerated      = 0x0a
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagSequence        = 0x30
	tagSet             = 0x31
	tagContext0        = 0xa0 // [0], constructed
	tagContext1        = 0xa1 // [1], constructed
)

// An element is one value of DER: its tag, what it contains, and all of it.
type element struct {
	tag     byte
	content []byte
	full    []byte
}

// readElement takes the first element off b. Tags above 30 and lengths that are
// not in their shortest form are no DER that X.509 has.
func readElement(b []byte) (e element, rest []byte, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return element{}, nil, false
	}
	size, header := int(b[1]), 2
	if size >= 0x80 {
		n := size & 0x7f
		if n == 0 || n > 4 || len(b) < 2+n || b[2] == 0 {
			return element{}, nil, false
		}
		size = 0
		for _, c := range b[2 : 2+n] {
			size = size<<8 | int(c)
		}
		if header += n; size < 0x80 {
			return element{}, nil, false
		}
	}
	if size > len(b)-header {
		return element{}, nil, false
	}
	end := header + size
	return element{b[0], b[header:end:end], b[:end:end]}, b[end:], true
}

// readTag takes the first element off b if it has the tag.
func readTag(b []byte, tag byte) (e element, rest []byte, ok bool) {
	e, rest, ok = readElement(b)
	return e, rest, ok && e.tag == tag
}

// readAll returns the elements of b, which has to consist of them, n at most.
func readAll(b []byte, n int) ([]element, bool) {
	var all []element
	for len(b) > 0 {
		e, rest, ok := readElement(b)
		if !ok || len(all) == n {
			return nil, false
		}
		all, b = append(all, e), rest
	}
	return all, true
}

// writeElement returns the element of the tag with the parts as its content.
func writeElement(tag byte, parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	b := make([]byte, 0, size+6)
	switch b = append(b, tag); {
	case size < 0x80:
		b = append(b, byte(size))
	case size < 1<<8:
		b = append(b, 0x81, byte(size))
	case size < 1<<16:
		b = append(b, 0x82, byte(size>>8), byte(size))
	case size < 1<<24:
		b = append(b, 0x83, byte(size>>16), byte(size>>8), byte(size))
	default:
		b = append(b, 0x84, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
	}
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
