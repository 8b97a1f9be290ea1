package manager

import (
	"math"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/trust"
)

// crlJump is by how much the number of the next list rises once a database may be older
// than lists that left: as many seconds as 12 days have.
const crlJump = 1 << 20

// publishedCRL returns the list that is in place, if one of the authority's CAs signed
// it; nil for none, and for what can't be read: it is about to be replaced.
func publishedCRL(l *authority.Locked, row store.Authority) (*trust.CRL, error) {
	data, err := l.CRL()
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	file, err := trust.ParseCRL(data)
	if err != nil {
		return nil, nil
	}
	for _, f := range append([]authority.Fingerprint{row.Active, row.Next}, row.Old...) {
		chain, err := l.Chain(f)
		if err != nil {
			continue // who is missing says so elsewhere
		}
		if list, err := listOf(chain, file); err == nil {
			return list, nil
		}
	}
	return nil, nil
}

// listNumber returns the number of a list, 0 for none and for one that is not ours: a
// foreign program may have given the CA's lists numbers of 20 octets.
func listNumber(l *trust.CRL) int64 {
	if l == nil || l.Number() == nil || !l.Number().IsInt64() || l.Number().Int64() >= math.MaxInt64-crlJump {
		return 0
	}
	return l.Number().Int64()
}

// salvageCRL records again what only the published list knows of: revocations that are
// newer than the database which came back. Certificates that are on it because of the
// floor alone have no reason, and the floor puts them out.
func (m *Manager) salvageCRL(tx *store.Tx, l *authority.Locked, row store.Authority, list *trust.CRL) error {
	if err := tx.SetCRLNumber(row.ID, max(row.CRLNumber, m.now().Unix(), listNumber(list))+crlJump); err != nil || list == nil {
		return err
	}
	var failed error
	list.Entries(func(e trust.Entry) bool {
		if !e.Serial.IsInt64() || e.Reason == "" && list.Floor() > 0 && !list.Floor().Accepts(serial.Number(e.Serial.Int64())) {
			return true
		}
		failed = m.salvageEntry(tx, l, &row, e, list.ThisUpdate().Add(longestLife(row.ID)+profile.Backdate))
		return failed == nil
	})
	return failed
}

// salvageEntry records one revocation again. A certificate that the database does not
// know may be valid until expiry.
func (m *Manager) salvageEntry(tx *store.Tx, l *authority.Locked, row *store.Authority, e trust.Entry, expiry time.Time) error {
	reason, err := profile.ParseReason(e.Reason)
	if err != nil {
		reason = profile.Unspecified
	}
	n := serial.Number(e.Serial.Int64())
	r := store.Revocation{Authority: row.ID, Serial: n, Reason: reason, Since: e.Time}
	if err := tx.RestoreRevocation(r, expiry); err != nil || reason != profile.KeyCompromise {
		return err
	}
	c, err := tx.Certificate(row.ID, n)
	if fault.KindOf(err) == fault.NotFound {
		return nil // nobody knows its key
	}
	if err != nil {
		return err
	}
	return m.block(tx, l, row, []Certificate{c})
}
