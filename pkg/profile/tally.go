package profile

import (
	"net/netip"
	"slices"
	"strconv"
)

// A tally takes the names of one certificate, one after the other and the common name
// first, and refuses the first that does not fit to the ones before.
type tally struct {
	policy     Policy
	found      bool
	holder     Holder // of the names so far, once found
	first      string // the first name of holder, for errors
	commonName string
	dnsNames   []string
	addresses  []netip.Addr
	exceptions []string
}

// add takes one more name, or says why not.
func (t *tally) add(n requestedName) error {
	if n.flaw != "" {
		return n.refuse(n.flaw, nil)
	}
	if n.kind == kindIP {
		return t.addAddress(n)
	}
	if flaw := nameFlaw(n.text); flaw != "" {
		return n.refuse(flaw, nil)
	}
	if n.kind == kindCommonName && len(n.text) > maxCommonNameLength {
		return n.refuse(tooLong, nil)
	}
	h, exception, err := t.find(FoldName(n.text), n)
	if err != nil {
		return err
	}
	spelled := exception
	if exception == "" {
		var ok bool
		if spelled, ok = h.spelling(n.text); !ok || nameFlaw(spelled) != "" {
			return n.refuse("the record of "+h.describe()+" does not hold it", ErrUnknownName)
		}
	}
	if n.kind == kindCommonName {
		t.commonName = spelled
	}
	if !slices.Contains(t.dnsNames, spelled) {
		t.dnsNames = append(t.dnsNames, spelled)
	}
	return nil
}

func (t *tally) addAddress(n requestedName) error {
	if !n.addr.IsValid() {
		return n.refuse("is no IP address", nil)
	}
	h, exception, err := t.find(AddressKey(n.addr), n)
	if err != nil {
		return err
	}
	if exception == "" && !h.hasAddress(n.addr) {
		return n.refuse("the record of "+h.describe()+" does not hold it", ErrUnknownName)
	}
	if addr := n.addr.Unmap().WithZone(""); !slices.Contains(t.addresses, addr) {
		t.addresses = append(t.addresses, addr)
	}
	return nil
}

// find returns the holder of key, who must be the holder of all names so far; or,
// when nobody has it, the exception that allows it, as the operator wrote it.
func (t *tally) find(key string, n requestedName) (h Holder, exception string, err error) {
	ok := false
	if t.policy.Find != nil {
		h, ok = t.policy.Find(key)
	}
	if !ok {
		if exception, ok = t.allowed(key); !ok {
			if t.policy.project != "" {
				return h, "", n.refuse("is not registered with project "+t.policy.project, ErrUnknownName)
			}
			return h, "", n.refuse("belongs to no node of this cluster", ErrUnknownName)
		}
		if !slices.Contains(t.exceptions, exception) {
			t.exceptions = append(t.exceptions, exception)
		}
		return h, exception, nil
	}
	if t.found && !t.holder.same(h) {
		return h, "", n.refuse("belongs to "+h.describe()+", but "+quote(t.first)+" to "+t.holder.describe(), ErrMixedNames)
	}
	if !t.found {
		t.found, t.holder, t.first = true, h, n.text
	}
	return h, "", nil
}

// allowed returns the exception for key, which is a folded name or an address's
// text.
func (t *tally) allowed(key string) (string, bool) {
	for _, s := range t.policy.Allow {
		n := allowedName(s)
		if n.kind == kindIP && AddressKey(n.addr) == key {
			return AddressKey(n.addr), true
		}
		if n.kind == kindDNS && FoldName(s) == key {
			return s, true
		}
	}
	return "", false
}

// holderNames returns all names of the holder as names to be asked for.
func (t *tally) holderNames() []requestedName {
	names := []requestedName{{kind: kindDNS, text: t.holder.Name}}
	for _, a := range t.holder.Aliases {
		names = append(names, requestedName{kind: kindDNS, text: a})
	}
	for _, a := range t.holder.Addresses {
		names = append(names, requestedName{kind: kindIP, text: a.String(), addr: a})
	}
	return names
}

// approve returns the names when they are the right holder's and not too many.
func (t *tally) approve() (Approved, error) {
	if !t.found {
		t.holder = Holder{Name: t.commonName}
	}
	if want := t.policy.For; want != "" {
		if _, ok := t.holder.spelling(want); !ok {
			reason := "is an exception and no name of " + quote(want)
			if t.found {
				reason = "belongs to " + t.holder.describe() + ", not to " + quote(want)
			}
			cn := requestedName{kind: kindCommonName, text: t.commonName}
			return Approved{}, cn.refuse(reason, ErrOtherHolder)
		}
	}
	if len(t.dnsNames)+len(t.addresses) > MaxNames {
		return Approved{}, &NameError{Reason: "the certificate would have more than " + strconv.Itoa(MaxNames) + " names"}
	}
	return Approved{
		profile:    Node,
		commonName: t.commonName,
		dnsNames:   t.dnsNames,
		addresses:  t.addresses,
		holder:     Holder{Name: t.holder.Name, Cluster: t.holder.Cluster},
		exceptions: t.exceptions,
	}, nil
}
