package main_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestInjectProjectCreate strikes the making of a project, and of the root with it: the
// same call goes on where it was cut, and no number is given twice.
func TestInjectProjectCreate(t *testing.T) {
	steps := []string{"fsync", "mkdirat", "linkat", "renameat", "renameat2"}
	all := slices.Concat(injections([]string{"fsync"}, ioError), injections(steps, killed))
	strike(t, all, func(t *testing.T) (*cluster, func() []string, func(struck)) {
		c := &cluster{t: t}
		create := []string{"project", "create", "p"}
		args := func() []string {
			c.dir = filepath.Join(t.TempDir(), "state")
			c.ok("ca", "init", "--cluster-name", "cluster1.example.com")
			return create
		}
		return c, args, func(s struck) {
			r := c.call(create...)
			switch {
			case r.status == 4 && strings.Contains(r.stderr, "there is a project"):
			case r.status != 0 || s.status == 0 && !s.killed:
				t.Errorf("going on: exit status %d\n%s", r.status, r.stderr)
			}
			c.ok("project", "create", "q")
			numbers := map[string]bool{}
			for _, p := range []string{"p", "q"} {
				var ca struct {
					CASerial string `json:"ca_serial"`
				}
				if err := json.Unmarshal([]byte(c.ok("ca", "show", "--project", p, "-o", "json")), &ca); err != nil {
					t.Fatal(err)
				}
				numbers[ca.CASerial] = true
				c.ok("ca", "crl", "--project", p)
			}
			if len(numbers) != 2 || numbers["1"] {
				t.Errorf("the CAs have the numbers %v; 1 is the root's", numbers)
			}
			if found := c.ok("ca", "check"); !strings.Contains(found, "nothing is wrong") {
				t.Errorf("afterwards:\n%s", found)
			}
		}
	})
}
