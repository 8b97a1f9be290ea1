package cli

import (
	"os/exec"
	"testing"
	"time"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "",
		"node1.example.com": "node1.example.com",
		"Zürich, 東京":        "Zürich, 東京",
		"a\tb\r\n":          `a\tb\r\n`,
		"\x1b[31mred":       `\x1b[31mred`,
		"\u009b31m":         `\u009b31m`,
		"\x00\x7f":          `\x00\x7f`,
		"abc\u202edef":      `abc\u202edef`,
		"line\u2028":        `line\u2028`,
		"no\u00adde\u200b1": `no\u00adde\u200b1`,
		"a\u00a0b":          `a\u00a0b`,
		"tag\U000e0041":     `tag\U000e0041`,
		"bad\xff\xfe":       `bad\xff\xfe`,
		"U+FFFD: \uFFFD":    "U+FFFD: \uFFFD",
	} {
		if got := escape(in); got != want {
			t.Errorf("escape(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestShellQuote asks a shell.
func TestShellQuote(t *testing.T) {
	for _, s := range []string{"", "a", "/var/lib/x509ctl/ca/key.pem", "a b", "it's", `$(touch x)"\`, "-n", "~", "*", "a\nb", "ä"} {
		out, err := exec.Command("sh", "-c", "printf %s "+shellQuote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q came back as %q, %v", s, out, err)
		}
	}
}

func TestRelative(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0:                      "now",
		999 * time.Millisecond: "now",
		time.Second:            "in 1s",
		-time.Second:           "1s ago",
		59 * time.Second:       "in 59s",
		time.Minute:            "in 1m",
		time.Hour - 1:          "in 59m",
		24*time.Hour - 1:       "in 23h",
		24 * time.Hour:         "in 1d",
		-167 * time.Hour:       "6d ago",
		5 * year:               "in 5y",
	} {
		if got := relative(now.Add(d), now); got != want {
			t.Errorf("%v from now: %q, want %q", d, got, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"1s": time.Second, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour,
		"167h59m58s": 604798 * time.Second, "2w": 14 * day, "5y": 5 * year, "1d12h": 36 * time.Hour,
		"1.5h": 90 * time.Minute, "292y": 292 * year,
	} {
		got, err := parseDuration(in)
		if err != nil || got != want {
			t.Errorf("parseDuration(%q) = %v, %v, want %v", in, got, err, want)
		}
		if back, err := parseDuration(formatDuration(want)); err != nil || back != want {
			t.Errorf("formatDuration(%v) = %q, which reads as %v, %v", want, formatDuration(want), back, err)
		}
	}
	for _, in := range []string{"", "0", "0s", "-1h", "1", "h", "1x", "999ms", "293y", "9999999999999999999d", "1d-1h", "1 d", "１d", "500y", "200y200y"} {
		if got, err := parseDuration(in); err == nil {
			t.Errorf("parseDuration(%q) = %v, want an error", in, got)
		}
	}
}
