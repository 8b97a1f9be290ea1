package authority

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

// Alive are the CAs that verifiers trust, by the store's word.
type Alive struct {
	Active Fingerprint
	Next   Fingerprint   // prepared; zero: none
	Old    []Fingerprint // replaced, and not retired
}

// Equal reports whether a and b are the same.
func (a Alive) Equal(b Alive) bool {
	return a.Active == b.Active && a.Next == b.Next && slices.Equal(a.Old, b.Old)
}

// own lists them, the active one first.
func (a Alive) own() []Fingerprint {
	all := []Fingerprint{a.Active}
	if a.Next != (Fingerprint{}) {
		all = append(all, a.Next)
	}
	return append(all, a.Old...)
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

// eachOld calls fn with each directory in old/, and its name.
func (d *Directory) eachOld(fn func(*durable.Dir, string) error) error {
	old, err := d.dir.Sub(oldDir)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	defer old.Close()
	names, err := old.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		dir, err := old.Sub(name)
		if err != nil {
			return err
		}
		err = fn(dir, name)
		dir.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// A LostError is a CA that is trusted by the store's word, and whose files are gone.
type LostError struct{ Fingerprint Fingerprint }

func (e *LostError) Error() string {
	return fmt.Sprintf("the files of a CA that is trusted still are missing, SHA-256 %x", e.Fingerprint)
}

// FaultKind makes the error [fault.Unavailable].
func (e *LostError) FaultKind() fault.Kind { return fault.Unavailable }

// find calls fn with the directory of the CA called want: this one, next/, or one in
// old/. Error: [*LostError].
func (d *Directory) find(want Fingerprint, fn func(*durable.Dir) error) error {
	found := false
	try := func(dir *durable.Dir, _ string) error {
		is, err := isActive(dir, want)
		if err != nil || !is || found {
			return err
		}
		found = true
		return fn(dir)
	}
	if err := try(d.dir, ""); err != nil || found {
		return err
	}
	next, err := d.dir.Sub(nextDir)
	if err == nil {
		err = try(next, nextDir)
		next.Close()
	} else if fault.KindOf(err) == fault.NotFound {
		err = nil
	}
	if err == nil && !found {
		err = d.eachOld(try)
	}
	if err == nil && !found {
		err = &LostError{want}
	}
	return err
}

// LoadCA is Load for any CA that is alive. Error: [*LostError] too.
func (d *Directory) LoadCA(want Fingerprint, pass Passphrase) (ca *Authority, err error) {
	err = d.find(want, func(dir *durable.Dir) error {
		ca, err = d.load(dir, pass)
		return err
	})
	return ca, err
}

// Chain returns the certificate of any CA that is alive, and those above it.
// Error: [*LostError].
func (d *Directory) Chain(want Fingerprint) (chain []*x509.Certificate, err error) {
	err = d.find(want, func(dir *durable.Dir) error {
		chain, err = readChain(dir)
		return err
	})
	return chain, err
}

// CheckBundle refuses CAs that can't be in one bundle: one that is the authority's own
// and stands above another one, for instance. Errors: [fault.Denied]; [*LostError].
func (l *Locked) CheckBundle(alive Alive) error {
	_, err := l.bundle(alive)
	if fault.KindOf(err) == fault.Invalid {
		return fault.Errorf(fault.Denied, "verifiers can't trust these CAs at the same time: %w", err)
	}
	return err
}

// bundle returns what verifiers are to trust.
func (l *Locked) bundle(alive Alive) ([]byte, error) {
	var own, path []*x509.Certificate
	for _, f := range alive.own() {
		chain, err := l.Chain(f)
		if err != nil {
			return nil, err
		}
		own = append(own, chain[0])
		for _, c := range chain[1:] {
			if !slices.ContainsFunc(path, c.Equal) {
				path = append(path, c)
			}
		}
	}
	return trust.FormatBundle(own, path)
}

// writePublic writes what verifiers need, when it is missing or out of date.
func (l *Locked) writePublic(alive Alive, floor serial.Floor) error {
	want, err := l.bundle(alive)
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

// What the files of a CA that is not the active one are called, and those of a request.
func otherFiles() []string   { return []string{chainFile, keyFile, certFile} }
func requestFiles() []string { return []string{keyFile, requestFile} }

// EachOtherFile calls fn for each name that a file of a CA in next/ or old/, or of a
// request, may have: with its directory, its name there, and its path from d.
func (d *Directory) EachOtherFile(fn func(dir *durable.Dir, name, path string) error) error {
	each := func(dir *durable.Dir, path string, names []string) error {
		for _, name := range names {
			if err := fn(dir, name, path+"/"+name); err != nil {
				return err
			}
		}
		return nil
	}
	for _, sub := range []struct {
		path  string
		names []string
	}{{nextDir, otherFiles()}, {requestDir, requestFiles()}} {
		dir, err := d.dir.Sub(sub.path)
		if err == nil {
			err = each(dir, sub.path, sub.names)
			dir.Close()
		}
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	return d.eachOld(func(dir *durable.Dir, name string) error { return each(dir, oldDir+"/"+name, otherFiles()) })
}

// IsOtherFile reports whether EachOtherFile can have called fn with that path.
func IsOtherFile(path string) bool {
	words := strings.Split(path, "/")
	file := words[len(words)-1]
	if len(words) == 2 && words[0] == requestDir {
		return slices.Contains(requestFiles(), file)
	}
	if !slices.Contains(otherFiles(), file) {
		return false
	}
	switch {
	case len(words) == 2:
		return words[0] == nextDir
	case len(words) == 3 && words[0] == oldDir:
		return words[1] != "" && len(words[1]) <= 60 && strings.Trim(words[1], "0123456789abcdef") == ""
	}
	return false
}
