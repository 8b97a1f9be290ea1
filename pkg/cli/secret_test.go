package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
)

func TestSecretFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{
		"s3cret":            "s3cret",
		"s3cret\n":          "s3cret",
		"s3cret\r\nignored": "s3cret",
		" with blanks \n":   " with blanks ",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := newApp().secret(secretSource{file: path, what: "the passphrase"})
		if got != want || err != nil {
			t.Errorf("%q: %q, %v", content, got, err)
		}
	}
	for content, want := range map[string]fault.Kind{"": fault.Malformed, "\nsecond": fault.Malformed, strings.Repeat("x", maxSecretFile+1): fault.Malformed} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := newApp().secret(secretSource{file: path, what: "the passphrase"}); fault.KindOf(err) != want {
			t.Errorf("%.10q: %q, %v", content, got, err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	var secrecy *durable.SecrecyError
	if _, err := newApp().secret(secretSource{file: path}); !errors.As(err, &secrecy) {
		t.Errorf("readable by the group: %v", err)
	}
}

func TestSecretSources(t *testing.T) {
	a := newApp()
	a.stdin = strings.NewReader("from stdin\n")
	a.lookupEnv = func(name string) (string, bool) {
		return "from the environment", name == "X509CTL_TEST"
	}
	src := secretSource{flag: "test-file", env: "X509CTL_TEST", what: "the passphrase"}
	if got, err := a.secret(src); got != "from the environment" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	src.env = "X509CTL_OTHER"
	if _, err := a.secret(src); exitStatus(err) != exitUsage || !strings.Contains(err.Error(), "--test-file") {
		t.Errorf("nowhere: %v", err)
	}
}
