package main_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// ofAlice returns a new certificate of the member alice of a project.
func (c *cluster) ofAlice(project string) string {
	c.t.Helper()
	c.ok("project", "member-add", "alice", "--project", project, "--if-missing")
	file := filepath.Join(c.t.TempDir(), "alice.pem")
	c.ok("cert", "issue", "alice", "--project", project, "--combined", file)
	return file
}

// TestInjectProjectDelete kills the deletion of a project that has a live certificate: the
// same call goes on, and from its first commit on everybody refuses the certificate, once
// the lists are published.
func TestInjectProjectDelete(t *testing.T) {
	strike(t, injections([]string{"fsync", "renameat"}, killed), func(t *testing.T) (*cluster, func() []string, func(struck)) {
		c := newCluster(t)
		project, file, n := "", "", 0
		call := func() []string { return []string{"project", "delete", project, "--force", "--yes"} }
		args := func() []string {
			n++
			project = fmt.Sprintf("p%d", n)
			c.ok("project", "create", project)
			file = c.ofAlice(project)
			return call()
		}
		return c, args, func(s struck) {
			// 5: it was deleted to the end.
			if r := c.call(call()...); r.status != 0 && r.status != 5 || r.status == 0 && s.status == 0 && !s.killed {
				t.Errorf("going on: exit status %d\n%s", r.status, r.stderr)
			}
			if r := c.call("cert", "verify", file, "--project", project); r.status != 6 {
				t.Errorf("its certificate: exit status %d\n%s", r.status, r.stderr)
			}
			if r := c.call("cert", "issue", "alice", "--project", project, "--combined", file+".2"); r.status != 5 {
				t.Errorf("another certificate: exit status %d\n%s", r.status, r.stderr)
			}
			c.ok("ca", "check")
		}
	})
}

// TestInjectMemberRemove kills the removal of a member: either he is one and his
// certificate is good, or neither.
func TestInjectMemberRemove(t *testing.T) {
	strike(t, injections([]string{"fsync", "renameat"}, killed), func(t *testing.T) (*cluster, func() []string, func(struck)) {
		c := newCluster(t)
		c.ok("project", "create", "p")
		file := ""
		args := func() []string {
			file = c.ofAlice("p")
			return []string{"project", "member-remove", "alice", "--project", "p", "--yes"}
		}
		return c, args, func(s struck) {
			c.ok("ca", "crl", "--project", "p")
			member := strings.Contains(c.ok("project", "member-list", "--project", "p"), "alice")
			good := c.call("cert", "verify", file, "--project", "p").status == 0
			if good != member || member && s.status == 0 && !s.killed {
				t.Errorf("member: %v, with a good certificate: %v", member, good)
			}
			c.ok("ca", "check")
		}
	})
}
