package store

import (
	"time"

	"x509ctl/pkg/serial"
)

// A Certificate is one entry of the inventory. Times have whole seconds.
type Certificate struct {
	Authority   AuthorityID
	Serial      serial.Number
	Kind        string   // "ca", "node"
	CA          [32]byte // SHA-256 of the issuing CA certificate
	CommonName  string
	Holder      string // the node's name, or the cluster's
	Names       []string
	NotBefore   time.Time
	NotAfter    time.Time
	SPKIHash    [32]byte
	RequestHash [32]byte // zero when there was no request
	ResumeKey   []byte   // what a batch finds its work by when it is run again; nil: none
	DER         []byte
	Fingerprint [32]byte // SHA-256 of DER
	Requester   string
	Origin      string
	Exceptions  []string
	Created     time.Time
	State       string // "issued"
}

// A Status is what a certificate is worth at some moment, under some floor. CA
// certificates are never below the floor. The zero Status stands for all.
type Status string

// The statuses. A certificate has exactly one of them.
const (
	Live       Status = "live"
	Expired    Status = "expired"
	BelowFloor Status = "below floor" // and not expired
)

// A CertificateFilter selects certificates of one authority. Every field that is
// not zero restricts the selection further.
type CertificateFilter struct {
	Authority      AuthorityID // required
	Status         Status      // as of At, under Floor
	At             time.Time
	Floor          serial.Floor
	ExpiringBefore time.Time // NotAfter is earlier
	Name           string    // in the certificate, common name or other, in any letter case
	Holder         string
	Kind           string
	CA             [32]byte
	MinSerial      serial.Number // inclusive
	MaxSerial      serial.Number // inclusive
	After          serial.Number // exclusive: the last one of the page before
	Limit          int           // 0: no limit
	OmitDER        bool          // leave Certificate.DER empty
}

// Counts are the numbers of an authority's certificates by [Status].
type Counts struct{ Live, Expired, BelowFloor, Total int64 }

// InsertCertificates records up to 1,000 certificates.
// Errors: [fault.Exists] for a serial number that is recorded already.
func (tx *Tx) InsertCertificates(cs []Certificate) error { return errTODO }

// Certificate returns the certificate with that serial number.
// Errors: [fault.NotFound].
func (tx *Tx) Certificate(id AuthorityID, n serial.Number) (Certificate, error) {
	return Certificate{}, errTODO
}

// CertificateByFingerprint returns the certificate whose DER has that SHA-256.
// Errors: [fault.NotFound].
func (tx *Tx) CertificateByFingerprint(id AuthorityID, sum [32]byte) (Certificate, error) {
	return Certificate{}, errTODO
}

// CertificateByResumeKey returns the certificate with the highest serial number of
// those with that key.
// Errors: [fault.NotFound].
func (tx *Tx) CertificateByResumeKey(id AuthorityID, key []byte) (Certificate, error) {
	return Certificate{}, errTODO
}

// Certificates calls yield for each certificate that f selects, in the order of
// their serial numbers, until yield returns an error, which it returns. However
// many there are, few are in memory at a time. yield may use tx.
func (tx *Tx) Certificates(f CertificateFilter, yield func(Certificate) error) error { return errTODO }

// CountCertificates counts an authority's certificates.
func (tx *Tx) CountCertificates(id AuthorityID, now time.Time, floor serial.Floor) (Counts, error) {
	return Counts{}, errTODO
}

// PruneCertificates forgets up to limit certificates, CA certificates excepted,
// whose NotAfter is before expiredBefore, and returns how many.
func (tx *Tx) PruneCertificates(id AuthorityID, expiredBefore time.Time, limit int) (int, error) {
	return 0, errTODO
}
