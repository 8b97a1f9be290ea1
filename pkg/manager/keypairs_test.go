package manager

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/keypair"
)

// sshKey makes a public half.
func sshKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, _, err := keypair.EncodeSSH(key)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func keypairsOf(t *testing.T, m *Manager, f KeypairFilter) (all []string) {
	t.Helper()
	err := m.Keypairs(context.Background(), f, func(k Keypair) error { all = append(all, k.User+"/"+k.Name); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestKeypairs(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	key := sshKey(t)
	before := time.Date(2014, 1, 2, 3, 4, 5, 0, time.UTC)
	out, err := m.AddKeypairs(ctx, []AddKeypairRequest{
		{User: "alice", Name: "one", PublicKey: key},
		{User: "alice", Name: "one", PublicKey: sshKey(t)},                   // taken, by the first
		{User: "alice", Name: "one", PublicKey: key, IfMissing: true},        // the same
		{User: "alice", Name: "one", PublicKey: key + "\n", IfMissing: true}, // not the same to the octet
		{User: "alice", Name: "two", PublicKey: "hello"},
		{User: "alice", Name: "two", PublicKey: key, Type: keypair.X509},
		{User: "bob", Name: "one", PublicKey: key, Created: before},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []fault.Kind{"", fault.Exists, "", fault.Exists, fault.Malformed, fault.Malformed, ""} {
		if err := out[i].Err; (err == nil) != (want == "") || err != nil && fault.KindOf(err) != want {
			t.Errorf("request %d: %v, want %q", i, err, want)
		}
	}
	if out[0].WasThere || !out[2].WasThere || out[6].Public.Type != keypair.SSH {
		t.Errorf("%+v", out)
	}
	got, err := m.Keypair(ctx, "alice", "one")
	if err != nil || got.PublicKey != key || got.Type != "ssh" || got.Requester != "tester" || !got.Created.Equal(w.now) || len(got.Fingerprint) != 47 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := m.Keypair(ctx, "bob", "one"); err != nil || !got.Created.Equal(before) {
		t.Errorf("%+v, %v", got, err)
	}
	if got := fmt.Sprint(keypairsOf(t, m, KeypairFilter{})); got != "[alice/one bob/one]" {
		t.Error(got)
	}
	gone, err := m.DeleteKeypair(ctx, "alice", "one")
	if err != nil || gone.PublicKey != key {
		t.Errorf("%+v, %v", gone, err)
	}
	if _, err := m.DeleteKeypair(ctx, "alice", "one"); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
	if got := fmt.Sprint(keypairsOf(t, m, KeypairFilter{User: "alice"})); got != "[]" {
		t.Error(got)
	}
	var trail []string
	err = m.Audit(ctx, AuditFilter{}, func(e AuditEntry) error {
		if strings.HasPrefix(e.Action, "keypair-") {
			trail = append(trail, e.Action+" "+e.Object+" "+e.Outcome)
		}
		return nil
	})
	want := `keypair-add "one" of "alice" done|keypair-add "one" of "alice" refused|keypair-add "one" of "alice" done|keypair-add "one" of "alice" refused|` +
		`keypair-add "two" of "alice" refused|keypair-add "two" of "alice" refused|keypair-add "one" of "bob" done|keypair-delete "one" of "alice" done`
	if got := strings.Join(trail, "|"); err != nil || got != want {
		t.Errorf("audit: %v\n%s", err, got)
	}
}

// Wrong names, and what is no key, are refused with nothing stored.
func TestKeypairsRefused(t *testing.T) {
	m := newWorld(t).init()
	key := sshKey(t)
	good := AddKeypairRequest{User: "alice", Name: "one", PublicKey: key}
	var reqs []AddKeypairRequest
	for _, name := range []string{"", ".", "..", " a", "a ", "a\nb", "a\x00", "\x1b[2J", "a\xff", strings.Repeat("x", 256), strings.Repeat("x", 1<<20), "a\u202eb"} {
		named, owned := good, good
		named.Name, owned.User = name, name
		if reqs = append(reqs, named); name != "." && name != ".." { // users with such a name are nobody's harm
			reqs = append(reqs, owned)
		}
	}
	for _, text := range []string{"", " ", strings.Repeat("A", 1<<20), key + `command="id" ` + key, key + "\x00", "-rf", "\xff\xfe"} {
		bad := good
		bad.PublicKey = text
		reqs = append(reqs, bad)
	}
	out, err := m.AddKeypairs(context.Background(), reqs)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range out {
		if fault.KindOf(r.Err) != fault.Malformed || r.Err == nil || len(r.Err.Error()) > 1000 || r.Keypair != (Keypair{}) {
			t.Errorf("%.40q %.40q %.40q: %.200v", reqs[i].User, reqs[i].Name, reqs[i].PublicKey, r.Err)
		}
	}
	if got := keypairsOf(t, m, KeypairFilter{}); len(got) != 0 {
		t.Errorf("stored: %.200q", got)
	}
	if _, err := m.AddKeypairs(context.Background(), make([]AddKeypairRequest, MaxBatch+1)); fault.KindOf(err) != fault.Malformed {
		t.Error(err)
	}
}

// Keypairs are of a directory that has a CA: only InitAuthority makes a database.
func TestKeypairsNotInitialised(t *testing.T) {
	m := newWorld(t).manager()
	ctx := context.Background()
	_, add := m.AddKeypairs(ctx, []AddKeypairRequest{{User: "alice", Name: "one", PublicKey: sshKey(t)}})
	_, show := m.Keypair(ctx, "alice", "one")
	_, remove := m.DeleteKeypair(ctx, "alice", "one")
	list := m.Keypairs(ctx, KeypairFilter{}, nil)
	for _, err := range []error{add, show, remove, list} {
		if !errors.Is(err, ErrNotInitialised) {
			t.Error(err)
		}
	}
}
