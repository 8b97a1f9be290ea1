package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a new terminal.
func openTerminal(t *testing.T) (ctrl, tty *os.File) {
	t.Helper()
	ctrl, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ctrl.Close() })
	raw, err := ctrl.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var failed error
	if err := raw.Control(func(fd uintptr) {
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed == nil {
			n, failed = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return ctrl, tty
}

// A person sits at the other end of a terminal, reads, and types the answers, each
// after the question that it belongs to.
type person struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

func (p *person) sit(ctrl *os.File, answers ...string) {
	buf := make([]byte, 4096)
	asked := 0
	for {
		n, err := ctrl.Read(buf)
		if err != nil {
			return
		}
		// What a terminal emulator answers when it is asked where its cursor is.
		if bytes.Contains(buf[:n], []byte("\x1b[6n")) {
			_, _ = ctrl.WriteString("\x1b[1;1R")
		}
		p.mu.Lock()
		p.seen.Write(buf[:n])
		questions := bytes.Count(p.seen.Bytes(), []byte("QUESTION"))
		p.mu.Unlock()
		if asked < len(answers) && questions > 0 && bytes.Contains(buf[:n], []byte("QUESTION")) {
			time.Sleep(20 * time.Millisecond) // until the terminal is in the mode that the question wants
			_, _ = ctrl.WriteString(answers[asked])
			asked++
		}
	}
}

func (p *person) saw() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

// promptApp is an app at a terminal of that kind, with somebody who types answers.
func promptApp(t *testing.T, kind string, answers ...string) (*app, *person) {
	t.Helper()
	ctrl, tty := openTerminal(t)
	p := &person{}
	go p.sit(ctrl, answers...)
	a := newApp()
	a.stdin, a.stdout, a.stderr = &interruptibleReader{context.Background(), tty, func() {}}, io.Discard, tty
	a.lookupEnv = func(name string) (string, bool) {
		value, ok := map[string]string{"TERM": kind, "NO_COLOR": "1"}[name]
		return value, ok
	}
	return a, p
}

func TestPrompts(t *testing.T) {
	for _, kind := range []string{"xterm", "dumb"} {
		end := map[string]string{"xterm": "\r", "dumb": "\n"}[kind]
		t.Run(kind+" line", func(t *testing.T) {
			a, _ := promptApp(t, kind, "abc"+end)
			if got, err := a.ask("name", "QUESTION?", "preset"); got != "abc" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
		t.Run(kind+" empty line", func(t *testing.T) {
			a, _ := promptApp(t, kind, end)
			if got, err := a.ask("name", "QUESTION?", "preset"); got != "preset" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
		for answer, want := range map[string]error{"y": nil, "n": errNotConfirmed, "": errNotConfirmed} {
			t.Run(kind+" confirm "+answer, func(t *testing.T) {
				a, _ := promptApp(t, kind, answer+end)
				if err := a.confirm(false, "QUESTION?"); err != want { //nolint:errorlint // the sentinel itself
					t.Errorf("%v, want %v", err, want)
				}
			})
		}
		t.Run(kind+" secret", func(t *testing.T) {
			a, p := promptApp(t, kind, "s3cret"+end)
			got, err := a.askSecret("password-file", "QUESTION:", false)
			if got != "s3cret" || err != nil || strings.Contains(p.saw(), "s3cret") {
				t.Errorf("%q, %v; shown: %q", got, err, p.saw())
			}
		})
		t.Run(kind+" choice", func(t *testing.T) {
			a, _ := promptApp(t, kind, end)
			if got, err := a.choose("key-type", "QUESTION?", []string{"one", "two"}, "two"); got != "two" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	t.Run("control-C", func(t *testing.T) {
		a, _ := promptApp(t, "xterm", "\x03")
		if _, err := a.ask("name", "QUESTION?", ""); err != errInterrupted { //nolint:errorlint // the sentinel itself
			t.Errorf("%v", err)
		}
	})
}

// TestNoTerminal names the flag that would have answered.
func TestNoTerminal(t *testing.T) {
	a := newApp()
	a.stdin, a.stderr = strings.NewReader("yes\n"), io.Discard
	for _, err := range []error{
		a.confirm(false, "?"),
		second(a.ask("yes", "?", "")),
		second(a.askSecret("yes", "?", true)),
		second(a.choose("yes", "?", []string{"a"}, "a")),
	} {
		if exitStatus(err) != exitUsage || !strings.Contains(err.Error(), "--yes") {
			t.Errorf("%v", err)
		}
	}
	if err := a.confirm(true, "?"); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

// Who names standard input at a terminal is told that something is waited for.
func TestTerminalAsInput(t *testing.T) {
	a, p := promptApp(t, "dumb", "abc\n\x04")
	fmt.Fprintln(a.stderr, "QUESTION") // begins the typing
	if got, err := a.readInput("-", 100); string(got) != "abc\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	const want = "x509ctl: note: reading standard input from the terminal; Ctrl-D ends it"
	for i := 0; !strings.Contains(p.saw(), want); i++ { // the person reads at leisure
		if i == 200 {
			t.Fatalf("shown: %q", p.saw())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
