package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
)

// A hook is a program that is run when something has happened, as settings file and
// man page promise: no shell, a clean environment, what it prints on stderr, and an end
// in time.
type hook struct {
	setting string   // that it comes from
	argv    []string // the first an absolute path; empty: no hook
	limit   time.Duration
}

// serialHook returns what runs h after a reservation of serial numbers, nil for no
// hook. Anything but exit status 0 is an error of kind [fault.Unavailable].
func (a *app) serialHook(h hook) func(context.Context, manager.HookCall) error {
	if len(h.argv) == 0 {
		return nil
	}
	return func(ctx context.Context, call manager.HookCall) error {
		err := a.runHook(ctx, h, call)
		if err == nil || ctx.Err() != nil {
			return err
		}
		return fault.Errorf(fault.Unavailable, "%w", err)
	}
}

// errChangeHook means that a change hook failed.
var errChangeHook = errors.New("not everybody was told")

// changeHook returns what runs h after a change, nil for no hook.
func (a *app) changeHook(h hook) func(context.Context, manager.HookCall) error {
	if len(h.argv) == 0 {
		return nil
	}
	return func(ctx context.Context, call manager.HookCall) error {
		if err := a.runHook(ctx, h, call, "X509CTL_CHANGE="+call.Change); err != nil {
			return fmt.Errorf("%w: %w", errChangeHook, err)
		}
		return nil
	}
}

// runHook runs h for call; more is for its environment.
func (a *app) runHook(ctx context.Context, h hook, call manager.HookCall, more ...string) error {
	a.catchSignals() // it must not outlive us
	ctx, cancel := context.WithTimeout(ctx, h.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.argv[0], h.argv[1:]...)
	cmd.Env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C.UTF-8",
		"X509CTL_AUTHORITY=" + string(call.Authority),
		"X509CTL_SERIAL=" + call.Serial,
		"X509CTL_SERIAL_FILE=" + call.File,
	}, more...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = a.stderr, a.stderr
	// Its own process group, so that what it started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	name := h.setting + " " + strings.Join(h.argv, " ")
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("running %s: not done after %s", name, formatDuration(h.limit))
	case ctx.Err() != nil:
		return fmt.Errorf("running %s: %w", name, context.Cause(ctx))
	}
	return fmt.Errorf("running %s: %w", name, err)
}
