package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

// TestOneProjectOfMany wants that what is asked about one authority looks at no other's
// rows: a thousand projects, each with a thousand certificates, are no slower than one.
func TestOneProjectOfMany(t *testing.T) {
	s := storetest.SQLite(t).Open(t, store.Options{})
	withTenant(t, &storetest.Store{Store: s.Store})
	live := func(f store.CertificateFilter) func(tx *store.Tx) error {
		f.Authority, f.At, f.Floor = tenant, epoch, 1
		return func(tx *store.Tx) error { return tx.Certificates(f, func(store.Certificate) error { return nil }) }
	}
	for what, read := range map[string]func(tx *store.Tx) error{
		"all":             live(store.CertificateFilter{}),
		"live ones":       live(store.CertificateFilter{Status: store.Live, Kind: store.KindLeaf, Limit: 1000, OmitDER: true}),
		"by subject":      live(store.CertificateFilter{Status: store.Live, Kind: store.KindLeaf, Name: "alice", Limit: 1000, OmitDER: true}),
		"of a member":     live(store.CertificateFilter{Status: store.Live, Kind: "member", Holder: "alice", OmitDER: true}),
		"revoked ones":    live(store.CertificateFilter{Status: store.Revoked}),
		"the CAs":         live(store.CertificateFilter{Kind: store.KindCA, Holder: "tenant"}),
		"counts":          func(tx *store.Tx) error { _, err := tx.CountCertificates(tenant, epoch, 1); return err },
		"blocked keys":    func(tx *store.Tx) error { _, err := tx.BlockedKeys(tenant); return err },
		"a member":        func(tx *store.Tx) error { _, err := tx.Member(tenant, "alice"); return ignore(err) },
		"anywhere":        func(tx *store.Tx) error { _, err := tx.MemberAnywhere("alice"); return ignore(err) },
		"members":         func(tx *store.Tx) error { return tx.Members(tenant, func(store.Member) error { return nil }) },
		"a name":          func(tx *store.Tx) error { _, err := tx.ProjectName("www.example.org"); return ignore(err) },
		"names":           func(tx *store.Tx) error { return tx.ProjectNames(tenant, func(store.ProjectName) error { return nil }) },
		"an active CA":    func(tx *store.Tx) error { _, err := tx.CACertificate(tenant, [32]byte{1}); return ignore(err) },
		"one of a number": func(tx *store.Tx) error { _, err := tx.Certificate(tenant, 1); return ignore(err) },
		"the list": func(tx *store.Tx) error {
			return tx.RevokedCertificates(tenant, epoch, serial.Floor(9), func(serial.Number, time.Time, profile.Reason) error { return nil })
		},
	} {
		var steps []string
		err := s.Read(t.Context(), func(tx *store.Tx) (err error) {
			steps, err = tx.Explained(read)
			return err
		})
		if err != nil || len(steps) == 0 {
			t.Fatalf("%s: %q, %v", what, steps, err)
		}
		for _, step := range steps {
			first, ok := strings.CutPrefix(step, "SEARCH ")
			_, by, _ := strings.Cut(first, "(")
			own := strings.HasPrefix(by, "authority=?") || strings.HasPrefix(by, "member=?") || strings.HasPrefix(by, "name=?")
			if strings.HasPrefix(step, "SCAN") || ok && !own {
				t.Errorf("%s: %s", what, step)
			}
		}
	}
}

// ignore returns nil for what is not there.
func ignore(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// TestLiveOfOthersPlan wants a look-up for each authority, and no reading of certificates.
func TestLiveOfOthersPlan(t *testing.T) {
	s := storetest.SQLite(t).Open(t, store.Options{})
	var steps []string
	err := s.Read(t.Context(), func(tx *store.Tx) (err error) {
		steps, err = tx.Explained(func(tx *store.Tx) error {
			_, _, err := tx.LiveOfOthers(store.Cluster, "alice", epoch)
			return ignore(err)
		})
		return err
	})
	must(t, err)
	for _, table := range []string{"n", "c", "r"} {
		if !slices.ContainsFunc(steps, func(step string) bool { return strings.HasPrefix(step, "SEARCH "+table+" USING") }) {
			t.Errorf("%s is not searched:\n%s", table, strings.Join(steps, "\n"))
		}
	}
}
