package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

func list(t testing.TB, s *storetest.Store, f store.CertificateFilter) (all []store.Certificate) {
	t.Helper()
	read(t, s, func(tx *store.Tx) error {
		return tx.Certificates(f, func(c store.Certificate) error { all = append(all, c); return nil })
	})
	return all
}

// population is an inventory with something of everything: CA certificates, expiry
// out of order, holders, names and two authorities.
func population() (all []store.Certificate) {
	for n := serial.Number(1); n <= 700; n++ {
		c := sample(n)
		c.NotAfter = epoch.Add(time.Duration(n*37%700) * time.Hour)
		c.CommonName = fmt.Sprintf("Node%d.example.com", n%7)
		c.Names = []string{c.CommonName, fmt.Sprintf("alias%d", n%5), "192.0.2.1"}
		c.Holder = fmt.Sprintf("HOLDER%d", n%3)
		c.CA = [32]byte{byte(n % 2)}
		if n%100 == 1 {
			c.Kind = store.KindCA
		}
		all = append(all, c)
	}
	for n := serial.Number(1); n <= 10; n++ {
		c := sample(n)
		c.Authority = "other"
		all = append(all, c)
	}
	return all
}

// populate records the population, and revokes some of it.
func populate(t *testing.T, s *storetest.Store) []store.Certificate {
	t.Helper()
	all := population()
	write(t, s, func(tx *store.Tx) error {
		if err := tx.InsertCertificates(all); err != nil {
			return err
		}
		for i := range all {
			c := &all[i]
			if c.Serial%7 != 3 {
				continue
			}
			c.State = "revoked"
			r := store.Revocation{Authority: c.Authority, Serial: c.Serial, Reason: profile.Superseded, Since: epoch.Add(time.Duration(i) * time.Second)}
			if err := tx.Revoke(r); err != nil {
				return err
			}
		}
		return nil
	})
	return all
}

// matches is what [store.CertificateFilter] promises, in so many words.
func matches(f store.CertificateFilter, c store.Certificate) bool {
	name := f.Name == ""
	for _, n := range append(c.Names, c.CommonName) {
		name = name || strings.EqualFold(n, f.Name)
	}
	status := store.Live
	switch {
	case c.NotAfter.Before(f.At):
		status = store.Expired
	case c.Serial < serial.Number(f.Floor) && c.Kind != store.KindCA:
		status = store.BelowFloor
	case c.State == "revoked":
		status = store.Revoked
	}
	return c.Authority == f.Authority && name &&
		(f.Status == "" || f.Status == status) &&
		(f.ExpiringBefore.IsZero() || c.NotAfter.Before(f.ExpiringBefore)) &&
		(f.Holder == "" || strings.EqualFold(f.Holder, c.Holder)) &&
		(f.Kind == "" || f.Kind == c.Kind) &&
		(f.CA == [32]byte{} || f.CA == c.CA) &&
		(f.SPKIHash == [32]byte{} || f.SPKIHash == c.SPKIHash) &&
		c.Serial >= f.MinSerial && (f.MaxSerial == 0 || c.Serial <= f.MaxSerial) && c.Serial > f.After
}

func filters() (all []store.CertificateFilter) {
	for _, status := range []store.Status{"", store.Live, store.Expired, store.BelowFloor, store.Revoked, "nonsense"} {
		for _, f := range []store.CertificateFilter{
			{},
			{After: 100},
			{MinSerial: 50, MaxSerial: 620},
			{Kind: store.KindCA},
			{Kind: "node", CA: [32]byte{1}},
			{Name: "nODE3.example.com"},
			{Name: "ALIAS2", Holder: "holder1"},
			{Holder: "Holder2", Kind: "node"},
			{Name: "holder1"}, // a holder is not a name in the certificate
			{ExpiringBefore: epoch.Add(500 * time.Hour)},
			{Name: "192.0.2.1", ExpiringBefore: epoch.Add(300 * time.Hour), MinSerial: 10, After: 20, CA: [32]byte{1}},
			{Authority: "other"},
			{Authority: "none"},
			{SPKIHash: sample(420).SPKIHash},
		} {
			if f.Authority == "" {
				f.Authority = store.Cluster
			}
			f.Status, f.At, f.Floor = status, epoch.Add(250*time.Hour), 300
			all = append(all, f)
		}
	}
	return all
}

func TestCertificates(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		all := populate(t, s)
		for _, f := range filters() {
			var want []store.Certificate
			for _, c := range all {
				if matches(f, c) {
					want = append(want, c)
				}
			}
			what := fmt.Sprintf("%+v", f)
			wantEqual(t, what, list(t, s, f), want)
			for _, limit := range []int{1, 256, 300} {
				f.Limit = limit
				wantEqual(t, fmt.Sprint(what, " limit ", limit), list(t, s, f), want[:min(limit, len(want))])
			}
			f.Limit = 13
			var pages []store.Certificate
			for page := list(t, s, f); len(page) > 0; page = list(t, s, f) {
				pages = append(pages, page...)
				f.After = page[len(page)-1].Serial
			}
			wantEqual(t, what+" in pages", pages, want)
		}
	})
}

func TestCertificatesWithoutDER(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		fill(t, s, 1, 3)
		want := sample(2)
		want.DER = nil
		for _, status := range []store.Status{"", store.Live} {
			got := list(t, s, store.CertificateFilter{Authority: store.Cluster, OmitDER: true, After: 1, Limit: 1, At: epoch, Status: status})
			wantEqual(t, "certificates", got, []store.Certificate{want})
		}
	})
}

// The function that is given the certificates may use the transaction, end the
// list, and be interrupted.
func TestCertificatesYield(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		fill(t, s, 1, 600)
		enough := errors.New("enough")
		for _, status := range []store.Status{"", store.Live} {
			f := store.CertificateFilter{Authority: store.Cluster, Status: status, At: epoch}
			n := 0
			err := s.Write(t.Context(), func(tx *store.Tx) error {
				return tx.Certificates(f, func(c store.Certificate) error {
					if n++; n == 400 {
						return enough
					}
					again, err := tx.Certificate(store.Cluster, c.Serial)
					wantEqual(t, "the same certificate", again, c)
					return err
				})
			})
			wantIs(t, "yield's error", err, enough)

			ctx, cancel := context.WithCancel(t.Context())
			n = 0
			err = s.Read(ctx, func(tx *store.Tx) error {
				return tx.Certificates(f, func(store.Certificate) error {
					n++
					cancel()
					return nil
				})
			})
			wantIs(t, "an interrupted list", err, context.Canceled)
			if n > 256 {
				t.Errorf("%d certificates after the interruption", n)
			}
		}
	})
}

func TestCountCertificates(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		count := func(id store.AuthorityID, at time.Time, floor serial.Floor) (n store.Counts) {
			read(t, s, func(tx *store.Tx) (err error) {
				n, err = tx.CountCertificates(id, at, floor)
				return err
			})
			return n
		}
		wantEqual(t, "an empty inventory", count(store.Cluster, epoch, 0), store.Counts{})
		all := populate(t, s)
		for _, at := range []time.Time{{}, epoch, epoch.Add(250 * time.Hour), epoch.Add(1e6 * time.Hour)} {
			for _, floor := range []serial.Floor{0, 1, 2, 300, serial.Floor(serial.Max)} {
				var want store.Counts
				for status, n := range map[store.Status]*int64{"": &want.Total, store.Live: &want.Live, store.Expired: &want.Expired, store.BelowFloor: &want.BelowFloor, store.Revoked: &want.Revoked} {
					for _, c := range all {
						if matches(store.CertificateFilter{Authority: store.Cluster, Status: status, At: at, Floor: floor}, c) && c.Kind != "ca" {
							*n++
						}
					}
				}
				wantEqual(t, fmt.Sprint(at, floor), count(store.Cluster, at, floor), want)
			}
		}
	})
}

// TestLiveOfOthers looks for certificates that keep a name from being a node's.
func TestLiveOfOthers(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		withTenant(t, s)
		later := epoch.Add(time.Hour)
		write(t, s, func(tx *store.Tx) error {
			must(t, tx.PutAuthority(store.Authority{ID: store.Cluster, Created: epoch}))
			must(t, tx.PutAuthority(store.Authority{ID: "project:other", Counter: serial.Row{Reserved: 9, Floor: 5}, Created: epoch}))
			var all []store.Certificate
			for n, c := range map[serial.Number]store.Certificate{
				1: {Authority: store.Cluster, CommonName: "own.example.com"},
				2: {Authority: tenant, CommonName: "Alice", Holder: "alice"},
				3: {Authority: tenant, CommonName: "vpn.example.com", Names: []string{"vpn.example.com", "192.0.2.1"}},
				4: {Authority: "project:other", CommonName: "below.example.com"},
				5: {Authority: tenant, CommonName: "expired.example.com", NotAfter: epoch},
				6: {Authority: tenant, CommonName: "revoked.example.com"},
				7: {Authority: tenant, CommonName: "ca.example.com", Kind: store.KindCA},
				8: {Authority: tenant, CommonName: "x", Holder: "holder.example.com"},
			} {
				c.Serial, c.State, c.Created, c.NotBefore, c.Fingerprint = n, "issued", epoch, epoch, [32]byte{byte(n)}
				if c.Kind == "" {
					c.Kind = string(profile.Member)
				}
				if c.NotAfter.IsZero() {
					c.NotAfter = later
				}
				all = append(all, c)
			}
			must(t, tx.InsertCertificates(all))
			return tx.Revoke(store.Revocation{Authority: tenant, Serial: 6, Reason: profile.Superseded, Since: epoch})
		})
		read(t, s, func(tx *store.Tx) error {
			for name, want := range map[string]serial.Number{
				"ALICE": 2, "vpn.example.com": 3, "192.0.2.1": 3,
				"own.example.com": 0, "below.example.com": 0, "expired.example.com": 0, "revoked.example.com": 0,
				"ca.example.com": 0, "holder.example.com": 0, "nobody": 0,
			} {
				of, n, err := tx.LiveOfOthers(store.Cluster, name, later)
				if want == 0 {
					wantKind(t, name, err, fault.NotFound)
					continue
				}
				must(t, err)
				wantEqual(t, name, n, want)
				wantEqual(t, name, of, tenant)
			}
			_, _, err := tx.LiveOfOthers(store.Cluster, "alice", later.Add(time.Second))
			wantKind(t, "a second later", err, fault.NotFound)
			return nil
		})
	})
}
