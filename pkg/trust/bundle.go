package trust

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"

	"x509ctl/pkg/fault"
)

// A Bundle is what a verifier trusts: the authority's own CA certificates, the
// current one and its predecessors, and for those that are somebody else's
// intermediates the certificates above them, which are path only.
//
// # Which certificates are own
//
// The file is plain PEM that every program reads, so nothing in it says which
// certificate has which part, and the certificates themselves have to. One is
// path only if another certificate of the bundle names it as its issuer, unless
// its path length constraint is 0. Every other certificate is own.
//
// That is: what stands at the bottom of a chain is own; what stands above is not,
// for it signs authorities, some of them not ours; and whoever may sign no
// authority (pathlen:0, as every CA made here has it) can't be above anything.
// Neither a renewed certificate of the same key nor a self-signed one counts as
// naming another as its issuer. Names are enough and no signature is needed,
// since that errs on the side of path only, which trusts less.
//
// The rule can be misled in one way. A third party's root that stays in the file
// after the intermediate below it was taken out is at the bottom of a chain, and
// would be own. [FormatBundle], which is told the parts, refuses to write such a
// file.
//
// The zero Bundle trusts nothing. A Bundle doesn't change, and may be used by
// several goroutines at once.
type Bundle struct {
	cas    []*authority
	byName map[string][]*authority // by subject, as DER

	// For the chains that need all of RFC 5280, section 6; see constrained.
	roots, intermediates *x509.CertPool
}

// An authority is one certificate of a bundle.
type authority struct {
	cert       *x509.Certificate
	name       string // nameKey of its subject
	own        bool
	selfSigned bool
	parents    []*authority // whose keys signed cert; none for a self-signed one
	critical   string       // a critical extension that is not understood; "" for none

	// constrained means that this certificate or one above it restricts names,
	// policies or purposes of what is below, which crypto/x509 is left to judge.
	constrained bool
}

// ParseBundle reads a bundle: 1 to 100 CA certificates in PEM, at most 1 MiB,
// with any text around them. A certificate that is there twice counts once.
//
// Anything else is refused, and not passed over: a damaged block, a certificate
// that is not a CA's, a private key. A chain that is incomplete is not: only the
// leaves of that CA are refused ([BadChain]). Errors are [fault.Malformed].
func ParseBundle(data []byte) (*Bundle, error) {
	if len(data) > maxInput {
		return nil, fault.Errorf(fault.Malformed, "the bundle is larger than %d octets", maxInput)
	}
	blocks, err := decodePEM(data, maxBlocks)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for i, block := range blocks {
		cert, err := parseCA(block)
		if err != nil {
			return nil, fault.Errorf(fault.Malformed, "PEM block %d of the bundle: %w", i+1, err)
		}
		if !slices.ContainsFunc(certs, cert.Equal) {
			certs = append(certs, cert)
		}
	}
	return newBundle(certs)
}

func parseCA(block *pem.Block) (*x509.Certificate, error) {
	if block.Type != "CERTIFICATE" {
		return nil, fault.Errorf(fault.Malformed, "%s is not a CERTIFICATE", quoted(block.Type))
	}
	cert, err := parseDER(block.Bytes)
	if err != nil {
		return nil, err
	}
	switch {
	case cert.Version != 3 || !cert.BasicConstraintsValid || !cert.IsCA:
		return nil, fault.Errorf(fault.Malformed, "the certificate of %s is not a CA's", subject(cert))
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, fault.Errorf(fault.Malformed, "the key of %s may not sign certificates", subject(cert))
	}
	if rsa, ok := cert.PublicKey.(*rsa.PublicKey); ok && (rsa.N.BitLen() < minRSA || rsa.N.BitLen() > maxRSA) {
		return nil, fault.Errorf(fault.Malformed, "the RSA key of %s has %d bits, which is not %d to %d",
			subject(cert), rsa.N.BitLen(), minRSA, maxRSA)
	}
	return cert, nil
}

func newBundle(certs []*x509.Certificate) (*Bundle, error) {
	if len(certs) == 0 {
		return nil, fault.New(fault.Malformed, "there is no certificate in the bundle")
	}
	b := &Bundle{byName: make(map[string][]*authority, len(certs))}
	for _, cert := range certs {
		a := &authority{cert: cert, name: nameKey(cert.RawSubject)}
		b.cas = append(b.cas, a)
		b.byName[string(cert.RawSubject)] = append(b.byName[string(cert.RawSubject)], a)
	}
	if err := b.link(); err != nil {
		return nil, err
	}
	b.sortOut()
	if !slices.ContainsFunc(b.cas, func(a *authority) bool { return a.own }) {
		return nil, fault.New(fault.Malformed, "each certificate of the bundle has signed another: none is at the bottom of a chain")
	}
	return b, nil
}

// FormatBundle returns the PEM of a bundle, own certificates first, in the order
// given. It reads it back, and refuses with [fault.Invalid] what [ParseBundle]
// would not read as the same own and path certificates: so a caller that knows
// the parts never publishes a file that says something else.
func FormatBundle(own, path []*x509.Certificate) ([]byte, error) {
	var buf bytes.Buffer
	for _, cert := range slices.Concat(own, path) {
		if err := pem.Encode(&buf, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			return nil, err
		}
	}
	b, err := ParseBundle(buf.Bytes())
	if err != nil {
		return nil, err
	}
	for _, a := range b.cas {
		if wanted := slices.ContainsFunc(own, a.cert.Equal); wanted != a.own {
			return nil, fault.Errorf(fault.Invalid, "in this bundle %s would be taken for %s", subject(a.cert), part(a.own))
		}
	}
	return buf.Bytes(), nil
}

func part(own bool) string {
	if own {
		return "a CA of this authority's own, and is not"
	}
	return "a certificate above its CAs, and is a CA of its own"
}

// Own returns the authority's own CA certificates in the order of the file.
func (b *Bundle) Own() []*x509.Certificate { return b.certs(true) }

// Path returns the certificates that are there only because own ones need them
// above, in the order of the file. They sign no leaf that is accepted.
func (b *Bundle) Path() []*x509.Certificate { return b.certs(false) }

func (b *Bundle) certs(own bool) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, a := range b.cas {
		if a.own == own {
			certs = append(certs, a.cert)
		}
	}
	return certs
}

func subject(cert *x509.Certificate) string { return quoted(cert.Subject.String()) }
