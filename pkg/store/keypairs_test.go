package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

func keypair(user, name string) store.Keypair {
	return store.Keypair{
		User: user, Name: name, Type: "ssh", Fingerprint: "aa:bb", Requester: "root",
		PublicKey: "ssh-ed25519 AAAA\r\nx 'ü \"\t", Created: epoch,
	}
}

func keypairs(t testing.TB, s *storetest.Store, f store.KeypairFilter) (names []string) {
	t.Helper()
	read(t, s, func(tx *store.Tx) error {
		return tx.Keypairs(f, func(k store.Keypair) error {
			names = append(names, k.User+"/"+k.Name)
			_, err := tx.Keypair(k.User, k.Name) // yield may use tx
			return err
		})
	})
	return names
}

func TestKeypairs(t *testing.T) {
	each(t, func(t *testing.T, s *storetest.Store) {
		want := keypair("alice", "key 1")
		x509 := keypair("alice", "Zebra")
		x509.Type = "x509"
		write(t, s, func(tx *store.Tx) error {
			must(t, tx.AddKeypair(want))
			must(t, tx.AddKeypair(x509))
			must(t, tx.AddKeypair(keypair("alice", "KEY 1"))) // letter case counts
			must(t, tx.AddKeypair(keypair("bob", "key 1")))
			// A name that is taken leaves the transaction whole.
			wantKind(t, "adding again", tx.AddKeypair(want), fault.Exists)
			return tx.AddKeypair(keypair("Bob", "ü"))
		})
		read(t, s, func(tx *store.Tx) error {
			got, err := tx.Keypair("alice", "key 1")
			must(t, err)
			if got.ID == 0 {
				t.Error("no id")
			}
			got.ID = 0
			wantEqual(t, "the keypair", got, want)
			for _, k := range [][2]string{{"alice", "key"}, {"carol", "key 1"}, {"", ""}, {"alice", "%"}, {"alice' --", "key 1"}} {
				_, err := tx.Keypair(k[0], k[1])
				wantKind(t, k[0]+k[1], err, fault.NotFound)
			}
			return nil
		})
		all := []string{"Bob/ü", "alice/KEY 1", "alice/Zebra", "alice/key 1", "bob/key 1"}
		wantEqual(t, "all", keypairs(t, s, store.KeypairFilter{}), all)
		wantEqual(t, "alice's", keypairs(t, s, store.KeypairFilter{User: "alice"}), all[1:4])
		wantEqual(t, "x509", keypairs(t, s, store.KeypairFilter{Type: "x509"}), all[2:3])
		wantEqual(t, "alice's ssh", keypairs(t, s, store.KeypairFilter{User: "alice", Type: "ssh"}), []string{all[1], all[3]})
		wantEqual(t, "a page", keypairs(t, s, store.KeypairFilter{User: "alice", After: "KEY 1", Limit: 1}), all[2:3])
		wantEqual(t, "a page of all", keypairs(t, s, store.KeypairFilter{AfterUser: "alice", After: "Zebra"}), all[3:])
		wantEqual(t, "after a user", keypairs(t, s, store.KeypairFilter{AfterUser: "alice"}), all[1:])
		wantEqual(t, "after the last", len(keypairs(t, s, store.KeypairFilter{User: "alice", After: "z"})), 0)

		write(t, s, func(tx *store.Tx) error {
			must(t, tx.DeleteKeypair("alice", "key 1"))
			wantKind(t, "deleting again", tx.DeleteKeypair("alice", "key 1"), fault.NotFound)
			return tx.AddKeypair(want) // the name is free
		})
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			return tx.AddKeypair(keypair("x", strings.Repeat("x", store.MaxKey+1)))
		})
		wantKind(t, "a long name", err, fault.Malformed)
	})
}

// Of two transactions that add one name, one is told, and goes on.
func TestKeypairsTogether(t *testing.T) {
	storetest.Each(t, func(t *testing.T, b storetest.Backend) {
		results := make(chan error)
		for i := range 8 {
			s := b.Open(t, store.Options{})
			go func() {
				results <- s.Write(t.Context(), func(tx *store.Tx) error {
					err := tx.AddKeypair(keypair("alice", "one"))
					if err != nil && fault.KindOf(err) != fault.Exists {
						return err
					}
					return errors.Join(err, tx.AddKeypair(keypair("alice", fmt.Sprint("of ", i))))
				})
			}()
		}
		won := 0
		for range 8 {
			if err := <-results; err == nil {
				won++
			} else {
				wantKind(t, "losing", err, fault.Exists)
			}
		}
		wantEqual(t, "winners", won, 1)
	})
}

// A database of the version before types is brought up to date with its rows in it:
// they are of type ssh.
func TestKeypairsGetTypes(t *testing.T) {
	const before = 5 // key_pairs, without a type
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			address := at(t, name, before)
			const insert = `INSERT INTO key_pairs (user_id, name, fingerprint, public_key, requester, created) VALUES ('alice', 'old', 'aa:bb', 'ssh-rsa AAAA x', 'root', 1136239445)`
			if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
				db := rawSQLite(t, path)
				_, err := db.Exec(insert)
				must(t, err)
				must(t, db.Close())
			} else {
				p, err := storetest.OpenPool(address)
				must(t, err)
				_, err = p.DB.Exec(insert)
				must(t, err)
				must(t, p.DB.Close())
			}
			s, err := storetest.Open(t.Context(), address, store.Options{Migrate: true})
			must(t, err)
			defer s.Close()
			read(t, s, func(tx *store.Tx) error {
				got, err := tx.Keypair("alice", "old")
				must(t, err)
				got.ID = 0
				wantEqual(t, "the old keypair", got, store.Keypair{
					User: "alice", Name: "old", Type: "ssh", Fingerprint: "aa:bb", PublicKey: "ssh-rsa AAAA x",
					Requester: "root", Created: time.Unix(1136239445, 0).UTC(),
				})
				return nil
			})
			write(t, s, func(tx *store.Tx) error {
				wantKind(t, "its name", tx.AddKeypair(keypair("alice", "old")), fault.Exists)
				return tx.AddKeypair(keypair("alice", "new"))
			})
			wantEqual(t, "keypairs", keypairs(t, s, store.KeypairFilter{User: "alice", Type: "ssh"}), []string{"alice/new", "alice/old"})
		})
	}
}

// Every page is read from where it begins in an index, and nothing is sorted.
func TestKeypairPagesAreKeyset(t *testing.T) {
	db := rawSQLite(t, storetest.SQLite(t).Path())
	for query, want := range map[string]string{
		`name > ? AND user_id = ? ORDER BY name LIMIT ?`:              "(user_id=? AND name>?)",
		`name > ? AND user_id = ? AND type = ? ORDER BY name LIMIT ?`: "(user_id=? AND type=? AND name>?)",
		`(user_id, name) > (?, ?) ORDER BY user_id, name LIMIT ?`:     "((user_id,name)>(?,?))",
	} {
		args := slices.Repeat([]any{"x"}, strings.Count(query, "?")-1)
		rows, err := db.Query(`EXPLAIN QUERY PLAN SELECT id FROM key_pairs WHERE `+query, append(args, 1)...)
		must(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var step string
			must(t, rows.Scan(&id, &parent, &unused, &step))
			plan = append(plan, step)
		}
		must(t, rows.Err())
		if len(plan) != 1 || !strings.HasPrefix(plan[0], "SEARCH key_pairs USING") || !strings.HasSuffix(plan[0], want) {
			t.Errorf("%s: %q", query, plan)
		}
	}
}

// manyKeypairs makes 100,000 keypairs of alice: one in a thousand is of type x509.
func manyKeypairs(t *testing.T, s *storetest.Store, b storetest.Backend) {
	t.Helper()
	db, numbers, text := s.DB, `SELECT n FROM generate_series(0, 99999) AS g(n)`, `lpad(n::text, 6, '0')`
	if db == nil {
		db, text = rawSQLite(t, b.Path()), `printf('%06d', n)`
		numbers = `WITH RECURSIVE g(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g WHERE n < 99999) SELECT n FROM g`
	}
	_, err := db.Exec(`
INSERT INTO key_pairs (user_id, name, type, fingerprint, public_key, requester, created)
SELECT 'alice', ` + text + `, CASE WHEN n % 1000 = 0 THEN 'x509' ELSE 'ssh' END, 'aa:bb', '` + strings.Repeat("x", 400) + `', 'root', 0
  FROM (` + numbers + `) AS m`)
	must(t, err)
}

// The last page of 100,000 keypairs takes no longer than the first one.
func TestKeypairPagesInConstantTime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, b storetest.Backend) {
		s := b.Open(t, store.Options{})
		manyKeypairs(t, s, b)
		took := func(f store.KeypairFilter) time.Duration {
			begin := time.Now()
			n := len(pageOf(t, s, f))
			if n != f.Limit {
				t.Fatalf("%d keypairs after %q, want %d", n, f.After, f.Limit)
			}
			return time.Since(begin)
		}
		for _, typ := range []string{"", "x509"} {
			first := store.KeypairFilter{User: "alice", Type: typ, Limit: 10}
			last := store.KeypairFilter{User: "alice", Type: typ, Limit: 10, After: map[string]string{"": "099989", "x509": "089999"}[typ]}
			var firsts, lasts []time.Duration
			for range 41 {
				firsts, lasts = append(firsts, took(first)), append(lasts, took(last))
			}
			slices.Sort(firsts)
			slices.Sort(lasts)
			t.Logf("type %q: the first page %v, the last %v", typ, firsts[20], lasts[20])
			if lasts[20] > 4*firsts[20] {
				t.Errorf("type %q: the first page takes %v, the last %v", typ, firsts[20], lasts[20])
			}
		}
		n := 0
		read(t, s, func(tx *store.Tx) error {
			return tx.Keypairs(store.KeypairFilter{}, func(store.Keypair) error { n++; return nil })
		})
		wantEqual(t, "keypairs", n, 100_000)
	})
}

func pageOf(t *testing.T, s *storetest.Store, f store.KeypairFilter) (page []store.Keypair) {
	t.Helper()
	read(t, s, func(tx *store.Tx) error {
		page = page[:0]
		return tx.Keypairs(f, func(k store.Keypair) error { page = append(page, k); return nil })
	})
	return page
}
