package trust_test

import (
	"bufio"
	"compress/gzip"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/trust"
)

// A limboCase is one of x509-limbo's, as far as it is used.
type limboCase struct {
	ID            string     `json:"id"`
	Roots         []string   `json:"trusted_certs"`
	Intermediates []string   `json:"untrusted_intermediates"`
	Leaf          string     `json:"peer_certificate"`
	At            *time.Time `json:"validation_time"`
	Usages        []string   `json:"extended_key_usage"`
	Want          string     `json:"expected_result"`
	Name          *peerName  `json:"expected_peer_name"`
	Names         []peerName `json:"expected_peer_names"`
	CRLs          []string   `json:"crls"`
}

type peerName struct{ Kind, Value string }

// limboCases returns every case with its group.
func limboCases(t testing.TB) (cases []limboCase, groups map[string]string) {
	t.Helper()
	f, err := os.Open("testdata/limbo/cases.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var suite struct{ Testcases []limboCase }
	if err := json.NewDecoder(z).Decode(&suite); err != nil {
		t.Fatal(err)
	}
	table, err := os.Open("testdata/limbo/groups.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	groups = map[string]string{}
	for lines := bufio.NewScanner(table); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 3 {
			groups[f[0]] = f[1]
		}
	}
	return suite.Testcases, groups
}

// verify puts the case's question for each of its names.
func (c limboCase) verify() error {
	var roots, intermediates []*x509.Certificate
	for into, list := range map[*[]*x509.Certificate][]string{&roots: c.Roots, &intermediates: c.Intermediates} {
		for _, s := range list {
			cert, err := trust.ParseCertificate([]byte(s))
			if err != nil {
				return err
			}
			*into = append(*into, cert)
		}
	}
	leaf, err := trust.ParseCertificate([]byte(c.Leaf))
	if err != nil {
		return err
	}
	var crls []*trust.CRL
	for _, s := range c.CRLs {
		l, err := trust.ParseCRL([]byte(s))
		if err != nil {
			return err
		}
		crls = append(crls, l)
	}
	pool, err := trust.NewPool(roots, intermediates, crls)
	if err != nil {
		return err
	}
	check := trust.ChainCheck{Pool: pool, At: now, RequireFresh: len(crls) > 0}
	if c.At != nil {
		check.At = *c.At
	}
	for _, usage := range c.Usages { // without one, any purpose will do
		check.Purpose = map[string]trust.Purpose{"serverAuth": trust.Server, "clientAuth": trust.Client}[usage]
	}
	questions := []trust.ChainCheck{check}
	names := c.Names
	if c.Name != nil {
		names = append(names, *c.Name)
	}
	for _, n := range names {
		q := check
		if n.Kind == "RFC822" {
			q.Email = n.Value
		} else {
			q.Name = n.Value
		}
		questions = append(questions, q)
	}
	for _, q := range questions {
		if _, err := q.Verify(leaf); err != nil {
			return err
		}
	}
	return nil
}

// limboExceptions are cases of the groups that matter in which the verdict is
// another one, each with the reason.
var limboExceptions = map[string]string{}

// limboReasons are reasons that only these cases have, or that others hide.
var limboReasons = map[string]trust.Reason{
	"webpki::v1-cert":                   trust.BadVersion,
	"webpki::forbidden-dsa-leaf":        trust.WeakKey,
	"pathological::nc-dos-1":            trust.TooComplex,
	"pathological::nc-dos-2":            trust.TooComplex,
	"crl::revoked-certificate-with-crl": trust.Revoked,
	"crl::issuer-missing-crlsign":       trust.BadCRL,
	"rfc5280::eku::ee-wrong-eku":        trust.WrongPurpose,
	"rfc5280::validity::expired-leaf":   trust.Expired,
}

// TestLimbo compares with the verdicts that the suite wants. Strict and webpki are
// counted only: what differs there is listed with -v.
func TestLimbo(t *testing.T) {
	cases, groups := limboCases(t)
	right, all := map[string]int{}, map[string]int{}
	for _, c := range cases {
		group := groups[c.ID]
		matters := group != "strict" && group != "webpki"
		start := time.Now()
		err := c.verify()
		took := time.Since(start)
		got := "SUCCESS"
		if err != nil {
			got = "FAILURE"
			var v *trust.VerifyError
			if !errors.As(err, &v) && fault.KindOf(err) != fault.Malformed {
				t.Errorf("%s: %v is of the kind %q", c.ID, err, fault.KindOf(err))
			}
		}
		all[group]++
		_, excepted := limboExceptions[c.ID]
		switch {
		case got == c.Want:
			right[group]++
			if excepted {
				t.Errorf("%s: is as wanted, and listed as an exception", c.ID)
			}
			t.Logf("%s: %v", c.ID, err)
		case matters && !excepted:
			t.Errorf("%s: %s, want %s: %v", c.ID, got, c.Want, err)
		default:
			t.Logf("%s (%s) differs: %v", c.ID, group, err)
		}
		if want, ok := limboReasons[c.ID]; ok {
			expect(t, err, want, "")
		}
		if took > 10*time.Second {
			t.Errorf("%s: took %v", c.ID, took)
		}
	}
	t.Logf("as wanted: %v of %v", right, all)
	for group, want := range map[string]int{"core": 39, "names": 10, "crl": 6, "constraints": 44, "dos": 11} {
		if all[group] != want {
			t.Errorf("%d cases of the group %s, want %d", all[group], group, want)
		}
	}
}
