package authority

import (
	"errors"
	"fmt"
	"path/filepath"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// Copies are further files that hold the highest serial number, by their absolute
// paths: on another disk, where they don't go back in time together with the
// authority's directory. They are written after the serial file, so none is ahead of
// it unless the directory did go back.
type Copies []string

// Highest returns the highest number in the copies; 0 when there is none yet.
// Error: [*CopyError].
func (c Copies) Highest() (highest serial.Number, err error) {
	for _, path := range c {
		n, err := readCopy(path)
		if err != nil {
			return 0, &CopyError{path, err}
		}
		highest = max(highest, n)
	}
	return highest, nil
}

// Salvage is Highest without those that hold no number.
func (c Copies) Salvage() (highest serial.Number, err error) {
	for _, path := range c {
		n, err := readCopy(path)
		if err != nil && fault.KindOf(err) != fault.Malformed {
			return 0, &CopyError{path, err}
		}
		highest = max(highest, n)
	}
	return highest, nil
}

// Write makes n the number in each copy, durably. Error: [*CopyError].
func (c Copies) Write(n serial.Number) error {
	for _, path := range c {
		if err := writeCopy(path, n); err != nil {
			return &CopyError{path, err}
		}
	}
	return nil
}

func readCopy(path string) (n serial.Number, err error) {
	d, err := durable.OpenDir(filepath.Dir(path))
	if err != nil {
		// Not a copy that is yet to be made: perhaps its disk is not mounted.
		return 0, fault.Errorf(fault.Unavailable, "%w", err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	b, st, err := d.ReadFile(filepath.Base(path), 64, durable.Guarded)
	if fault.KindOf(err) == fault.NotFound {
		return 0, nil
	}
	if err == nil {
		err = durable.VetOutside(path, st)
	}
	if err != nil {
		return 0, err
	}
	return serial.ParseFile(b)
}

func writeCopy(path string, n serial.Number) (err error) {
	d, err := durable.OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	_, err = d.Replace(filepath.Base(path), 0o644, n.FileContent())
	return err
}

// A CopyError is a copy of the serial file that can't be read or written: without it
// the count does not go on.
type CopyError struct {
	Path string
	Err  error
}

func (e *CopyError) Error() string {
	return fmt.Sprintf("using %s, a copy of the serial file: %v", e.Path, e.Err)
}

func (e *CopyError) Unwrap() error { return e.Err }

// FaultKind makes the error [fault.Unavailable].
func (e *CopyError) FaultKind() fault.Kind { return fault.Unavailable }
