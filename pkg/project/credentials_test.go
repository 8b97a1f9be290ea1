package project_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/project"
)

var archiveTime = time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)

func TestCredentials(t *testing.T) {
	all := project.Credentials{
		Environment: project.Environment{User: "alice", Project: "tenant1"},
		PrivateKey:  []byte("key"), Certificate: []byte("cert"), CAs: []byte("cas"), Encryption: []byte("encryption"), VPN: []byte("vpn"),
	}
	old := all
	old.Encryption, old.VPN = nil, nil
	for _, tc := range []struct {
		name string
		c    project.Credentials
		want string
	}{
		{"like Nova's", old, "novarc 600, pk.pem 400, cert.pem 644, cacert.pem 644"},
		{"all", all, "novarc 600, pk.pem 400, cert.pem 644, nova-vpn.conf 644, cacert.pem 644, decrypt-cert.pem 644"},
	} {
		var b, again bytes.Buffer
		if err := tc.c.Write(&b, archiveTime); err != nil {
			t.Fatal(err)
		}
		if err := tc.c.Write(&again, archiveTime); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
			t.Errorf("%s: another archive the second time, %v", tc.name, err)
		}
		z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range z.File {
			got = append(got, fmt.Sprintf("%s %o", f.Name, f.Mode().Perm()))
			if f.Method != zip.Store || !f.Modified.Equal(archiveTime) {
				t.Errorf("%s: %s: method %d, time %v", tc.name, f.Name, f.Method, f.Modified)
			}
			if f.Name == "pk.pem" {
				r, err := f.Open()
				if err != nil {
					t.Fatal(err)
				}
				if data, err := io.ReadAll(r); err != nil || string(data) != "key" {
					t.Errorf("%s: got %q, %v", tc.name, data, err)
				}
			}
		}
		if s := strings.Join(got, ", "); s != tc.want {
			t.Errorf("%s: %s", tc.name, s)
		}
	}
}

// TestScript has real shells read novarc from another folder, with values that were made to
// be taken for something else.
func TestScript(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "o'dd $(touch pwned) folder")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const hostile = `a'b"c$(touch pwned)` + "`touch pwned`" + `\;|&!*?~ é#`
	e := project.Environment{
		User: hostile, Project: "-n " + hostile, AccessKey: "AK" + hostile, SecretKey: hostile + "'",
		EC2URL: "'; touch pwned; '", S3URL: "http://192.0.2.1:3333/?a=1&b=${HOME}", NovaURL: hostile, Encryption: true,
	}
	script, err := e.Script()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "novarc"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"EC2_ACCESS_KEY": e.AccessKey + ":" + e.Project, "EC2_SECRET_KEY": e.SecretKey, "EC2_URL": e.EC2URL, "S3_URL": e.S3URL,
		"EC2_USER_ID": "42", "NOVA_API_KEY": e.AccessKey, "NOVA_USERNAME": e.User, "NOVA_PROJECT_ID": e.Project,
		"NOVA_URL": e.NovaURL, "NOVA_VERSION": "1.1",
	}
	files := map[string]string{
		"EC2_PRIVATE_KEY": "pk.pem", "EC2_CERT": "cert.pem", "NOVA_CERT": "cacert.pem", "EUCALYPTUS_CERT": "decrypt-cert.pem",
	}
	for shell, beside := range map[string]bool{"bash": true, "sh": false} {
		work := t.TempDir()
		path := filepath.Join(dir, "novarc")
		if !beside { // this shell can't tell where the file is
			work, path = dir, "./novarc"
		}
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			t.Fatal(err)
		}
		for name, file := range files {
			want[name] = filepath.Join(real, file)
		}
		for name, value := range want {
			cmd := exec.Command(shell, "-euc", `. "$1"; eval 'printf %s "$'$2'"'`, shell, path, name)
			cmd.Dir = work
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != value {
				t.Errorf("%s: %s is %q, want %q, %v", shell, name, out, value, err)
			}
		}
		for _, folder := range []string{work, dir} {
			if _, err := os.Stat(filepath.Join(folder, "pwned")); err == nil {
				t.Errorf("%s: a value was run", shell)
			}
		}
	}
}

// TestScriptUnknown leaves out what nobody said, and says so.
func TestScriptUnknown(t *testing.T) {
	script, err := project.Environment{User: "alice", Project: "tenant1"}.Script()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"EC2_ACCESS_KEY", "EC2_SECRET_KEY", "EC2_URL", "S3_URL", "NOVA_API_KEY", "NOVA_URL", "EUCALYPTUS_CERT"} {
		if strings.Contains(string(script), "export "+name+"=") || !strings.Contains(string(script), "# "+name+" is not known") {
			t.Errorf("%s is not left out:\n%s", name, script)
		}
	}
	for _, bad := range []string{"a\nb", "a\x00", "\x1b[2J", "\xff", "a\u2028b", "\u202e"} {
		for _, e := range []project.Environment{{User: bad}, {Project: bad}, {AccessKey: bad}, {SecretKey: bad}, {EC2URL: bad}, {S3URL: bad}, {NovaURL: bad}} {
			if _, err := e.Script(); fault.KindOf(err) != fault.Malformed || strings.Contains(err.Error(), bad) {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
}
