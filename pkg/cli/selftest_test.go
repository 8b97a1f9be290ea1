package cli

import (
	"context"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/serial"
)

func rec(n serial.Number, hash byte) record { return record{n, [32]byte{hash}} }

// TestEvidence seeds each fault that a self-test looks for.
func TestEvidence(t *testing.T) {
	good := func() evidence {
		return evidence{
			files: []certFile{
				{path: "a", certs: []record{rec(2, 2)}},
				{path: "b", certs: []record{rec(3, 3), rec(4, 4)}},
				{path: "a.key"},
			},
			inventory: []record{rec(1, 1), rec(2, 2), rec(3, 3), rec(4, 4), rec(6, 6)},
			counter:   7,
		}
	}
	for _, tc := range []struct {
		name string
		seed func(*evidence)
		want []string
	}{
		{"nothing", func(*evidence) {}, nil},
		{"the same certificate in two files", func(e *evidence) { e.files[2].certs = []record{rec(2, 2)} }, nil},
		{"twice in files", func(e *evidence) { e.files[2].certs = []record{rec(2, 9)} }, []string{"number 2 was given twice: in a and in a.key"}},
		{"twice in one file", func(e *evidence) { e.files[1].certs[1] = rec(3, 9) }, []string{"number 3 was given twice: in b and in b"}},
		{"twice in the inventory", func(e *evidence) { e.inventory[4] = rec(4, 9) }, []string{
			"the inventory has number 4 twice",
			"certificate 4 in b is not the one in the inventory",
		}},
		{"another one in the inventory", func(e *evidence) { e.inventory[1] = rec(2, 9) }, []string{"certificate 2 in a is not the one in the inventory"}},
		{"not in the inventory", func(e *evidence) { e.inventory = e.inventory[:3] }, []string{"certificate 4 in b is not in the inventory"}},
		{"a serial file that is behind", func(e *evidence) { e.counter = 3 }, []string{
			"number 4 is in the inventory, and the serial file says 3",
			"number 6 is in the inventory, and the serial file says 3",
			"number 4 is in b, and the serial file says 3",
		}},
		{"a part of a file", func(e *evidence) { e.files[2].fault = "it is empty" }, []string{"a.key is not whole: it is empty"}},
	} {
		e := good()
		tc.seed(&e)
		if got := e.faults(); !slices.Equal(got, tc.want) {
			t.Errorf("%s: found %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestWholePEM(t *testing.T) {
	ca := minted(t)
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("anything")})
	for _, tc := range []struct {
		name  string
		data  string
		certs int
		whole bool
	}{
		{"a certificate", ca, 1, true},
		{"a key and two", string(key) + ca + ca, 2, true},
		{"a key", string(key), 0, true},
		{"nothing", "", 0, false},
		{"a half", ca[:len(ca)/2], 0, false},
		{"no end", ca[:len(ca)-3], 0, false},
		{"one and a half", ca + ca[:len(ca)/2], 1, false},
		{"zeros", ca + "\x00\x00\x00", 1, false},
		{"zeros in front", "\x00\x00" + ca, 0, false},
		{"no certificate in it", strings.Replace(string(key), "PRIVATE KEY", "CERTIFICATE", 2), 0, false},
	} {
		certs, err := wholePEM([]byte(tc.data))
		if len(certs) != tc.certs || (err == nil) != tc.whole {
			t.Errorf("%s: %d certificates, %v", tc.name, len(certs), err)
		}
	}
}

// minted returns a certificate in PEM: a CA's, made by the program itself.
func minted(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("x509ctl", "ca", "init", "--cluster-name", "c.example", "--dir", dir)
	cmd.Env = append(os.Environ(), clockVariable+"=real")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "ca", "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestTrialCount judges processes by how they ended.
func TestTrialCount(t *testing.T) {
	end := func(script string) error { return exec.CommandContext(context.Background(), "sh", "-c", script).Run() }
	for _, tc := range []struct {
		name   string
		kill   bool
		err    error
		stderr string
		want   selftestView
		fault  string
	}{
		{"done", false, nil, "", selftestView{Processes: 1}, ""},
		{"killed", true, end("kill -9 $$"), "", selftestView{Processes: 1, Killed: 1}, ""},
		{"too late to be killed", true, nil, "", selftestView{Processes: 1}, ""},
		{"busy, and says so", false, end("exit 7"), "x509ctl: error: waiting for /d/lock: another process holds the lock", selftestView{Processes: 1, Busy: 1}, ""},
		{"the database is busy", false, end("exit 7"), "x509ctl: error: the database is busy", selftestView{Processes: 1, Busy: 1}, ""},
		{"not busy", false, end("exit 7"), "x509ctl: error: the counter went back", selftestView{Processes: 1}, "the counter went back"},
		{"failed", true, end("exit 1"), "x509ctl: error:\ndisk full", selftestView{Processes: 1}, "x509ctl: error: disk full"},
		{"killed by others", false, end("kill -9 $$"), "", selftestView{Processes: 1}, "signal: killed"},
		{"crashed", true, end("kill -6 $$"), "panic: ", selftestView{Processes: 1}, "panic:"},
	} {
		a := newApp()
		tr := newTrial(a, t.TempDir())
		tr.count("sign", tc.kill, tc.err, 0, []string{"cert"}, []byte(tc.stderr))
		got := tr.result
		if got.Processes != tc.want.Processes || got.Killed != tc.want.Killed || got.Busy != tc.want.Busy {
			t.Errorf("%s: %+v", tc.name, got)
		}
		if text := strings.Join(got.Faults, "\n"); (tc.fault == "") != (text == "") || !strings.Contains(text, tc.fault) {
			t.Errorf("%s: faults %q", tc.name, text)
		}
	}
}

// TestTrialStops ends a trial in its middle: nothing goes on, and it is no fault.
func TestTrialStops(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	tr := newTrial(newApp(), t.TempDir())
	tr.env = append(tr.env, clockVariable+"=real")
	time.AfterFunc(time.Second, func() { cancel(errInterrupted) })
	_, err := tr.run(ctx, serialSelftestOptions{duration: day, processes: 4})
	if !errors.Is(err, errInterrupted) {
		t.Errorf("an interrupted test ends with %v", err)
	}
	if len(tr.result.Faults) > 0 || tr.result.Processes == 0 {
		t.Errorf("%+v", tr.result)
	}
}
