package profile

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// needOpenSSL skips the test where openssl is not installed; in CI that is a failure.
func needOpenSSL(tb testing.TB) {
	tb.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			tb.Fatal("openssl is not installed (apt install openssl)")
		}
		tb.Skip("openssl is not installed")
	}
}

// openssl runs openssl in dir and returns what it prints.
func openssl(tb testing.TB, dir string, args ...string) string {
	tb.Helper()
	needOpenSSL(tb)
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func writeFile(tb testing.TB, dir, name string, data []byte) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		tb.Fatal(err)
	}
}

func readFile(tb testing.TB, dir, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// opensslRequest makes a request with openssl, from the arguments of "openssl req".
func opensslRequest(tb testing.TB, args ...string) []byte {
	tb.Helper()
	dir := tb.TempDir()
	args = append([]string{"req", "-new", "-nodes", "-keyout", "key.pem", "-out", "req.pem"}, args...)
	openssl(tb, dir, args...)
	return readFile(tb, dir, "req.pem")
}
