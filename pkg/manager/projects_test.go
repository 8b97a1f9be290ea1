package manager

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

func mustProject(t *testing.T, id string) AuthorityID {
	t.Helper()
	a, err := ProjectAuthority(id)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) project(m *Manager, ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		if _, err := m.CreateProject(context.Background(), CreateProjectRequest{ID: id}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestCreateProject makes two projects, and looks at what each is made of.
func TestCreateProject(t *testing.T) {
	w := newWorld(t)
	w.init()
	copied := filepath.Join(t.TempDir(), "copy")
	w.config.SerialCopies = []string{copied}
	m := w.manager()
	w.project(m, "Tenant_1", "t2")
	ctx := context.Background()
	cluster, err := m.Authority(ctx, Cluster)
	if err != nil {
		t.Fatal(err)
	}
	root, err := m.Authority(ctx, ProjectRoot)
	if err != nil {
		t.Fatal(err)
	}
	if root.Subject != "CN=cluster.example.com projects CA 1,O=Projects" || root.Issuer == cluster.Subject || root.SHA256 == cluster.SHA256 {
		t.Errorf("the root: %s by %s", root.Subject, root.Issuer)
	}
	for id, subject := range map[string]string{"tenant_1": "CN=Tenant_1 CA 2,O=Tenant_1", "T2": "CN=t2 CA 3,O=t2"} {
		ca, err := m.Authority(ctx, mustProject(t, id))
		if err != nil || ca.Subject != subject || ca.Issuer != root.Subject || ca.Serial.Next != 1 {
			t.Errorf("%s: %+v, %v", id, ca, err)
		}
		v, err := m.Verifier(ctx, mustProject(t, id))
		if err != nil {
			t.Fatal(err)
		}
		own, path := v.Bundle.Own(), v.Bundle.Path()
		if len(own) != 1 || len(path) != 1 || !bytes.Equal(own[0].Raw, ca.Certificate) || !bytes.Equal(path[0].Raw, root.Certificate) {
			t.Errorf("%s: verifiers trust %d, below %d", id, len(own), len(path))
		}
		if list, err := v.List(); err != nil || list == nil {
			t.Errorf("%s: no revocation list before the first certificate: %v", id, err)
		}
		// What the root has issued is on record.
		leaf, err := x509.ParseCertificate(ca.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckRecorded(ctx, m, ProjectRoot, leaf); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := os.Stat(copied); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a project's number went to a copy of the cluster's count: %v", err)
	}
	var ids []string
	if err := m.Projects(ctx, func(p Project) error { ids = append(ids, p.ID); return nil }); err != nil || !slices.Equal(ids, []string{"t2", "Tenant_1"}) {
		t.Errorf("projects %v, %v", ids, err)
	}
}

// TestCreateProjectRefuses has wrong ids, and looks for anything that they touched.
func TestCreateProjectRefuses(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.project(m, "Tenant1")
	before := w.tree()
	ctx := context.Background()
	for _, id := range []string{"", ".", "..", "../ca", "a/b", "/etc", "-a", "_a", "a b", "a\x00", strings.Repeat("a", 300), "tеnant2", "Ａ", "project:a", "a.b", "\u212a", "\u017f", "а\u0301", "a\u200b"} {
		_, err := m.CreateProject(ctx, CreateProjectRequest{ID: id})
		w.wantKind(id, err, fault.Denied)
		_, err = m.Authority(ctx, AuthorityID(projectPrefix+id))
		w.wantKind("authority "+id, err, fault.NotFound)
	}
	for _, id := range []string{"root", "Project-Root", "PROJECTS", "cluster", "ca"} {
		_, err := m.CreateProject(ctx, CreateProjectRequest{ID: id, IfMissing: true})
		w.wantKind(id, err, fault.Denied)
	}
	for _, id := range []string{"Tenant1", "tenant1", "TENANT1"} {
		_, err := m.CreateProject(ctx, CreateProjectRequest{ID: id})
		w.wantKind(id, err, fault.Exists)
	}
	_, err := m.CreateProject(ctx, CreateProjectRequest{ID: "a", Name: "x\ny"})
	w.wantKind("a line break", err, fault.Malformed)
	if p, err := m.CreateProject(ctx, CreateProjectRequest{ID: "TENANT1", IfMissing: true}); err != nil || p.ID != "Tenant1" {
		t.Errorf("if missing: %v, %v", p, err)
	}
	_, err = m.Authority(ctx, mustProject(t, "nobody"))
	if !errors.Is(err, ErrNoProject) {
		t.Errorf("no project: %v", err)
	}
	if after := w.tree(); !slices.Equal(before, after) {
		t.Errorf("there was %v, and now %v", before, after)
	}
	// What is done with the cluster's authority alone.
	for _, id := range []AuthorityID{ProjectRoot, mustProject(t, "Tenant1")} {
		_, err := m.AddNode(ctx, AddNodeRequest{Authority: id, Name: "node9.example.com"})
		w.wantKind("a node", err, fault.Denied)
		_, err = m.Sign(ctx, SignRequest{Authority: id, Items: []SignItem{{Request: csr(t, "x.example.com")}}, Allow: []string{"x.example.com"}})
		w.wantKind("a node's certificate", err, fault.Denied)
		_, err = m.InitAuthority(ctx, InitRequest{Authority: id, Name: "x.example.com"})
		w.wantKind("another authority", err, fault.Denied)
	}
}

// tree lists all names in the state directory but the database's.
func (w *world) tree() (names []string) {
	w.t.Helper()
	err := filepath.WalkDir(w.dir, func(path string, _ fs.DirEntry, err error) error {
		if !strings.Contains(path, databaseFile) {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return names
}

// TestCreateProjectCut stops at each number that is reserved, and goes on.
func TestCreateProjectCut(t *testing.T) {
	w := newWorld(t)
	w.init()
	ctx := context.Background()
	cut := errors.New("cut")
	var calls []HookCall
	w.config.SerialHook = func(_ context.Context, c HookCall) error { calls = append(calls, c); return cut }
	for i, want := range []AuthorityID{ProjectRoot, ProjectRoot} {
		if i == 1 { // the root is there now
			w.config.SerialHook = nil
			w.project(w.manager(), "other")
			w.config.SerialHook = func(_ context.Context, c HookCall) error { calls = append(calls, c); return cut }
		}
		calls = nil
		_, err := w.manager().CreateProject(ctx, CreateProjectRequest{ID: "p", Name: "P"})
		if !errors.Is(err, cut) || len(calls) != 1 || calls[0].Authority != want {
			t.Fatalf("try %d: %v after %v", i, err, calls)
		}
		_, err = w.manager().Authority(ctx, mustProject(t, "p"))
		if !errors.Is(err, ErrNoProject) {
			t.Errorf("a project without a CA: %v", err)
		}
	}
	report, err := w.manager().Check(ctx, CheckRequest{Authority: Cluster})
	if err != nil || len(report.Findings) != 1 || !errors.Is(report.Findings[0].Err, ErrProjectCut) {
		t.Errorf("check: %v, %v", report, err)
	}
	w.config.SerialHook = nil
	p, err := w.manager().CreateProject(ctx, CreateProjectRequest{ID: "p"})
	if err != nil || p.Name != "P" {
		t.Fatalf("going on: %v, %v", p, err)
	}
	// Three numbers were lost; none was given twice.
	ca, err := w.manager().Authority(ctx, mustProject(t, "p"))
	if err != nil || ca.CASerial != "5" {
		t.Errorf("its number is %s: %v", ca.CASerial, err)
	}
}

// TestCreateProjectAtOnce makes one project in four processes.
func TestCreateProjectAtOnce(t *testing.T) {
	w := newWorld(t)
	w.init()
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		m := w.manager()
		wg.Go(func() { _, errs[i] = m.CreateProject(context.Background(), CreateProjectRequest{ID: "p"}) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if fault.KindOf(err) != fault.Exists {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("%d of 4 made it: %v", made, errs)
	}
}

// TestProjectKeysEncrypted encrypts the keys of projects when the cluster's is.
func TestProjectKeysEncrypted(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	phrase := []byte("open sesame")
	if _, err := w.manager().InitAuthority(ctx, InitRequest{Authority: Cluster, Name: "cluster.example.com", Passphrase: phrase}); err != nil {
		t.Fatal(err)
	}
	w.config.Passphrase = func() ([]byte, error) { return []byte("wrong"), nil }
	if _, err := w.manager().CreateProject(ctx, CreateProjectRequest{ID: "p"}); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("a wrong passphrase: %v", err)
	}
	w.config.Passphrase = func() ([]byte, error) { return phrase, nil }
	w.project(w.manager(), "p")
	for _, id := range []AuthorityID{ProjectRoot, mustProject(t, "p")} {
		if ca, err := w.manager().Authority(ctx, id); err != nil || !ca.KeyEncrypted {
			t.Errorf("%s: the key is bare: %v", id, err)
		}
	}
}

// TestProjectsRestored brings projects back from a backup, and counts go on above.
func TestProjectsRestored(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.project(m, "a", "old") // "old" is also what a directory of replaced CAs is called
	ctx := context.Background()
	var archive bytes.Buffer
	if err := m.Backup(ctx, &archive); err != nil {
		t.Fatal(err)
	}
	c := w.config
	c.Dir = filepath.Join(t.TempDir(), "other")
	if _, err := Restore(ctx, c, bytes.NewReader(archive.Bytes()), 0, false); err != nil {
		t.Fatal(err)
	}
	restored := New(c)
	defer func() {
		if err := restored.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, id := range []AuthorityID{ProjectRoot, mustProject(t, "a"), mustProject(t, "old")} {
		was, err := m.Authority(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		is, err := restored.Authority(ctx, id)
		if err != nil || is.SHA256 != was.SHA256 || is.Serial.Next <= was.Serial.Next {
			t.Errorf("%s: %v, %v", id, is.Serial, err)
		}
	}
	if report, err := restored.Check(ctx, CheckRequest{Authority: Cluster}); err != nil || len(report.Findings) > 0 {
		t.Errorf("check: %v, %v", report, err)
	}
	for _, dir := range []string{"projects", "projects/old", "project-root"} {
		if st, err := os.Stat(filepath.Join(c.Dir, dir)); err != nil || st.Mode().Perm() != 0o711 {
			t.Errorf("%s: %v, %v", dir, st.Mode(), err)
		}
	}
	if _, err := restored.CreateProject(ctx, CreateProjectRequest{ID: "b"}); err != nil {
		t.Error(err)
	}
}

// TestProjectsCopied copies a directory: no count goes on before somebody says how.
func TestProjectsCopied(t *testing.T) {
	for _, atLeast := range []uint64{0, 7} {
		w := newWorld(t)
		w.project(w.init(), "a")
		ctx := context.Background()
		w.config.MachineID = "m2"
		if _, err := w.manager().CreateProject(ctx, CreateProjectRequest{ID: "b"}); fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("on another machine: %v", err)
		}
		if _, err := w.manager().RecoverSerial(ctx, RecoverRequest{Authority: Cluster, AtLeast: serial.Number(atLeast)}); err != nil {
			t.Fatal(err)
		}
		w.project(w.manager(), "b")
		b, err := w.manager().Authority(ctx, mustProject(t, "b"))
		if err != nil || len(b.CASerial) < 10 {
			t.Errorf("its number is %s: %v", b.CASerial, err)
		}
	}
}

// TestCheckProjects finds what is wrong with a project's files.
func TestCheckProjects(t *testing.T) {
	w := newWorld(t)
	w.project(w.init(), "a", "b")
	ctx := context.Background()
	a := filepath.Join(w.dir, "projects", "a")
	if err := os.Chmod(filepath.Join(a, "key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(w.dir, "projects", "b")); err != nil {
		t.Fatal(err)
	}
	check := func(id AuthorityID, repair bool) (found []string) {
		r, err := w.manager().Check(ctx, CheckRequest{Authority: id, Repair: repair})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Findings {
			rel, _ := filepath.Rel(w.dir, f.Path)
			found = append(found, f.Check+" "+rel)
		}
		return found
	}
	both := []string{"files projects/a/key.pem", "files projects/b"}
	if got := check(Cluster, false); !slices.Equal(got, both) {
		t.Errorf("found %q, want %q", got, both)
	}
	if got := check(mustProject(t, "a"), true); !slices.Equal(got, both[:1]) {
		t.Errorf("in a: found %q", got)
	}
	if got := check(Cluster, false); !slices.Equal(got, both[1:]) {
		t.Errorf("after the repair: found %q", got)
	}
	_, err := w.manager().Check(ctx, CheckRequest{Authority: mustProject(t, "nobody")})
	if !errors.Is(err, ErrNoProject) {
		t.Errorf("no project: %v", err)
	}
}

// TestProjectFloor raises a project's floor, and nobody else's.
func TestProjectFloor(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	w.project(m, "a", "b")
	w.sign(m, "node1.example.com")
	ctx := context.Background()
	if _, err := m.RecoverSerial(ctx, RecoverRequest{Authority: mustProject(t, "a"), AtLeast: 9}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[AuthorityID]serial.Floor{mustProject(t, "a"): 10, mustProject(t, "b"): 1, Cluster: 1, ProjectRoot: 1} {
		if s, err := m.Serial(ctx, id); err != nil || s.Floor != want {
			t.Errorf("%s: %v, %v", id, s, err)
		}
	}
}

// TestProjectForgotten restores a database of before the first project, beside the files
// of the project: no number of theirs is given again.
func TestProjectForgotten(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	var archive bytes.Buffer
	if err := m.Backup(ctx, &archive); err != nil {
		t.Fatal(err)
	}
	w.project(m, "p")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(w.dir, databaseFile+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Restore(ctx, w.config, &archive, 0, false); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"project-root", "projects/p"} {
		_, err := w.manager().CreateProject(ctx, CreateProjectRequest{ID: "p"})
		if !errors.Is(err, ErrUnknownCA) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("beside the files of %s: %v", dir, err)
		}
		for _, name := range []string{"key.pem", "cert.pem", "chain.pem"} {
			path := filepath.Join(w.dir, dir, name)
			if err := os.Rename(path, path+".away"); err != nil && (dir != "project-root" || name != "chain.pem") {
				t.Fatal(err)
			}
		}
	}
	w.project(w.manager(), "p")
	root, err := w.manager().Authority(ctx, ProjectRoot)
	if err != nil || root.CASerial == "1" || root.CASerial == "2" {
		t.Errorf("the new root has the number %s: %v", root.CASerial, err)
	}
	p, err := w.manager().Authority(ctx, mustProject(t, "p"))
	if err != nil || p.CASerial == "2" || p.Issuer != root.Subject {
		t.Errorf("the new CA has the number %s of %s: %v", p.CASerial, p.Issuer, err)
	}
}
