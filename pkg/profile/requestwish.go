package profile

import (
	"slices"
	"strconv"

	"golang.org/x/crypto/cryptobyte/asn1"
)

// Attributes of a request: RFC 2985, and what Microsoft's tools add.
const (
	oidExtensionRequest   oid = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"
	oidMSExtensionRequest oid = "\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x0e" // the same under an older name
)

// requestAttributeName returns the name of an attribute, or its dotted form.
func requestAttributeName(kind oid) string {
	switch kind {
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x02":
		return "unstructuredName"
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07":
		return "challengePassword"
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x08":
		return "unstructuredAddress"
	}
	return kind.String()
}

// Extensions: RFC 5280, section 4.2.
const (
	oidSubjectKeyID     oid = "\x55\x1d\x0e"
	oidKeyUsage         oid = "\x55\x1d\x0f"
	oidSubjectAltName   oid = "\x55\x1d\x11"
	oidBasicConstraints oid = "\x55\x1d\x13"
	oidAuthorityKeyID   oid = "\x55\x1d\x23"
	oidExtendedKeyUsage oid = "\x55\x1d\x25"
	oidServerAuth       oid = "\x2b\x06\x01\x05\x05\x07\x03\x01"
	oidClientAuth       oid = "\x2b\x06\x01\x05\x05\x07\x03\x02"
)

// extensionName returns the name of an extension, or its dotted form.
func extensionName(kind oid) string {
	switch kind {
	case oidSubjectKeyID:
		return "subjectKeyIdentifier"
	case oidKeyUsage:
		return "keyUsage"
	case oidSubjectAltName:
		return "subjectAltName"
	case oidBasicConstraints:
		return "basicConstraints"
	case oidExtendedKeyUsage:
		return "extKeyUsage"
	case "\x55\x1d\x12":
		return "issuerAltName"
	case "\x55\x1d\x1e":
		return "nameConstraints"
	case "\x55\x1d\x1f":
		return "cRLDistributionPoints"
	case "\x55\x1d\x20":
		return "certificatePolicies"
	case "\x55\x1d\x21":
		return "policyMappings"
	case oidAuthorityKeyID:
		return "authorityKeyIdentifier"
	case "\x55\x1d\x24":
		return "policyConstraints"
	case "\x2b\x06\x01\x05\x05\x07\x01\x01":
		return "authorityInfoAccess"
	case "\x2b\x06\x01\x05\x05\x07\x01\x18":
		return "tlsFeature"
	case "\x60\x86\x48\x01\x86\xf8\x42\x01\x01":
		return "nsCertType"
	case "\x60\x86\x48\x01\x86\xf8\x42\x01\x0d":
		return "nsComment"
	}
	return kind.String()
}

// extendedKeyUsageName returns the name of a purpose, or its dotted form.
func extendedKeyUsageName(kind oid) string {
	switch kind {
	case oidServerAuth:
		return "serverAuth"
	case oidClientAuth:
		return "clientAuth"
	case "\x2b\x06\x01\x05\x05\x07\x03\x03":
		return "codeSigning"
	case "\x2b\x06\x01\x05\x05\x07\x03\x04":
		return "emailProtection"
	case "\x2b\x06\x01\x05\x05\x07\x03\x08":
		return "timeStamping"
	case "\x2b\x06\x01\x05\x05\x07\x03\x09":
		return "OCSPSigning"
	case "\x55\x1d\x25\x00":
		return "anyExtendedKeyUsage"
	}
	return kind.String()
}

// keyUsages names the bits of a KeyUsage, RFC 5280, section 4.2.1.3.
var keyUsages = [...]string{
	"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
	"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
}

// ignore notes a wish that is not going to be granted, once.
func (r *Request) ignore(wish string) {
	for _, w := range r.ignored {
		if w == wish {
			return
		}
	}
	r.ignored = append(r.ignored, wish)
}

// parseAttributes looks for names in the attributes of a request, and notes
// everything else that they ask for.
func (r *Request) parseAttributes(attributes der) error {
	extensions := false
	for count := 0; !attributes.Empty(); count++ {
		var attr, values der
		ok := attributes.ReadASN1(&attr, asn1.SEQUENCE)
		var kind oid
		if ok {
			kind, ok = readOID(&attr)
		}
		if !ok || !attr.ReadASN1(&values, asn1.SET) || !attr.Empty() || count == MaxNames {
			return malformed("the certificate request's attributes can't be understood")
		}
		if kind != oidExtensionRequest && kind != oidMSExtensionRequest {
			r.ignore("attribute " + requestAttributeName(kind))
			continue
		}
		if extensions {
			return malformed("the certificate request asks for extensions in two places")
		}
		extensions = true
		if err := r.parseExtensions(values); err != nil {
			return err
		}
	}
	return nil
}

// parseExtensions reads the values of an extension request, of which there must be
// one.
func (r *Request) parseExtensions(values der) error {
	list, ok := readWhole(values, asn1.SEQUENCE)
	if !ok {
		return malformed("the requested extensions can't be understood")
	}
	seen := make(map[oid]bool)
	for !list.Empty() {
		kind, value, ok := readExtension(&list)
		if !ok || len(seen) == MaxNames {
			return malformed("the requested extensions can't be understood")
		}
		if seen[kind] {
			return malformed("the certificate request asks twice for the extension %s", extensionName(kind))
		}
		seen[kind] = true
		if kind == oidSubjectAltName {
			if err := r.parseSAN(value); err != nil {
				return err
			}
			continue
		}
		r.ignoreExtension(kind, value)
	}
	return nil
}

// readExtension reads one Extension at the start of s. Whether a request calls it
// critical says nothing about the certificate.
func readExtension(s *der) (kind oid, value der, ok bool) {
	var ext der
	if !s.ReadASN1(&ext, asn1.SEQUENCE) {
		return "", nil, false
	}
	if kind, ok = readOID(&ext); !ok {
		return "", nil, false
	}
	var critical bool
	if ext.PeekASN1Tag(asn1.BOOLEAN) && !ext.ReadASN1Boolean(&critical) {
		return "", nil, false
	}
	ok = ext.ReadASN1(&value, asn1.OCTET_STRING) && ext.Empty()
	return kind, value, ok
}

// ignoreExtension notes what of an extension the certificate will not have.
func (r *Request) ignoreExtension(kind oid, value der) {
	understood := false
	switch kind {
	case oidKeyUsage:
		understood = r.ignoreKeyUsage(value)
	case oidExtendedKeyUsage:
		understood = r.ignoreExtendedKeyUsage(value)
	case oidBasicConstraints:
		understood = r.ignoreBasicConstraints(value)
	case oidSubjectKeyID:
		id, ok := readWhole(value, asn1.OCTET_STRING)
		understood = ok && string(id) == string(r.key.id[:])
	}
	if !understood {
		r.ignore("extension " + extensionName(kind))
	}
}

func (r *Request) ignoreKeyUsage(value der) bool {
	content, ok := readWhole(value, asn1.BIT_STRING)
	if !ok || len(content) < 2 || len(content) > 3 {
		return false
	}
	for i, name := range keyUsages {
		octet, bit := 1+i/8, byte(0x80)>>(i%8)
		granted := name == "digitalSignature" || name == "keyEncipherment" && isRSA(r.key.key)
		if octet < len(content) && content[octet]&bit != 0 && !granted {
			r.ignore("key usage " + name)
		}
	}
	return true
}

func (r *Request) ignoreExtendedKeyUsage(value der) bool {
	list, ok := readWhole(value, asn1.SEQUENCE)
	for count := 0; ok && !list.Empty(); count++ {
		var kind oid
		kind, ok = readOID(&list)
		switch {
		case !ok || count >= MaxNames:
		case kind == oidServerAuth || kind == oidClientAuth:
			if !slices.Contains(r.purposes, kind) {
				r.purposes = append(r.purposes, kind)
			}
		default:
			r.ignore("extended key usage " + extendedKeyUsageName(kind))
		}
	}
	return ok
}

func (r *Request) ignoreBasicConstraints(value der) bool {
	content, ok := readWhole(value, asn1.SEQUENCE)
	var ca bool
	if ok && content.PeekASN1Tag(asn1.BOOLEAN) {
		ok = content.ReadASN1Boolean(&ca)
	}
	pathLength := -1
	if ok && !content.Empty() {
		ok = content.ReadASN1Integer(&pathLength) && content.Empty()
	}
	if ok && ca {
		r.ignore("CA:TRUE")
	}
	if ok && pathLength >= 0 {
		r.ignore("pathlen:" + strconv.Itoa(pathLength))
	}
	return ok
}
