package authority

import (
	"context"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
)

// A LayoutEntry is a name that may be in an authority's directory, and who else than
// the owner may do what with it.
type LayoutEntry struct {
	Name    string
	Dir     bool
	Secrecy durable.Secrecy
	Open    bool // verifiers that are other users read it
}

// Layout returns every name of an authority's directory that is known here; the
// directories below it, which are the owner's alone, hold some of the same.
func Layout() []LayoutEntry {
	return []LayoutEntry{
		{Name: certFile, Secrecy: durable.Guarded},
		{Name: keyFile, Secrecy: durable.Private},
		{Name: chainFile, Secrecy: durable.Guarded},
		{Name: serialFile, Secrecy: durable.Guarded},
		{Name: floorFile, Secrecy: durable.Guarded, Open: true},
		{Name: bundleFile, Secrecy: durable.Guarded, Open: true},
		{Name: crlFile, Secrecy: durable.Guarded, Open: true},
		{Name: decryptKeyFile, Secrecy: durable.Private},
		{Name: decryptCertFile, Secrecy: durable.Guarded, Open: true},
		{Name: lockFile, Secrecy: durable.Guarded},
		{Name: blockFile, Secrecy: durable.Guarded},
		{Name: nextDir, Dir: true, Secrecy: durable.Guarded},
		{Name: oldDir, Dir: true, Secrecy: durable.Guarded},
		{Name: requestDir, Dir: true, Secrecy: durable.Guarded},
	}
}

// Hold is [Directory.Lock] without the sweep, for who wants to see what there is.
func (d *Directory) Hold(ctx context.Context) (*Locked, error) {
	lock, err := d.dir.Lock(ctx, lockFile)
	if err != nil {
		return nil, err
	}
	return &Locked{Directory: d, lock: lock}, nil
}

// Prepared reports whether the CA called active lies in next/, so that
// [Locked.Publish] can put it in its place.
func (d *Directory) Prepared(active Fingerprint) (bool, error) {
	next, err := d.dir.Sub(nextDir)
	if fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer next.Close()
	return isActive(next, active)
}

// Names of the parts that a report is about.
const (
	SerialName = serialFile
	FloorName  = floorFile
	BundleName = bundleFile
	CRLName    = crlFile
	CertName   = certFile
	ChainName  = chainFile
	KeyName    = keyFile
	LockName   = lockFile
	BlockName  = blockFile
	NextName   = nextDir
	OldName    = oldDir

	RequestName     = requestDir
	RequestFileName = requestFile

	DecryptKeyName  = decryptKeyFile
	DecryptCertName = decryptCertFile
)
