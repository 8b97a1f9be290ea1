package profile

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // to see it refused
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"slices"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
)

func randomPrime(tb testing.TB, bits int) *big.Int {
	tb.Helper()
	p, err := rand.Prime(rand.Reader, bits)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// nextPrime returns the first prime above n.
func nextPrime(n *big.Int) *big.Int {
	p := new(big.Int).SetBit(n, 0, 1)
	for {
		p.Add(p, big.NewInt(2))
		if p.ProbablyPrime(10) {
			return p
		}
	}
}

// rocaPrime returns a prime of about so many bits of the form k·M + (65537^a mod M),
// as the generator of CVE-2017-15361 made them.
func rocaPrime(tb testing.TB, bits int) *big.Int {
	tb.Helper()
	m := big.NewInt(2)
	for _, p := range oddPrimes(rocaBound) {
		m.Mul(m, big.NewInt(int64(p)))
	}
	for {
		k := roughNumber(tb, bits-m.BitLen())
		a := roughNumber(tb, 100)
		p := new(big.Int).Exp(big.NewInt(65537), a, m)
		p.Add(p, k.Mul(k, m))
		if p.ProbablyPrime(10) {
			return p
		}
	}
}

// roughNumber returns a number without small factors: to make it of two large
// primes would take seconds.
func roughNumber(tb testing.TB, bits int) *big.Int {
	tb.Helper()
	for {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
		if err != nil {
			tb.Fatal(err)
		}
		if n.SetBit(n, bits-1, 1); smallFactor(n) == 0 {
			return n
		}
	}
}

func rsaKey(p, q *big.Int) *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}
}

func TestCheckKeyRefuses(t *testing.T) {
	p, q := randomPrime(t, 1024), randomPrime(t, 1024)
	good := rsaKey(p, q)
	if err := CheckKey(good); err != nil {
		t.Fatalf("sound key: %v", err)
	}
	withE := func(e int) *rsa.PublicKey { return &rsa.PublicKey{N: good.N, E: e} }
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	//nolint:staticcheck // no constructor puts a point off its curve
	offCurve := &ecdsa.PublicKey{Curve: elliptic.P256(), X: p256.X, Y: new(big.Int).Xor(p256.Y, big.NewInt(1))}
	for _, tc := range []struct {
		name string
		key  crypto.PublicKey
		want string
	}{
		{"nil", nil, "not accepted"},
		{"nil RSA", (*rsa.PublicKey)(nil), "no RSA key"},
		{"empty RSA", &rsa.PublicKey{}, "no RSA key"},
		{"nil ECDSA", (*ecdsa.PublicKey)(nil), "no ECDSA key"},
		{"empty ECDSA", &ecdsa.PublicKey{}, "no ECDSA key"},
		{"P-224", &p224.PublicKey, "P-224"},
		{"off the curve", offCurve, "not a point"},
		{"DSA", &dsa.PublicKey{}, "not accepted"},
		{"a private key", p256, "not accepted"},
		{"short Ed25519", ed25519.PublicKey(make([]byte, 31)), "31 octets"},
		{"Ed25519 of order 1", ed25519.PublicKey(append([]byte{1}, make([]byte, 31)...)), "small order"},
		{"Ed25519 of order 4", ed25519.PublicKey(append(make([]byte, 31), 0x80)), "small order"},
		{"RSA 2047", &rsa.PublicKey{N: new(big.Int).Rsh(good.N, 1), E: 65537}, "2047 bits"},
		{"RSA 1024", &rsa.PublicKey{N: p, E: 65537}, "1024 bits"},
		{"RSA 8193", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 8192), E: 65537}, "8193 bits"},
		{"RSA 2000000", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1999999), E: 65537}, "2000000 bits"},
		{"negative", &rsa.PublicKey{N: new(big.Int).Neg(good.N), E: 65537}, "no RSA key"},
		{"exponent 3", withE(3), "exponent is 3"},
		{"exponent 65535", withE(65535), "exponent"},
		{"exponent 65536", withE(65536), "exponent"},
		{"exponent 65538", withE(65538), "exponent"},
		{"exponent 1", withE(1), "exponent"},
		{"exponent -65537", withE(-65537), "exponent"},
		{"exponent 2^31+1", withE(1<<31 + 1), "exponent"},
		{"even", &rsa.PublicKey{N: new(big.Int).Mul(p, new(big.Int).Lsh(big.NewInt(1), 1024)), E: 65537}, "divided by 2"},
		{"divided by 3", rsaKey(roughNumber(t, 2047), big.NewInt(3)), "divided by 3"},
		{"divided by 8191", rsaKey(roughNumber(t, 2040), big.NewInt(8191)), "divided by 8191"},
		{"equal primes", rsaKey(p, p), "too close"},
		{"next prime", rsaKey(p, nextPrime(p)), "too close"},
		{"close primes", rsaKey(p, nextPrime(new(big.Int).Add(p, new(big.Int).Lsh(big.NewInt(1), 500)))), "too close"},
		{"ROCA", rsaKey(rocaPrime(t, 1030), rocaPrime(t, 1030)), "ROCA"},
	} {
		err := CheckKey(tc.key)
		if err == nil || fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v (%v), want a denial with %q", tc.name, err, fault.KindOf(err), tc.want)
		}
	}
}

func TestCheckKeyAccepts(t *testing.T) {
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := randomPrime(t, 1024)
	far := nextPrime(new(big.Int).Add(p, new(big.Int).Lsh(big.NewInt(1), 700)))
	for _, tc := range []struct {
		name string
		key  crypto.PublicKey
	}{
		{"P-521", &p521.PublicKey},
		{"largest exponent", &rsa.PublicKey{N: rsaKey(p, randomPrime(t, 1024)).N, E: 1<<31 - 1}},
		{"primes that only share their first bits", rsaKey(p, far)},
		{"one prime of ROCA's form", rsaKey(rocaPrime(t, 1030), randomPrime(t, 1024))},
		{"8192 bits", &rsa.PublicKey{N: roughNumber(t, 8192), E: 65537}},
	} {
		if err := CheckKey(tc.key); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// TestSmallOrder computes the table: the curve's torsion is what is left of any
// point multiplied by the order of the main subgroup.
func TestSmallOrder(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	inv := func(a *big.Int) *big.Int { return new(big.Int).ModInverse(a, p) }
	mul := func(a, b *big.Int) *big.Int { a = new(big.Int).Mul(a, b); return a.Mod(a, p) }
	one := big.NewInt(1)
	d := mul(big.NewInt(-121665), inv(big.NewInt(121666)))
	type point struct{ x, y *big.Int }
	add := func(a, b point) point {
		k := mul(mul(d, mul(a.x, b.x)), mul(a.y, b.y))
		x := mul(new(big.Int).Add(mul(a.x, b.y), mul(b.x, a.y)), inv(new(big.Int).Add(one, k)))
		y := mul(new(big.Int).Add(mul(a.y, b.y), mul(a.x, b.x)), inv(new(big.Int).Sub(one, k)))
		return point{x, y}
	}
	order, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	order.SetBit(order, 252, 1)
	want := make(map[[32]byte]bool)
	note := func(y *big.Int) {
		var b [32]byte
		y.FillBytes(b[:])
		slices.Reverse(b[:])
		want[b] = true
	}
	for y := int64(2); y < 60; y++ {
		y2 := big.NewInt(y * y)
		x := new(big.Int).ModSqrt(mul(new(big.Int).Sub(y2, one), inv(new(big.Int).Add(mul(d, y2), one))), p)
		if x == nil {
			continue
		}
		sum, base := point{new(big.Int), one}, point{x, big.NewInt(y)}
		for i := range order.BitLen() {
			if order.Bit(i) == 1 {
				sum = add(sum, base)
			}
			base = add(base, base)
		}
		note(sum.y)
		if twice := new(big.Int).Add(sum.y, p); twice.BitLen() <= 255 {
			note(twice) // the same point, written with y >= p
		}
	}
	if len(want) != len(smallOrder) {
		t.Errorf("computed %d encodings, the table has %d", len(want), len(smallOrder))
	}
	for _, b := range smallOrder {
		if !want[b] {
			t.Errorf("%x is not of small order", b)
		}
	}
}

func TestIsSquare(t *testing.T) {
	squares := make(map[int64]bool)
	for i := int64(0); i*i < 20000; i++ {
		squares[i*i] = true
	}
	for n := int64(0); n < 20000; n++ {
		if got := isSquare(big.NewInt(n)); got != squares[n] {
			t.Errorf("isSquare(%d) = %v", n, got)
		}
	}
	p := randomPrime(t, 700)
	if !isSquare(new(big.Int).Mul(p, p)) {
		t.Error("a large square isn't seen")
	}
}

func TestPrimeGroups(t *testing.T) {
	count := 0
	for _, g := range primeGroups() {
		product := uint64(1)
		for _, p := range g.primes {
			if !big.NewInt(int64(p)).ProbablyPrime(5) {
				t.Errorf("%d isn't prime", p)
			}
			product *= uint64(p)
			count++
		}
		if product != g.product {
			t.Errorf("product of %v is %d, not %d", g.primes, product, g.product)
		}
	}
	if count != 1027 { // pi(8192) = 1028, with the prime 2
		t.Errorf("%d odd primes below 8192", count)
	}
	n := roughNumber(t, 2048)
	for _, m := range []uint64{3, 45045, 1<<64 - 59} {
		want := new(big.Int).Mod(n, new(big.Int).SetUint64(m)).Uint64()
		if got := remainder(words(n), m); got != want {
			t.Errorf("remainder by %d = %d, want %d", m, got, want)
		}
	}
}

func BenchmarkCheckKey(b *testing.B) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	for _, bc := range []struct {
		name string
		key  crypto.PublicKey
	}{
		{"p256", &p256.PublicKey},
		{"ed25519", pub},
		{"rsa2048", rsaKey(randomPrime(b, 1024), randomPrime(b, 1024))},
		{"rsa4096", rsaKey(randomPrime(b, 2048), randomPrime(b, 2048))},
	} {
		b.Run(bc.name, func(b *testing.B) {
			for b.Loop() {
				if err := CheckKey(bc.key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
