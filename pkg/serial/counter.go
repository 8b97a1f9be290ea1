package serial

import (
	"fmt"
	"time"

	"x509ctl/pkg/fault"
)

// Jump is 2^32: how far the counter moves on when nobody can say how many numbers
// were used since the state at hand was current, and the clock is of no use. At ten
// thousand certificates a second that is five days' work.
//
// Mostly the clock is of use. The same state may be brought back more than once, and
// what was used after the first time is as unknown as the rest. So the count goes on
// where the clock says, 1024 numbers for each millisecond since 1970. Nobody gets
// there by counting; and whatever descendant of that state was used before, its
// numbers are lower, as long as clocks go forward and a million certificates take
// longer than a second. A clock whose number is not above the count is wrong: then
// Jump and that number are added. Numbers have 16 digits after a jump, which programs
// that read JSON's numbers as floating point take without loss, until 2248.
const Jump Number = 1 << 32

// slot is how many numbers a jump has for a millisecond.
const slot = 1024

// jump returns where the count goes on after high. Error: [ErrExhausted].
func jump(high Number, now time.Time) (Number, error) {
	to := clocked(now)
	if to > high {
		return to, nil
	}
	if high > Max-Jump-to-1 {
		return 0, ErrExhausted
	}
	return high + Jump + to, nil
}

// clocked is where the clock is: see [Jump].
func clocked(now time.Time) Number {
	return slot * Number(min(max(0, now.UnixMilli()), int64(Max/slot/2)))
}

// A File identifies the serial file as it was last written. A missing file is the
// zero File.
type File struct {
	Machine string // the machine's id; empty when the machine has none
	Inode   uint64
	Birth   int64 // time of birth in nanoseconds since 1970; 0 where the file system keeps none
}

// A Row is an authority's counter and floor as the store keeps them.
type Row struct {
	Reserved Number // the highest number ever reserved; 0 before the first
	Floor    Floor
	Last     Number // the highest number ever issued; 0 before the first
	File     File   // the serial file as the holder of this row wrote it
	Timeline uint32 // PostgreSQL's timeline when the row was written; 0 on SQLite
}

// A Mark is the row's count as the last process to commit it noted outside the
// database, where it does not go back together with it. The zero Mark says nothing.
type Mark struct{ Reserved, Last Number }

// Mark returns what is noted of r once it is committed.
func (r Row) Mark() Mark { return Mark{r.Reserved, r.Last} }

// Seen is what a caller found outside the row: in the authority's directory, and
// of the database.
type Seen struct {
	Exists   bool   // whether there is a serial file
	Serial   Number // its content; 0 without one
	File     File   // its identity; the zero File without one
	Floor    Floor  // content of min-serial; 0 without one
	Mark     Mark   // the zero Mark without one, and when nobody else was kept from committing
	Unmarked bool   // the place of the mark was looked at, and there is none
	Copied   bool   // the mark was made in another file than it stands in
	Copies   Number // the highest in further files, written after the serial file; 0 without any
	Timeline uint32 // the database's timeline now; 0 on SQLite
}

// A Block is a run of reserved numbers, First to Last, both included.
type Block struct{ First, Last Number }

// Len returns how many numbers b holds.
func (b Block) Len() int { return int(b.Last - b.First + 1) }

// A WentBackError means that the counter can't be trusted: what the row
// remembers of the serial file is not what is there. It is [fault.Unavailable]
// because an operator has to say how the count goes on.
type WentBackError struct{ Reason string }

func (e *WentBackError) Error() string {
	return "the serial counter may have gone back in time: " + e.Reason
}

// FaultKind makes the error [fault.Unavailable].
func (e *WentBackError) FaultKind() fault.Kind { return fault.Unavailable }

// check compares the row with the file that stands beside it.
//
// A file with a larger number than the row's was written by a process that died
// before its commit: it is followed. If the mark is larger too, that process did
// commit, so the row is an older one. The file would still be a good record of the
// count; but the store has lost certificates that were issued, and nothing but a
// floor can refuse those any more. Any other difference leaves no record that is
// known to be the newest: nor does a file ahead of the row, where the mark is lost that
// would say which it was. (Who finds no mark beside a row and a file that agree notes
// one before the file goes ahead.) And nor does it in a copy of the directory, made while
// the count went on: its parts are of different moments. A row that was never written with a file (the first
// reservation of a new authority) has nothing to compare.
func (r Row) check(s Seen) error {
	switch {
	case r.File == File{}:
		return nil
	case r.Timeline == s.Timeline && (s.Mark.Reserved > r.Reserved || s.Mark.Last > r.Last):
		return &WentBackError{fmt.Sprintf("the database is an older one: it counts to %v, issued %v, and has counted to %v, issued %v",
			r.Reserved, r.Last, s.Mark.Reserved, s.Mark.Last)}
	case s.Copies > max(s.Serial, r.Reserved):
		return &WentBackError{fmt.Sprintf("a copy of the serial file says %v, the database and the file here %v", s.Copies, max(s.Serial, r.Reserved))}
	case !s.Exists:
		return &WentBackError{fmt.Sprintf("the serial file is missing; the database's count is %v", r.Reserved)}
	case r.File.Machine != s.File.Machine:
		return &WentBackError{fmt.Sprintf("this directory was last used on another machine (count %v)", r.Reserved)}
	case s.Serial > r.Reserved && s.Unmarked:
		return &WentBackError{fmt.Sprintf("the serial file says %v, the database %v, and the lock file not which of them is right", s.Serial, r.Reserved)}
	case s.Serial > r.Reserved && s.Copied:
		return &WentBackError{fmt.Sprintf("the serial file says %v, the database %v, and the lock file is a copy of another directory's", s.Serial, r.Reserved)}
	case s.Serial > r.Reserved:
		return nil
	case s.Serial < r.Reserved:
		return &WentBackError{fmt.Sprintf("the serial file says %v, the database %v", s.Serial, r.Reserved)}
	case r.File.Inode != s.File.Inode || r.File.Birth != s.File.Birth && r.File.Birth != 0 && s.File.Birth != 0:
		return &WentBackError{fmt.Sprintf("the serial file (%v) is not the one last written here, as after a copy or a restore", s.Serial)}
	}
	return nil
}

// highest returns the highest number that any record knows of. Min-serial counts
// as a record: numbers below it are refused by every verifier, so the next one is
// to be at least the floor.
func (r Row) highest(s Seen) Number {
	return max(r.Reserved, r.Last, s.Serial, s.Copies, s.Mark.Reserved, s.Mark.Last, Number(r.Floor)-1, Number(s.Floor)-1, 0)
}

// MergedFloor returns the floor in force: the larger of the row's and the file's.
func (r Row) MergedFloor(s Seen) Floor { return max(r.Floor, s.Floor) }

// Reserve takes the next n numbers, n >= 1, and returns them with the row as it
// is to be stored once the serial file with the number Block.Last is durable; the
// caller fills in that file's identity. A database timeline other than the row's
// means that commits may have been lost, and jumps; for that it is told the time.
//
// Errors: [*WentBackError]; [ErrExhausted].
func Reserve(r Row, s Seen, n int, now time.Time) (Block, Row, error) {
	if err := r.check(s); err != nil {
		return Block{}, r, err
	}
	high := r.highest(s)
	if r.Timeline != s.Timeline && (r.File != File{}) {
		var err error
		if high, err = jump(high, now); err != nil {
			return Block{}, r, err
		}
	}
	if n < 1 || high > Max-Number(n) {
		return Block{}, r, ErrExhausted
	}
	b := Block{high + 1, high + Number(n)}
	r.Reserved, r.Floor, r.Timeline = b.Last, r.MergedFloor(s), s.Timeline
	return b, r, nil
}

// Raise returns the row with the floor raised to f. A floor never sinks and never
// rises above the last number issued plus one: a higher one would refuse
// certificates that are yet to be issued. Equal is no error.
//
// Errors, [fault.Denied]: [*FloorError].
func Raise(r Row, s Seen, f Floor) (Row, error) {
	if err := r.check(s); err != nil {
		return r, err
	}
	now := max(r.MergedFloor(s), 1)
	next := max(Floor(r.Last)+1, now) // a recovered count leaves the floor above
	if f < now || f > next {
		return r, &FloorError{Asked: f, Now: now, Next: next}
	}
	r.Floor = f
	return r, nil
}

// A FloorError is a floor that may not be set.
type FloorError struct{ Asked, Now, Next Floor }

func (e *FloorError) Error() string {
	if e.Asked < e.Now {
		return fmt.Sprintf("min-serial is %v and can't be lowered to %v", e.Now, e.Asked)
	}
	return fmt.Sprintf("min-serial %v is above %v, the last serial number issued plus one", e.Asked, e.Next)
}

// FaultKind makes the error [fault.Denied].
func (e *FloorError) FaultKind() fault.Kind { return fault.Denied }

// Recover returns the row with a count that an operator vouches for: at least
// atLeast, and above every record at hand. With atLeast 0 nobody knows, and the
// count jumps (see [Jump]). The floor moves to the next number, because certificates
// may exist that no record here knows, unless keepFloor says that none do.
//
// Errors: [ErrExhausted]; [fault.Denied] for an atLeast that can't be known, above every
// record and above where a jump goes and 2^40 more: it would be a mistake, which nobody
// can take back.
func Recover(r Row, s Seen, atLeast Number, keepFloor bool, now time.Time) (Row, error) {
	high := max(r.highest(s), atLeast)
	if most := clocked(now) + 1<<40; atLeast > most && high > r.highest(s) {
		return r, fault.Errorf(fault.Denied, "%v is more than can have been used by now, by the clock here: at most %v", atLeast, most)
	}
	if atLeast == 0 {
		var err error
		if high, err = jump(high, now); err != nil {
			return r, err
		}
	}
	if high >= Max {
		return r, ErrExhausted
	}
	r.Reserved, r.Timeline = high, s.Timeline
	r.Last = max(r.Last, s.Mark.Last)
	r.Floor = max(r.MergedFloor(s), 1)
	if !keepFloor {
		r.Floor = Floor(high + 1)
	}
	return r, nil
}

// Overwritten reports whether the serial file was written into by somebody else and
// nothing went back in time: it says less than the row, and is yet the very file that
// the holder of the row wrote last, on this machine, while the mark and the copies
// agree with the row. Then the row is the newest record, and the file may be written
// again. Any other file behind the row may have come back together with an older row
// ([Recover]).
func (r Row) Overwritten(s Seen) bool {
	return s.Exists && s.Serial < r.Reserved && s.File == r.File && !s.Copied &&
		s.Mark == r.Mark() && s.Copies <= r.Reserved && s.Timeline == r.Timeline
}
