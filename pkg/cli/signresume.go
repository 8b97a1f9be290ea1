package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

// openOutDir opens the directory of --out-dir, and finds out whether files can be
// made there before anything is spent on them.
func (a *app) openOutDir(path string) (*durable.Dir, error) {
	probe, err := durable.Claim(filepath.Join(path, ".x509ctl-probe"), 0o600)
	if err == nil {
		err = probe.Discard()
	}
	var dir *durable.Dir
	if err == nil {
		dir, err = durable.OpenDir(path)
	}
	if err != nil {
		return nil, &outDirError{path, err}
	}
	a.closers = append(a.closers, dir)
	return dir, nil
}

// openOutDir opens the directory of --out-dir, if there is one.
func (b *signBatch) openOutDir() error {
	if b.outDir == "" {
		return nil
	}
	var err error
	if b.absDir, err = filepath.Abs(b.outDir); err != nil {
		return fmt.Errorf("finding %s: %w", b.outDir, err)
	}
	if b.dir, err = b.app.openOutDir(b.outDir); err != nil {
		return err
	}
	b.check = sync.OnceValues(func() (trust.Check, error) {
		v, err := b.svc.Verifier(context.Background(), b.id)
		return v.Check(b.app.now()), err
	})
	return nil
}

// An outDirError is a directory for outputs that can't be used.
type outDirError struct {
	path string
	err  error
}

func (e *outDirError) Error() string { return e.err.Error() }
func (e *outDirError) Unwrap() error { return e.err }

// resume looks at the file that an item's certificate would go to. If it is a good
// certificate for the same key, there is nothing left to do; anything else there is
// an error.
func (b *signBatch) resume(ctx context.Context, i *signItem) {
	info, err := os.Lstat(i.out)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		i.err = err
		return
	}
	req, err := profile.ParseRequest(i.request)
	if err != nil {
		i.err = err
		return
	}
	c, err := b.same(ctx, i, info, req)
	switch fault.KindOf(err) {
	case fault.Exists, fault.Malformed, fault.NotFound, fault.Invalid:
		i.err = &outfileError{"out-dir", i.out, fault.Errorf(fault.Exists, "file %s exists: %w", i.out, err)}
	default:
		i.err = err
	}
	if i.err == nil {
		i.status, i.result.Certificate = skippedStatus, c
	}
}

// same returns the record of the certificate in the file, if it is what the request
// would get. Errors that say why not are Exists, Malformed, NotFound or Invalid.
func (b *signBatch) same(ctx context.Context, i *signItem, info fs.FileInfo, req *profile.Request) (manager.Certificate, error) {
	if !info.Mode().IsRegular() {
		return manager.Certificate{}, fault.New(fault.Exists, "it is not a regular file")
	}
	data, err := durable.ReadInput(i.out, maxCertFile)
	if err != nil {
		return manager.Certificate{}, err
	}
	cert, err := trust.ParseCertificate(data)
	if err != nil {
		return manager.Certificate{}, err
	}
	if !bytes.Equal(req.RawSPKI(), cert.RawSubjectPublicKeyInfo) {
		return manager.Certificate{}, fault.New(fault.Exists, "its certificate is for another key")
	}
	check, err := b.check()
	if err != nil {
		return manager.Certificate{}, err
	}
	if err := check.Verify(cert); err != nil {
		return manager.Certificate{}, err
	}
	n := serial.Number(cert.SerialNumber.Int64())
	c, err := b.svc.Certificate(ctx, b.id, n)
	if err != nil {
		return c, err
	}
	if !bytes.Equal(c.DER, cert.Raw) {
		return c, fault.Errorf(fault.Exists, "certificate %v on record is another one", n)
	}
	if c.State == "revoked" {
		return c, fault.Errorf(fault.Exists, "certificate %v is revoked", n)
	}
	if c.Kind != string(b.kind) {
		return c, fault.Errorf(fault.Exists, "certificate %v is for a %s, not for a %s", n, c.Kind, b.kind)
	}
	fold := profile.FoldName
	if i.holder != "" && fold(c.Holder) != fold(i.holder) &&
		!slices.ContainsFunc(c.Names, func(name string) bool { return fold(name) == fold(i.holder) }) {
		return c, fault.Errorf(fault.Exists, "its certificate is for %s, not for %s", c.Holder, i.holder)
	}
	if name := unlisted(c, req); c.RequestHash != req.Hash() && name != "" {
		return c, fault.Errorf(fault.Exists, "its certificate is not for %s", name)
	}
	return c, nil
}

// unlisted returns the first name of a request that a certificate does not have, or
// nothing.
func unlisted(c manager.Certificate, req *profile.Request) string {
	for _, asked := range req.Names() {
		kind, name, _ := strings.Cut(asked, ":")
		if kind == "CN" && len(c.Names) == 0 && profile.FoldName(c.CommonName) == profile.FoldName(name) {
			continue // a member's
		}
		listed := slices.ContainsFunc(c.Names, func(n string) bool { return profile.FoldName(n) == profile.FoldName(name) })
		if !listed || kind != "CN" && kind != "DNS" && kind != "IP" {
			return name
		}
	}
	return ""
}
