package store_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

func TestRevoke(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		fill(t, s, 1, 3)
		want := store.Revocation{Authority: store.Cluster, Serial: 2, Reason: profile.KeyCompromise, Since: epoch}
		write(t, s, func(tx *store.Tx) error { return tx.Revoke(want) })
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.Revocation(store.Cluster, 2)
			must(t, err)
			wantEqual(t, "revocation", got, want)
			c, err := tx.Certificate(store.Cluster, 2)
			must(t, err)
			wantEqual(t, "state", c.State, "revoked")
			_, err = tx.Revocation(store.Cluster, 1)
			wantKind(t, "one that is not revoked", err, fault.NotFound)
			return nil
		})
		wantKind(t, "a number without a certificate", s.Write(t.Context(), func(tx *store.Tx) error {
			return tx.Revoke(store.Revocation{Authority: store.Cluster, Serial: 4, Since: epoch})
		}), fault.NotFound)
		write(t, s, func(tx *store.Tx) error { // again: for another reason, since the same time
			want.Reason = profile.Superseded
			again := want
			again.Since = epoch.Add(time.Hour)
			must(t, tx.Revoke(again))
			got, err := tx.Revocation(store.Cluster, 2)
			wantEqual(t, "the second reason", got, want)
			return err
		})
		// It is forgotten with its certificate, and not before.
		write(t, s, func(tx *store.Tx) error {
			_, err := tx.PruneCertificates(store.Cluster, sample(2).NotAfter.Add(time.Second), 100)
			return err
		})
		read(t, s, func(tx *store.Tx) error {
			_, err := tx.Revocation(store.Cluster, 2)
			wantKind(t, "a pruned one", err, fault.NotFound)
			return nil
		})
		write(t, s, func(tx *store.Tx) error {
			return tx.InsertCertificates([]store.Certificate{sample(2)}) // or this would be revoked
		})
	})
}

func TestRevokedCertificates(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		all := populate(t, s)
		for _, floor := range []serial.Floor{0, 1, 300, serial.Floor(serial.Max)} {
			at := epoch.Add(250 * time.Hour)
			var want, got []serial.Number
			for _, c := range all {
				if c.Authority == store.Cluster && c.Kind != store.KindCA && !c.NotAfter.Before(at) &&
					(c.State == "revoked" || !floor.Accepts(c.Serial)) {
					want = append(want, c.Serial)
				}
			}
			read(t, s, func(tx *store.Tx) error {
				return tx.RevokedCertificates(store.Cluster, at, floor, func(n serial.Number, since time.Time, reason profile.Reason) error {
					if revoked := n%7 == 3; revoked != (reason == profile.Superseded) || revoked != since.Equal(epoch.Add(time.Duration(n-1)*time.Second)) || revoked == since.IsZero() {
						t.Errorf("%v is revoked since %v, %q", n, since, reason)
					}
					got = append(got, n)
					return nil
				})
			})
			slices.Sort(got)
			wantEqual(t, "revoked below "+floor.String(), got, want)
		}
	})
}

// Many that are revoked by themselves are told apart from the others in another way.
func TestRevokedCertificatesMany(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		const n = 1500
		fill(t, s, 1, n)
		write(t, s, func(tx *store.Tx) error {
			for i := range serial.Number(n) {
				if i%10 == 0 {
					continue
				}
				if err := tx.Revoke(store.Revocation{Authority: store.Cluster, Serial: i + 1, Reason: profile.Superseded, Since: epoch}); err != nil {
					return err
				}
			}
			return nil
		})
		got := map[serial.Number]profile.Reason{}
		read(t, s, func(tx *store.Tx) error {
			return tx.RevokedCertificates(store.Cluster, epoch, n+1, func(n serial.Number, _ time.Time, reason profile.Reason) error {
				if _, ok := got[n]; ok {
					t.Errorf("%v is listed twice", n)
				}
				got[n] = reason
				return nil
			})
		})
		for i := range serial.Number(n) {
			if reason, ok := got[i+1]; !ok || (i%10 == 0) != (reason == "") {
				t.Errorf("%v: %v, %q", i+1, ok, reason)
			}
		}
	})
}

func TestRevokedCertificatesStop(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		fill(t, s, 1, 3000)
		ctx, cancel := context.WithCancel(t.Context())
		seen := 0
		err := s.Read(ctx, func(tx *store.Tx) error {
			return tx.RevokedCertificates(store.Cluster, epoch, 10_000, func(serial.Number, time.Time, profile.Reason) error {
				seen++
				cancel()
				return nil
			})
		})
		wantIs(t, "an interrupted list", err, context.Canceled)
		if seen > 1100 {
			t.Errorf("%d certificates after the interruption", seen)
		}
	})
}

func TestNoteFloor(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		note := func(floor serial.Floor, at time.Duration) (rises []store.FloorRise) {
			write(t, s, func(tx *store.Tx) (err error) {
				rises, err = tx.NoteFloor(store.Cluster, floor, epoch.Add(at), epoch.Add(at-time.Hour))
				return err
			})
			return rises
		}
		rise := func(floor serial.Floor, at time.Duration) store.FloorRise {
			return store.FloorRise{Floor: floor, Since: epoch.Add(at)}
		}
		wantEqual(t, "the first", note(5, 0), []store.FloorRise{rise(5, 0)})
		wantEqual(t, "the same", note(5, time.Minute), []store.FloorRise{rise(5, 0)})
		wantEqual(t, "another", note(9, 30*time.Minute), []store.FloorRise{rise(5, 0), rise(9, 30*time.Minute)})
		wantEqual(t, "much later", note(9, 9*time.Hour), []store.FloorRise{rise(9, 30*time.Minute)})
	})
}

func TestBlockKey(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		var before, after store.Authority
		key := [32]byte{1}
		write(t, s, func(tx *store.Tx) (err error) {
			before, err = tx.Authority(store.Cluster)
			must(t, err)
			must(t, tx.BlockKey(store.Cluster, key, 7, epoch))
			must(t, tx.BlockKey(store.Cluster, key, 8, epoch.Add(time.Hour)))
			after, err = tx.Authority(store.Cluster)
			return err
		})
		if after.Generation <= before.Generation {
			t.Error("nobody notices")
		}
		read(t, s, func(tx *store.Tx) error {
			for id, want := range map[store.AuthorityID]map[[32]byte]serial.Number{store.Cluster: {key: 7}, "other": {}} {
				n, blocked, err := tx.BlockedKey(id, key)
				must(t, err)
				wantEqual(t, "blocked by", n, want[key])
				wantEqual(t, "blocked", blocked, id == store.Cluster)
				all, err := tx.BlockedKeys(id)
				must(t, err)
				wantEqual(t, "all", all, want)
			}
			_, blocked, err := tx.BlockedKey(store.Cluster, [32]byte{2})
			must(t, err)
			wantEqual(t, "another key", blocked, false)
			return nil
		})
		write(t, s, func(tx *store.Tx) error { return tx.BlockKey(store.Cluster, [32]byte{3}, 0, epoch) }) // a CA's
		read(t, s, func(tx *store.Tx) error {
			got := map[[32]byte]serial.Number{}
			err := tx.CompromisedKeys(store.Cluster, func(sum [32]byte, n serial.Number) error { got[sum] = n; return nil })
			wantEqual(t, "compromised", got, map[[32]byte]serial.Number{key: 7})
			return err
		})
		wantKind(t, "no authority", s.Write(t.Context(), func(tx *store.Tx) error { return tx.BlockKey("none", key, 1, epoch) }), fault.NotFound)
	})
}

// What is known of files changes by itself, and only then.
func TestFiles(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		blocked, list := store.File{Inode: 1<<64 - 1, Birth: 1, Size: 2}, store.File{Inode: 3, Birth: 1 << 62, Size: 4}
		now := func() (a store.Authority) {
			read(t, s, func(tx *store.Tx) (err error) { a, err = tx.Authority(store.Cluster); return err })
			return a
		}
		wantEqual(t, "at first", []store.File{now().Blocked, now().CRL}, make([]store.File, 2))
		write(t, s, func(tx *store.Tx) error { return tx.BlockedFile(store.Cluster, blocked) })
		write(t, s, func(tx *store.Tx) error { return tx.SetCRLNumber(store.Cluster, 7) })
		published := now()
		published.CRL = list
		write(t, s, func(tx *store.Tx) error { return tx.CRLPublished(published) })
		write(t, s, func(tx *store.Tx) error {
			return tx.PutAuthority(store.Authority{ID: store.Cluster, Name: "x", CRLNumber: 7})
		})
		wantEqual(t, "noted", []store.File{now().Blocked, now().CRL}, []store.File{blocked, list})
		// A list that is not the latest any more.
		published.CRLNumber, published.CRL = 6, store.File{}
		write(t, s, func(tx *store.Tx) error { return tx.CRLPublished(published) })
		wantEqual(t, "an earlier list", now().CRL, list)
		wantKind(t, "no authority", s.Write(t.Context(), func(tx *store.Tx) error { return tx.BlockedFile("none", blocked) }), fault.NotFound)
	})
}

func TestCRLNumber(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		write(t, s, func(tx *store.Tx) error { return tx.SetCRLNumber(store.Cluster, 1<<40) })
		write(t, s, func(tx *store.Tx) error {
			a, err := tx.Authority(store.Cluster)
			wantEqual(t, "number", a.CRLNumber, 1<<40)
			must(t, err)
			return tx.PutAuthority(a)
		})
		read(t, s, func(tx *store.Tx) error {
			a, err := tx.Authority(store.Cluster)
			wantEqual(t, "number after PutAuthority", a.CRLNumber, 1<<40)
			return err
		})
		wantKind(t, "no authority", s.Write(t.Context(), func(tx *store.Tx) error { return tx.SetCRLNumber("none", 1) }), fault.NotFound)
	})
}

// A list is due from a change until one that has it is published.
func TestCRLDue(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		populate(t, s)
		now := func() (a store.Authority) {
			read(t, s, func(tx *store.Tx) (err error) { a, err = tx.Authority(store.Cluster); return err })
			return a
		}
		settle := func() {
			a := now()
			write(t, s, func(tx *store.Tx) error { return tx.CRLPublished(a) })
			wantEqual(t, "due once it is published", now().CRLDue, 0)
		}
		revoke := func(tx *store.Tx, _ store.Authority) error {
			return tx.Revoke(store.Revocation{Authority: store.Cluster, Serial: 7, Reason: profile.Superseded, Since: epoch})
		}
		for name, change := range map[string]func(*store.Tx, store.Authority) error{
			"a revocation": revoke,
			"a floor": func(tx *store.Tx, a store.Authority) error {
				a.Counter.Floor += 2
				return tx.SetCounter(a.ID, a.Counter)
			},
			"a number":      func(tx *store.Tx, a store.Authority) error { return tx.SetCRLNumber(a.ID, a.CRLNumber+1) },
			"a prepared CA": func(tx *store.Tx, a store.Authority) error { a.Next[0]++; return tx.PutAuthority(a) },
			"another CA":    func(tx *store.Tx, a store.Authority) error { a.Active[0]++; return tx.PutAuthority(a) },
			"a replaced CA": func(tx *store.Tx, a store.Authority) error {
				a.Old = append(a.Old, store.Sum{9})
				return tx.PutAuthority(a)
			},
		} {
			settle()
			a := now()
			write(t, s, func(tx *store.Tx) error { return change(tx, a) })
			wantEqual(t, name, now().CRLDue, 1)
		}
		settle()
		a := now()
		a.Counter.Reserved++
		write(t, s, func(tx *store.Tx) error { return tx.SetCounter(a.ID, a.Counter) })
		wantEqual(t, "another number", now().CRLDue, 0)
		// A change while the list was made is not on it.
		write(t, s, func(tx *store.Tx) error { return tx.SetCRLNumber(store.Cluster, 100) })
		a = now()
		write(t, s, func(tx *store.Tx) error { return revoke(tx, a) })
		write(t, s, func(tx *store.Tx) error { return tx.CRLPublished(a) })
		wantEqual(t, "a change since then", now().CRLDue, 2)
	})
}

// A revocation that a database has lost is recorded again, whether or not it knows the
// certificate.
func TestRestoreRevocation(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		populate(t, s)
		restore := func(n serial.Number, why profile.Reason) {
			r := store.Revocation{Authority: store.Cluster, Serial: n, Reason: why, Since: epoch}
			write(t, s, func(tx *store.Tx) error { return tx.RestoreRevocation(r, epoch.Add(time.Hour)) })
		}
		reason := func(n serial.Number) (why profile.Reason) {
			read(t, s, func(tx *store.Tx) error {
				r, err := tx.Revocation(store.Cluster, n)
				why = r.Reason
				return err
			})
			return why
		}
		for _, n := range []serial.Number{7, 1 << 50} {
			restore(n, profile.Superseded)
			wantEqual(t, "reason", reason(n), profile.Superseded)
			restore(n, profile.Unspecified)
			wantEqual(t, "reason of one that is revoked", reason(n), profile.Superseded)
			restore(n, profile.KeyCompromise)
			wantEqual(t, "reason of a compromised one", reason(n), profile.KeyCompromise)
		}
	})
}

// TestCAUse counts in so many words.
func TestCAUse(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		all := populate(t, s)
		for _, floor := range []serial.Floor{0, 300, serial.Floor(serial.Max)} {
			at, ca := epoch.Add(250*time.Hour), [32]byte{1}
			var want store.CAUse
			holders := map[string]bool{}
			for _, c := range all {
				if c.CA != ca || !matches(store.CertificateFilter{Authority: store.Cluster, Kind: "node", Status: store.Live, At: at, Floor: floor}, c) {
					continue
				}
				want.Live++
				if c.NotAfter.After(want.Last) {
					want.Last = c.NotAfter
				}
				holders[c.Holder] = true
			}
			want.Holders = slices.Sorted(maps.Keys(holders))
			for _, limit := range []int{20, 2} {
				want.Holders = want.Holders[:min(limit, len(want.Holders))]
				read(t, s, func(tx *store.Tx) error {
					got, err := tx.CAUse(store.Cluster, ca, at, floor, limit)
					wantEqual(t, "use", got, want)
					return err
				})
			}
		}
	})
}

// BenchmarkRevoked reads a million certificates below the floor: one operation is one
// of them.
func BenchmarkRevoked(b *testing.B) {
	s := withAuthority(b, storetest.SQLite(b).Open(b, store.Options{}))
	fill(b, s, 1, serial.Number(b.N))
	b.ResetTimer()
	before := cpu(b)
	n := 0
	err := s.Read(b.Context(), func(tx *store.Tx) error {
		return tx.RevokedCertificates(store.Cluster, epoch, serial.Floor(serial.Max), func(serial.Number, time.Time, profile.Reason) error {
			n++
			return nil
		})
	})
	if err != nil || n != b.N {
		b.Fatal(n, err)
	}
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
