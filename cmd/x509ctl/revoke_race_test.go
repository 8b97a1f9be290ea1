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
func TestRevokeAtOnce(t *testing.T) {
	const rounds = 6
	c := newCluster(t)
	out := t.TempDir()
	for i := range 2 * rounds { // numbers 2 and on
		c.ok("cert", "issue", "node1.example.com", "--combined", filepath.Join(out, fmt.Sprint(i, ".pem")))
	}
	c.ok("ca", "crl", "--out", filepath.Join(out, "first.pem"))
	stop, watched := make(chan struct{}), make(chan error, 1)
	go func() { watched <- watchCRL(c.path("ca", "crl.pem"), stop) }()
	for round := range rounds {
		calls := [][]string{
			{"cert", "revoke", fmt.Sprint(2 + 2*round), "--reason", "superseded", "--yes"},
			{"cert", "revoke", fmt.Sprint(3 + 2*round), "--reason", "keyCompromise", "--yes"},
			{"ca", "crl", "--out", filepath.Join(out, fmt.Sprint("crl", round, ".pem"))},
		}
		var wg sync.WaitGroup
		for _, args := range calls {
			wg.Go(func() {
				if r := c.callQuietly(args...); r.status != 0 {
					t.Errorf("%q: exit status %d\n%s", args, r.status, r.stderr)
				}
			})
		}
		wg.Wait()
		l, err := readCRL(c.path("ca", "crl.pem"))
		if err != nil {
			t.Fatal(err)
		}
		for n := 2; n <= 3+2*round; n++ {
			if _, listed := l.Find(big.NewInt(int64(n))); !listed {
				t.Errorf("round %d: certificate %d is not on list %v", round, n, l.Number())
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
