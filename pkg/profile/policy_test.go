package profile

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
)

// A cluster of two nodes for policies to look up.
var (
	testNode1 = Holder{
		Name:      "node1.example.com",
		Aliases:   []string{"Node1"},
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
	}
	testNode2   = Holder{Name: "node2.example.com", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.2")}}
	testCluster = Holder{Name: "cluster.example.com", Aliases: []string{"ganeti.example.com"}, Cluster: true}
)

func testFind(key string) (Holder, bool) {
	for _, h := range []Holder{testNode1, testNode2, testCluster} {
		if _, ok := h.spelling(key); ok && key == FoldName(key) {
			return h, true
		}
		for _, a := range h.Addresses {
			if AddressKey(a) == key {
				return h, true
			}
		}
	}
	return Holder{}, false
}

// requestFor returns a request with a common name and more alternative names.
func requestFor(tb testing.TB, cn string, san ...[]byte) *Request {
	tb.Helper()
	spec := requestSpec{subject: commonName(cn)}
	if len(san) > 0 {
		spec.attributes = [][]byte{asking(sanOf(san...))}
	}
	return mustParseRequest(tb, spec.build(tb))
}

func dnsName(s string) []byte { return tlv(0x82, []byte(s)) }

func ipName(s string) []byte { return tlv(0x87, netip.MustParseAddr(s).AsSlice()) }

func TestApproveRequest(t *testing.T) {
	for _, tc := range []struct {
		name       string
		policy     Policy
		cn         string
		san        [][]byte
		wantCN     string
		wantNames  []string
		wantHolder string
		wantExcept []string
	}{
		{name: "common name only", cn: "node1.example.com", wantCN: "node1.example.com", wantNames: []string{"node1.example.com"}, wantHolder: "node1.example.com"},
		{name: "record's spelling", cn: "NODE1.EXAMPLE.COM", san: [][]byte{dnsName("node1")}, wantCN: "node1.example.com", wantNames: []string{"node1.example.com", "Node1"}, wantHolder: "node1.example.com"},
		{name: "alias as common name", cn: "node1", san: [][]byte{dnsName("node1.example.com")}, wantCN: "Node1", wantNames: []string{"Node1", "node1.example.com"}, wantHolder: "node1.example.com"},
		{name: "same name twice", cn: "node1", san: [][]byte{dnsName("NODE1"), dnsName("node1")}, wantCN: "Node1", wantNames: []string{"Node1"}, wantHolder: "node1.example.com"},
		{name: "addresses", cn: "node1", san: [][]byte{ipName("2001:db8::1"), ipName("192.0.2.1"), ipName("192.0.2.1")}, wantCN: "Node1", wantNames: []string{"Node1", "2001:db8::1", "192.0.2.1"}, wantHolder: "node1.example.com"},
		{name: "IPv4 mapped into IPv6", cn: "node1", san: [][]byte{ipName("::ffff:192.0.2.1")}, wantCN: "Node1", wantNames: []string{"Node1", "192.0.2.1"}, wantHolder: "node1.example.com"},
		{name: "cluster", cn: "cluster.example.com", san: [][]byte{dnsName("ganeti.example.com")}, wantCN: "cluster.example.com", wantNames: []string{"cluster.example.com", "ganeti.example.com"}, wantHolder: "cluster.example.com"},
		{name: "for", policy: Policy{For: "NODE1.example.com"}, cn: "node1", wantCN: "Node1", wantNames: []string{"Node1"}, wantHolder: "node1.example.com"},
		{name: "for an alias", policy: Policy{For: "node1"}, cn: "node1.example.com", wantCN: "node1.example.com", wantNames: []string{"node1.example.com"}, wantHolder: "node1.example.com"},
		{name: "exception beside", policy: Policy{Allow: []string{"Foreign.example.net"}}, cn: "node1", san: [][]byte{dnsName("foreign.example.net")}, wantCN: "Node1", wantNames: []string{"Node1", "Foreign.example.net"}, wantHolder: "node1.example.com", wantExcept: []string{"Foreign.example.net"}},
		{name: "exception alone", policy: Policy{Allow: []string{"foreign.example.net"}}, cn: "FOREIGN.example.net", wantCN: "foreign.example.net", wantNames: []string{"foreign.example.net"}, wantHolder: "foreign.example.net", wantExcept: []string{"foreign.example.net"}},
		{name: "address as exception", policy: Policy{Allow: []string{"::FFFF:198.51.100.7"}}, cn: "node1", san: [][]byte{ipName("198.51.100.7")}, wantCN: "Node1", wantNames: []string{"Node1", "198.51.100.7"}, wantHolder: "node1.example.com", wantExcept: []string{"198.51.100.7"}},
		{name: "exception as common name", policy: Policy{Allow: []string{"foreign.example.net"}}, cn: "foreign.example.net", san: [][]byte{dnsName("node1")}, wantCN: "foreign.example.net", wantNames: []string{"foreign.example.net", "Node1"}, wantHolder: "node1.example.com", wantExcept: []string{"foreign.example.net"}},
		{name: "exception that isn't one", policy: Policy{Allow: []string{"node1"}}, cn: "node1", wantCN: "Node1", wantNames: []string{"Node1"}, wantHolder: "node1.example.com"},
		{name: "exception asked for", policy: Policy{For: "foreign.example.net", Allow: []string{"foreign.example.net"}}, cn: "foreign.example.net", wantCN: "foreign.example.net", wantNames: []string{"foreign.example.net"}, wantHolder: "foreign.example.net", wantExcept: []string{"foreign.example.net"}},
	} {
		tc.policy.Find = testFind
		a, err := tc.policy.ApproveRequest(requestFor(t, tc.cn, tc.san...))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if a.CommonName() != tc.wantCN || a.DNSNames()[0] != tc.wantCN || !slices.Equal(a.Names(), tc.wantNames) ||
			a.Holder() != tc.wantHolder || !slices.Equal(a.Exceptions(), tc.wantExcept) || a.Cluster() != (tc.name == "cluster") {
			t.Errorf("%s: CN %q, names %q, holder %q, exceptions %q", tc.name, a.CommonName(), a.Names(), a.Holder(), a.Exceptions())
		}
	}
}

func TestApproveRequestRefuses(t *testing.T) {
	upn := tlv(0xa0, tlv(tagOID, []byte("\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03")), tlv(0xa0, tlv(tagUTF8String, []byte("root@localhost"))))
	one := "node1.example.com"
	for _, tc := range []struct {
		name   string
		policy Policy
		cn     string
		san    [][]byte
		want   string
		cause  error
	}{
		{name: "unknown", cn: "node3.example.com", want: `common name "node3.example.com": belongs to no node`, cause: ErrUnknownName},
		{name: "unknown alternative name", cn: one, san: [][]byte{dnsName("node3")}, want: `DNS name "node3": belongs to no node`, cause: ErrUnknownName},
		{name: "unknown address", cn: one, san: [][]byte{ipName("192.0.2.9")}, want: `IP address "192.0.2.9": belongs to no node`, cause: ErrUnknownName},
		{name: "another node's name", cn: one, san: [][]byte{dnsName("node2.example.com")}, want: `DNS name "node2.example.com": belongs to node "node2.example.com", but "node1.example.com" to node`, cause: ErrMixedNames},
		{name: "another node's address", cn: one, san: [][]byte{ipName("192.0.2.2")}, want: `"192.0.2.2": belongs to node "node2`, cause: ErrMixedNames},
		{name: "the cluster's name", cn: one, san: [][]byte{dnsName("ganeti.example.com")}, want: `belongs to the cluster "cluster.example.com"`, cause: ErrMixedNames},
		{name: "a node's name for the cluster", cn: "cluster.example.com", san: [][]byte{dnsName(one)}, want: `belongs to node`, cause: ErrMixedNames},
		{name: "an exception for another node's name", policy: Policy{Allow: []string{"node2.example.com"}}, cn: one, san: [][]byte{dnsName("node2.example.com")}, want: "belongs to node", cause: ErrMixedNames},
		{name: "another holder", policy: Policy{For: "node2.example.com"}, cn: one, want: `belongs to node "node1.example.com", not to "node2.example.com"`, cause: ErrOtherHolder},
		{name: "for nobody", policy: Policy{For: "node3"}, cn: one, want: `not to "node3"`, cause: ErrOtherHolder},
		{name: "for, and an exception", policy: Policy{For: one, Allow: []string{"x.example.net"}}, cn: "x.example.net", want: "is an exception", cause: ErrOtherHolder},
		{name: "wildcard", cn: "*.example.com", want: "wildcards"},
		{name: "wildcard, though excepted", policy: Policy{Allow: []string{"*.example.com"}}, cn: "*.example.com", want: "wildcards"},
		{name: "wildcard alternative name", cn: one, san: [][]byte{dnsName("*.example.com")}, want: `DNS name "*.example.com"`},
		{name: "NUL", cn: one + "\x00.example.net", want: `common name "node1.example.com\x00.example.net": holds '\x00'`},
		{name: "NUL in an alternative name", cn: one, san: [][]byte{dnsName(one + "\x00")}, want: `holds '\x00'`},
		{name: "trailing dot", cn: one + ".", want: "ends in a dot"},
		{name: "address as common name", cn: "192.0.2.1", want: "looks like an IP address"},
		{name: "address as DNS name", cn: one, san: [][]byte{dnsName("192.0.2.1")}, want: `DNS name "192.0.2.1": looks like`},
		{name: "IPv6 as common name", cn: "2001:db8::1", want: "holds ':'"},
		{name: "homoglyph", cn: "n\u043ede1.example.com", want: `"n\u043ede1.example.com": holds '\u043e'`},
		{name: "65 characters", policy: Policy{Allow: []string{strings.Repeat("a", 60) + ".test"}}, cn: strings.Repeat("a", 60) + ".test", want: "longer than 64"},
		{name: "empty common name", cn: "", want: "empty"},
		{name: "empty DNS name", cn: one, san: [][]byte{dnsName("")}, want: "empty"},
		{name: "email", cn: one, san: [][]byte{tlv(0x81, []byte("root@example.com"))}, want: `email address "root@example.com": names of this kind`},
		{name: "URI", cn: one, san: [][]byte{tlv(0x86, []byte("spiffe://example.com/\x1b"))}, want: `URI "spiffe://example.com/\x1b": names of this kind`},
		{name: "user principal name", cn: one, san: [][]byte{upn}, want: `other name "1.3.6.1.4.1.311.20.2.3=root@localhost": names of this kind`},
		{name: "broken other name", cn: one, san: [][]byte{tlv(0xa0, []byte{1})}, want: "names of this kind"},
		{name: "X.400", cn: one, san: [][]byte{tlv(0xa3, tlv(tagSequence))}, want: `X.400 address "#3000": names of this kind`},
		{name: "directory name", cn: one, san: [][]byte{tlv(0xa4, commonName("node2"))}, want: `directory name "CN=\"node2\"": names of this kind`},
		{name: "broken directory name", cn: one, san: [][]byte{tlv(0xa4, []byte{1})}, want: "names of this kind"},
		{name: "EDI party", cn: one, san: [][]byte{tlv(0xa5, tlv(0xa1, tlv(12, []byte("x"))))}, want: "EDI party name"},
		{name: "registered ID", cn: one, san: [][]byte{tlv(0x88, []byte{0x2a, 3, 4})}, want: `registered ID "1.2.3.4": names of this kind`},
		{name: "address with a mask", cn: one, san: [][]byte{tlv(0x87, []byte{192, 0, 2, 1, 255, 255, 255, 0})}, want: "has 8 octets"},
		{name: "empty address", cn: one, san: [][]byte{tlv(0x87)}, want: "has 0 octets"},
	} {
		tc.policy.Find = testFind
		a, err := tc.policy.ApproveRequest(requestFor(t, tc.cn, tc.san...))
		wantRefusal(t, tc.name, err, fault.Denied, tc.want)
		var ne *NameError
		if !errors.As(err, &ne) || tc.cause != nil && !errors.Is(err, tc.cause) {
			t.Errorf("%s: %v is not the error promised", tc.name, err)
		}
		if !a.Equal(Approved{}) {
			t.Errorf("%s: names beside an error", tc.name)
		}
	}
}

func TestApproveRequestSubjects(t *testing.T) {
	cn := func(tag byte, s string) []byte { return attr(oidCommonName, tag, s) }
	org := attr("\x55\x04\x0a", tagUTF8String, "Example")
	unit := attr("\x55\x04\x0b", tagUTF8String, "node2.example.com")
	one := "node1.example.com"
	san := [][]byte{asking(sanOf(dnsName(one)))}
	for _, tc := range []struct {
		name    string
		subject []byte
		want    string // "" means approved
	}{
		{"UTF8String", tlv(tagSequence, rdn(cn(0x0c, one))), ""},
		{"PrintableString", tlv(tagSequence, rdn(cn(0x13, one))), ""},
		{"IA5String", tlv(tagSequence, rdn(cn(0x16, one))), ""},
		{"TeletexString", tlv(tagSequence, rdn(cn(0x14, one))), ""},
		{"other attributes", tlv(tagSequence, rdn(org), rdn(cn(0x0c, one)), rdn(unit)), ""},
		{"BMPString", tlv(tagSequence, rdn(cn(0x1e, "\x00n\x00o\x00d\x00e\x001"))), `common name "node1": is encoded as a BMPString`},
		{"UniversalString", tlv(tagSequence, rdn(cn(0x1c, "\x00\x00\x00n"))), "UniversalString"},
		{"NumericString", tlv(tagSequence, rdn(cn(0x12, "1"))), "NumericString"},
		{"a sequence", tlv(tagSequence, rdn(tlv(tagSequence, tlv(tagOID, []byte(oidCommonName)), tlv(tagSequence)))), "is not a text"},
		{"no common name", tlv(tagSequence), "no common name"},
		{"no common name, but others", tlv(tagSequence, rdn(org)), "no common name"},
		{"two common names", tlv(tagSequence, rdn(cn(0x0c, "evil.test")), rdn(cn(0x0c, one))), "2 common names"},
		{"the same common name twice", tlv(tagSequence, rdn(cn(0x0c, one)), rdn(cn(0x0c, one))), "2 common names"},
		{"two in one RDN", tlv(tagSequence, rdn(cn(0x0c, one), cn(0x0c, "evil.test"))), "several values"},
		{"common name and others in one RDN", tlv(tagSequence, rdn(cn(0x0c, one), org)), "several values"},
		{"others in one RDN", tlv(tagSequence, rdn(cn(0x0c, one)), rdn(org, unit)), "several values"},
	} {
		r := mustParseRequest(t, requestSpec{subject: tc.subject, attributes: san}.build(t))
		a, err := Policy{Find: testFind}.ApproveRequest(r)
		if tc.want != "" {
			wantRefusal(t, tc.name, err, fault.Denied, tc.want)
		} else if err != nil || a.CommonName() != one {
			t.Errorf("%s: %q, %v", tc.name, a.CommonName(), err)
		}
	}
}

// TestApproveMicrosoftExtensions: names in the older attribute are names.
func TestApproveMicrosoftExtensions(t *testing.T) {
	attribute := tlv(tagSequence, tlv(tagOID, []byte(oidMSExtensionRequest)), tlv(tagSet, tlv(tagSequence, sanOf(dnsName("node2.example.com")))))
	r := mustParseRequest(t, requestSpec{attributes: [][]byte{attribute}}.build(t))
	_, err := Policy{Find: testFind}.ApproveRequest(r)
	wantRefusal(t, "node2 in it", err, fault.Denied, "node2.example.com")
}

func TestApproveName(t *testing.T) {
	for _, tc := range []struct {
		name, in   string
		policy     Policy
		wantNames  []string
		wantHolder string
	}{
		{"node", "node1.example.com", Policy{}, []string{"node1.example.com", "Node1", "192.0.2.1", "2001:db8::1"}, "node1.example.com"},
		{"alias", "NODE1", Policy{}, []string{"Node1", "node1.example.com", "192.0.2.1", "2001:db8::1"}, "node1.example.com"},
		{"exception beside", "node2.example.com", Policy{Allow: []string{"x.example.net", "198.51.100.7"}}, []string{"node2.example.com", "x.example.net", "192.0.2.2", "198.51.100.7"}, "node2.example.com"},
		{"exception alone", "X.example.net", Policy{Allow: []string{"x.example.net"}}, []string{"x.example.net"}, "x.example.net"},
		{"cluster", "cluster.example.com", Policy{}, []string{"cluster.example.com", "ganeti.example.com"}, "cluster.example.com"},
	} {
		tc.policy.Find = testFind
		a, err := tc.policy.ApproveName(tc.in)
		if err != nil || !slices.Equal(a.Names(), tc.wantNames) || a.Holder() != tc.wantHolder || a.CommonName() != tc.wantNames[0] {
			t.Errorf("%s: CN %q, names %q, holder %q, %v", tc.name, a.CommonName(), a.Names(), a.Holder(), err)
		}
	}
	for _, tc := range []struct {
		name, in string
		policy   Policy
		want     string
	}{
		{"unknown", "node3", Policy{}, "belongs to no node"},
		{"empty", "", Policy{}, "empty"},
		{"address", "192.0.2.1", Policy{}, "looks like an IP address"},
		{"wildcard as exception", "node1", Policy{Allow: []string{"*.example.com"}}, "wildcards"},
		{"another node as exception", "node1", Policy{Allow: []string{"node2.example.com"}}, "belongs to node"},
		{"another holder", "node1", Policy{For: "node2.example.com"}, "not to"},
	} {
		tc.policy.Find = testFind
		_, err := tc.policy.ApproveName(tc.in)
		wantRefusal(t, tc.name, err, fault.Denied, tc.want)
	}
}

// TestApproveNames approves what a certificate has, and no name more.
func TestApproveNames(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy Policy
		names  []string
		want   []string
		except []string
		cause  error // of the refusal
	}{
		{name: "no more than these", names: []string{"NODE1", "192.0.2.1", "node1"}, want: []string{"Node1", "192.0.2.1"}},
		{name: "an exception", policy: Policy{Allow: []string{"foreign.example.net"}}, names: []string{"node1", "foreign.example.net"},
			want: []string{"Node1", "foreign.example.net"}, except: []string{"foreign.example.net"}},
		{name: "a name that is gone", names: []string{"node1", "node9"}, cause: ErrUnknownName},
		{name: "two holders", names: []string{"node1", "192.0.2.2"}, cause: ErrMixedNames},
		{name: "another holder", policy: Policy{For: "node2.example.com"}, names: []string{"node1"}, cause: ErrOtherHolder},
		{name: "none"},
	} {
		tc.policy.Find = testFind
		a, err := tc.policy.ApproveNames(tc.names)
		if tc.want == nil {
			var refused *NameError
			if !errors.As(err, &refused) || tc.cause != nil && !errors.Is(err, tc.cause) {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		if err != nil || !slices.Equal(a.Names(), tc.want) || a.CommonName() != tc.want[0] || !slices.Equal(a.Exceptions(), tc.except) {
			t.Errorf("%s: %v, except %v, %v", tc.name, a.Names(), a.Exceptions(), err)
		}
	}
}

// TestPolicyTrustsNoRecord: what a Finder returns is checked like everything else.
func TestPolicyTrustsNoRecord(t *testing.T) {
	aliases := make([]string, MaxNames)
	for i := range aliases {
		aliases[i] = "a" + strings.Repeat("b", i%60) + strings.Repeat("c", i/60)
	}
	for _, tc := range []struct {
		name   string
		record Holder
		want   string
	}{
		{"record without the name", Holder{Name: "other.example.com"}, "does not hold it"},
		{"record with a wildcard", Holder{Name: "node1.example.com", Aliases: []string{"*"}}, "wildcards"},
		{"record with a zero address", Holder{Name: "node1.example.com", Addresses: []netip.Addr{{}}}, "is no IP address"},
		{"record of 101 names", Holder{Name: "node1.example.com", Aliases: aliases}, "more than 100 names"},
	} {
		p := Policy{Find: func(string) (Holder, bool) { return tc.record, true }}
		a, err := p.ApproveName("node1.example.com")
		wantRefusal(t, tc.name, err, fault.Denied, tc.want)
		if !a.Equal(Approved{}) {
			t.Errorf("%s: names beside an error", tc.name)
		}
	}
	r := requestFor(t, "node1.example.com")
	everything := Policy{Find: func(string) (Holder, bool) { return Holder{Name: "node1.example.com"}, true }}
	_, err := everything.ApproveRequest(requestFor(t, "node1.example.com", ipName("192.0.2.1")))
	wantRefusal(t, "record without the address", err, fault.Denied, "does not hold it")
	_, err = Policy{}.ApproveRequest(r)
	wantRefusal(t, "no finder", err, fault.Denied, "belongs to no node")
	_, err = Policy{Find: testFind}.ApproveRequest(nil)
	wantRefusal(t, "no request", err, fault.Denied, "no common name")
	_, err = Policy{Find: testFind}.ApproveRequest(&Request{})
	wantRefusal(t, "zero request", err, fault.Denied, "no common name")
}

// TestClusterNamedLikeNode: a record that is the cluster is no node, even where both
// have one name.
func TestClusterNamedLikeNode(t *testing.T) {
	p := Policy{Find: func(key string) (Holder, bool) {
		return Holder{Name: "x.example.com", Aliases: []string{"y.example.com"}, Cluster: key == "y.example.com"}, true
	}}
	_, err := p.ApproveRequest(requestFor(t, "x.example.com", dnsName("y.example.com")))
	wantRefusal(t, "mixed", err, fault.Denied, `belongs to the cluster "x.example.com", but "x.example.com" to node "x.example.com"`)
}

func TestApprovedIsFixed(t *testing.T) {
	p := Policy{Find: testFind, Allow: []string{"x.example.net"}}
	a, err := p.ApproveName("node1")
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.ApproveName("node1")
	if err != nil {
		t.Fatal(err)
	}
	a.DNSNames()[0], a.Exceptions()[0], a.Names()[0] = "evil", "evil", "evil"
	a.IPAddresses()[0] = netip.MustParseAddr("203.0.113.1")
	p.Allow[0] = "evil"
	if !a.Equal(b) || slices.Contains(slices.Concat(a.Names(), a.Exceptions()), "evil") || a.IPAddresses()[0] != testNode1.Addresses[0] {
		t.Errorf("changed to %q, %q", a.Names(), a.Exceptions())
	}
	c, err := Policy{Find: testFind}.ApproveName("node1")
	if err != nil || a.Equal(c) {
		t.Errorf("names with and without an exception are equal (%v)", err)
	}
}
