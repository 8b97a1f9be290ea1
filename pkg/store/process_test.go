package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/store/storetest"
)

// A process is this test binary, doing one of helpers.
type process struct {
	cmd    *exec.Cmd
	out    io.Reader
	stderr bytes.Buffer
}

func start(t testing.TB, helper string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	p := &process{cmd: exec.Command(self, args...)}
	p.cmd.Env = append(os.Environ(), "STORE_TEST_HELPER="+helper)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = &p.stderr
	p.out, err = p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	return p
}

func (p *process) wait() error {
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, p.stderr.String())
	}
	return nil
}

// numbers reads the numbers that a process has printed until it ended.
func (p *process) numbers() (all []serial.Number) {
	for lines := bufio.NewScanner(p.out); lines.Scan(); {
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			break // cut by the kill
		}
		all = append(all, serial.Number(n))
	}
	return all
}

func init() {
	// issue ADDRESS N [long]: takes and records N numbers, one by one, printing
	// each after its commit; each from a Store of its own unless long is given.
	helpers["issue"] = func(args []string) error {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		var s *storetest.Store
		for range n {
			if s == nil || len(args) < 3 {
				if s, err = storetest.Open(context.Background(), args[0], store.Options{}); err != nil {
					return err
				}
			}
			number, err := issue(s)
			if err != nil {
				return err
			}
			if len(args) < 3 {
				if err := s.Close(); err != nil {
					return err
				}
			}
			fmt.Println(number)
		}
		return s.Close()
	}
}

func issue(s *storetest.Store) (n serial.Number, err error) {
	err = s.Write(context.Background(), func(tx *store.Tx) error {
		a, err := tx.Authority(store.Cluster)
		if err != nil {
			return err
		}
		n = a.Counter.Reserved + 1
		a.Counter.Reserved, a.Counter.Last = n, n
		if err := tx.SetCounter(store.Cluster, a.Counter); err != nil {
			return err
		}
		c := sample(n)
		if err := tx.InsertCertificates([]store.Certificate{c}); err != nil {
			return err
		}
		return tx.Audit(entry(c))
	})
	return n, err
}

// checkIssued checks that each number was given once and is recorded, with its
// entry in the audit trail, and that the counter is at least the highest.
func checkIssued(t *testing.T, s *storetest.Store, issued []serial.Number) {
	t.Helper()
	recorded := make(map[serial.Number]bool)
	for _, c := range list(t, s, store.CertificateFilter{Authority: store.Cluster}) {
		wantEqual(t, "a certificate", c, sample(c.Serial))
		recorded[c.Serial] = true
	}
	seen := make(map[serial.Number]bool)
	for _, n := range issued {
		if seen[n] {
			t.Errorf("number %v was given twice", n)
		}
		if !recorded[n] {
			t.Errorf("number %v was given and is not recorded", n)
		}
		seen[n] = true
	}
	wantEqual(t, "entries in the audit trail", len(entries(t, s, store.AuditFilter{})), len(recorded))
	read(t, s, func(tx *store.Tx) error {
		a, err := tx.Authority(store.Cluster)
		wantEqual(t, "the counter", a.Counter.Reserved, serial.Number(len(recorded)))
		return err
	})
}

func TestProcesses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, b storetest.Backend) {
		s := withAuthority(t, b.Open(t, store.Options{}))
		must(t, s.Close()) // so that the last to close is one of those that follow
		var running []*process
		for i := range 16 {
			args := []string{b.Address, "10"}
			if i%4 == 0 {
				args = append(args, "long")
			}
			running = append(running, start(t, "issue", args...))
		}
		var issued []serial.Number
		for _, p := range running {
			issued = append(issued, p.numbers()...)
			if err := p.wait(); err != nil {
				t.Error(err)
			}
		}
		wantEqual(t, "numbers", len(issued), 160)
		checkIssued(t, b.Open(t, store.Options{}), issued)
	})
}

// Processes that are killed at any moment lose nothing that they have told, and are
// in nobody's way.
func TestKilledProcesses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, b storetest.Backend) {
		must(t, withAuthority(t, b.Open(t, store.Options{})).Close())
		var issued []serial.Number
		for range 12 {
			var running []*process
			for i := range 4 {
				args := []string{b.Address, "100000"}
				if i%2 == 0 {
					args = append(args, "long")
				}
				running = append(running, start(t, "issue", args...))
			}
			time.Sleep(20*time.Millisecond + rand.N(150*time.Millisecond))
			for _, p := range running {
				must(t, p.cmd.Process.Kill())
			}
			for _, p := range running {
				issued = append(issued, p.numbers()...)
				var exit *exec.ExitError
				if err := p.wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
					t.Errorf("before it was killed: %v", err)
				}
			}
		}
		if len(issued) == 0 {
			t.Error("nothing was issued before the kills")
		}
		t.Logf("%d numbers", len(issued))
		checkIssued(t, b.Open(t, store.Options{}), issued)
		if b.Name == "sqlite" {
			checkIntegrity(t, b.Path())
		}
	})
}

func checkIntegrity(t *testing.T, path string) {
	t.Helper()
	var answer string
	must(t, rawSQLite(t, path).QueryRow(`PRAGMA integrity_check`).Scan(&answer))
	if strings.TrimSpace(answer) != "ok" {
		t.Error(answer)
	}
}
