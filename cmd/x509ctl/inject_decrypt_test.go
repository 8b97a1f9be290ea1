package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestInjectDecryptKey strikes the first secret of a project, with which its key is made:
// the same call goes on where it was cut, with the key that is there.
func TestInjectDecryptKey(t *testing.T) {
	all := append(injections([]string{"linkat", "renameat", "fsync"}, killed), injections([]string{"linkat"}, ioError)...)
	strike(t, all, func(t *testing.T) (*cluster, func() []string, func(struck)) {
		c := &cluster{t: t}
		show := []string{"project", "show", "p", "--encryption-cert"}
		args := func() []string {
			c.dir = filepath.Join(t.TempDir(), "state")
			c.ok("ca", "init", "--cluster-name", "cluster1.example.com")
			c.ok("project", "create", "p")
			return show
		}
		return c, args, func(s struck) {
			cert := c.ok(show...)
			if s.status == 0 && !s.killed && s.stdout != cert {
				t.Errorf("%v: it was another certificate", s)
			}
			if n := strings.Count(c.ok("audit", "-o", "csv"), ",issue,"); n != 1 {
				t.Errorf("%v: %d certificates", s, n)
			}
			if found := c.ok("ca", "check"); !strings.Contains(found, "nothing is wrong") {
				t.Errorf("%v: afterwards:\n%s", s, found)
			}
		}
	})
}
