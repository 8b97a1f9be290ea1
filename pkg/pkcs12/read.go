package pkcs12

import (
	"encoding/asn1"
	"fmt"

	"x509ctl/pkg/fault"
)

// Bounds of what is read, all included.
const (
	// MaxFile is the size of a file in octets.
	MaxFile = 1 << 20
	// MaxWork is how often a hash function is iterated for one password, over all
	// derivations of a file: some seconds. Files in use need at most 600,000 for
	// each derivation; one that asks for 2^31-1 keeps other programs busy for hours.
	MaxWork = 10_000_000

	maxParts  = 100
	maxBags   = 10_000
	maxNested = 4
	maxKeys   = 100
	maxKey    = 10 << 10 // octets; RSA of 16,384 bits takes 9 KiB
)

var (
	// ErrBER is a file that is not in DER: see [Parse].
	ErrBER = fault.New(fault.Malformed, "the PKCS#12 file is in BER, not in DER")
	// ErrTooMuchWork is a file that asks for more than [MaxWork], or more memory.
	ErrTooMuchWork = fault.New(fault.Denied, "it asks for absurd work before a password can be tried")
	// ErrShortKey is a PBMAC1 key of fewer than 20 octets (RFC 9579, section 8): one
	// of few bits can be guessed by somebody who doesn't know the password and wants
	// to forge the contents.
	ErrShortKey = fault.New(fault.Denied, "the PKCS#12 file has a MAC that anybody could have forged")
	// ErrUnsupported is a file by an algorithm that is not known here.
	ErrUnsupported = fault.New(fault.Malformed, "it needs what is not supported")
)

// A File is a PKCS#12 file of which nothing was deciphered: what can be told without
// its password. Only [Parse] makes one.
type File struct {
	MAC   *Algorithm // nil: none, so that anybody could have changed it
	Parts []Part     // in the order of the file

	safe   []byte // what the MAC is over
	digest []byte // the MAC
}

// A Part is an AuthenticatedSafe's ContentInfo (RFC 7292, section 4.1).
type Part struct {
	Encryption *Algorithm // nil: in the clear
	Bags       []Bag      // nil for an encrypted part, until it is opened

	data []byte
}

// A Bag is one thing in a part.
type Bag struct {
	Kind       BagKind
	Encryption *Algorithm // of a key; nil: none of its own
	Name       string     // the friendly name, as the file has it: print it with care
	LocalKeyID []byte     // of a key and its certificate the same; nil: none
	Trusted    bool       // marked as a trust anchor, as Java does

	data []byte
}

// A BagKind says what is in a bag, in words.
type BagKind string

// The kinds of bags (RFC 7292, section 4.2). Another one's kind is its object
// identifier.
const (
	PlainKey     BagKind = "key"
	EncryptedKey BagKind = "encrypted key"
	Certificate  BagKind = "certificate"
	CRL          BagKind = "CRL"
	Secret       BagKind = "secret"
)

// Parse reads the structure of a PKCS#12 file of version 3 with a password for
// integrity, DER, at most [MaxFile] octets. No key is derived, so that it is quick
// whatever the file asks for; [File.Check] judges that.
//
// Errors: [fault.Malformed], among them [ErrBER] for a file with indefinite lengths or
// strings in pieces. Those are allowed by the standard and written by few; DER alone is
// read here, because one reading of a file is enough.
func Parse(data []byte) (*File, error) {
	if len(data) > MaxFile {
		return nil, fault.Errorf(fault.Malformed, "the PKCS#12 file is larger than %d octets", MaxFile)
	}
	var file struct {
		Version  int
		AuthSafe contentInfo
		MAC      asn1.RawValue `asn1:"optional"`
	}
	if err := decode(data, &file, "file"); err != nil {
		return nil, err
	}
	switch {
	case file.Version != 3:
		return nil, fault.Errorf(fault.Malformed, "the PKCS#12 file is of version %d, not 3", file.Version)
	case !file.AuthSafe.Type.Equal(oidData):
		return nil, fault.Errorf(fault.Malformed, "the PKCS#12 file is protected by a signature, not by a password: %v", file.AuthSafe.Type)
	}
	f := &File{}
	if err := decode(file.AuthSafe.Content.Bytes, &f.safe, "contents"); err != nil {
		return nil, err
	}
	if len(file.MAC.FullBytes) > 0 {
		if err := f.parseMAC(file.MAC.FullBytes); err != nil {
			return nil, err
		}
	}
	return f, f.parseParts()
}

func (f *File) parseParts() error {
	var infos []contentInfo
	if err := decode(f.safe, &infos, "contents"); err != nil {
		return err
	}
	if len(infos) > maxParts {
		return fault.Errorf(fault.Malformed, "the PKCS#12 file has %d parts, more than %d", len(infos), maxParts)
	}
	for i, info := range infos {
		p, err := parsePart(info)
		if err != nil {
			return fmt.Errorf("part %d: %w", i+1, err)
		}
		f.Parts = append(f.Parts, p)
	}
	return nil
}

func parsePart(info contentInfo) (Part, error) {
	switch {
	case info.Type.Equal(oidData):
		var p Part
		if err := decode(info.Content.Bytes, &p.data, "contents"); err != nil {
			return Part{}, err
		}
		var err error
		p.Bags, err = parseBags(p.data, 0)
		return p, err
	case info.Type.Equal(oidEncrypted):
		var e encryptedData
		if err := decode(info.Content.Bytes, &e, "encrypted contents"); err != nil {
			return Part{}, err
		}
		return Part{Encryption: encryptionOf(e.Content.Algorithm), data: e.Content.Data}, nil
	}
	// Encrypted for a public key, most likely.
	name := info.Type.String()
	if name == "1.2.840.113549.1.7.3" {
		name = "enveloped data, for the owner of a private key"
	}
	return Part{Encryption: unsupported(name)}, nil
}

// parseBags reads SafeContents (RFC 7292, section 4.2), those inside included.
func parseBags(data []byte, depth int) ([]Bag, error) {
	var raw []safeBag
	if err := decode(data, &raw, "contents"); err != nil {
		return nil, err
	}
	bags := []Bag{}
	for _, r := range raw {
		if r.Type.String() != oidNested {
			b, err := parseBag(r)
			if err != nil {
				return nil, err
			}
			bags = append(bags, b)
			continue
		}
		if depth == maxNested {
			return nil, fault.Errorf(fault.Malformed, "the PKCS#12 file has contents in contents, more than %d deep", maxNested)
		}
		inner, err := parseBags(r.Value.Bytes, depth+1)
		if err != nil {
			return nil, err
		}
		bags = append(bags, inner...)
	}
	if len(bags) > maxBags {
		return nil, fault.Errorf(fault.Malformed, "the PKCS#12 file has more than %d entries", maxBags)
	}
	return bags, nil
}

const (
	oidNested        = "1.2.840.113549.1.12.10.1.6"
	oidX509          = "1.2.840.113549.1.9.22.1"
	oidFriendlyName  = "1.2.840.113549.1.9.20"
	oidLocalKeyID    = "1.2.840.113549.1.9.21"
	oidTrustedByJava = "2.16.840.1.113894.746875.1.1"
)

func parseBag(r safeBag) (Bag, error) {
	kinds := map[string]BagKind{
		"1.2.840.113549.1.12.10.1.1": PlainKey,
		"1.2.840.113549.1.12.10.1.2": EncryptedKey,
		"1.2.840.113549.1.12.10.1.3": Certificate,
		"1.2.840.113549.1.12.10.1.4": CRL,
		"1.2.840.113549.1.12.10.1.5": Secret,
	}
	b := Bag{Kind: kinds[r.Type.String()], data: r.Value.Bytes}
	switch b.Kind {
	case "":
		b.Kind = BagKind(r.Type.String())
	case EncryptedKey:
		var k encryptedKey
		if err := decode(b.data, &k, "encrypted key"); err != nil {
			return Bag{}, err
		}
		b.Encryption, b.data = encryptionOf(k.Algorithm), k.Data
	case Certificate:
		var c struct {
			Type asn1.ObjectIdentifier
			Data []byte `asn1:"tag:0,explicit"`
		}
		if err := decode(b.data, &c, "certificate"); err != nil {
			return Bag{}, err
		}
		if c.Type.String() != oidX509 {
			b.Kind = BagKind(c.Type.String())
		}
		b.data = c.Data
	}
	return b, b.parseAttributes(r.Attributes.Bytes)
}

// parseAttributes reads those that are known; another program's are nobody's
// business.
func (b *Bag) parseAttributes(set []byte) error {
	for len(set) > 0 {
		var a struct {
			Type   asn1.ObjectIdentifier
			Values asn1.RawValue `asn1:"set"`
		}
		rest, err := asn1.Unmarshal(set, &a)
		if err != nil {
			return malformed(set, "attributes", err)
		}
		set = rest
		switch a.Type.String() {
		case oidFriendlyName:
			var name asn1.RawValue
			if err := decode(a.Values.Bytes, &name, "friendly name"); err != nil {
				return err
			}
			b.Name = bmpText(name.Bytes)
		case oidLocalKeyID:
			if err := decode(a.Values.Bytes, &b.LocalKeyID, "local key ID"); err != nil {
				return err
			}
		case oidTrustedByJava:
			b.Trusted = true
		}
	}
	return nil
}

// Check returns nil when f may be opened, and else the reason: [ErrTooMuchWork],
// [ErrShortKey] or [ErrUnsupported], wrapped with the particulars. What is inside
// of encrypted parts is judged by [File.Open].
func (f *File) Check() error {
	b := newBudget()
	if f.MAC != nil {
		if err := b.spend(f.MAC); err != nil {
			return fmt.Errorf("the MAC: %w", err)
		}
	}
	for i, p := range f.Parts {
		if p.Encryption != nil {
			if err := b.spend(p.Encryption); err != nil {
				return fmt.Errorf("part %d: %w", i+1, err)
			}
		}
		for _, bag := range p.Bags {
			if bag.Encryption != nil {
				if err := b.spend(bag.Encryption); err != nil {
					return fmt.Errorf("a key in part %d: %w", i+1, err)
				}
			}
		}
	}
	return nil
}

// A budget is what is left of MaxWork, and what may be taken of memory at a time.
type budget struct{ left, memory int64 }

// newBudget is that of a PKCS#12 file.
func newBudget() *budget { return &budget{MaxWork, maxMemory} }

// spend takes the work of one derivation by a.
func (b *budget) spend(a *Algorithm) error {
	switch {
	case a.refusal != nil:
		return a.refusal
	case a.memory > b.memory:
		return fmt.Errorf("%w: %d octets of memory for %s, more than %d", ErrTooMuchWork, a.memory, a.KDF, b.memory)
	case a.work > b.left:
		return fmt.Errorf("%w: %d iterations of %s, which with all others is more than %d", ErrTooMuchWork, a.Iterations, a.Hash, MaxWork)
	}
	b.left -= a.work
	return nil
}

// decode is unmarshal with an error that says what could not be read, and why.
func decode(der []byte, v any, what string) error {
	if err := unmarshal(der, v); err != nil {
		return malformed(der, what, err)
	}
	return nil
}

func malformed(der []byte, what string, err error) error {
	if flaw := notDER(der, 0); flaw != "" {
		return fmt.Errorf("%w: %s in its %s", ErrBER, flaw, what)
	}
	return fault.Errorf(fault.Malformed, "the PKCS#12 file is damaged, or none: its %s can't be read: %w", what, err)
}

// notDER looks for what BER allows and DER does not (X.690, section 10), and returns
// it in words, or "".
func notDER(data []byte, depth int) string {
	for len(data) > 2 && depth < 20 {
		tag, length, head := data[0], int(data[1]), 2
		switch {
		case tag&0x1f == 0x1f:
			return ""
		case length == 0x80:
			return "an indefinite length"
		case tag == 0x24:
			return "a string in pieces"
		case length > 0x80:
			n := length & 0x7f
			if n > 4 || len(data) < 2+n {
				return ""
			}
			length, head = 0, 2+n
			for _, b := range data[2:head] {
				length = length<<8 | int(b)
			}
		}
		end := min(max(head+length, head), len(data)) // cut off, perhaps: look as far as it goes
		if tag&0x20 != 0 {
			if flaw := notDER(data[head:end], depth+1); flaw != "" {
				return flaw
			}
		}
		data = data[end:]
	}
	return ""
}
