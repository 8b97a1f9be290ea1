// Package authority keeps a CA in a directory and signs with it.
//
// # The directory
//
//	cert.pem    0644  the active CA certificate
//	key.pem     0400  its private key, PKCS#8, encrypted when a passphrase is set
//	chain.pem   0644  the issuers of cert.pem up to the root: a project's, and of an intermediate
//	serial      0644  the highest serial number ever reserved, decimal
//	min-serial  0644  the smallest one still accepted, decimal
//	blocked-keys 0644 what keys were revoked for compromise, if any: SHA-256 of the
//	                  SubjectPublicKeyInfo, the number of the certificate
//	bundle.pem  0644  what verifiers trust
//	crl.pem     0644  the latest revocation list of each CA that is alive
//	decrypt-key.pem   0400  of a project: the key that secrets are encrypted to
//	decrypt-cert.pem  0644  its certificate
//	lock        0600  taken for every change; never renamed or removed. In it, how
//	                  far the store had counted when it last changed
//	next/       0700  a CA that is not active yet
//	request/    0700  a request for a CA's certificate, and its key, until it is answered
//	old/<serial>/     predecessors
//
// It is the layout of Ganeti's design for a cluster CA. The names cert.pem and
// key.pem are published copies: which CA is active is decided by the store, and a
// publication that was cut between the two files is finished by whoever comes next
// ([Locked.Publish]).
//
// # Plan, then sign
//
// Signing takes two steps joined by a value. [Authority.Plan] checks everything
// about a certificate but its number; [Plan.Sign] takes a number and signs, once.
// Neither knows the store: the caller reserves the number before and records the
// result after. Nothing else here can sign, so nothing unchecked is signed.
package authority

import (
	"context"
	"errors"
	"path/filepath"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// Names in an authority's directory.
const (
	certFile   = "cert.pem"
	keyFile    = "key.pem"
	chainFile  = "chain.pem"
	serialFile = "serial"
	floorFile  = "min-serial"
	bundleFile = "bundle.pem"
	crlFile    = "crl.pem"
	lockFile   = "lock"
	blockFile  = "blocked-keys"
	nextDir    = "next"
	oldDir     = "old"

	requestDir  = "request"
	requestFile = "request.pem"
)

// Files lists the names of the regular files that a backup holds, in the order in
// which a restore makes them. The key is the last: a directory without a key holds
// no CA. The revocation list is made anew.
func Files() []string {
	return []string{serialFile, floorFile, certFile, chainFile, bundleFile, decryptCertFile, decryptKeyFile, keyFile}
}

// sizeLimit bounds every file that is read here, in bytes. A chain of ten RSA-8192
// certificates takes a tenth of it.
const sizeLimit = 1 << 20

// A Directory is an authority's directory, open.
type Directory struct {
	dir     *durable.Dir
	project string // the id of the project that its CA signs for; empty for no project's
}

// OpenDirectory opens the directory that lies in the state directory by the names of
// path, each in the one before. Of several the last is the id of a project: the CA there
// signs for it alone. Error: fault.NotFound.
func OpenDirectory(state *durable.Dir, path ...string) (*Directory, error) {
	return openPath(state, path, (*durable.Dir).Sub)
}

// MakeDirectory is OpenDirectory for one that may not exist yet. A new one gets the
// mode 0711: its public files can be read by who knows their names.
func MakeDirectory(state *durable.Dir, path ...string) (*Directory, error) {
	return openPath(state, path, func(d *durable.Dir, name string) (*durable.Dir, error) {
		if err := d.Mkdir(name, 0o711); err != nil {
			return nil, err
		}
		return d.Sub(name)
	})
}

func openPath(state *durable.Dir, path []string, open func(*durable.Dir, string) (*durable.Dir, error)) (*Directory, error) {
	dir := state
	for _, name := range path {
		sub, err := open(dir, name)
		if dir != state {
			err = errors.Join(err, dir.Close())
		}
		if err != nil {
			return nil, err
		}
		dir = sub
	}
	d := &Directory{dir: dir}
	if len(path) > 1 {
		d.project = path[len(path)-1]
	}
	return d, nil
}

// Close closes the directory.
func (d *Directory) Close() error { return d.dir.Close() }

// Path returns where the directory was found.
func (d *Directory) Path() string { return d.dir.Path() }

// Dir returns the open directory itself, for a backup.
func (d *Directory) Dir() *durable.Dir { return d.dir }

// SerialPath returns the path of the serial file, for a hook that replicates it.
func (d *Directory) SerialPath() string { return filepath.Join(d.dir.Path(), serialFile) }

// has reports whether there is anything called name.
func (d *Directory) has(name string) (bool, error) {
	_, err := d.dir.Stat(name)
	if fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	return err == nil, err
}

// Contents says which of a CA's parts a directory holds.
type Contents struct{ Cert, Key, Serial, Floor, Bundle, CRL bool }

// Contents looks at the names only.
func (d *Directory) Contents() (c Contents, err error) {
	for name, found := range map[string]*bool{
		certFile: &c.Cert, keyFile: &c.Key, serialFile: &c.Serial, floorFile: &c.Floor, bundleFile: &c.Bundle, crlFile: &c.CRL,
	} {
		if *found, err = d.has(name); err != nil {
			return Contents{}, err
		}
	}
	return c, nil
}

// A Locked is a directory that nobody else changes. All changes are its methods.
type Locked struct {
	*Directory
	lock      *durable.Lock
	announced serial.Mark
}

// Lock takes the authority's lock, waiting until ctx ends, and sweeps what killed
// processes left. Error: durable.ErrLocked.
func (d *Directory) Lock(ctx context.Context) (*Locked, error) {
	lock, err := d.dir.Lock(ctx, lockFile)
	if err != nil {
		return nil, err
	}
	if err := d.dir.Sweep(); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return &Locked{Directory: d, lock: lock}, nil
}

// Without calls fn without the lock, and then again to have it back: anything may have
// changed meanwhile. After an error l stays unlocked.
func (l *Locked) Without(fn func() error, again func() (*Locked, error)) error {
	if err := errors.Join(l.Unlock(), fn()); err != nil {
		return err
	}
	other, err := again()
	if err == nil {
		l.lock = other.lock
	}
	return err
}

// Unlock releases the lock. A second call does nothing.
func (l *Locked) Unlock() error { return l.lock.Unlock() }
