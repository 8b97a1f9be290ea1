package profile

import (
	"encoding/binary"
	"math/big"
	"math/bits"
	"sync"
)

// factorBound is the bound below which no prime may divide a modulus.
const factorBound = 1 << 13

// A primeGroup is some primes whose product fits a word: one division of a
// modulus by the product tells the remainders for all of them.
type primeGroup struct {
	product uint64
	primes  []uint32
}

// primeGroups returns the odd primes below factorBound in groups. It is computed on
// first use (0.1 ms) and not when the program starts.
var primeGroups = sync.OnceValue(func() []primeGroup {
	var groups []primeGroup
	g := primeGroup{product: 1}
	for _, p := range oddPrimes(factorBound) {
		if hi, lo := bits.Mul64(g.product, uint64(p)); hi == 0 {
			g.product = lo
		} else {
			groups = append(groups, g)
			g = primeGroup{product: uint64(p)}
		}
		g.primes = append(g.primes, p)
	}
	return append(groups, g)
})

// oddPrimes returns the primes p with 2 < p < bound: the sieve of Eratosthenes.
func oddPrimes(bound int) []uint32 {
	composite := make([]bool, bound)
	var primes []uint32
	for i := 3; i < bound; i += 2 {
		if composite[i] {
			continue
		}
		primes = append(primes, uint32(i))
		for j := i * i; j < bound; j += 2 * i {
			composite[j] = true
		}
	}
	return primes
}

// words returns n >= 0 in words of 64 bits on every machine, the most significant
// first.
func words(n *big.Int) []uint64 {
	b := n.FillBytes(make([]byte, (n.BitLen()+63)/64*8))
	out := make([]uint64, len(b)/8)
	for i := range out {
		out[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return out
}

// remainder returns n mod m.
func remainder(n []uint64, m uint64) uint64 {
	r := uint64(0)
	for _, w := range n {
		_, r = bits.Div64(r, w, m)
	}
	return r
}

// smallFactor returns a prime below factorBound that divides n > 0, or 0.
func smallFactor(n *big.Int) uint32 {
	if n.Bit(0) == 0 {
		return 2
	}
	w := words(n)
	for _, g := range primeGroups() {
		r := remainder(w, g.product)
		for _, p := range g.primes {
			if r%uint64(p) == 0 {
				return p
			}
		}
	}
	return 0
}

// rocaBound is where the published test stops: the primes up to 167 divide the
// generator's primorial at every key size.
const rocaBound = 168

// hasROCAFingerprint reports whether n is, modulo every prime up to 167, a power of
// 65537, as the moduli of the generator of CVE-2017-15361 are (Nemec and others,
// "The Return of Coppersmith's Attack", 2017, section 2.2). A sound key of any size
// passes for one with a probability of about 2^-27.
func hasROCAFingerprint(n *big.Int) bool {
	w := words(n)
	for _, g := range primeGroups() {
		r := remainder(w, g.product)
		for _, p := range g.primes {
			if p >= rocaBound {
				return true
			}
			if !isPowerOf65537(r%uint64(p), uint64(p)) {
				return false
			}
		}
	}
	return true
}

// isPowerOf65537 reports whether r = 65537^i mod p for some i.
func isPowerOf65537(r, p uint64) bool {
	g := 65537 % p
	for x := g; ; x = x * g % p {
		if x == r {
			return true
		}
		if x <= 1 {
			return false
		}
	}
}

// fermatSteps is how many steps of Fermat's method are tried. Two primes of 1024
// bits that are chosen at random are found so with a probability below 2^-900; the
// broken generators of CVE-2022-26320 fall in the first few.
const fermatSteps = 100

// hasClosePrimes reports whether Fermat's method factors the odd n: whether a² - n is a
// square for one of the first a from the square root of n upwards.
func hasClosePrimes(n *big.Int) bool {
	one := big.NewInt(1)
	a := new(big.Int).Sqrt(n)
	rest := new(big.Int).Mul(a, a)
	if rest.Cmp(n) == 0 {
		return true
	}
	a.Add(a, one)
	rest.Mul(a, a).Sub(rest, n)
	step := new(big.Int).Lsh(a, 1)
	step.Add(step, one) // (a+1)² = a² + 2a + 1
	two := big.NewInt(2)
	for range fermatSteps {
		if isSquare(rest) {
			return true
		}
		rest.Add(rest, step)
		step.Add(step, two)
	}
	return false
}

// isSquare reports whether n >= 0 is a square. Remainders rule out all but one in
// a hundred before a root is taken.
func isSquare(n *big.Int) bool {
	const squaresMod64 = 0x0202021202030213 // bit r is set when r is a square mod 64
	low := n.Bit(5)<<5 | n.Bit(4)<<4 | n.Bit(3)<<3 | n.Bit(2)<<2 | n.Bit(1)<<1 | n.Bit(0)
	if squaresMod64>>low&1 == 0 {
		return false
	}
	r := remainder(words(n), 63*65*11)
	if !isSquareMod(r%63, 63) || !isSquareMod(r%65, 65) || !isSquareMod(r%11, 11) {
		return false
	}
	root := new(big.Int).Sqrt(n)
	return root.Mul(root, root).Cmp(n) == 0
}

func isSquareMod(r, m uint64) bool {
	for i := uint64(0); i <= m/2; i++ {
		if i*i%m == r {
			return true
		}
	}
	return false
}
