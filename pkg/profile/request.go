package profile

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"strings"

	"golang.org/x/crypto/cryptobyte/asn1"

	"x509ctl/pkg/fault"
)

// A Request is a PKCS#10 request (RFC 2986) that was signed by the key in it, a key
// that passed [CheckKey]. Its names are as found and not approved: that is
// [Policy.ApproveRequest]. Only [ParseRequest] makes one, and it can't be changed.
type Request struct {
	der         []byte
	key         *SubjectKey
	names       []requestedName
	multiValued bool // whether the subject has a part with several values
	ignored     []string
	purposes    []oid // serverAuth and clientAuth, if asked for
}

// ParseRequest reads one request, in DER, or in PEM as "CERTIFICATE REQUEST" or "NEW
// CERTIFICATE REQUEST" with any text around it. It checks the key and always the
// signature; a signature may still be made with SHA-1, since it only proves that
// the requester has the key.
//
// Errors: [fault.Malformed] for what is no such request: more than [MaxRequestSize]
// octets, a second PEM block, octets after the end, a version other than 0, an
// extension asked for twice, anything that is BER and not DER. [fault.Denied] for more
// than [MaxNames] names, a key that is refused, and a signature that does not
// verify or is made in a way that proves nothing (MD5). No error shows octets
// of the input that are not printable ASCII.
func ParseRequest(data []byte) (*Request, error) {
	raw, err := requestDER(data)
	if err != nil {
		return nil, err
	}
	request, ok := readWhole(raw, asn1.SEQUENCE)
	var tbs, algorithm der
	if !ok || !request.ReadASN1Element(&tbs, asn1.SEQUENCE) || !request.ReadASN1(&algorithm, asn1.SEQUENCE) {
		return nil, malformed("this is not a certificate request")
	}
	signature, ok := readBits(&request)
	if !ok || !request.Empty() {
		return nil, malformed("the certificate request has no signature, or octets after it")
	}
	r := &Request{der: raw}
	if err := r.parseInfo(tbs); err != nil {
		return nil, err
	}
	if err := r.checkSignature(tbs, algorithm, signature); err != nil {
		return nil, err
	}
	return r, nil
}

// parseInfo reads the part of the request that is signed.
func (r *Request) parseInfo(tbs der) error {
	info, ok := readWhole(tbs, asn1.SEQUENCE)
	var version, subject, spki, attributes der
	if !ok || !info.ReadASN1(&version, asn1.INTEGER) {
		return malformed("this is not a certificate request")
	}
	if string(version) != "\x00" {
		return malformed("the certificate request is not of version 1 (encoded as 0)")
	}
	if !info.ReadASN1(&subject, asn1.SEQUENCE) || !info.ReadASN1Element(&spki, asn1.SEQUENCE) {
		return malformed("the certificate request has no subject or no key")
	}
	if !info.ReadASN1(&attributes, asn1.Tag(0).ContextSpecific().Constructed()) || !info.Empty() {
		return malformed("the certificate request has no attributes field, or octets after it")
	}
	if err := r.parseSubject(subject); err != nil {
		return err
	}
	var err error
	if r.key, err = subjectKeyOf(spki); err != nil {
		return err
	}
	return r.parseAttributes(attributes)
}

// checkSignature verifies the signature with the key of the request.
func (r *Request) checkSignature(tbs, algorithm der, signature []byte) error {
	kind, ok := readOID(&algorithm)
	if !ok {
		return malformed("the certificate request's signature has no algorithm")
	}
	csr := &x509.CertificateRequest{
		SignatureAlgorithm:       requestSignature(kind),
		RawTBSCertificateRequest: tbs,
		Signature:                signature,
		PublicKey:                r.key.key,
	}
	var err error
	if kind == oidRSAPSS { // its parameters are crypto/x509's business
		if csr, err = x509.ParseCertificateRequest(r.der); err != nil {
			return malformed("the certificate request's RSASSA-PSS signature can't be understood")
		}
	} else if !algorithm.Empty() && string(algorithm) != "\x05\x00" {
		return malformed("the certificate request's signature has parameters that its algorithm has not")
	}
	if csr.SignatureAlgorithm == x509.UnknownSignatureAlgorithm {
		return fault.Errorf(fault.Denied, "the certificate request's signature algorithm %s is not accepted", signatureName(kind))
	}
	if err := csr.CheckSignature(); err != nil {
		return fault.New(fault.Denied, "the certificate request's signature does not verify: another key made it, or the request was changed")
	}
	return nil
}

// Signature algorithms: RFC 3279, RFC 4055, RFC 5758, RFC 8410.
const (
	oidMD5WithRSA      oid = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04"
	oidSHA1WithRSA     oid = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05"
	oidRSAPSS          oid = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"
	oidSHA256WithRSA   oid = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"
	oidSHA384WithRSA   oid = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"
	oidSHA512WithRSA   oid = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"
	oidECDSAWithSHA1   oid = "\x2a\x86\x48\xce\x3d\x04\x01"
	oidECDSAWithSHA256 oid = "\x2a\x86\x48\xce\x3d\x04\x03\x02"
	oidECDSAWithSHA384 oid = "\x2a\x86\x48\xce\x3d\x04\x03\x03"
	oidECDSAWithSHA512 oid = "\x2a\x86\x48\xce\x3d\x04\x03\x04"
)

// requestSignature returns how a request is signed, for the ways that are accepted
// apart from RSASSA-PSS.
func requestSignature(kind oid) x509.SignatureAlgorithm {
	switch kind {
	case oidSHA1WithRSA:
		return x509.SHA1WithRSA
	case oidSHA256WithRSA:
		return x509.SHA256WithRSA
	case oidSHA384WithRSA:
		return x509.SHA384WithRSA
	case oidSHA512WithRSA:
		return x509.SHA512WithRSA
	case oidECDSAWithSHA1:
		return x509.ECDSAWithSHA1
	case oidECDSAWithSHA256:
		return x509.ECDSAWithSHA256
	case oidECDSAWithSHA384:
		return x509.ECDSAWithSHA384
	case oidECDSAWithSHA512:
		return x509.ECDSAWithSHA512
	case oidEd25519Key:
		return x509.PureEd25519
	}
	return x509.UnknownSignatureAlgorithm
}

func signatureName(kind oid) string {
	switch kind {
	case oidMD5WithRSA:
		return "MD5 with RSA"
	case oidRSAPSS:
		return "RSASSA-PSS with these parameters"
	}
	return kind.String()
}

// CommonName returns the first common name as found, or "". It is not checked and
// may hold anything: to be shown escaped, and not to be used for a file's name.
func (r *Request) CommonName() string {
	for _, n := range r.names {
		if n.kind == kindCommonName {
			return n.text
		}
	}
	return ""
}

// Names returns every name asked for, of every kind, in the order found and with its
// kind in front: "CN:node1", "DNS:node1.example.com", "IP:192.0.2.1", "email:…",
// "URI:…", "otherName:…". What is not printable ASCII is escaped.
func (r *Request) Names() []string {
	out := make([]string, len(r.names))
	for i, n := range r.names {
		out[i] = n.String()
	}
	return out
}

// Key returns the key of the request.
func (r *Request) Key() *SubjectKey { return r.key }

// RawSPKI returns the key as [SubjectKey.SPKI] does.
func (r *Request) RawSPKI() []byte { return r.key.SPKI() }

// PublicKey returns the key as [SubjectKey.Public] does.
func (r *Request) PublicKey() crypto.PublicKey { return r.key.Public() }

// Hash returns the SHA-256 of the request in DER, whatever form it came in.
func (r *Request) Hash() [32]byte { return sha256.Sum256(r.der) }

// Ignored returns in words what was asked for and is not going to be in the
// certificate: "CA:TRUE", "key usage keyCertSign", `subject attribute O="Example"`.
// What the certificate for these names has anyway is not listed; the zero Approved stands
// for a node's.
func (r *Request) Ignored(a Approved) []string {
	purposes, own := nodePurposes, ""
	if t := a.profile.traits(); t != nil {
		purposes = t.purposes
	}
	if a.project != "" {
		own = subjectAttribute(attribute{oidOrganization, asn1.UTF8String, der(a.project)})
	}
	var list []string
	for _, wish := range r.ignored {
		if wish != own {
			list = append(list, wish)
		}
	}
	for _, kind := range r.purposes {
		if !strings.Contains(purposes, string(kind)) {
			list = append(list, "extended key usage "+extendedKeyUsageName(kind))
		}
	}
	return list
}

// subjectAttribute returns the wish for an attribute of the subject.
func subjectAttribute(a attribute) string { return "subject attribute " + a.String() }
