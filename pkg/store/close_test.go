package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

// Between two runs the file is complete: no log lies beside it that a copy would
// lack and that the next run would have to read.
func TestCloseLeavesOneFile(t *testing.T) {
	b := storetest.SQLite(t)
	s := withAuthority(t, b.Open(t, store.Options{}))
	fill(t, s, 1, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Dir(b.Path()))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || files[0].Name() != filepath.Base(b.Path()) {
		t.Errorf("after the last Close there are %v", files)
	}
}
