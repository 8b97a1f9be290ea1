package manager

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// What a killed init left beside the database is removed by the next one.
func TestInitSweeps(t *testing.T) {
	w := newWorld(t)
	if err := os.Mkdir(w.dir, 0o711); err != nil {
		t.Fatal(err)
	}
	leftover := filepath.Join(w.dir, ".x509ctl-tmp-0123456789abcdef")
	theirs := filepath.Join(w.dir, ".somebody-elses")
	for _, name := range []string{leftover, theirs} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.init()
	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover: %v", err)
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Errorf("another's file: %v", err)
	}
}

// A CA that is there but can't be published is not a CA that is there.
func TestInitIfMissingSaysWhatFailed(t *testing.T) {
	w := newWorld(t)
	if err := w.init().Close(); err != nil {
		t.Fatal(err)
	}
	// The bundle can't be written: something else has its name.
	bundle := filepath.Join(w.dir, "ca", "bundle.pem")
	if err := os.Remove(bundle); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(bundle, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, missing := range []bool{false, true} {
		m := w.manager()
		_, err := m.InitAuthority(context.Background(), InitRequest{Authority: Cluster, Name: "cluster.example.com", IfMissing: missing})
		if err == nil || errors.Is(err, ErrInitialised) {
			t.Errorf("with IfMissing %v: %v", missing, err)
		}
	}
}
