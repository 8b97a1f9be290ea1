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

// serialHook returns a function that runs argv after a reservation of serial
// numbers, as settings file and man page promise: no shell, a clean environment,
// what it prints on stderr, and an end after limit. Anything but exit status 0 is
// an error of kind [fault.Unavailable].
func (a *app) serialHook(argv []string, limit time.Duration) func(context.Context, manager.HookCall) error {
	return func(ctx context.Context, call manager.HookCall) error {
		a.catchSignals() // it must not outlive us
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Env = []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"LC_ALL=C.UTF-8",
			"X509CTL_AUTHORITY=" + string(call.Authority),
			"X509CTL_SERIAL=" + call.Serial,
			"X509CTL_SERIAL_FILE=" + call.File,
		}
		cmd.Dir = "/"
		cmd.Stdout, cmd.Stderr = a.stderr, a.stderr
		// Its own process group, so that what it started ends with it.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		name := strings.Join(argv, " ")
		switch {
		case err == nil:
			return nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return fault.Errorf(fault.Unavailable, "running serial_hook %s: not done after %s", name, formatDuration(limit))
		case ctx.Err() != nil:
			return fmt.Errorf("running serial_hook %s: %w", name, context.Cause(ctx))
		}
		return fault.Errorf(fault.Unavailable, "running serial_hook %s: %w", name, err)
	}
}
