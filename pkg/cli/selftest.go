package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// A trial is one run of "serial selftest" in its own directory:
//
//	state/     a CA
//	requests/  what is signed
//	out/       where every process puts its certificates
type trial struct {
	app *app
	dir string
	env []string

	jobs atomic.Int64 // numbers for the names of files

	mu     sync.Mutex // guards what follows
	result selftestView
	pace   map[string]time.Duration // how long a kind of process took last
}

// trialNodes and trialRequests are how many of each there are: few, so that work
// overlaps, and many enough for a batch to be killed in its middle.
const (
	trialNodes    = 4
	trialRequests = 24
)

// maxFaults is how many faults are told of one test.
const maxFaults = 100

// self is this program's file, whatever became of its name.
const self = "/proc/self/exe"

func newTrial(a *app, dir string) *trial {
	env := slices.DeleteFunc(a.environ(), func(v string) bool { return strings.HasPrefix(v, "X509CTL_") })
	return &trial{app: a, dir: dir, env: env, pace: map[string]time.Duration{}}
}

// run makes the CA, lets processes work for as long as o says, and judges what they
// leave. The error is one that kept the test from being made.
func (t *trial) run(ctx context.Context, o serialSelftestOptions) (selftestView, error) {
	if err := t.prepare(ctx); err != nil {
		return t.result, err
	}
	start := t.app.now()
	t.work(ctx, o)
	if ctx.Err() != nil {
		return t.result, fmt.Errorf("testing: %w", context.Cause(ctx))
	}
	elapsed := t.app.now().Sub(start).Seconds()
	inventory, err := t.judge(ctx)
	if err != nil {
		return t.result, err
	}
	v := t.result
	v.Certificates = inventory
	if elapsed > 0 { // a clock may stand still
		v.PerSecond = math.Round(float64(inventory)/elapsed*10) / 10
	}
	v.MaxWait = math.Round(v.MaxWait*1000) / 1000
	v.Passed = len(v.Faults) == 0
	return v, nil
}

func (t *trial) path(elem ...string) string {
	return filepath.Join(append([]string{t.dir}, elem...)...)
}

// prepare makes the CA, its nodes and their requests.
func (t *trial) prepare(ctx context.Context) error {
	for _, name := range []string{"requests", "out"} {
		if err := os.Mkdir(t.path(name), 0o700); err != nil {
			return fmt.Errorf("making the scratch directory: %w", err)
		}
	}
	calls := [][]string{{"ca", "init", "--cluster-name", "selftest.example", "--key-type", "ecdsa-p256"}}
	for i := range trialNodes {
		calls = append(calls, []string{"node", "add", trialNode(i)})
	}
	for _, args := range calls {
		if out, err := t.command(ctx, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("preparing the self-test: x509ctl %s: %w: %s", strings.Join(args, " "), err, oneLine(out))
		}
	}
	for i := range trialRequests {
		key, err := profile.GenerateKey(profile.ECDSAP256)
		if err != nil {
			return err
		}
		template, err := requestTemplate(certGenCSROptions{name: trialNode(i % trialNodes)})
		if err != nil {
			return err
		}
		request, err := makeRequest(template, key)
		if err != nil {
			return err
		}
		if err := os.WriteFile(t.path("requests", fmt.Sprintf("%d.csr", i)), request, 0o600); err != nil {
			return fmt.Errorf("making the scratch directory: %w", err)
		}
	}
	return nil
}

func trialNode(i int) string { return fmt.Sprintf("node%d.selftest.example", i) }

// command returns a call of this program on the trial's CA. The end of ctx kills it.
func (t *trial) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, self, append(args, "--dir", t.path("state"), "--wait", formatDuration(t.wait()))...)
	cmd.Args[0] = "x509ctl"
	cmd.Env = t.env
	return cmd
}

func (t *trial) wait() time.Duration {
	if w := t.app.global.wait; w != 0 {
		return w
	}
	return defaultWait
}

// work keeps o.processes processes going for o.duration.
func (t *trial) work(ctx context.Context, o serialSelftestOptions) {
	bar := t.app.startProgress(int(o.duration/time.Second), "testing")
	defer bar.done()
	over := time.NewTimer(o.duration)
	defer over.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range o.processes {
		wg.Go(func() {
			for !closed(stop) && ctx.Err() == nil {
				t.one(ctx)
			}
		})
	}
	for running := true; running; {
		select {
		case <-tick.C:
			bar.add(1)
		case <-over.C:
			running = false
		case <-ctx.Done():
			running = false
		}
	}
	close(stop)
	wg.Wait()
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// one runs one process of a random kind. A batch that was killed is run again: it
// has to go on where it was.
func (t *trial) one(ctx context.Context) {
	n := t.jobs.Add(1)
	name := t.path("out", fmt.Sprint(n))
	kill := rand.IntN(3) == 0
	switch rand.IntN(6) {
	case 0:
		if err := os.Mkdir(name, 0o700); err != nil {
			t.fault("making a directory: %v", err)
			return
		}
		args := []string{"cert", "sign-csr", t.path("requests"), "--out-dir", name}
		t.process(ctx, "batch", kill, args)
		if kill {
			t.process(ctx, "batch", false, args)
		}
	case 1:
		t.process(ctx, "issue", kill, []string{"cert", "issue", trialNode(int(n) % trialNodes), "--key-type", "ecdsa-p256",
			"--key", name + ".key", "--cert", name + ".pem"})
	default:
		t.process(ctx, "sign", kill, []string{"cert", "sign-csr", t.path("requests", fmt.Sprintf("%d.csr", n%trialRequests)), "--out", name + ".pem"})
	}
}

// process runs one process to its end, or kills it in the time that the last one of
// its kind took.
func (t *trial) process(ctx context.Context, kind string, kill bool, args []string) {
	cmd := t.command(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := t.app.now()
	if err := cmd.Start(); err != nil {
		if ctx.Err() == nil {
			t.fault("starting a process: %v", err)
		}
		return
	}
	if kill {
		delay := time.Duration(rand.Int64N(int64(t.took(kind) + t.took(kind)/4)))
		time.AfterFunc(delay, func() { _ = cmd.Process.Kill() }) // it may have ended
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		return // killed, but not by the test
	}
	t.count(kind, kill, err, t.app.now().Sub(start), args, stderr.Bytes())
}

func (t *trial) took(kind string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.pace[kind], 20*time.Millisecond)
}

// count notes what became of a process.
func (t *trial) count(kind string, kill bool, err error, took time.Duration, args []string, stderr []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Processes++
	if kill && wasKilled(err) {
		t.result.Killed++
		return
	}
	t.pace[kind] = took
	t.result.MaxWait = max(t.result.MaxWait, took.Seconds())
	switch {
	case err == nil:
	case saidBusy(err, stderr):
		t.result.Busy++
	default:
		t.faultLocked("x509ctl %s: %v: %s", strings.Join(args, " "), err, oneLine(stderr))
	}
}

func wasKilled(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// saidBusy reports whether a process gave up waiting for others, and said so.
func saidBusy(err error, stderr []byte) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == exitUnavailable &&
		(bytes.Contains(stderr, []byte(durable.ErrLocked.Error())) || bytes.Contains(stderr, []byte(store.ErrBusy.Error())))
}

func (t *trial) fault(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faultLocked(format, args...)
}

func (t *trial) faultLocked(format string, args ...any) {
	if len(t.result.Faults) < maxFaults {
		t.result.Faults = append(t.result.Faults, fmt.Sprintf(format, args...))
	}
}

// judge holds all that is left against each other, and returns how many
// certificates were issued.
func (t *trial) judge(ctx context.Context) (int, error) {
	last := t.path("last.pem")
	out, err := t.command(ctx, "cert", "sign-csr", t.path("requests", "0.csr"), "--out", last).CombinedOutput()
	if err != nil {
		t.fault("signing after the test: %v: %s", err, oneLine(out))
	}
	var e evidence
	if e.files, err = findCertificates(t.path("out")); err != nil {
		return 0, err
	}
	content, err := os.ReadFile(t.path("state", "ca", "serial"))
	if err != nil {
		t.fault("reading the serial file: %v", err)
	} else if e.counter, err = serial.ParseFile(content); err != nil {
		t.fault("reading the serial file: %v", err)
	}
	m := manager.New(manager.Config{Dir: t.path("state"), Clock: t.app.now, Wait: t.wait()})
	err = m.Certificates(ctx, manager.CertificateFilter{Authority: manager.Cluster}, func(c manager.Certificate) error {
		e.inventory = append(e.inventory, record{c.Serial, c.Fingerprint})
		return nil
	})
	if err := errors.Join(err, m.Close()); err != nil {
		t.fault("reading the inventory: %v", err)
	}
	for _, f := range e.faults() {
		t.fault("%s", f)
	}
	return max(0, len(e.inventory)-1), nil // one is the CA's own
}

// oneLine is what a process said, for a message.
func oneLine(b []byte) string {
	s := strings.Join(strings.Fields(string(b)), " ")
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return s
}
