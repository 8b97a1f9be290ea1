package pkcs12

import (
	"bytes"
	"hash"
)

// What a key is derived for (RFC 7292, appendix B.3).
const (
	keyMaterial = 1
	ivMaterial  = 2
	macMaterial = 3
)

// kdf derives size octets from a password (RFC 7292, appendix B.2). password is in
// UTF-16 with two zero octets at its end, or empty.
func kdf(newHash func() hash.Hash, purpose byte, password, salt []byte, iterations, size int) []byte {
	h := newHash()
	v := h.BlockSize()
	d := bytes.Repeat([]byte{purpose}, v)
	i := append(fill(salt, v), fill(password, v)...)
	var out []byte
	for {
		h.Reset()
		h.Write(d)
		h.Write(i)
		a := h.Sum(nil)
		for range iterations - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		if out = append(out, a...); len(out) >= size {
			return out[:size]
		}
		b := fill(a, v)[:v]
		for j := 0; j < len(i); j += v {
			addOne(i[j:j+v], b)
		}
	}
}

// fill repeats b until it fills whole blocks of v octets; an empty b fills none.
func fill(b []byte, v int) []byte {
	if len(b) == 0 {
		return nil
	}
	n := (len(b) + v - 1) / v * v
	return bytes.Repeat(b, n/len(b)+1)[:n:n]
}

// addOne sets a to a + b + 1, both being big-endian numbers of the same length, and
// forgets what doesn't fit.
func addOne(a, b []byte) {
	carry := uint(1)
	for i := len(a) - 1; i >= 0; i-- {
		carry += uint(a[i]) + uint(b[i])
		a[i] = byte(carry)
		carry >>= 8
	}
}
