package profile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// crlIssuer returns a CA; edit changes its certificate as it is read.
func crlIssuer(t *testing.T, kind KeyAlgorithm, edit func(*x509.Certificate)) (*Issuer, crypto.Signer) {
	t.Helper()
	key, err := GenerateKey(kind)
	if err != nil {
		t.Fatal(err)
	}
	cert := *newTestCA(t, key, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Hour)
	if edit != nil {
		edit(&cert)
	}
	issuer, err := NewIssuer([]*x509.Certificate{&cert})
	if err != nil {
		t.Fatal(err)
	}
	return issuer, key
}

// A brokenKey signs with another key than it says.
type brokenKey struct {
	crypto.Signer
	public crypto.PublicKey
}

func (k brokenKey) Public() crypto.PublicKey { return k.public }

// TestCRL has crypto/x509 read what was built, of every length that an encoding of
// lengths changes at.
func TestCRL(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 999, time.UTC)
	more := pkix.Extension{Id: asn1.ObjectIdentifier{2, 25, 7, 1}, Value: []byte{2, 1, 5}}
	for _, kind := range []KeyAlgorithm{ECDSAP256, ECDSAP384, RSA2048, Ed25519} {
		issuer, key := crlIssuer(t, kind, nil)
		for _, n := range []int{0, 1, 2, 3, 4, 8, 9, 2000, 3000} {
			var spool bytes.Buffer
			entries := NewCRLEntries(&spool)
			for i := range n {
				reason, since := Reason(""), now
				if i%3 == 1 {
					reason, since = Reasons()[i%len(Reasons())], now.Add(time.Duration(i)*time.Second)
				}
				if err := entries.Add(serial.Number(1+i*i*i*i*i), since, reason); err != nil {
					t.Fatal(err)
				}
			}
			list, err := NewCRL(issuer, 1<<40, now, more)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := list.Sign(key, bytes.NewReader(spool.Bytes()), int64(spool.Len()))
			if err != nil {
				t.Fatal(err)
			}
			der, err := io.ReadAll(signed.Reader())
			if err != nil || int64(len(der)) != signed.Size() {
				t.Errorf("%s, %d entries: %d octets of %d, %v", kind, n, len(der), signed.Size(), err)
			}
			read, err := x509.ParseRevocationList(der)
			if err != nil {
				t.Fatalf("%s, %d entries: %v", kind, n, err)
			}
			if err := read.CheckSignatureFrom(issuer.Certificate()); err != nil {
				t.Errorf("%s, %d entries: %v", kind, n, err)
			}
			checkCRL(t, read, n, now, issuer.Certificate())
		}
	}
}

func checkCRL(t *testing.T, l *x509.RevocationList, n int, now time.Time, ca *x509.Certificate) {
	t.Helper()
	now = now.Truncate(time.Second)
	switch {
	case !l.ThisUpdate.Equal(now.Add(-Backdate)) || !l.NextUpdate.Equal(now.AddDate(0, 0, 7)):
		t.Errorf("from %v to %v", l.ThisUpdate, l.NextUpdate)
	case l.Number.Int64() != 1<<40 || !bytes.Equal(l.AuthorityKeyId, ca.SubjectKeyId):
		t.Errorf("number %v of %x", l.Number, l.AuthorityKeyId)
	case len(l.Extensions) != 3 || l.Extensions[2].Critical || !bytes.Equal(l.Extensions[2].Value, []byte{2, 1, 5}):
		t.Errorf("extensions %v", l.Extensions)
	case len(l.RevokedCertificateEntries) != n:
		t.Fatalf("%d entries, want %d", len(l.RevokedCertificateEntries), n)
	}
	for i, e := range l.RevokedCertificateEntries {
		code, since := 0, now
		if i%3 == 1 {
			code, since = int(Reasons()[i%len(Reasons())].code()), now.Add(time.Duration(i)*time.Second)
		}
		if e.SerialNumber.Int64() != int64(1+i*i*i*i*i) || !e.RevocationTime.Equal(since) || e.ReasonCode != code {
			t.Fatalf("entry %d is %v since %v for %d", i, e.SerialNumber, e.RevocationTime, e.ReasonCode)
		}
	}
}

func TestCRLRefuses(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	issuer, _ := crlIssuer(t, ECDSAP256, nil)
	silent, _ := crlIssuer(t, ECDSAP256, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	if _, err := NewCRL(silent, 1, now); !errors.Is(err, ErrNoCRLSign) {
		t.Errorf("without cRLSign: %v", err)
	}
	if _, err := NewCRL(issuer, 0, now); err == nil {
		t.Error("number 0")
	}
	list, err := NewCRL(issuer, 1, now)
	if err != nil {
		t.Fatal(err)
	}
	_, other := crlIssuer(t, ECDSAP256, nil)
	if _, err := list.Sign(other, strings.NewReader(""), 0); fault.KindOf(err) != fault.Denied {
		t.Errorf("another's key: %v", err)
	}
	// A key that signs something else, as a broken one does.
	if _, err := list.Sign(brokenKey{other, issuer.key.key}, strings.NewReader(""), 0); err == nil {
		t.Error("a signature that does not verify")
	}
}

func TestParseReason(t *testing.T) {
	for _, r := range Reasons() {
		if got, err := ParseReason(strings.ToUpper(string(r))); err != nil || got != r {
			t.Errorf("%s: %v, %v", r, got, err)
		}
	}
	for _, s := range []string{"", "cACompromise", "certificateHold", "removeFromCRL", "key compromise"} {
		if _, err := ParseReason(s); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%q: %v", s, err)
		}
	}
}
