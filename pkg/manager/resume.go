package manager

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// resumeKey is the same for the same work: request, destination and conditions.
func resumeKey(request [32]byte, item SignItem, req SignRequest) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%x\n%q\n%q\n%q\n%d\n", request, item.Destination, item.For, req.Allow, req.Lifetime)
	if req.Profile != profile.Node {
		fmt.Fprintf(h, "%s\n", req.Profile)
	}
	return h.Sum(nil)[:16]
}

// resume finds the certificate that an earlier call recorded for the same work and did
// not deliver, if it is still good for half of its time: whoever asks again much later
// wants a new one.
func (m *Manager) resume(tx *store.Tx, t terms, row store.Authority, ca *authority.Authority, j *job) error {
	if j.request == nil || j.resume == nil || !j.open() {
		return nil
	}
	c, err := tx.CertificateToResume(t.id, j.request.CommonName(), j.resume)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	floor, err := m.floor(row)
	if err != nil {
		return err
	}
	half := c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2)
	if c.RequestHash == j.request.Hash() && c.CA == ca.Fingerprint() && c.State == stateIssued &&
		floor.Accepts(c.Serial) && t.now.Before(half) {
		j.earlier = &c
	}
	return nil
}

// floor returns the floor in force: the larger of the row's and the file's.
func (m *Manager) floor(row store.Authority) (serial.Floor, error) {
	d, err := m.directory(row.ID)
	if err != nil {
		return 0, err
	}
	floor, err := d.Floor()
	return max(floor, row.Counter.Floor), err
}

// hasNames reports whether c is what would be recorded with names.
func hasNames(c Certificate, names profile.Approved) bool {
	return c.Kind == string(names.Profile()) && c.CommonName == names.CommonName() && c.Holder == names.Holder() &&
		slices.Equal(c.Names, names.Names()) && slices.Equal(c.Exceptions, names.Exceptions())
}

// checkRecord refuses a certificate of an earlier call that is not on record as issued
// any more.
func (j *job) checkRecord(tx *store.Tx, id AuthorityID) error {
	if j.refused() || !j.result.Reused {
		return nil
	}
	n := j.result.Certificate.Serial
	c, err := tx.Certificate(id, n)
	if err == nil && c.State != stateIssued {
		j.refuse(fault.Errorf(fault.Denied, "certificate %v was revoked in the meantime", n))
	}
	return err
}
