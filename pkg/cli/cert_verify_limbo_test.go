package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// A limboCase is one of x509-limbo's, as far as it is used.
type limboCase struct {
	ID            string      `json:"id"`
	Roots         []string    `json:"trusted_certs"`
	Intermediates []string    `json:"untrusted_intermediates"`
	Leaf          string      `json:"peer_certificate"`
	At            *time.Time  `json:"validation_time"`
	Usages        []string    `json:"extended_key_usage"`
	Want          string      `json:"expected_result"`
	Name          *limboName  `json:"expected_peer_name"`
	Names         []limboName `json:"expected_peer_names"`
	CRLs          []string    `json:"crls"`
}

type limboName struct{ Kind, Value string }

// limboCases returns the cases that a private CA's verifier has to get right; the
// others are rules of the public web.
func limboCases(t *testing.T) []limboCase {
	t.Helper()
	const dir = "../trust/testdata/limbo/"
	f, err := os.Open(dir + "cases.json.gz")
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
	table, err := os.ReadFile(dir + "groups.tsv")
	if err != nil {
		t.Fatal(err)
	}
	group := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 3 {
			group[f[0]] = f[1]
		}
	}
	var cases []limboCase
	for _, c := range suite.Testcases {
		if g := group[c.ID]; g != "strict" && g != "webpki" {
			cases = append(cases, c)
		}
	}
	return cases
}

// commands returns the command lines that put c's question: one for each name.
func (c limboCase) commands(w workshop) [][]string {
	file := func(name string, blocks []string) string {
		if err := os.WriteFile(w.path(name), []byte(strings.Join(blocks, "\n")), 0o644); err != nil {
			w.t.Fatal(err)
		}
		return w.path(name)
	}
	args := []string{"cert", "verify", file("leaf.pem", []string{c.Leaf}), "--ca-file", file("roots.pem", c.Roots)}
	if len(c.Intermediates) > 0 {
		args = append(args, "--intermediates", file("intermediates.pem", c.Intermediates))
	}
	for i, l := range c.CRLs {
		args = append(args, "--require-fresh", "--crl", file(string(rune('a'+i))+".crl", []string{l}))
	}
	if c.At != nil {
		args = append(args, "--at", c.At.Format(time.RFC3339))
	}
	for _, usage := range c.Usages {
		args = append(args, "--purpose", strings.TrimSuffix(usage, "Auth"))
	}
	all := [][]string{args}
	names := c.Names
	if c.Name != nil {
		names = append(names, *c.Name)
	}
	for _, n := range names {
		flag := map[string]string{"DNS": "--name", "IP": "--ip", "RFC822": "--email"}[n.Kind]
		all = append(all, append(args[:len(args):len(args)], flag, n.Value))
	}
	return all
}

// TestVerifyLimbo has the command judge what package trust does: roots, intermediates,
// lists and purposes come to where they belong. No case depends on an address or a mail
// address alone; cert_verify_chain.txtar has these.
func TestVerifyLimbo(t *testing.T) {
	cases := limboCases(t)
	if len(cases) != 110 {
		t.Errorf("%d cases, want 110", len(cases))
	}
	for _, c := range cases {
		w := workshop{t: t, dir: t.TempDir()}
		got := "SUCCESS"
		var reasons strings.Builder
		for _, args := range c.commands(w) {
			var out bytes.Buffer
			begin := time.Now()
			status, stderr := w.run(context.Background(), &out, args...)
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%s: took %v", c.ID, took)
			}
			reasons.WriteString(stderr)
			switch status {
			case exitOK:
			case exitInvalid, exitUsage:
				got = "FAILURE"
			default:
				t.Errorf("%s: exit status %d", c.ID, status)
			}
		}
		if got != c.Want {
			t.Errorf("%s: %s, want %s\n%s", c.ID, got, c.Want, reasons.String())
		}
		if _, err := os.Stat(w.path("ca")); err == nil {
			t.Errorf("%s: a directory was made", c.ID)
		}
	}
}
