package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

// Between two runs the file is complete: its log is empty, and a copy of the file
// alone lacks nothing.
func TestCloseCompletesTheFile(t *testing.T) {
	b := storetest.SQLite(t)
	for run := range 3 {
		s := b.Open(t, store.Options{})
		if run == 0 {
			withAuthority(t, s)
		}
		fill(t, s, serial.Number(run*10+1), 10)
		must(t, s.Close())
		log, err := os.Stat(b.Path() + "-wal")
		if err != nil || log.Size() != 0 {
			t.Errorf("run %d left a log: %v, %v", run, log, err)
		}
		data, err := os.ReadFile(b.Path())
		must(t, err)
		alone := filepath.Join(t.TempDir(), "x509ctl.db")
		must(t, os.WriteFile(alone, data, 0o600))
		copied := storetest.Backend{Address: "sqlite:" + alone}.Open(t, store.Options{})
		wantEqual(t, "certificates in the copy", len(list(t, copied, store.CertificateFilter{Authority: store.Cluster})), run*10+10)
	}
}
