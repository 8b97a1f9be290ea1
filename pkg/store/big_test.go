package store_test

import (
	"os"
	"testing"
	"time"

	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

func TestBigFill(t *testing.T) {
	path := os.Getenv("BIG")
	if path == "" {
		t.Skip()
	}
	os.Remove(path)
	if err := store.CreateSQLite(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	s := withAuthority(t, storetest.Backend{Name: "sqlite", Address: "sqlite:" + path}.Open(t, store.Options{}))
	for i := range 10 {
		c, w := cpu(t), time.Now()
		fill(t, s, serial.Number(i*100_000+1), 100_000)
		t.Logf("%d: %.0f/cpu-s %.0f/s", i, 1e5/(cpu(t)-c).Seconds(), 1e5/time.Since(w).Seconds())
	}
}
