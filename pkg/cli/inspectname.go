package cli

import (
	"crypto/x509/pkix"
	encoding "encoding/asn1"
	"encoding/hex"
	"net/netip"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// extensionsText returns the subject alternative names, and what is said of the
// extensions that have no field of their own.
func extensionsText(list []pkix.Extension) (names, others []string) {
	names, others = []string{}, []string{}
	for _, e := range list {
		switch id := e.Id.String(); id {
		case "2.5.29.17":
			names = append(names, generalNames(e.Value)...)
		case "2.5.29.14", "2.5.29.15", "2.5.29.19", "2.5.29.35", "2.5.29.37":
		default:
			text := extensionName(id)
			if e.Critical {
				text += " (critical)"
			}
			others = append(others, text)
		}
	}
	return names, others
}

func extensionName(id string) string {
	names := map[string]string{
		"2.5.29.14":               "subjectKeyIdentifier",
		"2.5.29.15":               "keyUsage",
		"2.5.29.16":               "privateKeyUsagePeriod",
		"2.5.29.17":               "subjectAltName",
		"2.5.29.18":               "issuerAltName",
		"2.5.29.19":               "basicConstraints",
		"2.5.29.20":               "cRLNumber",
		"2.5.29.28":               "issuingDistributionPoint",
		"2.5.29.30":               "nameConstraints",
		"2.5.29.31":               "cRLDistributionPoints",
		"2.5.29.32":               "certificatePolicies",
		"2.5.29.35":               "authorityKeyIdentifier",
		"2.5.29.36":               "policyConstraints",
		"2.5.29.37":               "extKeyUsage",
		"1.3.6.1.5.5.7.1.1":       "authorityInfoAccess",
		"1.3.6.1.5.5.7.1.24":      "tlsFeature",
		"1.3.6.1.4.1.11129.2.4.2": "signedCertificateTimestamps",
		"2.16.840.1.113730.1.1":   "netscapeCertType",
		"2.16.840.1.113730.1.13":  "netscapeComment",
	}
	if name, ok := names[id]; ok {
		return name
	}
	return id
}

// generalNames are the names in a subjectAltName (RFC 5280, section 4.2.1.6), every
// kind of them. Bytes that are no text are escaped where they are printed.
func generalNames(value []byte) []string {
	s := cryptobyte.String(value)
	var list cryptobyte.String
	if !s.ReadASN1(&list, asn1.SEQUENCE) {
		return []string{"damaged: 0x" + hex.EncodeToString(value)}
	}
	var names []string
	for !list.Empty() {
		var content cryptobyte.String
		var tag asn1.Tag
		if !list.ReadAnyASN1(&content, &tag) {
			return append(names, "damaged: 0x"+hex.EncodeToString(list))
		}
		names = append(names, generalName(tag, content))
	}
	return names
}

func generalName(tag asn1.Tag, content cryptobyte.String) string {
	switch tag &^ 0x20 {
	case 0x80:
		return "otherName:" + otherName(content)
	case 0x81:
		return "email:" + string(content)
	case 0x82:
		return "DNS:" + string(content)
	case 0x84:
		return "dirName:" + nameText(content)
	case 0x86:
		return "URI:" + string(content)
	case 0x87:
		if addr, ok := netip.AddrFromSlice(content); ok {
			return "IP:" + addr.String()
		}
		return "IP:0x" + hex.EncodeToString(content)
	case 0x88:
		return "registeredID:" + objectID(content)
	}
	kinds := map[asn1.Tag]string{0x83: "x400Address:0x", 0x85: "ediPartyName:0x"}
	if kind, ok := kinds[tag&^0x20]; ok {
		return kind + hex.EncodeToString(content)
	}
	return "unknown:0x" + hex.EncodeToString(content)
}

// otherName is a name of a kind of its own: Windows' user principal names, mostly.
func otherName(content cryptobyte.String) string {
	var id encoding.ObjectIdentifier
	var wrapped, value cryptobyte.String
	var tag asn1.Tag
	if !content.ReadASN1ObjectIdentifier(&id) || !content.ReadASN1(&wrapped, asn1.Tag(0).Constructed().ContextSpecific()) ||
		!wrapped.ReadAnyASN1(&value, &tag) {
		return "damaged"
	}
	kind := id.String()
	if kind == "1.3.6.1.4.1.311.20.2.3" {
		kind = "UPN"
	}
	if tag == asn1.UTF8String || tag == asn1.PrintableString || tag == asn1.IA5String {
		return kind + ":" + string(value)
	}
	return kind + ":0x" + hex.EncodeToString(value)
}

// objectID reads the content of an OBJECT IDENTIFIER.
func objectID(content []byte) string {
	var id encoding.ObjectIdentifier
	der := append([]byte{byte(asn1.OBJECT_IDENTIFIER), byte(len(content))}, content...)
	if _, err := encoding.Unmarshal(der, &id); err != nil || len(content) > 0x7f {
		return "0x" + hex.EncodeToString(content)
	}
	return id.String()
}
