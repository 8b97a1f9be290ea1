package store_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

func TestAuthority(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		want := store.Authority{
			ID: "project:日本", Name: "café \"quoted\" 'single' ? $1", Active: [32]byte{1, 2, 31: 255},
			Next: [32]byte{3, 31: 1}, Old: []store.Sum{{4}, {5, 31: 128}}, CRLNumber: math.MaxInt64,
			Counter: serial.Row{
				Reserved: serial.Max, Floor: serial.Floor(serial.Max), Last: serial.Max - 1, Timeline: math.MaxUint32,
				File: serial.File{Machine: "0123456789abcdef", Inode: math.MaxUint64, Birth: math.MinInt64},
			},
			Generation: 7, Created: epoch,
		}
		write(t, s, func(tx *store.Tx) error { return tx.PutAuthority(want) })
		var got store.Authority
		get := func(tx *store.Tx) (err error) {
			got, err = tx.Authority(want.ID)
			return err
		}
		read(t, s, get)
		wantEqual(t, "authority", got, want)

		want.Counter, want.CRLDue = serial.Row{Reserved: 12, Floor: 3, Last: 11}, 1
		write(t, s, func(tx *store.Tx) error { return tx.SetCounter(want.ID, want.Counter) })
		read(t, s, get)
		wantEqual(t, "authority with another counter", got, want)

		want = store.Authority{ID: want.ID, Created: time.Time{}}
		write(t, s, func(tx *store.Tx) error { return tx.PutAuthority(want) })
		want.CRLDue = 1
		write(t, s, get)
		wantEqual(t, "authority replaced by a zero one", got, want)

		read(t, s, func(tx *store.Tx) error {
			a, err := tx.Authority(store.Cluster)
			wantEqual(t, "the other authority's name", a.Name, "test")
			return err
		})
	})
}

func TestNoAuthority(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		write(t, s, func(tx *store.Tx) error {
			_, err := tx.Authority("none")
			wantKind(t, "Authority", err, fault.NotFound)
			wantKind(t, "SetCounter", tx.SetCounter("none", serial.Row{}), fault.NotFound)
			wantKind(t, "AddNode", tx.AddNode("none", store.Node{Name: "x"}), fault.NotFound)
			return nil // all of them leave the transaction whole
		})
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			return tx.PutAuthority(store.Authority{ID: store.AuthorityID(strings.Repeat("x", store.MaxKey+1))})
		})
		wantKind(t, "an id that is too long", err, fault.Malformed)
	})
}

func TestSettings(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		write(t, s, func(tx *store.Tx) error {
			must(t, tx.PutSetting("a", "1"))
			must(t, tx.PutSetting("b", ""))
			must(t, tx.PutSetting("a", "2\n\u2028ü"))
			return tx.DeleteSetting("none")
		})
		read(t, s, func(tx *store.Tx) error {
			a, err := tx.Setting("a")
			must(t, err)
			b, err := tx.Setting("b")
			must(t, err)
			wantEqual(t, "settings", []string{a, b}, []string{"2\n\u2028ü", ""})
			_, err = tx.Setting("A")
			wantKind(t, "a setting in other letters", err, fault.NotFound)
			return nil
		})
		write(t, s, func(tx *store.Tx) error {
			must(t, tx.DeleteSetting("a"))
			_, err := tx.Setting("a")
			wantKind(t, "a deleted setting", err, fault.NotFound)
			return nil
		})
	})
}
