package keypair_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"x509ctl/pkg/keypair"
)

var update = flag.Bool("update", false, "write testdata/verdicts.txt anew, with Nova's verdicts when Debian's python3-nova is installed")

// exceptions are the files that are judged otherwise than by Nova, and why: see the
// package comment.
var exceptions = map[string]string{
	"ssh-command-newline":          "a line that is no key",
	"ssh-command-cr":               "a line that is no key",
	"ssh-command-nul":              "a line that is no key",
	"ssh-command-vt":               "a line that is no key",
	"ssh-command-nel":              "a line that is no key",
	"ssh-command-ls":               "a line that is no key",
	"ssh-comment-line-after":       "a line that is no key",
	"ssh-garbage-line-after":       "a line that is no key",
	"ssh-private-after":            "a line that is no key",
	"ssh-damaged-second":           "a line that is no key",
	"ssh-second-line-indented":     "a line that is no key",
	"x509-ssh-key-before":          "a line that is no key",
	"ssh-sign-in-base64":           "base64 that sshd refuses",
	"ssh-after-padding":            "base64 that sshd refuses",
	"ssh-two-blanks":               "Nova splits at single blanks",
	"ssh-two-keys-no-comment":      "Nova splits at single blanks",
	"ssh-tab-before-comment":       "Nova splits at single blanks",
	"x509-private-before":          "a private half",
	"x509-private-after":           "a private half",
	"x509-encrypted-private-after": "a private half",
	"x509-nul":                     "no database of ours keeps a NUL",
	"too-long":                     "Nova's database refuses it",
	"ssh-sk-ed25519":               "Nova takes it with cryptography 43",
	"ssh-sk-ecdsa":                 "Nova takes it with cryptography 43",
}

// A verdict is what becomes of a file that is imported as one type: a fingerprint,
// or what is found in its place.
type verdict struct{ ours, nova string }

const refused = "refused"

func accepts(verdict string) bool {
	return regexp.MustCompile(`^[0-9a-f:]{47,59}$`).MatchString(verdict)
}

// judge is our verdict.
func judge(t keypair.Type, text string) string {
	p, err := keypair.Parse(t, text)
	var e *keypair.ImportError
	if errors.As(err, &e) {
		return string(e.Found)
	}
	return p.Fingerprint()
}

func corpus(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/import/*")
	if err != nil || len(files) < 60 {
		tb.Fatalf("%d files to import (%v)", len(files), err)
	}
	return files
}

// runNova runs a script of testdata with Nova's own functions. ok is false when
// Debian's python3-nova is not installed, which in CI is a failure.
func runNova(t *testing.T, script string, args ...string) (out []byte, ok bool) {
	t.Helper()
	out, err := exec.Command("/usr/bin/python3", append([]string{"testdata/" + script}, args...)...).Output()
	if err != nil && os.Getenv("CI") != "" {
		t.Fatalf("python3-nova is not installed: %v", err)
	}
	return out, err == nil
}

// askNova returns what Nova says of the files, or nil when it is not installed, and
// the major version of the library below.
func askNova(t *testing.T, files []string) (map[string][2]string, int) {
	t.Helper()
	out, ok := runNova(t, "judge.py", files...)
	if !ok {
		t.Log("python3-nova is not installed: Nova's verdicts are those of the table")
		return nil, 0
	}
	said := map[string][2]string{}
	version := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if f[0] == "cryptography" {
			major, _, _ := strings.Cut(f[1], ".")
			version, _ = strconv.Atoi(major)
			continue
		}
		said[f[0]] = [2]string{f[1], f[2]}
	}
	return said, version
}

// tableVersion is the version of cryptography that the table's verdicts are from.
// With another one Nova may say something else.
const tableVersion = 38

// TestImport judges every file of the corpus as both types, compares the verdicts with
// the table, and Nova's with ours.
func TestImport(t *testing.T) {
	files := corpus(t)
	table := readVerdicts(t)
	nova, version := askNova(t, files)
	for _, file := range files {
		name := filepath.Base(file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, typ := range []keypair.Type{keypair.SSH, keypair.X509} {
			key := name + " " + string(typ)
			row := table[key]
			ours := judge(typ, string(text))
			if *update {
				row.ours = ours
				if version == tableVersion {
					row.nova = nova[name][i]
				}
				table[key] = row
			}
			if version == tableVersion && row.nova != nova[name][i] {
				t.Errorf("%s: Nova says %s, the table %s", key, nova[name][i], row.nova)
			}
			if row.ours != ours {
				t.Errorf("%s: %s, the table says %s", key, ours, row.ours)
			}
			same := ours == row.nova || !accepts(ours) && row.nova == refused
			if why := exceptions[name]; !same && why == "" {
				t.Errorf("%s: %s, but Nova says %s", key, ours, row.nova)
			}
		}
		if exceptions[name] != "" && !differs(table, name) {
			t.Errorf("%s is no exception", name)
		}
	}
	if *update {
		writeVerdicts(t, files, table)
	}
}

func differs(table map[string]verdict, name string) bool {
	for _, typ := range []string{" ssh", " x509"} {
		v := table[name+typ]
		if v.ours != v.nova && (accepts(v.ours) || accepts(v.nova)) {
			return true
		}
	}
	return false
}

const verdictsFile = "testdata/verdicts.txt"

func readVerdicts(t *testing.T) map[string]verdict {
	t.Helper()
	table := map[string]verdict{}
	b, err := os.ReadFile(verdictsFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); len(f) == 4 {
			table[f[0]+" "+f[1]] = verdict{f[3], f[2]}
		}
	}
	return table
}

func writeVerdicts(t *testing.T, files []string, table map[string]verdict) {
	t.Helper()
	var b strings.Builder
	b.WriteString("# What becomes of each file: its name, the type asked for, Nova's verdict, ours.\n" +
		"# Written by: go test ./pkg/keypair -run TestImport -update\n")
	for _, file := range files {
		for _, typ := range []string{"ssh", "x509"} {
			v := table[filepath.Base(file)+" "+typ]
			fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", filepath.Base(file), typ, v.nova, v.ours)
		}
	}
	if err := os.WriteFile(verdictsFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
