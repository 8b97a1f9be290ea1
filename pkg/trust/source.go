package trust

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// Bounds and defaults of a [Source].
const (
	DefaultInterval = time.Second    // between two looks at the files
	DefaultGrace    = time.Hour      // for which a last good state is kept
	MaxGrace        = 24 * time.Hour // for which it may be kept
)

// Files names the files that say whom to trust, as "ca init" and its successors
// publish them: each is replaced as a whole.
type Files struct {
	Bundle string // PEM; see ParseBundle
	Floor  string // a decimal number and a newline; "" where the CRL is to tell
	CRL    string // see ParseCRL; "" for none
}

// DirFiles returns the files of an authority's directory: bundle.pem, min-serial
// and crl.pem.
func DirFiles(dir string) Files {
	return Files{filepath.Join(dir, "bundle.pem"), filepath.Join(dir, "min-serial"), filepath.Join(dir, "crl.pem")}
}

// SourceOptions says how a [Source] works. Now is required.
type SourceOptions struct {
	Now      func() time.Time // the clock, such as time.Now
	Interval time.Duration    // files are looked at this often at most; 0 is DefaultInterval, less than 0 each time
	Grace    time.Duration    // how long a last good state is kept; 0 is DefaultGrace, less than 0 not at all; at most MaxGrace

	// RequireFresh is that of the checks: without a CRL of the present time, every
	// leaf is refused.
	RequireFresh bool

	// Project is the id of the project whose authority's files these are; empty for the
	// cluster's.
	Project string

	// Report is told of trouble with the files once it begins or changes, and with
	// nil when it is over. It must not use the Source. With nil nobody is told but
	// who asks Trouble.
	Report func(error)
}

// A Source makes a [Check] of files, and follows them while they change. It has no
// goroutine: files are looked at when a Check is wanted and Interval has passed,
// which costs a stat of each. It may be used by several goroutines at once.
//
// # When a file is damaged or missing
//
// What can't be read leaves what was read before in force, for Grace since the
// trouble was first seen; the others go on being followed. After that there is no
// more Check ([Source.Check]). [Source.Trouble] and Report say so from the start.
//
// # What never happens
//
// The floor never gets lower in one process, whatever is in the file: a lower
// number is trouble. Neither does the CRL get an older number. A CRL that has been
// there once may not go missing; until then it may, as an authority has none at
// first (RequireFresh is for those who need it). A new bundle is in force at once,
// also when the CRL at hand is by none of its CAs, which refuses every leaf until
// there is a new one.
//
// A connection that was accepted goes on when a certificate is revoked later.
type Source struct {
	options SourceOptions
	state   atomic.Pointer[sourceState]

	loading sync.Mutex // held while files are looked at
	// The files, in the order in which they are looked at; guarded by loading.
	bundle, floor, crl watched
}

// A sourceState is what a Source knows at one time. It doesn't change.
type sourceState struct {
	bundle *Bundle
	floor  serial.Floor
	crl    *CRL // the list that counts
	lists  *CRL // the whole file that it is in

	looked  time.Time
	trouble error     // nil for none
	since   time.Time // when trouble was first seen
}

// OpenSource reads the files for the first time, which all have to be good. Errors
// are those of the files: [fault.Malformed], [fault.NotFound], or what the system
// says; an incomplete question is [fault.Malformed].
func OpenSource(files Files, o SourceOptions) (*Source, error) {
	switch {
	case o.Now == nil:
		return nil, fault.New(fault.Malformed, "there is no clock to verify with")
	case files.Bundle == "":
		return nil, fault.New(fault.Malformed, "there is no bundle to verify against")
	case files.Floor == "" && files.CRL == "":
		return nil, fault.New(fault.Malformed, "there is neither a floor nor a revocation list to verify against")
	case o.Grace > MaxGrace:
		return nil, fault.Errorf(fault.Malformed, "a last good state can be kept for %v at most, not %v", MaxGrace, o.Grace)
	}
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	s := &Source{
		options: o,
		bundle:  watched{path: files.Bundle, limit: maxInput},
		floor:   watched{path: files.Floor, limit: maxFloorFile},
		crl:     watched{path: files.CRL, limit: MaxCRL, optional: files.Floor != ""},
	}
	first := s.look(&sourceState{}, o.Now())
	if first.trouble != nil {
		return nil, first.trouble
	}
	s.state.Store(first)
	return s, nil
}

// maxFloorFile bounds the file with the floor, in octets.
const maxFloorFile = 1 << 10

// Check returns the question as it is to be put now: bundle, floor and CRL as of
// Interval ago at most, and the time. The caller adds purpose, name and pins.
//
// The error is [fault.Unavailable], when the files have been in trouble for longer
// than Grace.
func (s *Source) Check() (Check, error) {
	now := s.options.Now()
	state := s.state.Load()
	if passed := now.Sub(state.looked); passed < 0 || passed >= s.options.Interval {
		state = s.refresh(now)
	}
	if state.trouble != nil && now.Sub(state.since) > max(0, s.options.Grace) {
		return Check{}, fault.Errorf(fault.Unavailable, "whom to trust is not known since %s: %w", date(state.since), state.trouble)
	}
	return Check{Bundle: state.bundle, Project: s.options.Project, Floor: state.floor, CRL: state.lists, RequireFresh: s.options.RequireFresh, At: now}, nil
}

// Trouble returns what was wrong with the files when they were last looked at, nil
// if nothing was.
func (s *Source) Trouble() error { return s.state.Load().trouble }

// refresh looks at the files. While somebody else does, the state before will do,
// except for who wants them looked at each time: he waits.
func (s *Source) refresh(now time.Time) *sourceState {
	if s.options.Interval < 0 {
		s.loading.Lock()
	} else if !s.loading.TryLock() {
		return s.state.Load()
	}
	defer s.loading.Unlock()
	last := s.state.Load()
	next := s.look(last, now)
	s.state.Store(next)
	if report := s.options.Report; report != nil && text(next.trouble) != text(last.trouble) {
		report(next.trouble)
	}
	return next
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// look follows each file by itself, so that one in trouble doesn't hold up the
// others: a floor that rises counts though the bundle is damaged.
func (s *Source) look(last *sourceState, now time.Time) *sourceState {
	next := *last
	next.looked = now
	bundleErr := s.bundle.follow(func(data []byte) error {
		b, err := ParseBundle(data)
		if err == nil {
			next.bundle = b
			s.crl.forget() // it may be by a CA that is new
		}
		return err
	})
	floorErr := s.floor.follow(func(data []byte) error {
		n, err := serial.ParseFile(data)
		switch {
		case err != nil:
			return err
		case serial.Floor(n) < last.floor:
			return fault.Errorf(fault.Invalid, "min-serial went down from %v to %v: the higher one stays in force", last.floor, n)
		}
		next.floor = serial.Floor(n)
		return nil
	})
	crlErr := s.crl.follow(func(data []byte) error {
		file, err := ParseCRL(data)
		if err != nil {
			return err
		}
		l, err := s.mayFollow(file, last.crl, next.bundle)
		if err == nil {
			next.crl, next.lists, next.floor = l, file, max(next.floor, l.floor)
		}
		return err
	})
	switch next.trouble = errors.Join(bundleErr, floorErr, crlErr); {
	case next.trouble == nil:
		next.since = time.Time{}
	case last.trouble == nil:
		next.since = now
	}
	return &next
}

// mayFollow returns the list of a file that counts from now on, and what speaks
// against it after the list last, nil for the first.
func (s *Source) mayFollow(file, last *CRL, b *Bundle) (*CRL, error) {
	if b == nil {
		return nil, errors.New("there is no bundle to tell whose revocation list it is")
	}
	l, err := b.believed(file)
	switch {
	case err != nil:
		return nil, err
	case l.Number() == nil:
		return nil, fault.New(fault.Malformed, "the revocation list has no number")
	case last != nil && l.Number().Cmp(last.Number()) < 0:
		return nil, fault.Errorf(fault.Invalid, "the revocation list went back from number %v to %v: the later one stays in force", last.Number(), l.Number())
	case s.floor.path == "" && l.floor == 0:
		return nil, fault.New(fault.Malformed, "the revocation list doesn't say what min-serial is, and nothing else does")
	case l.floor != 0 && last != nil && l.floor < last.floor:
		return nil, fault.Errorf(fault.Invalid, "min-serial of the revocation list went down from %v to %v: the higher one stays in force", last.floor, l.floor)
	}
	return l, nil
}

// failed adds to an error which file it is about.
func failed(path string, err error) error { return fmt.Errorf("reading %s: %w", printable(path), err) }
