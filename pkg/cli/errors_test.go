package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
)

// TestExitStatus walks every kind of error: scripts rely on these numbers.
func TestExitStatus(t *testing.T) {
	want := map[fault.Kind]int{
		fault.Internal:    1,
		fault.Malformed:   2,
		fault.NotFound:    3,
		fault.Exists:      4,
		fault.Denied:      5,
		fault.Invalid:     6,
		fault.Unavailable: 7,
	}
	for _, kind := range fault.Kinds() {
		err := fmt.Errorf("doing: %w", fault.New(kind, "no"))
		if got := exitStatus(err); want[kind] == 0 || got != want[kind] {
			t.Errorf("kind %q: exit status %d, want %d", kind, got, want[kind])
		}
	}
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{io.EOF, 1},
		{usagef("no"), 2},
		{fmt.Errorf("waiting: %w", errInterrupted), 130},
		{errors.Join(fault.New(fault.Denied, "no"), errInterrupted), 130},
		{fault.New("unheard of", "no"), 1},
	} {
		if got := exitStatus(tc.err); got != tc.want {
			t.Errorf("%v: exit status %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestReport(t *testing.T) {
	cmd := &cobra.Command{Use: "x509ctl"}
	for _, tc := range []struct {
		name string
		err  error
		args []string
		want string
	}{
		{"nothing", nil, nil, ""},
		{"nobody reads", fmt.Errorf("writing: %w", syscall.EPIPE), nil, ""},
		{"plain", io.EOF, nil, "x509ctl: error: EOF\n"},
		{"a forged hint", errors.New("no node \"a\nx509ctl: hint: b\x1b[2J\""), nil,
			"x509ctl: error: no node \"a\\nx509ctl: hint: b\\x1b[2J\"\n"},
		{"usage", usagef("missing NAME"), nil, "x509ctl: error: missing NAME\nx509ctl: hint: see \"x509ctl --help\"\n"},
		{"dash", io.EOF, []string{"x", "\u2013yes"},
			"x509ctl: error: EOF\nx509ctl: hint: \"\u2013yes\" begins with an en dash: flags begin with hyphens, as in \"--yes\"\n"},
		{"a dash after the end of the flags", io.EOF, []string{"--", "\u2013yes"}, "x509ctl: error: EOF\n"},
		{"a dash by itself", io.EOF, []string{"\u2013"}, "x509ctl: error: EOF\n"},
	} {
		var b strings.Builder
		report(&b, cmd, tc.args, tc.err)
		if b.String() != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, b.String(), tc.want)
		}
	}
}

// TestReportOwnDirectory wants that who may not write to the default directory is told how
// to name another.
func TestReportOwnDirectory(t *testing.T) {
	var b strings.Builder
	cmd := newCAInitCmd(&app{})
	report(&b, cmd, nil, fmt.Errorf("making /var/lib/x509ctl: %w", syscall.EACCES))
	want := "x509ctl: error: making /var/lib/x509ctl: permission denied\nx509ctl: hint: name a directory of your own with --dir or X509CTL_DIR\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestDashHint(t *testing.T) {
	for arg, want := range map[string]string{
		"\u2013o": `"-o"`, "\u2014output": `"--output"`, "\u2013\u2013output=json": `"--output=json"`,
		"\u2212-wait": `"--wait"`, "\u2014-o": `"-o"`,
	} {
		got := dashHint([]string{arg})
		if len(got) != 1 || !strings.HasSuffix(got[0], want) {
			t.Errorf("%q: hints %q, want one that ends in %s", arg, got, want)
		}
	}
	for _, arg := range []string{"", "-", "--output", "a\u2013b", "\xff"} {
		if got := dashHint([]string{arg}); got != nil {
			t.Errorf("%q: hints %q, want none", arg, got)
		}
	}
}
