package main_test

import (
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"x509ctl/pkg/trust"
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

// TestInjectRenewProject kills the replacement of a project's CA, which the root signs, in
// turns of one whose key was stolen and of one whose was not: a number of the root's is given
// once, and on the root's list are those that were stolen.
func TestInjectRenewProject(t *testing.T) {
	type ca struct {
		Phase    string
		SHA256   string
		CASerial string `json:"ca_serial"`
	}
	strike(t, injections(publishing, killed), func(t *testing.T) (*cluster, func() []string, func(struck)) {
		c := newCluster(t)
		c.ok("project", "create", "p")
		show := func() ca { return parse[ca](t, c.ok("ca", "show", "--project", "p", "-o", "json")) }
		renew := []string{"ca", "renew-crypto", "--project", "p", "--yes"}
		var before ca
		given := map[string]string{} // SHA-256 by number
		args := func() []string {
			before = show()
			given[before.CASerial] = before.SHA256
			stolen := []string{"--compromised"}
			if len(given)%2 == 0 {
				stolen = nil
			}
			renew = append(renew[:5:5], stolen...)
			return renew
		}
		return c, args, func(s struck) {
			after := show()
			if after.SHA256 == before.SHA256 {
				if s.status == 0 && !s.killed {
					t.Error("it claims success, and the CA is the old one")
				}
				c.ok(renew...)
				after = show()
			}
			if sum, twice := given[after.CASerial]; twice && sum != after.SHA256 {
				t.Errorf("number %s was given twice", after.CASerial)
			}
			if len(renew) > 5 != (after.Phase == "steady") {
				t.Errorf("after %v the phase is %s", renew, after.Phase)
			}
			if after.Phase != "steady" {
				c.ok("ca", "renew-crypto", "--project", "p", "--retire", "--yes")
			} else {
				c.ok("ca", "crl", "--project", "p") // and the root's with it
				list, err := trust.ParseCRL([]byte(read(t, c.path("project-root", "crl.pem"))))
				if err != nil {
					t.Fatal(err)
				}
				n, _ := new(big.Int).SetString(before.CASerial, 10)
				if _, listed := list.Find(n); !listed {
					t.Errorf("the stolen CA %s is not on the root's list", before.CASerial)
				}
			}
			c.ok("ca", "check")
			if err := os.RemoveAll(c.path("projects", "p", "old")); err != nil {
				t.Error(err)
			}
		}
	})
}
