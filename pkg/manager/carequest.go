package manager

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/store"
)

// ErrKeyElsewhere means that a CA's certificate came without its key, which is not here.
var ErrKeyElsewhere = fault.New(fault.Denied, "the key of this certificate is not here: it answers no request that was made here")

// CARequestRequest asks for a request for the certificate of a CA.
type CARequestRequest struct {
	Authority    AuthorityID
	KeyAlgorithm profile.KeyAlgorithm // of a new key; the zero value is ECDSA P-256
	// New makes a request in the place of the one that is not answered yet. What is
	// answered to that is of no use then.
	New bool
}

// A CARequest is a request for the certificate of a CA, whose key is kept.
type CARequest struct {
	Created      bool   // by the call that returned this
	DER          []byte // PKCS#10
	Subject      string
	KeyAlgorithm string
	SPKIHash     [32]byte
}

// RequestCA implements Service. The key is written before the request: a process that was
// killed between them leaves a key that nobody certifies, which the next call removes.
func (m *Manager) RequestCA(ctx context.Context, req CARequestRequest) (out CARequest, err error) {
	r, row, err := m.beginRenewal(ctx, RenewRequest{Authority: req.Authority})
	if err != nil {
		return CARequest{}, err
	}
	defer func() { err = errors.Join(err, r.locked.Unlock()) }()
	if found, err := r.requested(req); found != nil || err != nil {
		return describeRequest(found), err
	}
	return r.request(ctx, row, req)
}

// requested returns the request that is there, unless another one is asked for, or nil.
func (r *renewal) requested(req CARequestRequest) (*authority.Request, error) {
	if req.New {
		return nil, nil
	}
	found, err := r.locked.Request()
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	return found, err
}

// request makes a request.
func (r *renewal) request(ctx context.Context, row store.Authority, req CARequestRequest) (CARequest, error) {
	passphrase, err := r.passphrase()
	if err != nil {
		return CARequest{}, err
	}
	number, _, err := r.number(ctx, row)
	if err != nil {
		return CARequest{}, err
	}
	// The lock was released for a hook.
	if found, err := r.requested(req); found != nil || err != nil {
		return describeRequest(found), err
	}
	made, err := authority.NewCA{
		Role: roleOf(row.ID), Name: row.Name, Serial: number, KeyAlgorithm: cmp.Or(req.KeyAlgorithm, profile.ECDSAP256), Passphrase: passphrase,
	}.Request()
	if err != nil {
		return CARequest{}, err
	}
	out := describeRequest(made)
	out.Created = true
	err = r.db.Write(ctx, func(tx *store.Tx) error {
		return tx.Audit(r.audit("request-ca", out.Subject, done, fmt.Sprintf("key %x", out.SPKIHash)))
	})
	if err != nil {
		return CARequest{}, err
	}
	return out, r.locked.PutRequest(made)
}

// describeRequest describes r; nil is the zero CARequest.
func describeRequest(r *authority.Request) CARequest {
	if r == nil {
		return CARequest{}
	}
	return CARequest{
		DER: r.DER(), Subject: r.Subject(), KeyAlgorithm: keyAlgorithm(r.PublicKey()), SPKIHash: r.SPKIHash(),
	}
}

// findKey completes a CA made elsewhere that came without its key: the one of the
// request that it answers, or the active CA's, which was certified again.
// Error: ErrKeyElsewhere.
func (r *renewal) findKey(row store.Authority) error {
	if r.req.Foreign == nil || r.req.Foreign.Key != nil {
		return nil
	}
	f := *r.req.Foreign
	if len(f.Chain) == 0 {
		return fault.New(fault.Malformed, "there is no certificate")
	}
	key, err := r.keptKey(row, f.Chain[0])
	f.Key, r.req.Foreign = key, &f
	return err
}

func (r *renewal) keptKey(row store.Authority, cert *x509.Certificate) (crypto.Signer, error) {
	request, err := r.locked.Request()
	if err == nil && request.IsAnsweredBy(cert) {
		return r.locked.RequestKey(r.config.Passphrase)
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	chain, err := r.locked.Chain(row.Active)
	if err != nil {
		return nil, err
	}
	if !authority.SameKey(chain[0], cert) {
		return nil, ErrKeyElsewhere
	}
	active, err := r.locked.LoadCA(row.Active, r.config.Passphrase)
	if err != nil {
		return nil, err
	}
	return active.Key(), nil
}

// dropRequest gives up the request whose key lay beside that of a compromised CA, unless
// this is its answer.
func (r *renewal) dropRequest() error {
	request, err := r.locked.Request()
	if err == nil && r.req.Foreign != nil && request.IsAnsweredBy(r.req.Foreign.Chain[0]) {
		return nil
	}
	return r.locked.RemoveRequest()
}
