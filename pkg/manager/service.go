// Package manager is what x509ctl can do: one [Service] with one method for each
// operation, whoever asks.
//
// # Two transactions
//
// A certificate takes two short transactions, as [Manager.Sign] shows. In the
// first a serial number is reserved, durably in the authority's directory and in
// the store. Then the certificate is built, checked and signed. In the second it is
// recorded, after everything that may have changed in between was checked again:
// the floor, the active CA, the node. Only a recorded certificate leaves this
// package. So a crash costs a number at most; there is no certificate that the
// inventory doesn't know, and none is issued below a floor that was raised before.
//
// Both transactions take the authority's lock first and the database's second,
// always in this order.
package manager

import (
	"context"
	"io"
	"net/netip"
	"time"

	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// The records that the store keeps are what a Service returns.
type (
	// AuthorityID names an authority.
	AuthorityID = store.AuthorityID
	// Certificate is a record of the inventory.
	Certificate = store.Certificate
	// CertificateFilter says which records are wanted.
	CertificateFilter = store.CertificateFilter
	// Node is a machine that may have certificates.
	Node = store.Node
	// AuditEntry is a record of what somebody did.
	AuditEntry = store.AuditEntry
	// AuditFilter says which entries are wanted.
	AuditFilter = store.AuditFilter
)

// Cluster is the id of the cluster's authority.
const Cluster AuthorityID = "cluster"

// MaxBatch is how many requests one call of Sign takes at most.
const MaxBatch = 1000

// Service has one method per operation. Each method's comment names who may call
// it and the errors, by kind, that a caller can do something about; every method
// may fail with fault.Unavailable when others hold a lock for too long and with
// fault.Internal for input and output errors.
//
// All methods may be called at the same time.
type Service interface {
	// InitAuthority makes the cluster's authority, or takes one over.
	// Callers: operator. Errors: Exists; Denied; Malformed.
	InitAuthority(context.Context, InitRequest) (Authority, error)
	// Authority describes an authority. Callers: operator. Errors: NotFound.
	Authority(context.Context, AuthorityID) (Authority, error)

	// RenewCA replaces the authority's CA, in one step or in three. Its error is a
	// *SpreadError when the step is done here. Callers: operator. Errors: Exists
	// (ErrPrepared); NotFound (ErrNotPrepared, ErrNothingToRetire); Denied (*InUseError,
	// ErrKeyElsewhere).
	RenewCA(context.Context, RenewRequest) (RenewResult, error)
	// RequestCA returns the request for a CA's certificate that a third party is to sign,
	// and makes one, with a key that stays here, when there is none. The answer is
	// installed by RenewCA. Callers: operator. Errors: NotFound; Malformed.
	RequestCA(context.Context, CARequestRequest) (CARequest, error)

	// CreateProject records a project and makes its authority. Its error is a *SpreadError
	// when the project is made. Callers: operator. Errors: Exists; Denied; Malformed.
	CreateProject(context.Context, CreateProjectRequest) (Project, error)
	// DeleteProject ends a project for good: its record stays, nothing is issued any more,
	// its certificates and CAs are revoked, and a last revocation list is published. With
	// an error that is a *SpreadError all of it is done here. Callers: operator. Errors:
	// NotFound; Denied (*LiveError, ErrProjectDeleted).
	DeleteProject(context.Context, DeleteProjectRequest) (DeletedProject, error)
	// RevokeCA puts CAs of a project on the list of the root above, and publishes it. Those
	// that are on it already are no error. Callers: operator. Errors: NotFound; Denied
	// (ErrNotOfRoot); *SpreadError, when all of it is done here.
	RevokeCA(context.Context, RevokeCARequest) (RevokeCAResult, error)
	// Project returns a project by its id, in any letter case. Callers: operator.
	// Errors: NotFound.
	Project(ctx context.Context, id string) (Project, error)
	// Projects calls yield for each project, deleted ones too, by id without regard to case, and stops at
	// its first error. Callers: operator.
	Projects(ctx context.Context, yield func(Project) error) error

	// EncryptionCertificate returns the certificate, in DER, that secrets for a project are
	// encrypted to. The first call makes it, with its key. Callers: anybody; operator while
	// there is none that is good. Errors: NotFound; Denied, for a key that is blocked;
	// Unavailable (ErrDecryptKeyLost).
	EncryptionCertificate(ctx context.Context, project string) ([]byte, error)
	// Decrypt decrypts a secret that was encrypted to the project. It is recorded.
	// Callers: operator. Errors: NotFound, also for a project without such a key
	// (ErrNoDecryptKey); Malformed, for a ciphertext or a length that can't be;
	// Invalid (ErrNotDecrypted).
	Decrypt(context.Context, DecryptRequest) ([]byte, error)
	// AddMembers records members of a project, or changes their roles, each on its own: a
	// result's Err is that user's refusal, Exists or Denied. They are recorded together.
	// Callers: operator. Errors: NotFound (*NoProjectError); Denied (*DeletedError).
	AddMembers(context.Context, AddMembersRequest) ([]MemberResult, error)
	// RemoveMembers ends memberships and revokes the members' certificates, each user on
	// its own: a result's Err is NotFound. It publishes a revocation list. Its error is a
	// *SpreadError when all of it is done here; the results are those so far in any case.
	// Callers: operator. Errors: as of AddMembers.
	RemoveMembers(context.Context, RemoveMembersRequest) ([]Removed[Member], error)
	// Members calls yield for each member of a project, by id without regard to case, and
	// stops at its first error. Callers: operator. Errors: NotFound.
	Members(ctx context.Context, project string, yield func(Member) error) error
	// AddProjectNames registers names for servers of a project, each on its own: a
	// result's Err is that name's refusal, Exists or Denied. They are recorded together.
	// Callers: operator. Errors: as of AddMembers.
	AddProjectNames(context.Context, AddProjectNamesRequest) ([]ProjectNameResult, error)
	// RemoveProjectNames forgets names and revokes the certificates that have them, as
	// RemoveMembers does. Callers: operator. Errors: as of AddMembers.
	RemoveProjectNames(context.Context, RemoveProjectNamesRequest) ([]Removed[ProjectName], error)
	// ProjectNames calls yield for each name of a project, without regard to case, and
	// stops at its first error. Callers: operator. Errors: NotFound.
	ProjectNames(ctx context.Context, project string, yield func(ProjectName) error) error

	// AddNode records a node. Callers: operator. Errors: Exists; Malformed.
	AddNode(context.Context, AddNodeRequest) (Node, error)
	// RemoveNode ends a node's right to certificates and returns the live ones that
	// it still has. Callers: operator. Errors: NotFound.
	RemoveNode(ctx context.Context, id AuthorityID, name string) (RemovedNode, error)
	// Nodes returns all nodes by name. Callers: operator.
	Nodes(context.Context, AuthorityID) ([]Node, error)

	// Sign answers up to MaxBatch requests, each on its own: a result's Err is that
	// request's refusal. The error is one that none of them could be answered for.
	// Callers: operator.
	Sign(context.Context, SignRequest) ([]SignResult, error)
	// Issue makes a certificate for a public key that the caller vouches for.
	// Callers: operator. Errors: Denied.
	Issue(context.Context, IssueRequest) (SignResult, error)
	// Chain returns the certificates above a leaf, the issuing CA first, in DER.
	// Callers: operator.
	Chain(context.Context, AuthorityID) ([][]byte, error)

	// Verifier returns what is needed to judge the authority's certificates. It
	// reads the public files only: no key, no database. Callers: anybody.
	// Errors: NotFound.
	Verifier(context.Context, AuthorityID) (Verifier, error)

	// Certificate returns the record of one certificate. Callers: operator. Errors: NotFound.
	Certificate(context.Context, AuthorityID, serial.Number) (Certificate, error)
	// Certificates calls yield for each record that matches, by serial number, and
	// stops at its first error. Callers: operator. Errors: NotFound, for a holder that
	// is neither a node nor in the inventory.
	Certificates(ctx context.Context, f CertificateFilter, yield func(Certificate) error) error
	// Revoke revokes certificates one by one, and publishes a revocation list. Those
	// that are revoked already are no error. Callers: operator. Errors: NotFound;
	// Denied; *SpreadError, when all of it is done here.
	Revoke(context.Context, RevokeRequest) (RevokeResult, error)
	// CRL makes a new revocation list, publishes it, and writes it to w.
	// Callers: operator. Errors: NotFound; Denied (ErrNoCRLSign).
	CRL(ctx context.Context, req CRLRequest, w io.Writer) (CRL, error)
	// Prune forgets certificates that expired before a time, and returns how many.
	// Callers: operator. Errors: Denied.
	Prune(context.Context, PruneRequest) (int, error)

	// Serial describes the counter and the floor. Callers: operator.
	Serial(context.Context, AuthorityID) (Serial, error)
	// SetMinSerial raises the floor, and publishes a revocation list.
	// Callers: operator. Errors: Denied; *SpreadError, when the floor is in force.
	SetMinSerial(context.Context, SetMinRequest) (SetMinResult, error)
	// Reissue raises the floor and signs anew for those cut off, from the public keys on
	// record: see ReissueRequest. Each one's Err is its own refusal. Callers: operator.
	// Errors: NotFound and Denied, before anything is changed; Deliver's;
	// *SpreadError, when all else is done.
	Reissue(context.Context, ReissueRequest) error
	// RecoverSerial goes on counting where an operator says, and publishes a
	// revocation list. With the cluster's count go those of projects: all of them when
	// AtLeast is 0, otherwise those that refuse to go on by themselves; they jump.
	// Callers: operator. Error: *SpreadError, when it is done.
	RecoverSerial(context.Context, RecoverRequest) (Serial, error)

	// Check says what is wrong with the state directory, also one that every other
	// method refuses, and mends what is safe to mend. Callers: operator.
	// Errors: NotFound, when there is nothing of ours.
	Check(context.Context, CheckRequest) (Report, error)

	// AddKeypairs records public halves of keypairs, up to MaxBatch, each on its own: a
	// result's Err is that request's refusal, Exists or Malformed. They are recorded
	// together. Callers: operator, api. Errors: NotFound.
	AddKeypairs(context.Context, []AddKeypairRequest) ([]KeypairResult, error)
	// Keypair returns a user's keypair. Callers: operator, api. Errors: NotFound.
	Keypair(ctx context.Context, user, name string) (Keypair, error)
	// Keypairs calls yield for each keypair that matches, by user and name, and stops
	// at its first error. Callers: operator, api.
	Keypairs(ctx context.Context, f KeypairFilter, yield func(Keypair) error) error
	// DeleteKeypair forgets a keypair and returns what it was. Guests that have the
	// public half keep it. Callers: operator, api. Errors: NotFound.
	DeleteKeypair(ctx context.Context, user, name string) (Keypair, error)

	// Backup writes everything that Restore needs. Callers: operator.
	Backup(ctx context.Context, w io.Writer) error
	// Schema returns the version of the store's schema and the one this program
	// works with. Callers: operator.
	Schema(context.Context) (have, want int64, err error)
	// Migrate brings the store's schema up to date. Callers: operator.
	Migrate(context.Context) error
	// Audit calls yield for each entry that matches, oldest first. Callers: operator.
	Audit(ctx context.Context, f AuditFilter, yield func(AuditEntry) error) error

	// Close releases what the Service holds. It does not wait for calls.
	Close() error
}

// InitRequest asks for an authority.
type InitRequest struct {
	Authority AuthorityID
	// Name is the cluster's name, a DNS name. It may be empty with IfMissing, when
	// the authority exists.
	Name         string
	KeyAlgorithm profile.KeyAlgorithm // the zero value is ECDSA P-256
	Lifetime     time.Duration        // of the CA; the zero value is profile.DefaultCALifetime
	Passphrase   []byte               // encrypts the key; empty for none
	IfMissing    bool                 // an authority that exists is no error
	Adopt        bool                 // take over the cert.pem and key.pem that are there
	KeepFloor    bool                 // with Adopt: no certificate was issued that files and database don't know
}

// An Authority is described, not usable.
type Authority struct {
	ID           AuthorityID
	Name         string
	Created      bool // by the call that returned this
	Subject      string
	Issuer       string
	Certificate  []byte // DER
	SHA1         [20]byte
	SHA256       [32]byte
	KeyAlgorithm string
	KeyEncrypted bool
	NotBefore    time.Time
	NotAfter     time.Time
	CASerial     string // decimal; a third party's may be longer than a serial.Number
	Serial       Serial
	Counts       Counts
	Nodes        int
	Prepared     []ReplacedCA // the CA that is going to be active, if there is one
	Replaced     []ReplacedCA // CAs that were active, and are trusted still; the latest last
	Request      string       // the subject of a request that is not answered yet; empty for none
}

// A ReplacedCA is a CA that verifiers trust and that is not the active one.
type ReplacedCA struct {
	Subject   string
	CASerial  string
	SHA256    [32]byte
	NotAfter  time.Time
	Live      int64     // certificates of it
	Holders   []string  // of some of those, 20 at most
	Retirable time.Time // when none of them will be live any more; the zero time: now
}

// A RenewStep is what RenewCA does.
type RenewStep string

// The steps.
const (
	RenewAtOnce      RenewStep = "at once"     // make a CA and activate it
	RenewPrepare     RenewStep = "prepare"     // make a CA that is trusted and does not sign yet
	RenewActivate    RenewStep = "activate"    // the prepared CA signs from now on
	RenewCancel      RenewStep = "cancel"      // give up the prepared CA
	RenewRetire      RenewStep = "retire"      // end the trust in replaced CAs, whose certificates have expired
	RenewCompromised RenewStep = "compromised" // activate, and end the trust in all others at once
)

// RenewRequest asks for another CA.
type RenewRequest struct {
	Authority    AuthorityID
	Step         RenewStep
	KeyAlgorithm profile.KeyAlgorithm // of a new CA; the zero value is ECDSA P-256
	Lifetime     time.Duration        // of a new CA; the zero value is profile.DefaultCALifetime
	// Foreign is a CA that was made elsewhere, to be installed instead of a new one.
	// Serial numbers that its key has used elsewhere are not known here. Without a key it
	// is the answer to RequestCA, or another certificate of the active CA's key.
	Foreign *ForeignCA
}

// RenewResult is the authority before a step and after it.
type RenewResult struct{ Before, After Authority }

// Counts are numbers of recorded certificates of an authority, CAs left out.
type Counts = store.Counts

// Serial is an authority's counter and floor.
type Serial struct {
	Reserved serial.Number // the highest number ever reserved; 0 before the first
	Last     serial.Number // the highest number ever issued; 0 before the first
	Next     serial.Number // what the next certificate gets at least
	Floor    serial.Floor  // the smallest accepted number
}

// AddNodeRequest asks for a node's record.
type AddNodeRequest struct {
	Authority AuthorityID
	Name      string
	Aliases   []string
	Addresses []netip.Addr
	IfMissing bool // an equal record is no error
}

// RemovedNode is what is left of a node.
type RemovedNode struct {
	Node Node
	Live []Certificate // still accepted, by serial number
}

// SignRequest asks for answers to requests.
type SignRequest struct {
	Authority AuthorityID
	Profile   profile.Profile // of all of them; the zero value is Node for the cluster, Member for a project
	Items     []SignItem
	Allow     []string      // the operator's exceptions to the policy on names
	Lifetime  time.Duration // notAfter - notBefore; 0 is the profile's default, which may be shortened
}

// A SignItem is one PKCS#10 request.
type SignItem struct {
	Request []byte // PEM or DER
	For     string // the only node, member or server whose names are accepted; empty for any
	// Destination, when not empty, names where the certificate goes. A live one that
	// was made for the same request and destination, by a call that did not live to
	// deliver it, is returned instead of a new one.
	Destination string
}

// A SignResult is the answer to one request.
type SignResult struct {
	Certificate Certificate
	Ignored     []string // what the request wished for and did not get
	Reused      bool     // it was recorded before, for the same destination
	Shortened   bool     // it would have outlived the CA
	Err         error    // the refusal; the other fields are empty then
}

// IssueRequest asks for a certificate without a PKCS#10 request.
type IssueRequest struct {
	Authority AuthorityID
	Profile   profile.Profile // the zero value is Node for the cluster, Member for a project
	Name      string          // the cluster's, or any of a node's; a member's id; a name registered with the project
	SPKI      []byte          // the public key, DER SubjectPublicKeyInfo
	Allow     []string        // the operator's exceptions to the policy on names
	Lifetime  time.Duration
}

// PruneRequest names what may be forgotten.
type PruneRequest struct {
	Authority AuthorityID
	Before    time.Time // certificates whose validity ended before; at least a day ago
	// Progress, when not nil, is called with the number forgotten so far.
	Progress func(int)
	DryRun   bool
}

// SetMinRequest asks for a floor.
type SetMinRequest struct {
	Authority AuthorityID
	To        MinTarget
	Number    serial.Number // with MinNumber
	DryRun    bool          // change nothing, but say who would be cut off
}

// A MinTarget says how a floor is given.
type MinTarget int

const (
	// MinNumber is the number in the request.
	MinNumber MinTarget = iota
	// MinLast leaves the last certificate issued accepted.
	MinLast
	// MinNext puts out everything issued so far.
	MinNext
)

// SetMinResult is the floor before and after, and what lies between.
type SetMinResult struct {
	Before, After serial.Floor
	CutOff        int           // live certificates that the change refuses
	Sample        []Certificate // the first of them, 1,000 at most
}

// RecoverRequest says how a count goes on that can't be trusted.
type RecoverRequest struct {
	Authority AuthorityID
	// AtLeast is the highest number that was ever used, as far as somebody knows.
	// 0 means that nobody knows: the count jumps by serial.Jump.
	AtLeast   serial.Number
	KeepFloor bool // no certificate was issued that the store doesn't know
}
