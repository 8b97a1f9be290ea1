package durable

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"x509ctl/pkg/fault"
)

// TestReadFIFO has a shell write to the FIFO f while it is read.
func TestReadFIFO(t *testing.T) {
	for name, tc := range map[string]struct {
		writer string
		want   string
		kind   fault.Kind // empty: none
		reason string
		most   time.Duration // until the reader is done
	}{
		"nobody":                        {"", "", fault.Unavailable, "nobody writes to it", 1900 * time.Millisecond},
		"another reader only":           {"timeout 5 cat f", "", fault.Unavailable, "nobody writes to it", 1900 * time.Millisecond},
		"comes later":                   {"sleep 0.3; printf one >f", "one", "", "", 1400 * time.Millisecond},
		"leaves without a word":         {"sleep 0.3; : >f", "", "", "", 1400 * time.Millisecond},
		"opens, writes later":           {"exec >f; sleep 2.5; printf one", "one", "", "", 5 * time.Second},
		"opens late, writes later":      {"sleep 0.7; exec >f; sleep 2; printf one", "one", "", "", 5 * time.Second},
		"pauses between":                {"exec >f; printf o; sleep 2; printf n; sleep 2; printf e", "one", "", "", 6 * time.Second},
		"leaves after a pause":          {"exec >f; sleep 2; printf one; sleep 2", "one", "", "", 6 * time.Second},
		"endless":                       {"yes >f", "", fault.Malformed, "larger than 1000 bytes", time.Second},
		"endless, one byte at a time":   {"while :; do printf x; done >f", "", fault.Malformed, "larger than 1000 bytes", 5 * time.Second},
		"reads and writes, and is idle": {"exec 3<>f; sleep 12", "", fault.Unavailable, "ten seconds", 12 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			fifo := filepath.Join(dir, "f")
			if err := unix.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", tc.writer)
			cmd.Dir = dir
			cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL); _ = cmd.Wait() }()
			if strings.HasPrefix(tc.writer, "exec 3") {
				time.Sleep(500 * time.Millisecond)
			}
			start := time.Now()
			b, err := ReadInput(fifo, 1000)
			if took := time.Since(start); took > tc.most {
				t.Errorf("it took %v", took)
			}
			if tc.kind != "" {
				wantKind(t, "reading", err, tc.kind)
				if err != nil && !strings.Contains(err.Error(), tc.reason) {
					t.Errorf("error %v, want %q", err, tc.reason)
				}
			} else if err != nil || string(b) != tc.want {
				t.Errorf("read %q, %v", b, err)
			}
		})
	}
}

// TestReadAnonymousPipe reads what a shell's <(…) names.
func TestReadAnonymousPipe(t *testing.T) {
	for written, want := range map[string]string{"": "", "one": "one"} {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(p[1], []byte(written)); err != nil {
			t.Fatal(err)
		}
		unix.Close(p[1])
		start := time.Now()
		b, err := ReadInput(fmt.Sprintf("/proc/self/fd/%d", p[0]), 1000)
		if err != nil || string(b) != want || time.Since(start) > time.Second {
			t.Errorf("read %q after %v, %v", b, time.Since(start), err)
		}
		unix.Close(p[0])
	}
}
