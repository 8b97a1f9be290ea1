package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

// A judge answers what "cert verify" asks about the certificate in a file. Several
// goroutines use it at once.
type judge interface {
	// judge completes v; its error is nil for a certificate that is valid.
	judge(ctx context.Context, v *verifyView, data []byte) error
}

// momentOf is the time that a question is about.
func (a *app) momentOf(o certVerifyOptions) time.Time {
	if t := time.Time(o.at); !t.IsZero() {
		return t
	}
	return a.now()
}

// An ownJudge is for this CA's certificates.
type ownJudge struct {
	check      trust.Check
	revocation string
	crls       []verifyCRLView
	recorded   func(context.Context, *x509.Certificate) error // nil: not asked
}

func (a *app) newOwnJudge(ctx context.Context, o certVerifyOptions) (judge, error) {
	purpose, err := trust.ParsePurpose(o.purpose)
	if err != nil {
		return nil, &usageError{text: err.Error()}
	}
	id, err := authorityOf(o.project)
	if err != nil {
		return nil, err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	v, err := svc.Verifier(ctx, id)
	if err != nil {
		return nil, err
	}
	j := &ownJudge{check: v.Check(a.momentOf(o))}
	j.check.RequireFresh, j.check.Purpose = o.requireFresh, purpose
	j.check.Name, j.check.User, j.check.Email = o.name+o.ip, o.user, o.email // of names there is one
	j.check.Serial, j.check.Fingerprint = serial.Number(o.serial), o.fingerprint
	file := "crl.pem"
	if len(o.crls) > 0 {
		file = o.crls[0]
		j.check.CRL, err = a.readCRL(file)
	} else {
		j.check.CRL, err = v.List()
	}
	if err != nil {
		return nil, err
	}
	if l := j.check.Asked(); l != nil {
		j.crls = []verifyCRLView{newVerifyCRLView(file, l, j.check.At)}
	}
	j.revocation = string(j.check.Revocation())
	if o.recorded {
		j.recorded = func(ctx context.Context, leaf *x509.Certificate) error {
			return manager.CheckRecorded(ctx, svc, id, leaf)
		}
	}
	return j, nil
}

// readCRL reads the lists in a file.
func (a *app) readCRL(path string) (*trust.CRL, error) {
	data, err := a.readInputIf(path, trust.MaxCRL, trust.LooksLikeCRL)
	if err != nil {
		return nil, fmt.Errorf("reading the revocation list: %w", err)
	}
	l, err := trust.ParseCRL(data)
	if err != nil {
		return nil, fmt.Errorf("reading the revocation list %s: %w", inputName(path), err)
	}
	return l, nil
}

func newVerifyCRLView(file string, l *trust.CRL, at time.Time) verifyCRLView {
	v := verifyCRLView{
		File: file, Issuer: l.Issuer(),
		ThisUpdate: timestamp{l.ThisUpdate()}, NextUpdate: timestamp{l.NextUpdate()}, Fresh: l.FreshAt(at),
	}
	if n := l.Number(); n != nil {
		v.Number = n.String()
	}
	return v
}

func (j *ownJudge) judge(ctx context.Context, v *verifyView, data []byte) error {
	v.Revocation, v.CRLs = j.revocation, j.crls
	cert, err := trust.ParseCertificate(data)
	if err != nil {
		return err
	}
	if err = j.check.Verify(cert); err == nil && j.recorded != nil {
		err = j.recorded(ctx, cert)
		var no *trust.VerifyError
		switch {
		case err == nil:
			v.Recorded = "yes"
		case errors.As(err, &no):
			v.Recorded = map[bool]string{true: "no", false: "revoked"}[no.Reason == trust.NotRecorded]
		}
	}
	return v.decide(cert, err)
}

// A chainJudge is for others' certificates.
type chainJudge struct {
	check trust.ChainCheck
	files []string // of revocation lists
	lists map[*trust.CRL]verifyCRLView
}

func (a *app) newChainJudge(_ context.Context, o certVerifyOptions) (judge, error) {
	purpose, err := trust.ParseChainPurpose(o.purpose)
	if err != nil {
		return nil, &usageError{text: err.Error()}
	}
	roots, err := a.readCertificates(o.caFile)
	if err != nil {
		return nil, fmt.Errorf("reading the roots: %w", err)
	}
	var between []*x509.Certificate
	if o.intermediates != "" {
		if between, err = a.readCertificates(o.intermediates); err != nil {
			return nil, fmt.Errorf("reading the intermediates: %w", err)
		}
	}
	j := &chainJudge{files: o.crls, lists: map[*trust.CRL]verifyCRLView{}}
	j.check = trust.ChainCheck{At: a.momentOf(o), Purpose: purpose, Name: o.name + o.ip, Email: o.email, RequireFresh: o.requireFresh}
	var crls []*trust.CRL
	for _, file := range o.crls {
		first, err := a.readCRL(file)
		if err != nil {
			return nil, err
		}
		crls = append(crls, first)
		for l := first; l != nil; l = l.Next() {
			j.lists[l] = newVerifyCRLView(file, l, j.check.At)
		}
	}
	j.check.Pool, err = trust.NewPool(roots, between, crls)
	return j, err
}

// maxPoolFile bounds a file of roots or intermediates, in bytes.
const maxPoolFile = 4 << 20

func (a *app) readCertificates(path string) ([]*x509.Certificate, error) {
	data, err := a.readInput(path, maxPoolFile)
	if err != nil {
		return nil, err
	}
	certs, err := trust.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", inputName(path), err)
	}
	return certs, nil
}

func (j *chainJudge) judge(_ context.Context, v *verifyView, data []byte) error {
	leaf, sent, err := trust.ParseChain(data)
	if err != nil {
		return err
	}
	chain, err := j.check.Verify(leaf, sent...)
	if err == nil {
		v.Revocation = string(chain.Revocation)
		for _, l := range chain.CRLs {
			v.CRLs = append(v.CRLs, j.lists[l])
		}
		err = v.checkAsked(j.files)
	}
	return v.decide(leaf, err)
}

// checkAsked refuses when a file of lists had none to ask, though not everything is
// known: who named it believes that it was asked. Where it is, the file is superfluous.
func (v *verifyView) checkAsked(files []string) error {
	if v.Revocation == string(trust.FreshCRL) {
		return nil
	}
	for _, file := range files {
		if !slices.ContainsFunc(v.CRLs, func(l verifyCRLView) bool { return l.File == file }) {
			return &trust.VerifyError{
				Reason: trust.BadCRL,
				Text:   fmt.Sprintf("the revocation list %s is of none of the CAs in the chain", inputName(file)),
			}
		}
	}
	return nil
}

// decide notes whose certificate it is, and the verdict that err is.
func (v *verifyView) decide(cert *x509.Certificate, err error) error {
	v.Serial, v.CommonName, v.NotAfter = cert.SerialNumber.String(), cert.Subject.CommonName, at(cert.NotAfter)
	var why *trust.VerifyError
	switch {
	case err == nil:
		v.Verdict = "valid"
	case errors.As(err, &why):
		v.Verdict, v.Reason = "invalid", string(why.Reason)
	}
	return err
}
