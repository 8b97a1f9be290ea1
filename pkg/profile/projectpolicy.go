package profile

import (
	"slices"

	"x509ctl/pkg/fault"
)

// Why a project's certificate is refused, for errors.Is on a [NameError]. Both are
// [fault.Denied].
var (
	// ErrNotMember is a user who is not a member of the project.
	ErrNotMember = fault.New(fault.Denied, "user is not a member of the project")
	// ErrClusterName is a name of a node or of the cluster, which no project's
	// certificate has.
	ErrClusterName = fault.New(fault.Denied, "name belongs to the cluster")
)

// A ProjectPolicy says who may have a certificate of one project. The zero ProjectPolicy
// approves nothing.
type ProjectPolicy struct {
	// Project is the id of the project, as its record spells it.
	Project string
	// Member returns the id of a member as the record spells it. The key is an id as
	// [FoldName] returns it.
	Member func(key string) (string, bool)
	// Registered returns a name that is registered with the project as the record spells
	// it. The keys are those of a [Finder].
	Registered func(key string) (string, bool)
	// Taken returns who of the cluster has a name.
	Taken Finder
	// For, unless empty, is the only user, or the only registered name as common name,
	// that is accepted.
	For string
}

// ApproveMember approves the certificate of a member.
//
// Errors: [*NameError].
func (p ProjectPolicy) ApproveMember(user string) (Approved, error) {
	return p.approveMember([]requestedName{{kind: kindCommonName, text: user}})
}

// ApproveMemberRequest approves the certificate of the member whose id is the common name
// of r. There is no other name in it: a member's certificate has none, and a request that
// wants one is refused. What else stands in its subject, a project too, is ignored.
//
// Errors: [*NameError].
func (p ProjectPolicy) ApproveMemberRequest(r *Request) (Approved, error) {
	names, err := p.requested(r)
	if err != nil {
		return Approved{}, err
	}
	return p.approveMember(names)
}

func (p ProjectPolicy) approveMember(names []requestedName) (Approved, error) {
	user := names[0]
	for _, n := range names {
		if n.flaw != "" {
			return Approved{}, n.refuse(n.flaw, nil)
		}
		if n.kind != kindCommonName {
			return Approved{}, n.refuse("a member's certificate has no name but the user's id, as common name", nil)
		}
	}
	if flaw := userFlaw(user.text); flaw != "" {
		return Approved{}, user.refuse(flaw, nil)
	}
	if err := p.checkFree(allowedName(user.text)); err != nil {
		return Approved{}, err
	}
	if p.For != "" && FoldName(p.For) != FoldName(user.text) {
		return Approved{}, user.refuse("is not "+quote(p.For), ErrOtherHolder)
	}
	id, ok := "", false
	if p.Member != nil {
		id, ok = p.Member(FoldName(user.text))
	}
	switch {
	case !ok:
		return Approved{}, user.refuse("is no member of project "+p.Project, ErrNotMember)
	case FoldName(id) != FoldName(user.text) || userFlaw(id) != "":
		return Approved{}, user.refuse("the record of the member does not hold it", ErrNotMember)
	}
	return Approved{profile: Member, project: p.Project, commonName: id, holder: Holder{Name: id}}, nil
}

// ApproveServer approves a certificate for registered names, DNS names and IP addresses
// of which the first is the common name.
//
// Errors: [*NameError].
func (p ProjectPolicy) ApproveServer(names ...string) (Approved, error) {
	if len(names) == 0 {
		return Approved{}, &NameError{Reason: "there is no name to be certified"}
	}
	list := []requestedName{{kind: kindCommonName, text: names[0]}}
	for _, s := range names[1:] {
		list = append(list, allowedName(s))
	}
	return p.approveServer(list)
}

// ApproveServerRequest approves the names of r, each of which is registered with the
// project.
//
// Errors: [*NameError].
func (p ProjectPolicy) ApproveServerRequest(r *Request) (Approved, error) {
	names, err := p.requested(r)
	if err != nil {
		return Approved{}, err
	}
	return p.approveServer(names)
}

func (p ProjectPolicy) approveServer(names []requestedName) (Approved, error) {
	t := tally{policy: Policy{Find: p.find, project: p.Project}}
	for _, n := range names {
		if err := p.checkFree(n); err != nil {
			return Approved{}, err
		}
		if err := t.add(n); err != nil {
			return Approved{}, err
		}
	}
	a, err := t.approve()
	if err != nil {
		return Approved{}, err
	}
	if p.For != "" && FoldName(p.For) != FoldName(a.commonName) {
		return Approved{}, names[0].refuse("is not "+quote(p.For), ErrOtherHolder)
	}
	a.profile, a.project, a.holder = Server, p.Project, Holder{Name: a.commonName}
	return a, nil
}

// find returns the project as the holder of a registered name.
func (p ProjectPolicy) find(key string) (Holder, bool) {
	if p.Registered == nil {
		return Holder{}, false
	}
	name, ok := p.Registered(key)
	h := Holder{Project: p.Project}
	if n := allowedName(name); n.kind == kindIP {
		h.Addresses = append(h.Addresses, n.addr)
	} else {
		h.Aliases = append(h.Aliases, name)
	}
	return h, ok
}

// requested returns the names of r, the one common name first.
func (p ProjectPolicy) requested(r *Request) ([]requestedName, error) {
	if r == nil {
		return nil, checkSubject(r, nil)
	}
	names := slices.Clone(r.names)
	if err := checkSubject(r, names); err != nil {
		return nil, err
	}
	slices.SortStableFunc(names, func(a, b requestedName) int { return min(int(a.kind), 1) - min(int(b.kind), 1) })
	return names, nil
}

// checkFree refuses a name of the cluster's.
func (p ProjectPolicy) checkFree(n requestedName) error {
	key := FoldName(n.text)
	if n.kind == kindIP || n.addr.IsValid() {
		key = AddressKey(n.addr)
	}
	if p.Taken != nil {
		if h, taken := p.Taken(key); taken {
			return n.refuse("belongs to "+h.describe()+", and no project's certificate has it", ErrClusterName)
		}
	}
	return nil
}

// ApproveDecrypt approves the certificate of a project's decrypt key: common name
// "<project> decrypt".
//
// Errors: [*NameError].
func ApproveDecrypt(project string) (Approved, error) {
	if _, err := ParseProject(project); err != nil {
		return Approved{}, err
	}
	name := decryptName(project)
	return Approved{profile: Decrypt, project: project, commonName: name, holder: Holder{Name: name}}, nil
}

// decryptName returns the common name for a project's decrypt key, in which the id is cut
// so that it has at most 64 characters.
func decryptName(project string) string {
	const suffix = " decrypt"
	return project[:min(len(project), maxCommonNameLength-len(suffix))] + suffix
}
