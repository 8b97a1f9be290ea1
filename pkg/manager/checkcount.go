package manager

import (
	"errors"
	"fmt"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

// A BehindError is a file with a number that is less than the database's.
type BehindError struct {
	Path      string
	Has, Want serial.Number
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("%s says %v, and the database %v", e.Path, e.Has, e.Want)
}

// FaultKind makes the error [fault.Unavailable].
func (e *BehindError) FaultKind() fault.Kind { return fault.Unavailable }

// serial asks what the next reservation would say of row, file, mark and copies.
func (e *examination) serial() {
	if e.row == nil || e.ca == nil {
		return
	}
	s, err := e.seen()
	if err != nil {
		for _, err := range parts(err) {
			var damaged *NumberFileError
			if !errors.As(err, &damaged) || damaged.Path == e.inCA(authority.SerialName) {
				e.unread(e.inCA(authority.SerialName), err)
			}
		}
		return
	}
	s.Copies, err = e.m.copies(e.req.Authority).Highest()
	var copied *CopyError
	if errors.As(err, &copied) {
		e.say(SeverityError, copied.Path, err)
	}
	path := e.inCA(authority.SerialName)
	if e.row.Counter.Overwritten(s) && e.locked != nil {
		e.sayAndMend(SeverityError, path, &BehindError{path, s.Serial, e.row.Counter.Reserved},
			mend{fmt.Sprintf("says %v now", e.row.Counter.Reserved), e.rewriteSerial})
		return
	}
	if _, _, err := serial.Reserve(e.row.Counter, s, 1, e.now); err != nil {
		e.say(SeverityError, path, err)
	}
}

// seen is what the directory knows of the counter; with the mark, when nobody can
// change it meanwhile.
func (e *examination) seen() (serial.Seen, error) {
	if e.locked != nil {
		return e.locked.Seen(e.m.config.MachineID)
	}
	return e.ca.Seen(e.m.config.MachineID)
}

// rewriteSerial writes the row's number into the file, and the new file's identity
// into the row.
func (e *examination) rewriteSerial() error {
	return write(e.ctx, e.db, e.locked, func(tx *store.Tx) error {
		counter := e.row.Counter
		file, err := e.locked.WriteSerial(counter.Reserved, e.m.config.MachineID)
		if err != nil {
			return err
		}
		counter.File = file
		return setCounter(tx, e.locked, e.req.Authority, counter)
	})
}

// parts are the errors that errors.Join has joined.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, parts(err)...)
	}
	return all
}

// An AheadError is a floor above every number that was given.
type AheadError struct {
	Path     string
	Floor    serial.Floor
	Reserved serial.Number
}

func (e *AheadError) Error() string {
	return fmt.Sprintf("%s says %v, and the highest number is %v: all certificates are put out; "+
		"issue them anew, or write the right number there before anything is issued, if nobody meant it", e.Path, e.Floor, e.Reserved)
}

// FaultKind makes the error [fault.Unavailable].
func (e *AheadError) FaultKind() fault.Kind { return fault.Unavailable }

// floor asks whether verifiers know of every certificate that was put out.
func (e *examination) floor() {
	if e.row == nil || e.ca == nil {
		return
	}
	path := e.inCA(authority.FloorName)
	have, err := e.ca.Floor()
	var damaged *NumberFileError
	if err != nil && !errors.As(err, &damaged) {
		e.unread(path, err)
		return
	}
	want := max(e.row.Counter.Floor, 1)
	switch {
	case err != nil: // the row has the number that belongs there
	case serial.Number(have) > e.row.Counter.Reserved+1:
		e.say(SeverityWarning, path, &AheadError{path, have, e.row.Counter.Reserved})
		return
	case have == 0:
		err = fmt.Errorf("opening %s: %w", path, ErrNoBundle)
	case have < want:
		err = &BehindError{path, serial.Number(have), serial.Number(want)}
	default:
		return
	}
	m := mend{}
	if e.locked != nil {
		m = mend{fmt.Sprintf("says %v now", want), func() error { return e.locked.WriteFloor(want) }}
	}
	e.sayAndMend(SeverityError, path, err, m)
}

// inventory asks whether the row knows of every certificate on record. The other way
// round they may differ: old records are pruned.
func (e *examination) inventory() {
	if e.row == nil || e.newest.Serial <= e.row.Counter.Last {
		return
	}
	e.say(SeverityError, e.path(databaseFile), fmt.Errorf("%w: it holds certificate %v, and counts %v as the last one issued",
		store.ErrDamaged, e.newest.Serial, e.row.Counter.Last))
}

// clockTolerance is how far behind the newest record a clock may be.
const clockTolerance = 24 * time.Hour

// A ClockError is a clock that is behind what is on record.
type ClockError struct{ Now, Newest time.Time }

func (e *ClockError) Error() string {
	return fmt.Sprintf("the clock says %s, and something is on record of %s", date(e.Now), date(e.Newest))
}

// FaultKind makes the error [fault.Unavailable].
func (e *ClockError) FaultKind() fault.Kind { return fault.Unavailable }

func (e *examination) clock() {
	if e.row != nil && e.newest.Written.After(e.now.Add(clockTolerance)) {
		e.say(SeverityError, e.path(databaseFile), &ClockError{e.now, e.newest.Written})
		return
	}
	if e.ca == nil {
		return
	}
	chain, err := e.ca.Public() // validity has said why they can't be read
	for _, cert := range chain {
		if err == nil && e.now.Before(cert.NotBefore) {
			e.say(SeverityError, e.inCA(authority.CertName), &ValidityError{cert, e.now})
			return
		}
	}
}
