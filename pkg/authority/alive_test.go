package authority

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestPublishTheRest retires a CA, prepares one, and finds one that nobody recorded.
func TestPublishTheRest(t *testing.T) {
	l, dir := newDirectory(t)
	ca := func(n int64) (*x509.Certificate, []byte, Fingerprint) {
		cert, key := mint(t, n)
		data, err := encodeKey(key, nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert, data, sha256.Sum256(cert.Raw)
	}
	publish := func(alive Alive, trusted ...*x509.Certificate) {
		t.Helper()
		if err := l.Publish(alive, 1); err != nil {
			t.Fatal(err)
		}
		if got, _ := l.Bundle(); string(got) != string(encodeCertificates(trusted...)) {
			t.Errorf("bundle.pem holds %s", got)
		}
	}
	wantKey := func(name string, want bool) {
		t.Helper()
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	first, firstKey, f1 := ca(1)
	second, secondKey, f2 := ca(2)
	third, thirdKey, f3 := ca(3)
	next := func(key []byte, cert *x509.Certificate) {
		t.Helper()
		if err := l.writeNext(key, cert); err != nil {
			t.Fatal(err)
		}
	}
	next(firstKey, first)
	publish(Alive{Active: f1}, first)
	next(secondKey, second)
	publish(Alive{Active: f1, Next: f2}, first, second)
	wantKey("next/key.pem", true)
	publish(Alive{Active: f2, Old: []Fingerprint{f1}}, second, first)
	wantKey("next", false)
	wantKey("old/1/key.pem", true)
	if a, err := l.LoadCA(f1, nil); err != nil || a.Fingerprint() != f1 {
		t.Errorf("loading the replaced one: %v", err)
	}
	publish(Alive{Active: f2}, second)
	wantKey("old/1/key.pem", false)
	wantKey("old/1/cert.pem", true)
	next(thirdKey, third) // and the process was killed before it was recorded
	publish(Alive{Active: f2}, second)
	wantKey("next", false)
	var lost *LostError
	if err := l.Publish(Alive{Active: f2, Old: []Fingerprint{f3}}, 1); !errors.As(err, &lost) || lost.Fingerprint != f3 {
		t.Errorf("one whose files are gone: %v", err)
	}
	// Another CA with the number of one that is there.
	again, againKey, f4 := ca(2)
	next(againKey, again)
	publish(Alive{Active: f4, Old: []Fingerprint{f2}}, again, second)
	next(firstKey, first)
	publish(Alive{Active: f1, Old: []Fingerprint{f2, f4}}, first, second, again)
}
