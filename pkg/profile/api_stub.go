package profile

import (
	"crypto"
	"crypto/x509"
	"errors"
	"net/netip"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

var errStub = errors.New("not written yet")

// A Request is a PKCS#10 request whose signature verified and whose key passed [CheckKey].
type Request struct{ der []byte }

// ParseRequest reads a request in PEM or DER.
func ParseRequest(data []byte) (*Request, error) { return nil, errStub }

// CommonName returns the first common name.
func (r *Request) CommonName() string { return "" }

// Names returns every name of every kind, in words.
func (r *Request) Names() []string { return nil }

// Key returns the requester's key.
func (r *Request) Key() *SubjectKey { return nil }

// RawSPKI is Key().SPKI().
func (r *Request) RawSPKI() []byte { return nil }

// PublicKey is Key().Public().
func (r *Request) PublicKey() crypto.PublicKey { return nil }

// Hash returns the SHA-256 of the request in DER.
func (r *Request) Hash() [32]byte { return [32]byte{} }

// Ignored lists in words what was asked for and is not going to be granted.
func (r *Request) Ignored() []string { return nil }

// A Holder is who may have a certificate: a node, or the cluster.
type Holder struct {
	Name      string
	Aliases   []string
	Addresses []netip.Addr
	Cluster   bool
}

// A Finder looks a name up.
type Finder func(key string) (Holder, bool)

// A Policy approves names.
type Policy struct {
	Find  Finder
	For   string
	Allow []string
}

// Approved is one holder's names, fit to be signed.
type Approved struct{ commonName string }

// ApproveRequest approves the names of a request.
func (p Policy) ApproveRequest(r *Request) (Approved, error) { return Approved{}, errStub }

// ApproveName approves all names of the holder of name.
func (p Policy) ApproveName(name string) (Approved, error) { return Approved{}, errStub }

// CommonName is the certificate's.
func (a Approved) CommonName() string { return a.commonName }

// DNSNames are the DNS names of the SAN, the common name first.
func (a Approved) DNSNames() []string { return nil }

// IPAddresses are the addresses of the SAN.
func (a Approved) IPAddresses() []netip.Addr { return nil }

// Names are the names of the SAN as text.
func (a Approved) Names() []string { return nil }

// Holder is the record's name, or the exception.
func (a Approved) Holder() string { return "" }

// Exceptions are the names that only Policy.Allow let pass.
func (a Approved) Exceptions() []string { return nil }

// Equal reports whether a and b are the same names of the same holder.
func (a Approved) Equal(b Approved) bool { return false }

// Lifetimes.
const (
	MaxLifetime       = 168*time.Hour - 2*time.Second
	DefaultLifetime   = 24 * time.Hour
	Backdate          = 5 * time.Minute
	DefaultCALifetime = 5 * 365 * 24 * time.Hour
	MinCALifetime     = time.Hour
	MaxCALifetime     = 25 * 365 * 24 * time.Hour
)

// ErrOutlivesCA is a leaf that would not end before its chain does.
var ErrOutlivesCA = fault.New(fault.Denied, "certificate would outlive the CA")

// A LifetimeError is a lifetime out of bounds.
type LifetimeError struct{ Requested, Min, Max time.Duration }

func (e *LifetimeError) Error() string { return "" }

// FaultKind makes the error [fault.Denied].
func (e *LifetimeError) FaultKind() fault.Kind { return fault.Denied }

// An Issuer is a CA certificate that may sign node certificates, with its issuers up to the root.
type Issuer struct{ chain []*x509.Certificate }

// NewIssuer takes the CA's certificate first.
func NewIssuer(chain []*x509.Certificate) (*Issuer, error) { return nil, errStub }

// Certificate returns the CA's certificate.
func (i *Issuer) Certificate() *x509.Certificate { return nil }

// A Validity is a checked period.
type Validity struct{ notBefore, notAfter time.Time }

// LeafValidity is a leaf's validity.
func LeafValidity(now time.Time, lifetime time.Duration, issuer *Issuer, shorten bool) (Validity, error) {
	return Validity{}, errStub
}

// NotBefore is the first second.
func (v Validity) NotBefore() time.Time { return v.notBefore }

// NotAfter is the last second.
func (v Validity) NotAfter() time.Time { return v.notAfter }

// Shortened reports whether the end was moved to stay within the CA's.
func (v Validity) Shortened() bool { return false }

// A Leaf is a node certificate before it has a number.
type Leaf struct{ issuer *Issuer }

// NewLeaf puts together what was checked.
func NewLeaf(issuer *Issuer, names Approved, key *SubjectKey, v Validity) (*Leaf, error) {
	return nil, errStub
}

// Names returns the leaf's names.
func (l *Leaf) Names() Approved { return Approved{} }

// Key returns the leaf's key.
func (l *Leaf) Key() *SubjectKey { return nil }

// Validity returns the leaf's validity.
func (l *Leaf) Validity() Validity { return Validity{} }

// Issuer returns the CA.
func (l *Leaf) Issuer() *Issuer { return l.issuer }

// TBS builds and checks the bytes to be signed.
func (l *Leaf) TBS(n serial.Number) (*TBS, error) { return nil, errStub }

// A TBS is what is to be signed. It can be signed once.
type TBS struct{ raw []byte }

// Sign signs t and returns the certificate in DER. key must be the issuer's.
func Sign(t *TBS, key crypto.Signer) ([]byte, error) { return nil, errStub }

// VerifySignature checks that der is a certificate signed by key.
func VerifySignature(der []byte, key crypto.PublicKey) error { return errStub }

// CASubject is the common name of a cluster's CA.
func CASubject(cluster string, n serial.Number) string { return "" }

// A CA is a self-signed cluster CA before it has a number.
type CA struct{ cluster string }

// NewCA checks a new CA; lifetime is the whole difference.
func NewCA(cluster string, key *SubjectKey, now time.Time, lifetime time.Duration) (*CA, error) {
	return nil, errStub
}

// TBS builds and checks the bytes to be signed.
func (c *CA) TBS(n serial.Number) (*TBS, error) { return nil, errStub }
