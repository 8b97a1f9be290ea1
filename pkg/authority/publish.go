package authority

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

// A Role is what a CA is for.
type Role int

// The roles.
const (
	ClusterCA   Role = iota // signs for nodes
	ProjectRoot             // signs the CAs of projects
	ProjectCA               // signs for members of a project
)

// NewCA is what a CA is made from.
type NewCA struct {
	Role         Role
	Name         string // of the cluster; a project's id for its CA
	Serial       serial.Number
	KeyAlgorithm profile.KeyAlgorithm
	Now          time.Time
	Lifetime     time.Duration
	Passphrase   []byte     // encrypts the key; empty for none
	Root         *Authority // that signs a project's CA; the others sign themselves
}

// profile checks what n asks for, with the public half of the CA's key.
func (n NewCA) profile(key *profile.SubjectKey) (*profile.CA, error) {
	switch n.Role {
	case ProjectRoot:
		return profile.NewProjectRoot(n.Name, key, n.Now, n.Lifetime)
	case ProjectCA:
		if n.Root == nil {
			return nil, fault.New(fault.Internal, "a project's CA needs a root")
		}
		return profile.NewProjectCA(n.Name, n.Root.issuer, key, n.Now, n.Lifetime)
	}
	return profile.NewCA(n.Name, key, n.Now, n.Lifetime)
}

// Check refuses what [Locked.Prepare] would refuse, before a number is spent. The
// key is not made yet.
func (n NewCA) Check() error {
	key, err := profile.GenerateKey(profile.ECDSAP256)
	if err != nil {
		return err
	}
	subject, err := profile.NewSubjectKey(key.Public())
	if err != nil {
		return err
	}
	_, err = n.profile(subject)
	return err
}

// Prepare makes a new CA in next/, in the place of one that was prepared before and
// never became active.
func (l *Locked) Prepare(n NewCA) (*Authority, error) {
	key, err := profile.GenerateKey(n.KeyAlgorithm)
	if err != nil {
		return nil, err
	}
	subject, err := profile.NewSubjectKey(key.Public())
	if err != nil {
		return nil, err
	}
	ca, err := n.profile(subject)
	if err != nil {
		return nil, err
	}
	chain, err := n.sign(ca, key)
	if err != nil {
		return nil, err
	}
	data, err := encodeKey(key, n.Passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	if err := l.writeNext(data, chain...); err != nil {
		return nil, err
	}
	return newAuthority(l.project, chain, key, len(n.Passphrase) > 0)
}

// sign returns the certificate of ca, checked, and those above it.
func (n NewCA) sign(ca *profile.CA, key crypto.Signer) ([]*x509.Certificate, error) {
	tbs, err := ca.TBS(n.Serial)
	if err != nil {
		return nil, err
	}
	var above []*x509.Certificate
	if n.Role == ProjectCA {
		key, above = n.Root.key, n.Root.chain
	}
	der, err := profile.Sign(tbs, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the new CA certificate: %w", err)
	}
	chain := append([]*x509.Certificate{cert}, above...)
	issuer := chain[min(1, len(chain)-1)]
	if err := cert.CheckSignatureFrom(issuer); err != nil {
		return nil, fmt.Errorf("checking the new CA certificate: %w", err)
	}
	return chain, nil
}

// writeNext puts a CA into next/: its key, its certificate and those above.
func (l *Locked) writeNext(key []byte, chain ...*x509.Certificate) error {
	if err := l.dir.Mkdir(nextDir, 0o700); err != nil {
		return err
	}
	next, err := l.dir.Sub(nextDir)
	if err != nil {
		return err
	}
	defer next.Close()
	if err := next.Sweep(); err != nil {
		return err
	}
	// The certificate last, and the one of an earlier try gone first: it belongs to
	// what is there.
	for _, name := range []string{certFile, chainFile} {
		if err := next.Remove(name); err != nil {
			return err
		}
	}
	if len(chain) > 1 {
		if _, err := next.Replace(chainFile, 0o644, encodeCertificates(chain[1:]...)); err != nil {
			return err
		}
	}
	if _, err := next.Replace(keyFile, 0o400, key); err != nil {
		return err
	}
	_, err = next.Replace(certFile, 0o644, encodeCertificates(chain[0]))
	return err
}

// Publish finishes what makes the prepared CA called active the published one, the
// others those that verifiers trust, and min-serial at least floor. Each step can be
// the last one of a killed process: the next call goes on there. Nothing is done when
// everything is in its place.
//
// Whom to trust is published first and cert.pem last: who finds cert.pem to be the
// active one may sign with it, and verifiers could know it.
// Errors: [ErrNotPublished]; [*LostError].
func (l *Locked) Publish(alive Alive, floor serial.Floor) error {
	is, err := isActive(l.dir, alive.Active)
	if err != nil {
		return err
	}
	if !is {
		if err := l.checkNext(alive.Active); err != nil {
			return err
		}
	}
	if err := l.writePublic(alive, max(floor, 1)); err != nil {
		return err
	}
	if !is {
		if err := l.publishNext(); err != nil {
			return err
		}
	}
	return errors.Join(l.removeNext(alive.Next), l.removeAnswered(), l.removeRetired(alive.Old))
}

// checkNext wants the CA called active in next/.
func (l *Locked) checkNext(active Fingerprint) error {
	next, err := l.dir.Sub(nextDir)
	if fault.KindOf(err) == fault.NotFound {
		return ErrNotPublished
	}
	if err != nil {
		return err
	}
	defer next.Close()
	is, err := isActive(next, active)
	if err == nil && !is {
		err = ErrNotPublished
	}
	return err
}

// publishNext moves the CA from next/ to its place.
func (l *Locked) publishNext() error {
	next, err := l.dir.Sub(nextDir)
	if err != nil {
		return err
	}
	defer next.Close()
	if err := l.moveAway(); err != nil {
		return err
	}
	// The key before the certificate: with cert.pem in place, the publication is
	// known to be complete but for next/ itself.
	for _, name := range []string{chainFile, keyFile} {
		if err := next.Rename(name, l.dir, name); err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	return next.Rename(certFile, l.dir, certFile)
}

// moveAway puts the published CA, if there is one, into old/<serial>. A CA
// certificate without a key, as a failover leaves it, goes too.
func (l *Locked) moveAway() error {
	found, err := l.has(certFile)
	if err != nil || !found {
		return err
	}
	certs, err := readCertificates(l.dir, certFile)
	if err != nil {
		return err
	}
	if err := l.dir.Mkdir(oldDir, 0o700); err != nil {
		return err
	}
	old, err := l.dir.Sub(oldDir)
	if err != nil {
		return err
	}
	defer old.Close()
	name, err := oldName(old, certs[0])
	if err != nil {
		return err
	}
	if err := old.Mkdir(name, 0o700); err != nil {
		return err
	}
	into, err := old.Sub(name)
	if err != nil {
		return err
	}
	defer into.Close()
	for _, file := range []string{keyFile, chainFile, certFile} {
		if err := l.dir.Rename(file, into, file); err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	return nil
}

// oldName returns the name of a replaced CA's directory in old/: its serial number,
// unless that is too long, as a foreign one may be, or another CA has it.
func oldName(old *durable.Dir, cert *x509.Certificate) (string, error) {
	name := cert.SerialNumber.String()
	sum := sha256.Sum256(cert.Raw)
	other := hex.EncodeToString(sum[:16])
	if len(name) > 60 {
		return other, nil
	}
	dir, err := old.Sub(name)
	if fault.KindOf(err) == fault.NotFound {
		return name, nil
	}
	if err != nil {
		return "", err
	}
	defer dir.Close()
	certs, err := readCertificates(dir, certFile)
	if err == nil && !certs[0].Equal(cert) {
		return other, nil
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return "", err
	}
	return name, nil // it is being moved there
}

// removeNext removes next/ when it holds the rest of a publication, or a CA that was
// made and never recorded. A key without a certificate waits for one.
func (l *Locked) removeNext(prepared Fingerprint) error {
	next, err := l.dir.Sub(nextDir)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	defer next.Close()
	is, err := isActive(next, prepared)
	if err != nil || is {
		return err
	}
	contents, err := next.Names()
	if err != nil {
		return err
	}
	if slices.Contains(contents, certFile) { // the certificate last: see above
		for _, name := range []string{keyFile, chainFile, certFile} {
			if err := next.Remove(name); err != nil {
				return err
			}
		}
	} else if len(contents) > 0 {
		return nil
	}
	if err := next.Sweep(); err != nil {
		return err
	}
	return l.dir.Remove(nextDir)
}

// removeRetired removes the keys of CAs in old/ that nobody trusts any more.
func (l *Locked) removeRetired(trusted []Fingerprint) error {
	return l.eachOld(func(dir *durable.Dir, _ string) error {
		certs, err := readCertificates(dir, certFile)
		if fault.KindOf(err) == fault.NotFound {
			return nil // it is on its way there
		}
		if err != nil || slices.Contains(trusted, sha256.Sum256(certs[0].Raw)) {
			return err
		}
		return dir.Remove(keyFile)
	})
}
