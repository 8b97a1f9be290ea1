package profile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"sync/atomic"

	"x509ctl/pkg/fault"
)

// rehearsed remembers which shapes of certificate an [Issuer] has rehearsed.
type rehearsed [16]atomic.Bool

// shape returns which of the shapes l has: its profile, what its key is, and whether it
// has addresses, decide which extensions there are and how they are encoded.
func (l *Leaf) shape() int {
	shape := 4 * l.traits.index
	if isRSA(l.key.key) {
		shape++
	}
	if len(l.names.addresses) > 0 {
		shape += 2
	}
	return shape
}

// rehearse signs t for a Leaf with a throw-away key, unless its issuer did so for one
// of the same shape, and has crypto/x509 judge the certificate.
func (l *Leaf) rehearse(t *TBS) error {
	done := &l.issuer.rehearsed[l.shape()]
	if done.Load() {
		return nil
	}
	c, err := t.rehearse(l.issuer.chain[0])
	if err != nil {
		return err
	}
	for _, name := range l.names.dnsNames {
		if err := c.VerifyHostname(name); err != nil {
			return wrong("a client finds no name in it: " + err.Error())
		}
	}
	for _, addr := range l.names.addresses {
		if err := c.VerifyHostname("[" + addr.String() + "]"); err != nil {
			return wrong("a client finds no address in it: " + err.Error())
		}
	}
	done.Store(true)
	return nil
}

// rehearse signs t as the issuer with certificate ca is going to, with a key of the same
// kind that is thrown away, and returns the certificate as crypto/x509 reads it.
// Whatever makes the whole of it useless is found before the issuer's key has signed.
// A nil ca is the certificate itself.
func (t *TBS) rehearse(ca *x509.Certificate) (*x509.Certificate, error) {
	key, err := throwAwayKey(t.signer.key)
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "making a throw-away key: %w", err)
	}
	raw, err := t.signedWith(key)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, wrong("its rehearsal can't be read: " + err.Error())
	}
	if ca == nil {
		ca = c
	}
	issuer := *ca
	issuer.PublicKey = key.Public()
	if err := c.CheckSignatureFrom(&issuer); err != nil {
		return nil, wrong("its rehearsal can't be verified: " + err.Error())
	}
	return c, nil
}

// throwAwayKey returns a key that signs as key does. To make an RSA key would cost more
// than all the rest of a call, so that one is made of primes that everybody knows.
func throwAwayKey(key crypto.PublicKey) (crypto.Signer, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.GenerateKey(k.Curve, rand.Reader)
	case ed25519.PublicKey:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	p, _ := new(big.Int).SetString(oakley1024, 16)
	q, _ := new(big.Int).SetString(srp1024, 16)
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	private := &rsa.PrivateKey{Primes: []*big.Int{p, q}}
	private.N, private.E = new(big.Int).Mul(p, q), minExponent
	private.D = new(big.Int).ModInverse(big.NewInt(minExponent), p1.Mul(p1, q1))
	private.Precompute()
	return private, private.Validate()
}

// Two primes in print: RFC 2409, section 6.2, and RFC 5054, appendix A, 1024 bits.
const (
	oakley1024 = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD" +
		"EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED" +
		"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF"
	srp1024 = "EEAF0AB9ADB38DD69C33F80AFA8FC5E86072618775FF3C0B9EA2314C9C256576D674DF7496EA81D3383B4813D692C6E0" +
		"E0D5D8E250B98BE48E495C1D6089DAD15DC7D7B46154D6B6CE8EF4AD69B15D4982559B297BCF1885C529F566660E57EC" +
		"68EDBC3C05726CC02FD4CBF4976EAA9AFD5138FE8376435B9FC61D2FC0EB06E3"
)
