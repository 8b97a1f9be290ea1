package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestInterrupted stops a command that waits for its input.
func TestInterrupted(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		var stderr bytes.Buffer
		cmd := exec.Command(filepath.Join(filepath.SplitList(os.Getenv("PATH"))[0], "x509ctl"), "cert", "check-key", "-", "/dev/null")
		cmd.Env = append(os.Environ(), clockVariable+"=real")
		cmd.Stdin, cmd.Stderr = r, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		time.Sleep(300 * time.Millisecond)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != exitInterrupted || stderr.String() != "x509ctl: error: interrupted\n" {
			t.Errorf("%v: exit status %d, %q", sig, got, &stderr)
		}
	}
}

// TestInterruptedWaiting stops a short command while another process holds the lock.
func TestInterruptedWaiting(t *testing.T) {
	program := filepath.Join(filepath.SplitList(os.Getenv("PATH"))[0], "x509ctl")
	dir := filepath.Join(t.TempDir(), "ca")
	env := append(os.Environ(), clockVariable+"=real", "X509CTL_DIR="+dir)
	made := exec.Command(program, "ca", "init", "--cluster-name", "cluster1.example.com")
	made.Env = env
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lock, err := os.Open(filepath.Join(dir, "ca", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		var stderr bytes.Buffer
		cmd := exec.Command(program, "node", "add", "node1.example.com")
		cmd.Env, cmd.Stderr = env, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != exitInterrupted || stderr.String() != "x509ctl: error: interrupted\n" {
			t.Errorf("%v: exit status %d, %q", sig, got, &stderr)
		}
	}
}

// TestInterruptedTwice is what timeout(1) does: it signals the process, and then the
// process group.
func TestInterruptedTwice(t *testing.T) {
	var stderr bytes.Buffer
	program := filepath.Join(filepath.SplitList(os.Getenv("PATH"))[0], "x509ctl")
	cmd := exec.Command(program, "serial", "selftest", "--processes", "2", "--in", t.TempDir())
	cmd.Env = append(os.Environ(), clockVariable+"=real")
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	for range 2 {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Millisecond)
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != exitInterrupted || stderr.String() != "x509ctl: error: interrupted\n" {
		t.Errorf("exit status %d, %q", got, &stderr)
	}
}

// TestInterruptibleReader gives up a read, and hands on what others bring.
func TestInterruptibleReader(t *testing.T) {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancelCause(context.Background())
	in := &interruptibleReader{ctx, r, func() {}}
	go func() { _, _ = w.Write([]byte("abc")) }()
	b := make([]byte, 10)
	if n, err := in.Read(b); n != 3 || err != nil || string(b[:n]) != "abc" {
		t.Errorf("%q, %v", b[:n], err)
	}
	time.AfterFunc(10*time.Millisecond, func() { cancel(errInterrupted) })
	if n, err := in.Read(b); n != 0 || err != errInterrupted { //nolint:errorlint // the sentinel itself
		t.Errorf("%d, %v", n, err)
	}
}
