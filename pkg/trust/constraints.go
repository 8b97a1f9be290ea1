package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"slices"

	"x509ctl/pkg/fault"
)

// The forms of a GeneralName that are told apart, by their tags.
const (
	formEmail     = 1
	formDNS       = 2
	formDirectory = 4
	formURI       = 6
	formIP        = 7
	forms         = 9 // all, those that are not understood too
)

// maxNameWork bounds what comparing names with constraints may cost for one leaf:
// comparisons, of which long ones count more than once.
const maxNameWork = 250_000

// constraints are what one CA's certificate says about names below it (RFC 5280,
// section 4.2.1.10), by form. A directory name is kept as [canonicalName] has it,
// others as their octets.
type constraints struct {
	by                  *x509.Certificate
	permitted, excluded [forms][][]byte
}

var emailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}

// NameConstraints are what the CA certificates of one chain say together about the
// names of the certificates below. Nil says nothing, and allows every name.
type NameConstraints struct{ above []*constraints }

// NewNameConstraints reads them from a chain: a CA's certificate first, and then those
// above it, each signed by the next. It returns nil when there are none. A constraint
// that can't be understood, or that a certificate of the chain itself breaks, is an
// error: a [*VerifyError].
func NewNameConstraints(chain []*x509.Certificate) (*NameConstraints, error) {
	s := search{names: maxNameWork}
	above, err := s.constraintsIn(chain)
	if err != nil || len(above) == 0 {
		return nil, err
	}
	return &NameConstraints{above}, nil
}

// Check refuses the names of a certificate that is yet to be made, whose subject is
// commonName alone. Error: [*VerifyError].
func (c *NameConstraints) Check(commonName string, dnsNames []string, addresses []netip.Addr) error {
	if c == nil {
		return nil
	}
	der, err := asn1.Marshal(pkix.Name{CommonName: commonName}.ToRDNSequence())
	if err != nil {
		return err
	}
	subject, err := canonicalName(der)
	if err != nil {
		return err
	}
	all := []generalName{{formDirectory, subject, "CN=" + commonName}}
	for _, n := range dnsNames {
		all = append(all, generalName{formDNS, []byte(n), n})
	}
	for _, a := range addresses {
		all = append(all, generalName{formIP, a.AsSlice(), a.String()})
	}
	s := search{names: maxNameWork}
	return s.holdAgainst(c.above, all, "")
}

// checkNames holds each certificate's names against the constraints of all CAs
// above it.
func (s *search) checkNames(path []*x509.Certificate) error {
	above, err := s.constraintsIn(path[1:])
	if err != nil || len(above) == 0 {
		return err
	}
	return s.checkNamesOf(path[0], above)
}

// constraintsIn returns the constraints of a chain of CAs, whose own names it holds
// against them. A self-issued certificate is let off, so that a CA can change its key
// (RFC 5280, section 6.1.3, b and c).
func (s *search) constraintsIn(chain []*x509.Certificate) (above []*constraints, err error) {
	for _, cert := range slices.Backward(chain) {
		if len(above) > 0 && !isSelfIssued(cert) {
			if err := s.checkNamesOf(cert, above); err != nil {
				return nil, err
			}
		}
		value, ok := extension(cert, oidNameConstraints)
		if !ok {
			continue
		}
		c, err := parseConstraints(value)
		if err != nil {
			return nil, refuse(BadChain, "the name constraints in the CA certificate of %s can't be understood: %v", subject(cert), err)
		}
		c.by = cert
		above = append(above, c)
	}
	return above, nil
}

func (s *search) checkNamesOf(cert *x509.Certificate, above []*constraints) error {
	var wanted [forms]bool
	for _, c := range above {
		for f := range wanted {
			wanted[f] = wanted[f] || len(c.permitted[f]) > 0 || len(c.excluded[f]) > 0
		}
	}
	all, err := namesIn(cert, wanted)
	if err != nil {
		return refuse(BadChain, "the names of %s can't be held against the constraints of the CAs above it: %v", describe(cert), err)
	}
	return s.holdAgainst(above, all, " of "+describe(cert))
}

// holdAgainst holds names against the constraints of all CAs above; ofWhom ends the
// sentence about one that is refused.
func (s *search) holdAgainst(above []*constraints, all []generalName, ofWhom string) error {
	for _, c := range above {
		for _, n := range all {
			if err := s.checkName(c, n, ofWhom); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkName holds one name against one CA's constraints.
func (s *search) checkName(c *constraints, n generalName, ofWhom string) error {
	for _, base := range c.excluded[n.form] {
		if s.spend(base, n); s.exhausted != nil {
			return s.exhausted
		}
		if n.isExcludedBy(base) {
			return refuse(BadChain, "the CA certificate of %s excludes the name %s%s", subject(c.by), n, ofWhom)
		}
	}
	for _, base := range c.permitted[n.form] {
		if s.spend(base, n); s.exhausted != nil {
			return s.exhausted
		}
		if n.isWithin(base) {
			return nil
		}
	}
	if len(c.permitted[n.form]) > 0 {
		return refuse(BadChain, "the CA certificate of %s doesn't permit the name %s%s", subject(c.by), n, ofWhom)
	}
	return nil
}

// spend takes what a comparison costs off what may be spent.
func (s *search) spend(base []byte, n generalName) {
	if s.names -= 1 + (len(base)+len(n.value))/64; s.names < 0 {
		s.exhausted = refuse(TooComplex, "there are too many names and name constraints: comparing them was given up after %d steps", maxNameWork)
	}
}

// parseConstraints reads the extension.
func parseConstraints(der []byte) (*constraints, error) {
	damaged := fault.New(fault.Malformed, "the extension is damaged")
	seq, rest, ok := readTag(der, tagSequence)
	if !ok || len(rest) > 0 {
		return nil, damaged
	}
	parts, ok := readAll(seq.content, 2)
	if !ok || len(parts) == 0 {
		return nil, damaged
	}
	c := new(constraints)
	for i, part := range parts {
		var err error
		switch {
		case part.tag == tagContext0 && i == 0:
			err = readSubtrees(part.content, &c.permitted)
		case part.tag == tagContext1:
			err = readSubtrees(part.content, &c.excluded)
		default:
			err = damaged
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// readSubtrees reads GeneralSubtrees. A minimum or maximum is in none that RFC
// 5280 allows, and nobody knows what it would mean.
func readSubtrees(b []byte, into *[forms][][]byte) error {
	for len(b) > 0 {
		seq, rest, ok := readTag(b, tagSequence)
		if !ok {
			return fault.New(fault.Malformed, "a subtree is damaged")
		}
		base, limits, ok := readElement(seq.content)
		switch {
		case !ok:
			return fault.New(fault.Malformed, "a subtree is damaged")
		case len(limits) > 0:
			return fault.New(fault.Malformed, "a subtree has a minimum or a maximum")
		}
		n, err := readName(base)
		if err != nil {
			return err
		}
		if n.form == formIP && len(n.value) != 8 && len(n.value) != 32 {
			return fault.New(fault.Malformed, "an address range is neither of IPv4 nor of IPv6")
		}
		into[n.form], b = append(into[n.form], n.value), rest
	}
	return nil
}

// namesIn returns the names of cert that have one of the forms wanted: its subject
// (directory), the mail addresses in that, and the subject alternative names.
func namesIn(cert *x509.Certificate, wanted [forms]bool) ([]generalName, error) {
	var all []generalName
	if wanted[formDirectory] {
		name, err := canonicalName(cert.RawSubject)
		if err != nil {
			return nil, err
		}
		if len(name) > 0 {
			all = append(all, generalName{formDirectory, name, cert.Subject.String()})
		}
	}
	if wanted[formEmail] {
		for _, a := range cert.Subject.Names {
			if !a.Type.Equal(emailAddress) {
				continue
			}
			address, ok := a.Value.(string)
			if !ok {
				return nil, fault.New(fault.Malformed, "a mail address in the subject is no text")
			}
			all = append(all, generalName{formEmail, []byte(address), address})
		}
	}
	value, ok := extension(cert, oidSubjectAltName)
	if !ok {
		return all, checkNameShapes(all)
	}
	seq, rest, ok := readTag(value, tagSequence)
	if !ok || len(rest) > 0 {
		return nil, fault.New(fault.Malformed, "the subject alternative names are damaged")
	}
	for b := seq.content; len(b) > 0; {
		e, rest, ok := readElement(b)
		if b = rest; !ok || e.tag&0xc0 != 0x80 || e.tag&0x1f >= forms {
			return nil, fault.New(fault.Malformed, "a subject alternative name is damaged")
		}
		if !wanted[e.tag&0x1f] {
			continue
		}
		n, err := readName(e)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, checkNameShapes(all)
}

func checkNameShapes(all []generalName) error {
	for _, n := range all {
		if err := n.checkShape(); err != nil {
			return err
		}
	}
	return nil
}
