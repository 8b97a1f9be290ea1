package serial

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Number
	}{
		{"1", 1}, {"42", 42}, {"9223372036854775807", Max},
		{"", 0}, {"0", 0}, {"01", 0}, {"-1", 0}, {"+1", 0}, {" 1", 0}, {"1 ", 0}, {"0x1", 0}, {"1e3", 0},
		{"9223372036854775808", 0}, {"99999999999999999999", 0}, {"١", 0}, {"1\x00", 0}, {strings.Repeat("9", 1<<20), 0},
	} {
		got, err := Parse(tc.in)
		if got != tc.want || (err == nil) != (tc.want != 0) {
			t.Errorf("Parse(%.20q) = %v, %v; want %v", tc.in, got, err, tc.want)
		}
		if err != nil && (fault.KindOf(err) != fault.Malformed || len(err.Error()) > 300) {
			t.Errorf("Parse(%.20q): error of kind %q, %d bytes", tc.in, fault.KindOf(err), len(err.Error()))
		}
	}
}

func TestParseFile(t *testing.T) {
	for in, want := range map[string]Number{"7\n": 7, "7": 7, "": 0, "\n": 0, "7\n\n": 0, "7\r\n": 0, "7\n8\n": 0, "\x00\x00": 0} {
		got, err := ParseFile([]byte(in))
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("ParseFile(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	if got := string(Number(7).FileContent()); got != "7\n" {
		t.Errorf("FileContent = %q", got)
	}
}

func TestFloorAccepts(t *testing.T) {
	for _, tc := range []struct {
		f    Floor
		n    Number
		want bool
	}{{0, 1, true}, {1, 1, true}, {5, 4, false}, {5, 5, true}, {5, 6, true}, {0, 0, false}, {0, -1, false}} {
		if got := tc.f.Accepts(tc.n); got != tc.want {
			t.Errorf("Floor(%v).Accepts(%v) = %v", tc.f, tc.n, got)
		}
	}
}

var here = File{Machine: "m", Inode: 7, Birth: 70}

// early is when the clock says 5 * slot.
var early = time.UnixMilli(5)

func TestReserve(t *testing.T) {
	row := Row{Reserved: 100, Last: 90, Floor: 5, File: here}
	ok := Seen{Exists: true, Serial: 100, File: here, Floor: 5}
	change := func(f func(*Row, *Seen)) (Row, Seen) {
		r, s := row, ok
		f(&r, &s)
		return r, s
	}
	for _, tc := range []struct {
		name  string
		set   func(*Row, *Seen)
		n     int
		first Number // 0: refused as gone back
	}{
		{"the normal case", func(*Row, *Seen) {}, 1, 101},
		{"a block", func(*Row, *Seen) {}, 1000, 101},
		{"new authority", func(r *Row, s *Seen) { *r, *s = Row{}, Seen{} }, 1, 1},
		{"failover: files but no row", func(r *Row, s *Seen) { *r, s.File = Row{}, File{"x", 1, 1} }, 1, 101},
		{"failover: min-serial alone", func(r *Row, s *Seen) { *r, *s = Row{}, Seen{Floor: 51} }, 1, 51},
		{"min-serial ahead of the counter", func(_ *Row, s *Seen) { s.Floor = 200 }, 1, 200},
		{"row floor ahead of the counter", func(r *Row, _ *Seen) { r.Floor = 300 }, 1, 300},
		{"last ahead of the counter", func(r *Row, _ *Seen) { r.Last = 400 }, 1, 401},
		{"cut before the commit", func(_ *Row, s *Seen) { s.Serial, s.File.Inode = 150, 8 }, 1, 151},
		{"database set back", func(r *Row, s *Seen) { r.Reserved, r.File.Inode, s.Mark = 50, 3, row.Mark() }, 1, 0},
		{"database set back, what was issued", func(r *Row, s *Seen) { r.Last, s.Mark = 89, row.Mark() }, 1, 0},
		{"both set back", func(r *Row, s *Seen) { s.Mark = Mark{101, 90} }, 1, 0},
		{"database set back, and nobody noted", func(r *Row, _ *Seen) { r.Reserved, r.File.Inode = 50, 3 }, 1, 101},
		{"database set back, and the note is lost", func(r *Row, s *Seen) { r.Reserved, r.File.Inode, s.Unmarked = 50, 3, true }, 1, 0},
		{"the note alone is lost", func(_ *Row, s *Seen) { s.Unmarked = true }, 1, 101},
		{"failover, nothing noted", func(r *Row, s *Seen) { *r, s.File, s.Unmarked = Row{}, File{"x", 1, 1}, true }, 1, 101},
		{"cut before it was noted", func(_ *Row, s *Seen) { s.Mark = Mark{99, 80} }, 1, 101},
		{"a copy elsewhere", func(_ *Row, s *Seen) { s.Copies = 100 }, 1, 101},
		{"a copy elsewhere is behind", func(_ *Row, s *Seen) { s.Copies = 7 }, 1, 101},
		{"all but the copy went back", func(_ *Row, s *Seen) { s.Copies = 101 }, 1, 0},
		{"cut after the copy, before the commit", func(_ *Row, s *Seen) { s.Serial, s.File.Inode, s.Copies = 150, 8, 150 }, 1, 151},
		{"failover with a copy", func(r *Row, s *Seen) { *r, s.File, s.Copies = Row{}, File{"x", 1, 1}, 300 }, 1, 301},
		{"noted", func(r *Row, s *Seen) { s.Mark = r.Mark() }, 1, 101},
		{"failover, and a note", func(r *Row, s *Seen) { *r, s.File, s.Mark = Row{}, File{"x", 1, 1}, Mark{150, 149} }, 1, 151},
		{"file set back", func(_ *Row, s *Seen) { s.Serial = 99 }, 1, 0},
		{"file deleted", func(_ *Row, s *Seen) { *s = Seen{} }, 1, 0},
		{"copied: another inode", func(_ *Row, s *Seen) { s.File.Inode = 8 }, 1, 0},
		{"copied: inode used again", func(_ *Row, s *Seen) { s.File.Birth = 71 }, 1, 0},
		{"no time of birth on this file system", func(_ *Row, s *Seen) { s.File.Birth = 0 }, 1, 101},
		{"another machine", func(_ *Row, s *Seen) { s.File.Machine = "n" }, 1, 0},
		{"another machine, file ahead", func(_ *Row, s *Seen) { s.File.Machine, s.Serial = "n", 200 }, 1, 0},
		{"another timeline", func(_ *Row, s *Seen) { s.Timeline = 2 }, 1, 5*slot + 1},
		{"another timeline that lost commits", func(_ *Row, s *Seen) { s.Timeline, s.Mark = 2, Mark{120, 120} }, 1, 5*slot + 1},
		{"another timeline, and a clock that is wrong", func(r *Row, s *Seen) { r.Reserved, s.Serial, s.Timeline = 5*slot, 5*slot, 2 }, 1, 10*slot + Jump + 1},
		{"same timeline", func(r *Row, s *Seen) { r.Timeline, s.Timeline = 2, 2 }, 1, 101},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, s := change(tc.set)
			b, got, err := Reserve(r, s, tc.n, early)
			var back *WentBackError
			if tc.first == 0 {
				if !errors.As(err, &back) || fault.KindOf(err) != fault.Unavailable || got != r {
					t.Fatalf("Reserve = %v, %v; want a WentBackError and the same row", b, err)
				}
				return
			}
			if err != nil || b.First != tc.first || b.Len() != tc.n || got.Reserved != b.Last {
				t.Fatalf("Reserve = %v (row %+v), %v; want the first to be %v", b, got, err, tc.first)
			}
			if got.Floor < r.Floor || got.Floor < s.Floor || !got.Floor.Accepts(b.First) {
				t.Errorf("floor %v does not hold what was known or refuses the new number", got.Floor)
			}
		})
	}
}

func TestReserveEnd(t *testing.T) {
	r := Row{Reserved: Max - 2, File: here}
	s := Seen{Exists: true, Serial: Max - 2, File: here}
	if b, _, err := Reserve(r, s, 2, early); err != nil || b.Last != Max {
		t.Errorf("the last two numbers: %v, %v", b, err)
	}
	if _, _, err := Reserve(r, s, 3, early); !errors.Is(err, ErrExhausted) {
		t.Errorf("one more than there are: %v", err)
	}
	s.Timeline = 9
	if _, _, err := Reserve(r, s, 1, early); !errors.Is(err, ErrExhausted) {
		t.Errorf("a jump over the end: %v", err)
	}
	if _, err := Recover(r, s, 0, false, early); !errors.Is(err, ErrExhausted) {
		t.Errorf("recovering over the end: %v", err)
	}
	s.Serial = Max
	if _, err := Recover(r, s, Max, false, early); !errors.Is(err, ErrExhausted) {
		t.Errorf("recovering at the end: %v", err)
	}
}

// A count that nobody can have come to would be the end of the authority.
func TestRecoverTooFar(t *testing.T) {
	r := Row{Reserved: 100, File: here}
	s := Seen{Exists: true, Serial: 100, File: here}
	const most = 5*slot + 1<<40
	if got, err := Recover(r, s, most, true, early); err != nil || got.Reserved != most {
		t.Errorf("at most: %+v, %v", got, err)
	}
	if got, err := Recover(r, s, most+1, true, early); fault.KindOf(err) != fault.Denied || got != r {
		t.Errorf("above: %+v, %v", got, err)
	}
	s.Serial = most + 1
	if _, err := Recover(r, s, most+1, true, early); err != nil {
		t.Errorf("what is there already: %v", err)
	}
}

func TestRaise(t *testing.T) {
	row := Row{Reserved: 100, Last: 90, Floor: 5, File: here}
	seen := Seen{Exists: true, Serial: 100, File: here, Floor: 7}
	for f, ok := range map[Floor]bool{-1: false, 0: false, 5: false, 6: false, 7: true, 8: true, 91: true, 92: false, 101: false} {
		got, err := Raise(row, seen, f)
		if (err == nil) != ok || ok && got.Floor != f {
			t.Errorf("Raise to %v: %v, %v", f, got.Floor, err)
		}
		if err != nil && fault.KindOf(err) != fault.Denied {
			t.Errorf("Raise to %v: kind %q", f, fault.KindOf(err))
		}
	}
	row.Floor = 200 // as after a recovery
	if got, err := Raise(row, seen, 200); err != nil || got.Floor != 200 {
		t.Errorf("the floor it has, above the counter: %v, %v", got.Floor, err)
	}
	seen.Exists = false
	var back *WentBackError
	if _, err := Raise(row, seen, 50); !errors.As(err, &back) {
		t.Errorf("with a missing file: %v", err)
	}
}

func TestRecover(t *testing.T) {
	row := Row{Reserved: 100, Last: 90, Floor: 5, File: here}
	seen := Seen{Exists: true, Serial: 120, File: File{"n", 1, 1}, Floor: 5, Mark: Mark{100, 95}}
	for _, tc := range []struct {
		atLeast  Number
		keep     bool
		reserved Number
		floor    Floor
	}{
		{0, false, 5 * slot, 5*slot + 1},
		{0, true, 5 * slot, 5},
		{500, false, 500, 501},
		{500, true, 500, 5},
		{3, false, 120, 121},
	} {
		got, err := Recover(row, seen, tc.atLeast, tc.keep, early)
		if err != nil || got.Reserved != tc.reserved || got.Floor != tc.floor || got.Last != 95 {
			t.Errorf("Recover(%v, %v) = %+v, %v", tc.atLeast, tc.keep, got, err)
		}
	}
}

// TestJumpsFromOneState goes on from the same records again and again, as who
// restores one backup twice does.
func TestJumpsFromOneState(t *testing.T) {
	row := Row{Reserved: 100, Last: 90, Floor: 5, File: here}
	now, highest := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Number(0)
	for range 100 {
		got, err := Recover(row, Seen{}, 0, false, now)
		if err != nil || got.Reserved < row.Reserved+Jump {
			t.Fatalf("recovered to %v, %v", got.Reserved, err)
		}
		if got.Reserved < highest {
			t.Fatalf("recovered to %v, and %v may have been used", got.Reserved, highest)
		}
		highest = got.Reserved + 1000 // the most that a process takes in a millisecond
		now = now.Add(time.Millisecond)
	}
}

// TestHistories plays random histories of two records and the mark, each of which
// may be set back or lost at any time, the records together too, and looks for a
// number given twice.
func TestHistories(t *testing.T) {
	const lost = 1 << 60 // the inode of a file that is gone
	for seed := range uint64(4000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var (
			row  Row
			seen Seen
			rows []Row
			used = map[Number]bool{}
			node = uint64(1)
			now  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		)
		for range 40 {
			now = now.Add(time.Millisecond)
			b, next, err := Reserve(row, seen, 1+rng.IntN(5), now)
			if err != nil {
				var back *WentBackError
				if !errors.As(err, &back) {
					t.Fatal(err)
				}
				next, _ = Recover(row, seen, 0, false, now)
			}
			node++
			file := File{"m", node, int64(node)}
			seen.Exists, seen.Serial, seen.File, seen.Floor = true, next.Reserved, file, next.Floor
			next.File = file
			if rng.IntN(5) > 0 { // else killed before the commit
				row = next
				rows = append(rows, row)
				seen.Mark = row.Mark()
				for n := b.First; err == nil && n <= b.Last; n++ {
					if used[n] {
						t.Fatalf("seed %d: %v was given twice", seed, n)
					}
					used[n] = true
				}
			}
			switch rng.IntN(8) {
			case 0: // an older database
				if len(rows) > 0 {
					row = rows[rng.IntN(len(rows))]
				}
			case 2: // an older database and the file it was written with, by a hard link
				if older := rows[:max(0, len(rows)-1)]; len(older) > 0 {
					if r := older[rng.IntN(len(older))]; r.File.Inode != lost {
						row, seen.Serial, seen.File, seen.Floor = r, r.Reserved, r.File, r.Floor
					}
				}
			case 3: // all of it is restored, the mark not: no file is one that was there
				if len(rows) > 0 {
					row = rows[rng.IntN(len(rows))]
					node++
					seen = Seen{Exists: true, Serial: row.Reserved, File: File{"m", node, int64(node)}, Floor: row.Floor}
					row.File.Inode = lost
					rows = []Row{row}
				}
			case 1: // an older or lost file
				if row.File == seen.File {
					seen.Serial, seen.Exists = max(1, seen.Serial-3), rng.IntN(2) == 0
				}
			}
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("7\n"))
	f.Add([]byte("9223372036854775807"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ParseFile(b)
		if err == nil && string(n.FileContent()) != strings.TrimSuffix(string(b), "\n")+"\n" {
			t.Errorf("ParseFile(%q) = %v", b, n)
		}
	})
}
