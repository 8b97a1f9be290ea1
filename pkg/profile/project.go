package profile

import (
	"strconv"
	"time"

	"x509ctl/pkg/fault"
)

// maxProjectLength is the most characters of a project's id: what an organization may
// have, ub-organization-name of RFC 5280, appendix A.1.
const maxProjectLength = 64

// projectsOrganization is the organization of the root of all projects. No project's CA is
// self-signed, so one of this id is not taken for it.
const projectsOrganization = "Projects"

// ParseProject checks that s is the id of a project and returns it as given: 1 to 64
// ASCII letters, digits, hyphens and underscores, the first of them a letter or a digit.
// It is the name of a directory, too, and it can't be a path.
//
// Errors: [*NameError].
func ParseProject(s string) (string, error) {
	if reason := projectFlaw(s); reason != "" {
		return "", &NameError{Kind: "project", Name: s, Reason: reason}
	}
	return s, nil
}

// projectFlaw returns what is wrong with s as the id of a project, or "".
func projectFlaw(s string) string {
	switch {
	case s == "":
		return "the id is empty"
	case len(s) > maxProjectLength:
		return "longer than " + strconv.Itoa(maxProjectLength) + " characters"
	case s[0] == '-' || s[0] == '_':
		return "begins with " + strconv.QuoteRuneToASCII(rune(s[0])) + "; a letter or a digit has to be there"
	}
	for _, r := range s {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' {
			continue
		}
		return "holds " + strconv.QuoteRuneToASCII(r) + "; allowed are ASCII letters, digits, hyphens and underscores"
	}
	return ""
}

// NewProjectRoot puts the certificate together that is above all projects of a cluster,
// and never above the cluster's own: "<cluster> projects CA <n>", organization Projects,
// path length 1, and else as [NewCA].
//
// Errors: as of [NewCA].
func NewProjectRoot(cluster string, key *SubjectKey, now time.Time, lifetime time.Duration) (*CA, error) {
	c, err := projectRoot(cluster)
	if err != nil {
		return nil, err
	}
	return c, c.complete(key, now, lifetime)
}

// projectRoot is NewProjectRoot but for what [CA.complete] adds.
func projectRoot(cluster string) (*CA, error) {
	if flaw := nameFlaw(cluster); flaw != "" {
		return nil, &NameError{Kind: "cluster name", Name: cluster, Reason: flaw}
	}
	suffix := " projects"
	room := maxCommonNameLength - len(suffix) - len(" CA ") - len("9223372036854775807")
	return &CA{
		name: cluster[:min(len(cluster), room)] + suffix, organization: projectsOrganization,
		pathLength: 1, rules: projectRootRules,
	}, nil
}

// NewProjectCA puts the CA certificate of a project together, which root signs:
// "<project> CA <n>", the project as organization, path length 0. It ends before the root
// does, earlier than asked for if that has to be.
//
// Errors: [*NameError], [*LifetimeError]; [fault.Denied] for another issuer than a root
// of projects, or one that is not valid; [fault.Internal] for a zero key.
func NewProjectCA(project string, root *Issuer, key *SubjectKey, now time.Time, lifetime time.Duration) (*CA, error) {
	c, err := projectCA(project)
	if err != nil {
		return nil, err
	}
	if err := root.check(); err != nil {
		return nil, err
	}
	if ca := root.chain[0]; ca.MaxPathLen == 0 && ca.MaxPathLenZero {
		return nil, fault.New(fault.Denied, "the CA can't sign a project's CA: its path length is 0")
	}
	c.issuer = root
	return c, c.complete(key, now, lifetime)
}

// projectCA is NewProjectCA but for its issuer and what [CA.complete] adds.
func projectCA(project string) (*CA, error) {
	if _, err := ParseProject(project); err != nil {
		return nil, err
	}
	return &CA{name: project, organization: project, rules: projectCARules}, nil
}

// within returns a CA's validity below i: lifetime, or as much of it as there is before i
// ends.
func (i *Issuer) within(now time.Time, lifetime time.Duration) (Validity, error) {
	now = now.UTC().Truncate(time.Second)
	if err := i.validAt(now); err != nil {
		return Validity{}, err
	}
	v := period(now, lifetime, i.notBefore)
	last := i.notAfter.Add(-time.Second)
	if !v.notAfter.After(last) {
		return v, nil
	}
	if v.notAfter, v.shortened = last, true; last.Sub(v.notBefore) < MinCALifetime {
		return Validity{}, fault.Errorf(fault.Denied, "%w: the root ends %s", ErrOutlivesCA, i.notAfter.Format(time.RFC3339))
	}
	return v, nil
}
