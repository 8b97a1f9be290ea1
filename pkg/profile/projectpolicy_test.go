package profile

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
)

// TestProjectPolicy approves for members and servers, and refuses.
func TestProjectPolicy(t *testing.T) {
	member := func(cn string, san ...[]byte) func(ProjectPolicy) (Approved, error) {
		return func(p ProjectPolicy) (Approved, error) { return p.ApproveMemberRequest(requestFor(t, cn, san...)) }
	}
	server := func(cn string, san ...[]byte) func(ProjectPolicy) (Approved, error) {
		return func(p ProjectPolicy) (Approved, error) { return p.ApproveServerRequest(requestFor(t, cn, san...)) }
	}
	for _, tc := range []struct {
		name    string
		who     string
		approve func(ProjectPolicy) (Approved, error)
		want    []string // common name, alternative names
		cause   error
	}{
		{name: "member", approve: member("alice"), want: []string{"alice"}},
		{name: "mail address", approve: member("Bob@example.com"), want: []string{"Bob@example.com"}},
		{name: "for the member", who: "alice", approve: member("alice"), want: []string{"alice"}},
		{name: "for another", who: "Bob@example.com", approve: member("alice"), cause: ErrOtherHolder},
		{name: "record's spelling", approve: member("ALICE"), want: []string{"alice"}},
		{name: "for the record's spelling", who: "bob@EXAMPLE.com", approve: member("bob@example.com"), want: []string{"Bob@example.com"}},
		{name: "a record of somebody else", approve: member("mallory"), cause: ErrNotMember},
		{name: "no member", approve: member("carol"), cause: ErrNotMember},
		{name: "a node, although a member", approve: member("node2.example.com"), cause: ErrClusterName},
		{name: "an alias", approve: member("NODE1"), cause: ErrClusterName},
		{name: "the cluster", approve: member("cluster.example.com"), cause: ErrClusterName},
		{name: "an address", approve: member("192.0.2.1"), cause: ErrClusterName},
		{name: "no user id", approve: member("alice bob")},
		{name: "empty", approve: member("")},
		{name: "member with a name", approve: member("alice", dnsName("alice"))},
		{name: "member with an address", approve: member("alice", ipName("198.51.100.1"))},
		{name: "member with a mail address", approve: member("Bob@example.com", tlv(0x81, []byte("Bob@example.com")))},
		{name: "member's name", approve: func(p ProjectPolicy) (Approved, error) { return p.ApproveMember("alice") }, want: []string{"alice"}},
		{name: "no request", approve: func(p ProjectPolicy) (Approved, error) { return p.ApproveMemberRequest(nil) }},
		{name: "no members", approve: func(ProjectPolicy) (Approved, error) { return ProjectPolicy{}.ApproveMember("alice") }, cause: ErrNotMember},

		{name: "server", approve: server("vpn.example.org"), want: []string{"VPN.example.org", "VPN.example.org"}},
		{name: "server's names", approve: server("vpn.example.org", dnsName("WWW.example.org"), ipName("198.51.100.1")),
			want: []string{"VPN.example.org", "VPN.example.org", "www.example.org", "198.51.100.1"}},
		{name: "for the server", who: "vpn.EXAMPLE.org", approve: server("vpn.example.org"), want: []string{"VPN.example.org", "VPN.example.org"}},
		{name: "for another server", who: "www.example.org", approve: server("vpn.example.org"), cause: ErrOtherHolder},
		{name: "not registered", approve: server("mail.example.org"), cause: ErrUnknownName},
		{name: "beside a registered one", approve: server("vpn.example.org", dnsName("mail.example.org")), cause: ErrUnknownName},
		{name: "a member as server", approve: server("alice"), cause: ErrUnknownName},
		{name: "a node, although registered", approve: server("node1.example.com"), cause: ErrClusterName},
		{name: "a node beside", approve: server("vpn.example.org", dnsName("NODE1.example.com")), cause: ErrClusterName},
		{name: "a node's address", approve: server("vpn.example.org", ipName("192.0.2.1")), cause: ErrClusterName},
		{name: "a mapped one", approve: server("vpn.example.org", ipName("::ffff:192.0.2.1")), cause: ErrClusterName},
		{name: "a wildcard", approve: server("vpn.example.org", dnsName("*.example.org"))},
		{name: "a mail address beside", approve: server("vpn.example.org", tlv(0x81, []byte("a@b")))},
		{name: "server's name", approve: func(p ProjectPolicy) (Approved, error) { return p.ApproveServer("www.EXAMPLE.org") },
			want: []string{"www.example.org", "www.example.org"}},
		{name: "no names", approve: func(ProjectPolicy) (Approved, error) {
			return ProjectPolicy{Project: "p"}.ApproveServer("vpn.example.org")
		}, cause: ErrUnknownName},
	} {
		p := testProject
		p.For = tc.who
		a, err := tc.approve(p)
		if tc.want == nil {
			var named *NameError
			if !errors.As(err, &named) || tc.cause != nil && !errors.Is(err, tc.cause) || a.profile != "" {
				t.Errorf("%s: %v, %v", tc.name, a, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		got := append([]string{a.CommonName()}, a.Names()...)
		if !slices.Equal(got, tc.want) || a.Project() != "P_1" || a.Holder() != a.CommonName() || a.Cluster() || !a.Profile().OfProject() {
			t.Errorf("%s: %q of %s", tc.name, got, a.Project())
		}
	}
}

// TestProjectRequest: what stands beside the names is evidence at most.
func TestProjectRequest(t *testing.T) {
	spec := requestSpec{
		subject:    tlv(tagSequence, rdn(attr("\x55\x04\x06", 0x13, "DE")), rdn(attr(oidOrganization, 0x0c, "P_1")), rdn(attr(oidOrganization, 0x0c, "P_2")), rdn(attr(oidCommonName, 0x0c, "alice"))),
		attributes: [][]byte{asking(extension(oidExtendedKeyUsage, 0, []byte(nodePurposes)))},
	}
	r := mustParseRequest(t, spec.build(t))
	a, err := testProject.ApproveMemberRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`subject attribute C="DE"`, `subject attribute O="P_2"`, "extended key usage serverAuth"}
	if got := r.Ignored(a); !slices.Equal(got, want) {
		t.Errorf("ignored %q, want %q", got, want)
	}
	if got := r.Ignored(Approved{}); len(got) != 3 || got[1] != `subject attribute O="P_1"` {
		t.Errorf("for a node ignored %q", got)
	}
	both := requestSpec{subject: tlv(tagSequence, rdn(attr(oidCommonName, 0x0c, "alice")), rdn(attr(oidCommonName, 0x0c, "carol")))}
	if _, err := testProject.ApproveMemberRequest(mustParseRequest(t, both.build(t))); fault.KindOf(err) != fault.Denied {
		t.Errorf("two common names: %v", err)
	}
}

func TestApproveDecrypt(t *testing.T) {
	long := strings.Repeat("p", 64)
	a, err := ApproveDecrypt(long)
	if err != nil || a.CommonName() != long[:56]+" decrypt" || a.Project() != long || len(a.Names()) > 0 {
		t.Errorf("%q of %s, %v", a.CommonName(), a.Project(), err)
	}
	if _, err := ApproveDecrypt("../ca"); fault.KindOf(err) != fault.Denied {
		t.Errorf("a path: %v", err)
	}
}
