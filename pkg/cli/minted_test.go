package cli

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/trust"
)

// A mint makes certificates with CA keys and nothing of x509ctl's: what a thief of the
// key can make, or an operator with openssl.
type mint struct {
	t    *testing.T
	w    workshop
	now  time.Time
	leaf *ecdsa.PrivateKey // of the certificates, unless an edit changes it

	own         mintCA // of the directory ca, which x509ctl made; its certificates 2 to 7 are real
	predecessor mintCA // in its bundle, too
	retired     mintCA // no longer
	holder      mintCA // a node's real certificate, number 7, as if it were a CA

	root, between, third, sibling mintCA // third is the own CA of the directory third, the first two are above it
}

type mintCA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// A tbs is TBSCertificate (RFC 5280, section 4.1), with nothing that can't be wrong.
type tbs struct {
	Version    int `asn1:"optional,explicit,default:0,tag:0"`
	Serial     *big.Int
	Algorithm  pkix.AlgorithmIdentifier
	Issuer     asn1.RawValue
	Validity   struct{ Begin, End time.Time }
	Subject    asn1.RawValue
	Key        asn1.RawValue
	Extensions []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
}

// dropKeyID takes the authority key identifier away.
func (t *tbs) dropKeyID() {
	t.Extensions = slices.DeleteFunc(t.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 35}) })
}

var (
	ecdsaSHA1   = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}
	ecdsaSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	ecdsaSHA384 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}
)

// A minting is one certificate to be made.
type minting struct {
	template *x509.Certificate
	by       mintCA
	raw      func(*tbs)              // changes what is signed
	after    func(der []byte) []byte // changes what was
}

// issue makes the certificate in DER.
func (m *mint) issue(c *minting) []byte {
	m.t.Helper()
	der := m.must(x509.CreateCertificate(rand.Reader, c.template, c.by.cert, publicKeyOf(c.template, m.leaf), c.by.key))
	if c.raw != nil {
		der = m.again(der, c.by.key, c.raw)
	}
	if c.after != nil {
		der = c.after(der)
	}
	return der
}

func publicKeyOf(c *x509.Certificate, otherwise *ecdsa.PrivateKey) crypto.PublicKey {
	if c.PublicKey != nil {
		return c.PublicKey
	}
	return otherwise.Public()
}

// again signs der anew with other contents.
func (m *mint) again(der []byte, key crypto.Signer, edit func(*tbs)) []byte {
	m.t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		m.t.Fatal(err)
	}
	var t tbs
	if _, err := asn1.Unmarshal(cert.RawTBSCertificate, &t); err != nil {
		m.t.Fatal(err)
	}
	edit(&t)
	body := m.must(asn1.Marshal(t))
	h, kind := hash.Hash(sha256.New()), crypto.SHA256
	switch {
	case t.Algorithm.Algorithm.Equal(ecdsaSHA1):
		h, kind = crypto.SHA1.New(), crypto.SHA1
	case t.Algorithm.Algorithm.Equal(ecdsaSHA384):
		h, kind = sha512.New384(), crypto.SHA384
	}
	h.Write(body)
	signature := m.must(key.Sign(rand.Reader, h.Sum(nil), kind))
	return m.must(asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: body}, t.Algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}}))
}

func (m *mint) must(b []byte, err error) []byte {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

// newCA makes a CA below parent, self-signed for the zero one.
func (m *mint) newCA(name string, parent mintCA, edits ...func(*x509.Certificate)) mintCA {
	m.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: m.now.Add(-24 * time.Hour), NotAfter: m.now.AddDate(5, 0, 0),
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	for _, edit := range edits {
		edit(template)
	}
	if parent.cert == nil {
		parent = mintCA{template, key}
	}
	cert, err := x509.ParseCertificate(m.must(x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)))
	if err != nil {
		m.t.Fatal(err)
	}
	return mintCA{cert, key}
}

// newMint has x509ctl make a CA and six certificates, of which the first three are
// below the floor, and takes its key.
func newMint(t *testing.T) *mint {
	t.Helper()
	m := &mint{t: t, w: newWorkshop(t, 0), now: time.Now().UTC().Truncate(time.Second)}
	for i := 2; i <= 7; i++ {
		m.w.must("cert", "issue", "node1.example.com", "--combined", m.w.path(fmt.Sprintf("real%d.pem", i)))
	}
	m.w.must("serial", "set-min", "5")
	if err := os.Remove(m.w.path("ca/ca/crl.pem")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err) // the lists are minted, too
	}
	read := func(certFile, keyFile string) mintCA {
		cert, err := trust.ParseCertificate(m.must(os.ReadFile(certFile)))
		if err != nil {
			t.Fatal(err)
		}
		key, err := decodeKey(m.must(os.ReadFile(keyFile)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return mintCA{cert, key}
	}
	m.own = read(m.w.path("ca/ca/cert.pem"), m.w.path("ca/ca/key.pem"))
	m.holder = read(m.w.path("real7.pem"), m.w.path("real7.pem"))
	m.leaf = m.holder.key.(*ecdsa.PrivateKey)
	m.predecessor, m.retired = m.newCA("cluster1.example.com CA 0", mintCA{}), m.newCA("cluster1.example.com CA -1", mintCA{})
	m.publish("ca", []*x509.Certificate{m.own.cert, m.predecessor.cert}, nil)

	open := func(c *x509.Certificate) { c.MaxPathLenZero, c.MaxPathLen = false, -1 }
	m.root = m.newCA("Root", mintCA{}, open)
	m.between = m.newCA("Between", m.root, open)
	m.third, m.sibling = m.newCA("cluster2.example.com CA 1", m.between), m.newCA("Sibling", m.between)
	m.publish("third", []*x509.Certificate{m.third.cert}, []*x509.Certificate{m.between.cert, m.root.cert})
	m.publish("loose", []*x509.Certificate{m.third.cert}, nil)
	return m
}

// publish makes what verifiers read.
func (m *mint) publish(dir string, own, path []*x509.Certificate) {
	m.t.Helper()
	dir = m.w.path(filepath.Join(dir, "ca"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		m.t.Fatal(err)
	}
	bundle := m.must(trust.FormatBundle(own, path))
	for name, data := range map[string][]byte{"bundle.pem": bundle, "min-serial": []byte("5\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
}

// template is what the node profile makes, of a number that was never given.
func (m *mint) template() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1000), Subject: pkix.Name{CommonName: "node1.example.com"},
		NotBefore: m.now.Add(-5 * time.Minute), NotAfter: m.now.Add(24*time.Hour - 5*time.Minute),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"node1.example.com"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1).To4()},
	}
}

// verdict has "cert verify" judge a file as of now, unless args say otherwise.
func (m *mint) verdict(path, dir string, args ...string) (v verifyView, status int, stderr string) {
	m.t.Helper()
	if !strings.Contains(strings.Join(args, " "), "--at") {
		args = append(args, "--at", m.now.Format(time.RFC3339))
	}
	var out bytes.Buffer
	begin := time.Now()
	status, stderr = m.w.run(context.Background(), &out, append([]string{"cert", "verify", path, "-o", "json", "--dir", m.w.path(dir)}, args...)...)
	if took := time.Since(begin); took > 5*time.Second {
		m.t.Errorf("it took %v", took)
	}
	var all []struct {
		verifyView
		NotAfter any `json:"not_after"`
		CRLs     any `json:"crls"`
	}
	if err := json.Unmarshal(out.Bytes(), &all); err != nil || len(all) != 1 {
		m.t.Fatalf("%v: %s%s", err, out.String(), stderr)
	}
	return all[0].verifyView, status, stderr
}

// publishList has crl.pem in the directory, signed by the own CA unless edit takes
// another.
func (m *mint) publishList(edit func(m *mint, l *x509.RevocationList) mintCA) func() {
	m.t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(9), ThisUpdate: m.now.Add(-time.Hour), NextUpdate: m.now.AddDate(0, 0, 7)}
	by := edit(m, l)
	data := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: m.must(x509.CreateRevocationList(rand.Reader, l, by.cert, by.key))})
	path := m.w.path("ca/ca/crl.pem")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		m.t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			m.t.Fatal(err)
		}
	}
}

func rsaKey(bits int) crypto.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits)-1)
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(0x1234567)), E: 65537}
}
