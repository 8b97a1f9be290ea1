package profile

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/cryptobyte/asn1"

	"x509ctl/pkg/serial"
)

// tbsFields is a TBSCertificate (RFC 5280, section 4.1) taken apart: every field that
// certificates made here have. Nothing of the input is left out.
type tbsFields struct {
	serial     der // content of the INTEGER
	algorithm  der // the whole AlgorithmIdentifier
	issuer     der // the whole Name
	notBefore  tbsTime
	notAfter   tbsTime
	subject    der // the whole Name
	spki       der // the whole SubjectPublicKeyInfo
	extensions []tbsExtension
}

type tbsTime struct {
	tag  asn1.Tag
	text der
}

type tbsExtension struct {
	kind     oid
	critical bool
	value    der
}

// readTBS takes tbs apart. It knows no unique identifiers and no version but 3, and
// so refuses them.
func readTBS(tbs []byte) (*tbsFields, bool) {
	s, ok := readWhole(tbs, asn1.SEQUENCE)
	var version, validity, wrapped, list der
	f := &tbsFields{}
	ok = ok &&
		s.ReadASN1Element(&version, asn1.Tag(0).ContextSpecific().Constructed()) && bytes.Equal(version, version3) &&
		s.ReadASN1(&f.serial, asn1.INTEGER) &&
		s.ReadASN1Element(&f.algorithm, asn1.SEQUENCE) &&
		s.ReadASN1Element(&f.issuer, asn1.SEQUENCE) &&
		s.ReadASN1(&validity, asn1.SEQUENCE) &&
		validity.ReadAnyASN1(&f.notBefore.text, &f.notBefore.tag) &&
		validity.ReadAnyASN1(&f.notAfter.text, &f.notAfter.tag) && validity.Empty() &&
		s.ReadASN1Element(&f.subject, asn1.SEQUENCE) &&
		s.ReadASN1Element(&f.spki, asn1.SEQUENCE) &&
		s.ReadASN1(&wrapped, asn1.Tag(3).ContextSpecific().Constructed()) && s.Empty() &&
		wrapped.ReadASN1(&list, asn1.SEQUENCE) && wrapped.Empty()
	for ok && !list.Empty() {
		var e tbsExtension
		e, ok = readTBSExtension(&list)
		f.extensions = append(f.extensions, e)
	}
	return f, ok
}

// readTBSExtension reads one Extension. DER has no explicit FALSE.
func readTBSExtension(s *der) (e tbsExtension, ok bool) {
	var ext der
	if !s.ReadASN1(&ext, asn1.SEQUENCE) {
		return e, false
	}
	if e.kind, ok = readOID(&ext); !ok {
		return e, false
	}
	if ext.PeekASN1Tag(asn1.BOOLEAN) && (!ext.ReadASN1Boolean(&e.critical) || !e.critical) {
		return e, false
	}
	ok = ext.ReadASN1(&e.value, asn1.OCTET_STRING) && ext.Empty()
	return e, ok
}

// check compares the number, the names of issuer and subject, and the key.
func (f *tbsFields) check(n serial.Number, issuer []byte, organization, subject string, key *SubjectKey) error {
	number := int64(0)
	for _, b := range f.serial {
		if number >= 1<<55 {
			return wrong("number")
		}
		number = number<<8 | int64(b)
	}
	if number != int64(n) || n < 1 || f.serial[0] >= 0x80 {
		return wrong("number")
	}
	if !bytes.Equal(f.issuer, issuer) {
		return wrong("issuer")
	}
	if !isSubject(f.subject, organization, subject) {
		return wrong("subject")
	}
	if !bytes.Equal(f.spki, key.spki) {
		return wrong("key")
	}
	return nil
}

// isSubject reports whether the Name is the organization given, unless that is empty, and
// then the common name given, each by itself and a UTF8String.
func isSubject(name []byte, organization, common string) bool {
	s, ok := readWhole(name, asn1.SEQUENCE)
	if !ok || organization != "" && !isNextPart(&s, oidOrganization, organization) {
		return false
	}
	return isNextPart(&s, oidCommonName, common) && s.Empty()
}

// isNextPart reports whether a Name goes on with one attribute, of 1 to 64 octets.
func isNextPart(s *der, kind oid, want string) bool {
	rdn, ok := readRDN(s)
	return ok && len(rdn) == 1 && want != "" && len(want) <= maxCommonNameLength &&
		rdn[0].kind == kind && rdn[0].tag == asn1.UTF8String && string(rdn[0].value) == want
}

// extension returns the extension of a kind, or nil.
func (f *tbsFields) extension(kind oid) *tbsExtension {
	for i := range f.extensions {
		if f.extensions[i].kind == kind {
			return &f.extensions[i]
		}
	}
	return nil
}

// has reports whether there is an extension of a kind, critical or not as given.
func (f *tbsFields) has(kind oid, critical bool) bool {
	e := f.extension(kind)
	return e != nil && e.critical == critical
}

// hasValue reports whether the extension of a kind, if there is one, has the value.
func (f *tbsFields) hasValue(kind oid, value string) bool {
	e := f.extension(kind)
	return e == nil || string(e.value) == value
}

// hasOnly reports whether there are no extensions of other kinds.
func (f *tbsFields) hasOnly(kinds ...oid) bool {
	for _, e := range f.extensions {
		if !slices.Contains(kinds, e.kind) {
			return false
		}
	}
	return true
}

// checkTimes compares both ends of the validity as they are written.
func (f *tbsFields) checkTimes(v Validity) error {
	tag, text := timeText(v.notBefore)
	if f.notBefore.tag != tag || string(f.notBefore.text) != text {
		return wrong("form of notBefore")
	}
	tag, text = timeText(v.notAfter)
	if f.notAfter.tag != tag || string(f.notAfter.text) != text {
		return wrong("form of notAfter")
	}
	return nil
}

// A wantedExtension is what an extension has to be; an empty value is checked by a
// function.
type wantedExtension struct {
	kind     oid
	critical bool
	value    string
}

// checkExtensions compares the extensions with the wanted ones, in their order, with
// none beside them.
func (f *tbsFields) checkExtensions(want []wantedExtension, checkSAN func(der) error) error {
	if len(f.extensions) != len(want) {
		return wrong("number of extensions")
	}
	for i, w := range want {
		e := f.extensions[i]
		if e.kind != w.kind || e.critical != w.critical {
			return wrong("extension " + extensionName(e.kind))
		}
		if w.value == "" {
			if err := checkSAN(e.value); err != nil {
				return err
			}
			continue
		}
		if string(e.value) != w.value {
			return wrong("value of extension " + extensionName(e.kind))
		}
	}
	return nil
}
