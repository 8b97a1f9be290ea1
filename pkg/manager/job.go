package manager

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

// A job is one certificate on its way: it is refused, reused, or passes all the
// steps in order.
type job struct {
	request  *profile.Request // nil when there was none: the caller gave a key
	key      *profile.SubjectKey
	keyHash  [32]byte // SHA-256 of the key's SubjectPublicKeyInfo
	approve  func(registry) (profile.Approved, error)
	resume   []byte // finds the same work of an earlier call; nil for none
	describe string // for the audit table, while there is no certificate
	detail   string // for the audit table, with the certificate

	earlier *Certificate     // what an earlier call recorded for the same work, or nil
	names   profile.Approved // once they are approved
	plan    *authority.Plan
	result  SignResult
}

// open reports whether the job still needs work.
func (j *job) open() bool { return !j.refused() && !j.result.Reused }

func (j *job) refused() bool { return j.result.Err != nil }

func (j *job) refuse(err error) { j.result = SignResult{Err: err} }

// requestJob is the job of a PKCS#10 request.
func requestJob(req SignRequest, item SignItem) *job {
	j := &job{describe: "a request that can't be read"}
	r, err := profile.ParseRequest(item.Request)
	if err != nil {
		j.refuse(err)
		return j
	}
	hash := r.Hash()
	j.request, j.key, j.keyHash = r, r.Key(), sha256.Sum256(r.Key().SPKI())
	j.describe = fmt.Sprintf("request %x for %s", hash[:8], r.CommonName())
	j.approve = func(known registry) (profile.Approved, error) {
		switch req.Profile {
		case profile.Member:
			return known.policy(item.For).ApproveMemberRequest(r)
		case profile.Server:
			return known.policy(item.For).ApproveServerRequest(r)
		default:
			return profile.Policy{Find: known.cluster, For: item.For, Allow: req.Allow}.ApproveRequest(r)
		}
	}
	if isName(r.CommonName()) && item.Destination != "" {
		j.resume = resumeKey(hash, item, req)
	}
	return j
}

// isName reports whether s can be the common name of a certificate, so that the store
// takes it.
func isName(s string) bool {
	_, notName := profile.ParseName(s)
	_, notUser := profile.ParseUser(s)
	return notName == nil || notUser == nil
}

// keyJob is the job of a request for a certificate of a kind.
func keyJob(req IssueRequest, kind profile.Profile) (*job, error) {
	pub, err := x509.ParsePKIXPublicKey(req.SPKI)
	if err != nil {
		return nil, fault.Errorf(fault.Malformed, "reading the public key: %w", err)
	}
	key, err := profile.NewSubjectKey(pub)
	if err != nil {
		return nil, err
	}
	j := &job{key: key, keyHash: sha256.Sum256(key.SPKI()), describe: "a certificate for " + req.Name}
	j.approve = func(known registry) (profile.Approved, error) {
		switch kind {
		case profile.Member:
			return known.policy("").ApproveMember(req.Name)
		case profile.Server:
			return known.policy("").ApproveServer(req.Name)
		default:
			return profile.Policy{Find: known.cluster, Allow: req.Allow}.ApproveName(req.Name)
		}
	}
	return j, nil
}
