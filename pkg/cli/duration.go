package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Units of durations beyond Go's. A year has 365 days: lifetimes are counted in
// seconds, not in calendars.
const (
	day  = 24 * time.Hour
	week = 7 * day
	year = 365 * day
)

var errNotDuration = errors.New("not a duration such as 90s, 12h, 7d or 5y")

// parseDuration reads a duration above zero: numbers with the units s, m, h, d, w
// and y, as in 1h30m or 5y. Fractions need Go's units.
func parseDuration(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil {
		if d < time.Second {
			return 0, errors.New("not a second or more")
		}
		return d, nil
	}
	var sum time.Duration
	for rest := s; rest != ""; {
		i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if i <= 0 {
			return 0, errNotDuration
		}
		unit, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': day, 'w': week, 'y': year}[rest[i]]
		n, err := strconv.ParseInt(rest[:i], 10, 64)
		if !ok || err != nil || n > int64((math.MaxInt64-sum)/unit) {
			return 0, errNotDuration
		}
		sum += time.Duration(n) * unit
		rest = rest[i+1:]
	}
	if sum < time.Second {
		return 0, errors.New("not a second or more")
	}
	return sum, nil
}

// formatDuration is the shortest text that parseDuration reads as d.
func formatDuration(d time.Duration) string {
	switch {
	case d >= year && d%year == 0:
		return fmt.Sprintf("%dy", d/year)
	case d >= 2*day && d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// durationValue is a flag's duration; zero means that the flag was not given.
type durationValue time.Duration

// durationVar adds a flag for a duration. d stays zero when it is not given.
func durationVar(f *pflag.FlagSet, d *time.Duration, name, usage string) {
	f.Var((*durationValue)(d), name, usage)
}

func (d *durationValue) String() string {
	if *d == 0 {
		return ""
	}
	return formatDuration(time.Duration(*d))
}

func (d *durationValue) Set(s string) error {
	v, err := parseDuration(s)
	*d = durationValue(v)
	return err
}

// Type is the placeholder in help and man pages.
func (d *durationValue) Type() string { return "DURATION" }
