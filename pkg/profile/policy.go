package profile

import (
	"net/netip"
	"slices"
	"strconv"

	"x509ctl/pkg/fault"
)

// Why names are refused, for errors.Is on a [NameError]. All are [fault.Denied].
var (
	// ErrUnknownName is a name that belongs to no node, nor to the cluster, and that
	// no exception allows.
	ErrUnknownName = fault.New(fault.Denied, "name belongs to no node")
	// ErrMixedNames are names of two holders in one certificate.
	ErrMixedNames = fault.New(fault.Denied, "names belong to two holders")
	// ErrOtherHolder are names of another holder than the one asked for.
	ErrOtherHolder = fault.New(fault.Denied, "names belong to another holder")
)

// A Holder is who may have a certificate: a node, or the cluster. It has been
// checked when it was recorded; it is checked again before its names are
// signed.
type Holder struct {
	Name      string       // a DNS name; unique without regard to case
	Aliases   []string     // more DNS names
	Addresses []netip.Addr // without zone
	Cluster   bool         // whether it is the cluster itself
	Project   string       // the id of the project that all of them are registered with; empty for a node
}

// same reports whether h and o are one holder.
func (h Holder) same(o Holder) bool {
	return h.Cluster == o.Cluster && h.Project == o.Project && FoldName(h.Name) == FoldName(o.Name)
}

// spelling returns the DNS name of h that equals name without regard to case, as
// h spells it.
func (h Holder) spelling(name string) (string, bool) {
	key := FoldName(name)
	if FoldName(h.Name) == key {
		return h.Name, true
	}
	for _, a := range h.Aliases {
		if FoldName(a) == key {
			return a, true
		}
	}
	return "", false
}

func (h Holder) hasAddress(a netip.Addr) bool {
	return slices.ContainsFunc(h.Addresses, func(b netip.Addr) bool { return AddressKey(a) == AddressKey(b) })
}

// describe returns h in words.
func (h Holder) describe() string {
	switch {
	case h.Cluster:
		return "the cluster " + quote(h.Name)
	case h.Project != "":
		return "project " + quote(h.Project)
	}
	return "node " + quote(h.Name)
}

// A Finder returns the holder of a name. The key is a DNS name as [FoldName] returns
// it, or an IP address as [AddressKey] does.
type Finder func(key string) (Holder, bool)

// A Policy says whose names may be certified. The zero Policy, which has no Finder,
// knows nobody and approves exceptions only.
type Policy struct {
	// Find returns the holder of a name.
	Find Finder
	// For, unless empty, is a name of the only holder that is accepted.
	For string
	// Allow holds the operator's exceptions: DNS names and IP addresses that are
	// approved although nobody here has them, such as another cluster's node in an
	// import or export. A name that somebody has stays his.
	Allow []string

	project string // for the words of errors; empty for the cluster's policy
}

// Approved is one holder's names, fit to be signed, and the profile that they are for. Only
// [Policy], [ProjectPolicy] and [ApproveDecrypt] make one, and it can't be changed. The zero
// Approved has no names, and [NewLeaf] refuses it.
type Approved struct {
	profile    Profile
	project    string // the organization; empty for a node
	commonName string
	dnsNames   []string     // the common name first; none where the profile has none
	addresses  []netip.Addr // unmapped, without zone
	holder     Holder       // Name, Cluster only
	exceptions []string
}

// Profile returns what kind of certificate the names are for.
func (a Approved) Profile() Profile { return a.profile }

// Project returns the id of the project whose certificate it is, "" for a node's.
func (a Approved) Project() string { return a.project }

// CommonName returns the common name, as the record spells it.
func (a Approved) CommonName() string { return a.commonName }

// DNSNames returns the DNS names of the certificate, the common name first.
func (a Approved) DNSNames() []string { return slices.Clone(a.dnsNames) }

// IPAddresses returns the IP addresses of the certificate.
func (a Approved) IPAddresses() []netip.Addr { return slices.Clone(a.addresses) }

// Names returns all names of the certificate as text, DNS names first.
func (a Approved) Names() []string {
	names := a.DNSNames()
	for _, ip := range a.addresses {
		names = append(names, ip.String())
	}
	return names
}

// Holder returns the name of the record whose names these are. In a project, and where
// exceptions alone made the names pass, it is the common name.
func (a Approved) Holder() string { return a.holder.Name }

// Cluster reports whether the holder is the cluster.
func (a Approved) Cluster() bool { return a.holder.Cluster }

// Exceptions returns the names that only [Policy.Allow] let pass.
func (a Approved) Exceptions() []string { return slices.Clone(a.exceptions) }

// Equal reports whether a and b are the same names, in the same order and spelling,
// of the same holder with the same exceptions.
func (a Approved) Equal(b Approved) bool {
	return a.profile == b.profile && a.project == b.project && a.commonName == b.commonName && a.holder.Name == b.holder.Name && a.holder.Cluster == b.holder.Cluster &&
		slices.Equal(a.dnsNames, b.dnsNames) && slices.Equal(a.addresses, b.addresses) &&
		slices.Equal(a.exceptions, b.exceptions)
}

// ApproveRequest approves the names of r, or refuses r because of one of them: the
// common name, of which there must be exactly one with at most 64 characters, and
// every alternative name, of every kind. All belong to one holder, apart from
// exceptions. The certificate has the names asked for, no others, and the
// common name among them.
//
// Errors, all [fault.Denied]: [*NameError].
func (p Policy) ApproveRequest(r *Request) (Approved, error) {
	var names []requestedName
	if r != nil {
		names = r.names
	}
	if err := checkSubject(r, names); err != nil {
		return Approved{}, err
	}
	t := tally{policy: p}
	for _, n := range names {
		if err := t.add(n); err != nil {
			return Approved{}, err
		}
	}
	return t.approve()
}

// checkSubject refuses a subject that has not exactly one common name.
func checkSubject(r *Request, names []requestedName) error {
	count := 0
	for _, n := range names {
		if n.kind == kindCommonName {
			count++
		}
	}
	switch {
	case r != nil && r.multiValued:
		return &NameError{Reason: "the request's subject has several values in one of its parts; one common name by itself is needed"}
	case count == 0:
		return &NameError{Reason: "the request has no common name; exactly one is needed"}
	case count > 1:
		return &NameError{Reason: "the request has " + strconv.Itoa(count) + " common names; exactly one is needed"}
	}
	return nil
}

// ApproveName approves every name and address of the holder of name, and every
// exception, with name as the common name.
//
// Errors, all [fault.Denied]: [*NameError].
func (p Policy) ApproveName(name string) (Approved, error) {
	t := tally{policy: p}
	cn := requestedName{kind: kindCommonName, text: name}
	if err := t.add(cn); err != nil {
		return Approved{}, err
	}
	names := []requestedName{}
	if t.found {
		names = append(names, t.holderNames()...)
	}
	for _, s := range p.Allow {
		names = append(names, allowedName(s))
	}
	for _, n := range names {
		if err := t.add(n); err != nil {
			return Approved{}, err
		}
	}
	return t.approve()
}

// ApproveNames approves exactly names, DNS names and IP addresses of which the first is
// the common name: those of a certificate that is to be made anew. A name given twice
// counts once.
//
// Errors, all [fault.Denied]: [*NameError].
func (p Policy) ApproveNames(names []string) (Approved, error) {
	if len(names) == 0 {
		return Approved{}, &NameError{Reason: "there is no name to be certified"}
	}
	t := tally{policy: p}
	if err := t.add(requestedName{kind: kindCommonName, text: names[0]}); err != nil {
		return Approved{}, err
	}
	for _, s := range names[1:] {
		if err := t.add(allowedName(s)); err != nil {
			return Approved{}, err
		}
	}
	return t.approve()
}

// allowedName returns an exception as a name to be asked for.
func allowedName(s string) requestedName {
	if addr, err := netip.ParseAddr(s); err == nil {
		return requestedName{kind: kindIP, text: s, addr: addr}
	}
	return requestedName{kind: kindDNS, text: s}
}
