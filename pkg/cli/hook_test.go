package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
)

// runHook runs a shell script as the serial hook.
func runHook(t *testing.T, ctx context.Context, script string, limit time.Duration) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	a := newApp()
	a.stderr = &stderr
	err := a.serialHook(hook{"serial_hook", []string{path, "an argument"}, limit})(ctx, manager.HookCall{Authority: "cluster", Serial: "17", File: "/d/ca/serial"})
	return stderr.String(), err
}

func TestSerialHook(t *testing.T) {
	t.Setenv("SECRET", "not for hooks")
	ctx := context.Background()
	out, err := runHook(t, ctx, `echo "$1 $X509CTL_AUTHORITY $X509CTL_SERIAL $X509CTL_SERIAL_FILE [$SECRET]"; cat; pwd`, time.Minute)
	if want := "an argument cluster 17 /d/ca/serial []\n/\n"; err != nil || out != want {
		t.Errorf("%q, %v, want %q", out, err, want)
	}
	for script, want := range map[string]string{"exit 1": "exit status 1", "kill -9 $$": "signal: killed"} {
		_, err := runHook(t, ctx, script, time.Minute)
		if fault.KindOf(err) != fault.Unavailable || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", script, err)
		}
	}
	a := newApp()
	err = a.serialHook(hook{"serial_hook", []string{"/nowhere/hook"}, time.Minute})(ctx, manager.HookCall{})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("no such program: %v", err)
	}
}

// TestSerialHookIsStopped is about a hook that takes too long, and what it started.
func TestSerialHookIsStopped(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	start := time.Now()
	_, err := runHook(t, context.Background(), "(sleep 2; echo >"+mark+") & wait", 100*time.Millisecond)
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "not done after 100ms") {
		t.Errorf("%v", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %v", took)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errInterrupted) })
	if _, err := runHook(t, ctx, "sleep 10", time.Minute); exitStatus(err) != exitInterrupted {
		t.Errorf("interrupted: %v", err)
	}
	time.Sleep(2500*time.Millisecond - time.Since(start))
	if _, err := os.Stat(mark); err == nil {
		t.Error("what the hook had started went on")
	}
}
