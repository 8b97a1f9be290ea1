// This file, put into the folder of a program, makes it take its random numbers from a
// seed, so that each call makes the same key. The key of this seed is one that is found
// soon: the longer the search, the more its time varies with the machine.

//go:debug cryptocustomrand=1
package main

import (
	"crypto/rand"
	mathrand "math/rand/v2"
)

type seeded struct{ *mathrand.ChaCha8 }

// Read doesn't count a single octet: crypto/rsa reads one or none, by chance, so that
// nobody relies on what a seed gives.
func (s seeded) Read(b []byte) (int, error) {
	if len(b) == 1 {
		return 1, nil
	}
	return s.ChaCha8.Read(b)
}

func init() { rand.Reader = seeded{mathrand.NewChaCha8([32]byte{24})} }
