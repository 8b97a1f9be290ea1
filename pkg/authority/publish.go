package authority

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

// NewCA is what a self-signed CA is made from.
type NewCA struct {
	Cluster      string
	Serial       serial.Number
	KeyAlgorithm profile.KeyAlgorithm
	Now          time.Time
	Lifetime     time.Duration
	Passphrase   []byte // encrypts the key; empty for none
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
	_, err = profile.NewCA(n.Cluster, subject, n.Now, n.Lifetime)
	return err
}

// Prepare makes a new self-signed CA in next/, in the place of one that was
// prepared before and never became active.
func (l *Locked) Prepare(n NewCA) (*Authority, error) {
	key, err := profile.GenerateKey(n.KeyAlgorithm)
	if err != nil {
		return nil, err
	}
	subject, err := profile.NewSubjectKey(key.Public())
	if err != nil {
		return nil, err
	}
	ca, err := profile.NewCA(n.Cluster, subject, n.Now, n.Lifetime)
	if err != nil {
		return nil, err
	}
	tbs, err := ca.TBS(n.Serial)
	if err != nil {
		return nil, err
	}
	der, err := profile.Sign(tbs, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the new CA certificate: %w", err)
	}
	if err := cert.CheckSignatureFrom(cert); err != nil {
		return nil, fmt.Errorf("checking the new CA certificate: %w", err)
	}
	data, err := encodeKey(key, n.Passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	if err := l.writeNext(data, cert); err != nil {
		return nil, err
	}
	return newAuthority([]*x509.Certificate{cert}, key, len(n.Passphrase) > 0)
}

func (l *Locked) writeNext(key []byte, cert *x509.Certificate) error {
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
	if _, err := next.Replace(keyFile, 0o400, key); err != nil {
		return err
	}
	_, err = next.Replace(certFile, 0o644, encodeCertificates(cert))
	return err
}

// ErrNotPublished means that the CA which the store calls active is neither
// published nor prepared: its files were replaced or lost.
var ErrNotPublished = fault.New(fault.Unavailable, "the CA certificate on disk is not the active one")

// Published reports whether cert.pem is the certificate called active. Its key was put
// in its place before.
func (d *Directory) Published(active Fingerprint) (bool, error) { return isActive(d.dir, active) }

func isActive(dir *durable.Dir, active Fingerprint) (bool, error) {
	certs, err := readCertificates(dir, certFile)
	if fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return sha256.Sum256(certs[0].Raw) == active, nil
}

// Publish finishes what makes the prepared CA called active the published one, with
// a min-serial of at least floor. Each step can be the last one of a killed process:
// the next call goes on there. Nothing is done when everything is in its place.
// Error: [ErrNotPublished].
func (l *Locked) Publish(active Fingerprint, floor serial.Floor) error {
	is, err := isActive(l.dir, active)
	if err != nil {
		return err
	}
	if !is {
		if err := l.publishNext(active); err != nil {
			return err
		}
	}
	if err := l.removeNext(active); err != nil {
		return err
	}
	return l.writePublic(max(floor, 1))
}

func (l *Locked) publishNext(active Fingerprint) error {
	next, err := l.dir.Sub(nextDir)
	if fault.KindOf(err) == fault.NotFound {
		return ErrNotPublished
	}
	if err != nil {
		return err
	}
	defer next.Close()
	is, err := isActive(next, active)
	if err != nil {
		return err
	}
	if !is {
		return ErrNotPublished
	}
	if err := l.moveAway(); err != nil {
		return err
	}
	// The key first: with cert.pem in place, the publication is known to be
	// complete but for next/ itself.
	found, err := l.has(keyFile)
	if err != nil {
		return err
	}
	if !found {
		if err := next.Rename(keyFile, l.dir, keyFile); err != nil {
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
	name := certs[0].SerialNumber.String()
	if len(name) > 60 { // a foreign certificate's serial may be of any length
		sum := sha256.Sum256(certs[0].Raw)
		name = hex.EncodeToString(sum[:16])
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

// removeNext removes next/ when it is the rest of the publication of active.
func (l *Locked) removeNext(active Fingerprint) error {
	next, err := l.dir.Sub(nextDir)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	defer next.Close()
	names, err := next.Names()
	if err != nil || len(names) > 0 {
		return err
	}
	if err := next.Sweep(); err != nil {
		return err
	}
	return l.dir.Remove(nextDir)
}

// writePublic writes what verifiers need, when it is missing or out of date.
func (l *Locked) writePublic(floor serial.Floor) error {
	chain, err := readChain(l.dir)
	if err != nil {
		return err
	}
	want, err := trust.FormatBundle(chain[:1], chain[1:])
	if err != nil {
		return err
	}
	have, err := l.Bundle()
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	if string(have) != string(want) {
		if _, err := l.dir.Replace(bundleFile, 0o644, want); err != nil {
			return err
		}
	}
	published, err := l.Floor()
	if err != nil || published >= floor {
		return err
	}
	return l.WriteFloor(floor)
}
