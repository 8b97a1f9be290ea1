package trust_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/trust"
)

func projectBundle(t *testing.T, cas ...*ca) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bundle.pem")
	var data []byte
	for _, a := range cas {
		data = append(data, pemOf(a.cert)...)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func floorFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "min-serial")
	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestProjectCheck puts the question of a project's verifier to a member's certificate,
// and to others.
func TestProjectCheck(t *testing.T) {
	root := newCA(t, "Projects", nil, pathLen(1))
	project, other := newCA(t, "Alpha CA 2", root), newCA(t, "beta CA 3", root)
	cluster := newCA(t, "cluster CA 1", nil)
	member := func(c *template) {
		c.Subject = pkix.Name{Organization: []string{"Alpha"}, CommonName: "alice"}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		c.DNSNames, c.IPAddresses = nil, nil
	}
	server := func(c *template) {
		c.Subject = pkix.Name{Organization: []string{"Alpha"}, CommonName: "vpn.example.com"}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.DNSNames, c.IPAddresses = []string{"vpn.example.com"}, nil
	}
	year := int(trust.MaxProjectLifetime / time.Second)
	user := func(u string) func(*trust.Check) { return func(c *trust.Check) { c.User = u } }
	for _, tc := range []struct {
		name   string
		parent *ca
		leaf   func(*template)
		more   func(*template)
		check  func(*trust.Check)
		want   trust.Reason
		text   string
	}{
		{name: "a member", leaf: member},
		{name: "a server", leaf: server},
		{name: "for a year", leaf: member, more: lifetime(year)},
		{name: "for a second more", leaf: member, more: lifetime(year + 1), want: trust.BadLifetime, text: "a year"},
		{name: "as a client", leaf: member, check: purpose(trust.Client)},
		{name: "as a server", leaf: member, check: purpose(trust.Server), want: trust.WrongPurpose},
		{name: "a server as a client", leaf: server, check: purpose(trust.Client), want: trust.WrongPurpose},
		{name: "for neither", leaf: member, more: usage(x509.ExtKeyUsageCodeSigning), want: trust.WrongPurpose, text: "neither"},
		{name: "of alice", leaf: member, check: user("ALICE")},
		{name: "of bob", leaf: member, check: user("bob"), want: trust.WrongName, text: `it is for "alice"`},
		{name: "a server's as a member's", leaf: server, check: user("vpn.example.com"), want: trust.WrongName, text: "a server's"},
		{name: "a server's name", leaf: server, check: name("vpn.example.com")},
		{name: "a member's id is no name", leaf: member, check: name("alice"), want: trust.WrongName},
		{name: "another organization", leaf: member, more: func(c *template) { c.Subject.Organization = []string{"beta"} }, want: trust.WrongName, text: "not of project"},
		{name: "two organizations", leaf: member, more: func(c *template) { c.Subject.Organization = []string{"Alpha", "beta"} }, want: trust.WrongName},
		{name: "a node's shape", leaf: func(*template) {}, want: trust.WrongName, text: "not of project"},
		{name: "another project's CA", parent: other, leaf: member, want: trust.WrongIssuer},
		{name: "the root itself", parent: root, leaf: member, want: trust.WrongIssuer},
		{name: "the cluster's CA", parent: cluster, leaf: member, want: trust.WrongIssuer},
	} {
		parent := project
		if tc.parent != nil {
			parent = tc.parent
		}
		edits := []func(*template){tc.leaf}
		if tc.more != nil {
			edits = append(edits, tc.more)
		}
		check := trust.Check{Bundle: bundleOf(t, project, root), Project: "alpha", At: now}
		if tc.check != nil {
			tc.check(&check)
		}
		t.Run(tc.name, func(t *testing.T) { expect(t, check.Verify(newLeaf(t, parent, edits...)), tc.want, tc.text) })
	}

	check := trust.Check{Bundle: bundleOf(t, cluster), At: now}
	expect(t, check.Verify(newLeaf(t, project, member)), trust.WrongIssuer, "")
	expect(t, check.Verify(newLeaf(t, cluster, lifetime(year))), trust.BadLifetime, "less than a week")
	check.User = "alice"
	if err := check.Verify(newLeaf(t, cluster)); fault.KindOf(err) != fault.Malformed {
		t.Errorf("a member of no project: %v", err)
	}
	source, err := trust.OpenSource(trust.Files{Bundle: projectBundle(t, project, root), Floor: floorFile(t)},
		trust.SourceOptions{Now: func() time.Time { return now }, Project: "alpha"})
	if err != nil {
		t.Fatal(err)
	}
	if check, err = source.Check(); err != nil {
		t.Fatal(err)
	}
	expect(t, check.Verify(newLeaf(t, project, member, lifetime(year))), "", "")
	if trust.MaxProjectLifetime != profile.MaxMemberLifetime {
		t.Errorf("%v is accepted, %v is signed", trust.MaxProjectLifetime, profile.MaxMemberLifetime)
	}
}
