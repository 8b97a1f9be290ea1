package authority

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// Seen reads what the directory knows of the counter and the floor, but for the
// mark, which may be newer than a row that was read without the lock. Its Timeline
// is the store's to fill in; machine is this machine's id.
//
// Error: [*NumberFileError].
func (d *Directory) Seen(machine string) (serial.Seen, error) {
	s, damaged, err := d.seen(machine)
	return s, errors.Join(damaged, err)
}

// Seen is [Directory.Seen] with the mark.
func (l *Locked) Seen(machine string) (serial.Seen, error) {
	s, damaged, err := l.seenWithMark(machine)
	return s, errors.Join(damaged, err)
}

// Salvage is Seen for an operator who vouches for the count: a file without a
// number in it counts as missing.
func (l *Locked) Salvage(machine string) (serial.Seen, error) {
	s, _, err := l.seenWithMark(machine)
	return s, err
}

func (l *Locked) seenWithMark(machine string) (s serial.Seen, damaged, err error) {
	s, damaged, err = l.Directory.seen(machine)
	if err != nil {
		return s, damaged, err
	}
	note, err := l.lock.Note()
	if err != nil {
		return s, damaged, err
	}
	own, err := l.lockID()
	var in string
	s.Mark, in = parseMark(note)
	s.Unmarked = s.Mark == serial.Mark{}
	s.Copied = in != "" && in != own
	return s, damaged, err
}

// lockIDSize is the length of what lockID returns, in bytes.
const lockIDSize = 16

// lockID tells the lock file from every other file, and so from a copy of it, which
// has its content.
func (l *Locked) lockID() (string, error) {
	st, err := l.lock.Stat()
	return fmt.Sprintf("%016x", st.Inode^uint64(st.Birth)*0x9e3779b97f4a7c15), err
}

// seen reads both files. One that is damaged does not keep the other from counting.
func (d *Directory) seen(machine string) (s serial.Seen, damaged, err error) {
	n, st, noSerial := d.number(serialFile)
	floor, _, noFloor := d.number(floorFile)
	for _, err := range []error{noSerial, noFloor} {
		var e *NumberFileError
		if err != nil && !errors.As(err, &e) {
			return s, nil, err
		}
	}
	if n != 0 {
		s.Exists, s.Serial = true, n
		s.File = serial.File{Machine: machine, Inode: st.Inode, Birth: st.Birth}
	}
	s.Floor = serial.Floor(floor)
	return s, errors.Join(noSerial, noFloor), nil
}

// Floor reads min-serial: the smallest accepted number. No file is the zero Floor,
// which accepts all.
func (d *Directory) Floor() (serial.Floor, error) {
	n, _, err := d.number(floorFile)
	return serial.Floor(n), err
}

// number reads a file with one number; a missing one holds 0.
func (d *Directory) number(name string) (serial.Number, durable.Stat, error) {
	b, st, err := d.dir.ReadFile(name, 64, durable.Guarded)
	if fault.KindOf(err) == fault.NotFound {
		return 0, st, nil
	}
	if err == nil {
		var n serial.Number
		if n, err = serial.ParseFile(b); err == nil {
			return n, st, nil
		}
	}
	if fault.KindOf(err) == fault.Malformed {
		err = &NumberFileError{Path: filepath.Join(d.dir.Path(), name), Err: err}
	}
	return 0, st, err
}

// A NumberFileError is a serial or min-serial file without a number in it: it may
// have lost its content to a full disk, and what it held can't be guessed.
type NumberFileError struct {
	Path string
	Err  error
}

func (e *NumberFileError) Error() string { return fmt.Sprintf("reading %s: %v", e.Path, e.Err) }
func (e *NumberFileError) Unwrap() error { return e.Err }

// FaultKind makes the error [fault.Unavailable]: the count can't go on.
func (e *NumberFileError) FaultKind() fault.Kind { return fault.Unavailable }

// WriteSerial makes n the highest reserved number, durably, and returns the
// identity of the file that says so.
func (l *Locked) WriteSerial(n serial.Number, machine string) (serial.File, error) {
	st, err := l.dir.Replace(serialFile, 0o644, n.FileContent())
	if err != nil {
		return serial.File{}, err
	}
	return serial.File{Machine: machine, Inode: st.Inode, Birth: st.Birth}, nil
}

// WriteFloor makes f the smallest accepted number, durably.
func (l *Locked) WriteFloor(f serial.Floor) error {
	_, err := l.dir.Replace(floorFile, 0o644, serial.Number(max(f, 1)).FileContent())
	return err
}

// Announce says what the mark becomes when the caller's transaction is committed.
func (l *Locked) Announce(m serial.Mark) { l.announced = m }

// WriteMark notes, in the lock file, what was announced: 57 bytes, the highest number
// reserved, the highest issued, and which file they were noted in. The caller has
// committed it. Each number only rises. It costs no sync: an older mark after a power
// cut means that less is noticed, not that something is refused; none at all, that a
// cut between file and commit is taken for a database set back.
func (l *Locked) WriteMark() error {
	if l.announced == (serial.Mark{}) {
		return nil
	}
	note, err := l.lock.Note()
	if err != nil {
		return err
	}
	own, err := l.lockID()
	if err != nil {
		return err
	}
	have, in := parseMark(note)
	m := serial.Mark{Reserved: max(have.Reserved, l.announced.Reserved), Last: max(have.Last, l.announced.Last)}
	if m == have && in == own {
		return nil
	}
	return l.lock.SetNote(formatMark(m, own))
}

func formatMark(m serial.Mark, in string) []byte {
	return fmt.Appendf(nil, "%19d %19d %s\n", m.Reserved, m.Last, in)
}

// parseMark reads what WriteMark wrote, and which file it was written in; nothing of
// that stands in a mark of an earlier version. Anything else says nothing.
func parseMark(note []byte) (m serial.Mark, in string) {
	line, _, whole := bytes.Cut(note, []byte("\n"))
	words := bytes.Fields(line)
	if !whole || len(words) < 2 || len(words) > 3 || len(words) == 3 && len(words[2]) != lockIDSize {
		return serial.Mark{}, ""
	}
	reserved, err := serial.Parse(string(words[0]))
	if err != nil {
		return serial.Mark{}, ""
	}
	last, _ := serial.Parse(string(words[1])) // 0 while nothing was issued
	if len(words) == 3 {
		in = string(words[2])
	}
	return serial.Mark{Reserved: reserved, Last: last}, in
}
