package keypair

import (
	"encoding/binary"
	"math/big"
)

// A reader takes apart what RFC 4251, section 5, defines. Its first error stays.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint32() uint32 {
	b := r.take(4)
	if r.bad {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func (r *reader) skipUint64() { r.take(8) }

// string returns the content of a string.
func (r *reader) string() []byte {
	n := r.uint32()
	if uint64(n) > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}

// integer returns an mpint, which must not be negative.
func (r *reader) integer() *big.Int {
	b := r.string()
	if len(b) > 0 && b[0] > 0x7f {
		r.bad = true
	}
	return new(big.Int).SetBytes(b)
}

// done says whether all was understood and nothing is left.
func (r *reader) done() bool { return !r.bad && len(r.rest) == 0 }

// A writer puts together what a reader takes apart.
type writer []byte

func (w *writer) uint32(n uint32) { *w = binary.BigEndian.AppendUint32(*w, n) }

func (w *writer) string(b []byte) {
	w.uint32(uint32(len(b)))
	*w = append(*w, b...)
}

// integer writes n, which is not negative, as an mpint: a leading zero octet keeps
// the sign.
func (w *writer) integer(n *big.Int) {
	b := n.Bytes()
	if len(b) > 0 && b[0] > 0x7f {
		b = append([]byte{0}, b...)
	}
	w.string(b)
}
