package manager

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"x509ctl/pkg/fault"
)

// A floor that is lost must not come back as 1: verifiers read the file alone.
func TestLostFloor(t *testing.T) {
	w := newWorld(t)
	m := w.init()
	ctx := context.Background()
	w.sign(m, "node1.example.com")
	if _, err := m.SetMinSerial(ctx, SetMinRequest{Authority: Cluster, To: MinNext}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(w.dir, "ca", "min-serial")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err := m.Verifier(ctx, Cluster)
	w.wantKind("judging without a floor", err, fault.Unavailable)
	if _, err := m.InitAuthority(ctx, InitRequest{Authority: Cluster, IfMissing: true}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); string(b) != "3\n" {
		t.Errorf("min-serial came back as %q, %v", b, err)
	}
	// A lower one is raised by the next certificate.
	if err := os.WriteFile(file, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.sign(m, "node1.example.com")
	if b, err := os.ReadFile(file); string(b) != "3\n" {
		t.Errorf("min-serial is %q, %v", b, err)
	}
}
