package profile

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
)

func lintedProjectRoot(t testing.TB) *certSpec {
	s := lintedCA(t)
	s.subject = subjectName(projectsOrganization, "cluster.example.com projects CA 300")
	s.issuer = s.subject
	s.exts[oidBasicConstraints] = extension(oidBasicConstraints, critical, []byte(rootConstraints))
	return s
}

func projectRootMutants() []mutant {
	return []mutant{
		{"root_basic_constraints", setExtension(oidBasicConstraints, critical, []byte(caConstraints))},
		{"root_organization", func(_ testing.TB, s *certSpec) {
			s.subject = subjectName("p", "cluster.example.com projects CA 300")
			s.issuer = s.subject
		}},
	}
}

func lintedProjectCA(t testing.TB) *certSpec {
	s := lintedCA(t)
	s.subject = subjectName("p_1", "p_1 CA 300")
	s.issuer = subjectName(projectsOrganization, "cluster.example.com projects CA 1")
	s.exts[oidAuthorityKeyID] = extension(oidAuthorityKeyID, 0, []byte(authorityKeyID([]byte("root"))))
	return s
}

func projectCAMutants() []mutant {
	subject := func(organization, common string) func(testing.TB, *certSpec) {
		return func(_ testing.TB, s *certSpec) { s.subject = subjectName(organization, common) }
	}
	return []mutant{
		{"project_basic_constraints", setExtension(oidBasicConstraints, critical, []byte(rootConstraints))},
		{"project_organization", subject("_p", "_p CA 300")},
		{"project_name", subject("p", "q CA 300")},
		{"subject", func(_ testing.TB, s *certSpec) {
			s.subject = tlv(tagSequence, rdn(attr(oidOrganization, 0x13, "p")), rdn(attr(oidCommonName, 0x0c, "p CA 300")))
		}},
	}
}

func TestParseProject(t *testing.T) {
	for _, ok := range []string{"a", "0", "Tenant-1_x", strings.Repeat("a", 64)} {
		if got, err := ParseProject(ok); err != nil || got != ok {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "../ca", "a/b", "/a", "a.b", "-a", "_a", "a b", "a\x00", "a\n",
		strings.Repeat("a", 65), strings.Repeat("a", 300), "pr\u043ejekt", "\uff41", "project:a"} {
		if _, err := ParseProject(bad); fault.KindOf(err) != fault.Denied {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestProjectCA makes the chain of a project with keys of every kind, and has crypto/x509
// judge it.
func TestProjectCA(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, a := range KeyAlgorithms() {
		rootKey, key := testKey(t, a), newP256(t)
		r, err := NewProjectRoot(strings.Repeat("c", 60)+".example", mustSubjectKey(t, rootKey), now, DefaultCALifetime)
		if err != nil {
			t.Fatal(err)
		}
		tbs, err := r.TBS(5)
		if err != nil {
			t.Fatal(err)
		}
		root := mustSign(t, tbs, rootKey)
		issuer, err := NewIssuer([]*x509.Certificate{root})
		if err != nil {
			t.Fatal(err)
		}
		// As long as the root: it is shortened.
		c, err := NewProjectCA("p", issuer, mustSubjectKey(t, key), now, DefaultCALifetime)
		if err != nil {
			t.Fatal(err)
		}
		if tbs, err = c.TBS(6); err != nil {
			t.Fatal(err)
		}
		ca := mustSign(t, tbs, rootKey)
		if got, want := ca.NotAfter, root.NotAfter.Add(-time.Second); !got.Equal(want) || !c.Validity().Shortened() {
			t.Errorf("%s: it ends %v, want %v", a, got, want)
		}
		if got := ca.Subject.String(); got != "CN=p CA 6,O=p" || ca.MaxPathLen != 0 || root.MaxPathLen != 1 {
			t.Errorf("%s: %s, path lengths %d below %d", a, got, ca.MaxPathLen, root.MaxPathLen)
		}
		roots := x509.NewCertPool()
		roots.AddCert(root)
		if _, err := ca.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestNewProjectCARefuses(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	key := mustSubjectKey(t, newP256(t))
	rootKey := newP256(t)
	r, err := NewProjectRoot("c.example", mustSubjectKey(t, rootKey), now, 3*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	tbs, err := r.TBS(1)
	if err != nil {
		t.Fatal(err)
	}
	root, err := NewIssuer([]*x509.Certificate{mustSign(t, tbs, rootKey)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		project string
		root    *Issuer
		now     time.Time
		want    error
	}{
		{"a path", "../ca", root, now, nil},
		{"the cluster's CA", "p", newTestIssuer(t, newP256(t), now), now, nil},
		{"an expired root", "p", root, now.Add(4 * time.Hour), ErrCANotValid},
		{"a root at its end", "p", root, now.Add(2*time.Hour + time.Minute), ErrOutlivesCA},
	} {
		_, err := NewProjectCA(tc.project, tc.root, key, tc.now, 2*time.Hour)
		if fault.KindOf(err) != fault.Denied || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if _, err := NewProjectRoot("my cluster", key, now, DefaultCALifetime); fault.KindOf(err) != fault.Denied {
		t.Errorf("a wrong name: %v", err)
	}
}
