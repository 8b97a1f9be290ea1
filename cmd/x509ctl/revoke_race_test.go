package main_test

import (
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"x509ctl/pkg/trust"
)

// TestRevokeAtOnce has two processes revoke and publish at the same time, again and
// again, and a third publish: the last list holds everything, and numbers only rise.
func TestRevokeAtOnce(t *testing.T) { revokeAtOnce(t, "", 6) }

func TestRevokeAtOnceInProject(t *testing.T) { revokeAtOnce(t, project, 3) }

func revokeAtOnce(t *testing.T, project string, rounds int) {
	l := newLifeIn(t, project, 0)
	out := t.TempDir()
	first := l.count().Last + 1
	for i := range 2 * rounds {
		l.ok(l.about("cert", "issue", l.holders()[0], "--combined", filepath.Join(out, fmt.Sprint(i, ".pem")))...)
	}
	l.ok(l.about("ca", "crl", "--out", filepath.Join(out, "first.pem"))...)
	published := l.path(l.own("crl.pem"))
	stop, watched := make(chan struct{}), make(chan error, 1)
	go func() { watched <- watchCRL(published, stop) }()
	for round := range rounds {
		next := first + int64(2*round)
		calls := [][]string{
			l.about("cert", "revoke", fmt.Sprint(next), "--reason", "superseded", "--yes"),
			l.about("cert", "revoke", fmt.Sprint(next+1), "--reason", "keyCompromise", "--yes"),
			l.about("ca", "crl", "--out", filepath.Join(out, fmt.Sprint("crl", round, ".pem"))),
		}
		var wg sync.WaitGroup
		for _, args := range calls {
			wg.Go(func() {
				if r := l.callQuietly(args...); r.status != 0 {
					t.Errorf("%q: exit status %d\n%s", args, r.status, r.stderr)
				}
			})
		}
		wg.Wait()
		list, err := readCRL(published)
		if err != nil {
			t.Fatal(err)
		}
		for n := first; n <= next+1; n++ {
			if _, listed := list.Find(big.NewInt(n)); !listed {
				t.Errorf("round %d: certificate %d is not on list %v", round, n, list.Number())
			}
		}
	}
	close(stop)
	if err := <-watched; err != nil {
		t.Error(err)
	}
}

func readCRL(path string) (*trust.CRL, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return trust.ParseCRL(data)
}

// watchCRL reads the published list until stop: each is whole, and none has a lower
// number than the one before, or fewer entries.
func watchCRL(path string, stop chan struct{}) error {
	var last *trust.CRL
	for {
		l, err := readCRL(path)
		if err != nil {
			return err
		}
		if last != nil && (l.Number().Cmp(last.Number()) < 0 || l.Len() < last.Len()) {
			return fmt.Errorf("number %v with %d entries came after %v with %d", l.Number(), l.Len(), last.Number(), last.Len())
		}
		last = l
		select {
		case <-stop:
			return nil
		case <-time.After(3 * time.Millisecond):
		}
	}
}
