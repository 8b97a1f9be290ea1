package trust

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"time"
)

// A Revocation says what a verdict rests on as to revocation. Its words are part
// of the tool's output.
type Revocation string

// The kinds of knowledge.
const (
	FloorOnly Revocation = "floor only" // no revocation list was asked
	FreshCRL  Revocation = "crl"        // a list of the time in question
	OldCRL    Revocation = "stale crl"  // a list of another time: what was revoked since is not known
	Unchecked Revocation = "unchecked"  // nothing was asked, and there is no floor either
)

// Revocation returns what the answers to c rest on. It doesn't look at a leaf.
func (c Check) Revocation() Revocation {
	switch l := c.Asked(); {
	case l == nil:
		return FloorOnly
	case l.FreshAt(c.At):
		return FreshCRL
	}
	return OldCRL
}

// Asked returns the list that is asked about each leaf: that of c.CRL which
// [Bundle.Believed] returns. When none is, so that every leaf is refused, it is the first of all; and
// nil without a CRL.
func (c Check) Asked() *CRL {
	if c.CRL == nil || c.Bundle == nil {
		return c.CRL
	}
	if l, err := c.Bundle.believed(c.CRL); err == nil {
		return l
	}
	return c.CRL
}

// checkRevoked asks the authority's list.
func (c Check) checkRevoked(leaf *x509.Certificate) error {
	if c.CRL == nil {
		if c.RequireFresh {
			return refuse(StaleCRL, "whether %s is revoked is not known: there is no revocation list, and one is required", label(leaf))
		}
		return nil
	}
	l, err := c.Bundle.believed(c.CRL)
	if err != nil {
		return err
	}
	if entry, ok := l.Find(leaf.SerialNumber); ok {
		return refuse(Revoked, "%s %v", label(leaf), entry)
	}
	if err := checkFloor(leaf, l.floor); err != nil {
		return err
	}
	if c.RequireFresh && !l.FreshAt(c.At) {
		return refuse(StaleCRL, "whether %s is revoked is not known: %s", label(leaf), l.staleness(c.At))
	}
	return nil
}

// checkCARevoked asks the latest of the lists that the issuer of a CA certificate signed,
// if there is one: an own CA needs none, for there may be nobody above who makes one.
func (c Check) checkCARevoked(ca *x509.Certificate, issuer *authority) error {
	var latest *CRL
	var forged error
	for l := c.CRL; l != nil; l = l.next {
		if !l.namesIssuer(issuer.cert, issuer.name) {
			continue
		}
		switch err := l.signedBy(issuer.cert); {
		case err != nil:
			forged = err
		case latest == nil || l.number().Cmp(latest.number()) > 0:
			latest = l
		}
	}
	if latest == nil && forged != nil {
		return refuse(BadCRL, "the revocation list of %s can't be used: %v", subject(issuer.cert), forged)
	}
	if latest == nil {
		return nil
	}
	if entry, ok := latest.Find(ca.SerialNumber); ok {
		return refuse(Revoked, "the CA certificate of %s %v", subject(ca), entry)
	}
	if c.RequireFresh && !latest.FreshAt(c.At) {
		return refuse(StaleCRL, "whether the CA certificate of %s is revoked is not known: %s", subject(ca), latest.staleness(c.At))
	}
	return nil
}

// String says what the entry means, as the end of a sentence.
func (e Entry) String() string {
	s := "is revoked since " + date(e.Time)
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

// staleness says why l is not fresh, which it isn't.
func (l *CRL) staleness(at time.Time) string {
	switch {
	case at.Unix() < l.ThisUpdate().Unix():
		return fmt.Sprintf("the revocation list is of %s, after the time asked for, which is %s", date(l.ThisUpdate()), date(at))
	case l.NextUpdate().IsZero():
		return fmt.Sprintf("the revocation list of %s doesn't say until when it counts", date(l.ThisUpdate()))
	}
	return fmt.Sprintf("the revocation list was to be replaced by %s; the time is %s", date(l.NextUpdate()), date(at))
}

// Believed returns the list of a file that counts: of those that one of the
// authority's own CAs signed the one with the highest number, and of the same number
// the first, whether or not it is still fresh.
// Errors: [*VerifyError].
func (b *Bundle) Believed(first *CRL) (*CRL, error) { return b.believed(first) }

// believed is Believed. The lists of all own CAs are numbered together. Whether a CA is
// still valid doesn't matter: a list can only take trust away, and is fresh for a week
// at most.
func (b *Bundle) believed(first *CRL) (*CRL, error) {
	var latest *CRL
	var forged error
	for l := first; l != nil; l = l.next {
		switch ok, err := b.signed(l); {
		case ok && (latest == nil || l.number().Cmp(latest.number()) > 0):
			latest = l
		case err != nil && forged == nil:
			forged = refuse(BadCRL, "the revocation list of %s can't be used: %v", quoted(l.Issuer()), err)
		}
	}
	switch {
	case latest != nil:
		return latest, nil
	case forged != nil:
		return nil, forged
	}
	return nil, refuse(BadCRL, "the revocation list was issued by %s, which is none of this authority's CAs", quoted(first.Issuer()))
}

// signed reports whether an own CA signed l. The error says why none did of those
// that l names as its issuer, nil where it names none.
func (b *Bundle) signed(l *CRL) (bool, error) {
	var forged error
	for _, a := range b.cas {
		if !a.own || !l.namesIssuer(a.cert, a.name) {
			continue
		}
		err := l.signedBy(a.cert)
		if err == nil {
			return true, nil
		}
		if forged == nil {
			forged = err
		}
	}
	return false, forged
}

// number is the CRL number, -1 for none.
func (l *CRL) number() *big.Int {
	if n := l.Number(); n != nil {
		return n
	}
	return big.NewInt(-1)
}
