package cli

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"x509ctl/pkg/pkcs12"
)

const guestsPage = "../../man/x509ctl-guests.7"

// TestGuestsTable compares the table of PKCS#12 profiles in x509ctl-guests(7) with what
// pkg/pkcs12 knows, which a test of its own has seen.
func TestGuestsTable(t *testing.T) {
	const begin, end = ".\\\" begin table\n", ".\\\" end table\n"
	page, err := os.ReadFile(guestsPage)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := bytes.Cut(page, []byte(begin))
	have, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		t.Fatal("the page has no place for a table")
	}
	want := profileTable()
	if string(have) == want {
		return
	}
	if !*update {
		t.Fatalf("the table is not what is known: run make generate\n%s", want)
	}
	new := bytes.Join([][]byte{head, []byte(begin), []byte(want), []byte(end), tail}, nil)
	if err := os.WriteFile(guestsPage, new, 0o644); err != nil {
		t.Fatal(err)
	}
}

// profileTable is a paragraph for each profile, in roff.
func profileTable() string {
	programs, readings := pkcs12.Compatibility()
	var b strings.Builder
	for _, p := range pkcs12.Profiles() {
		name := string(p)
		if p == pkcs12.LegacyDES {
			name += " (windows2016)"
		}
		fmt.Fprintf(&b, ".TP\n.B %s\n%s.\n", roff(name), roff(p.Readers()))
		for _, r := range readings {
			if r.Profile == p && r.Key == "rsa-2048" && r.EmptyPassword {
				fmt.Fprintf(&b, "With an empty password: %s.\n", roff(openers(programs, r)))
			}
		}
	}
	return b.String()
}

// openers are the programs that opened a file; one that needs no option is not named
// again with the option.
func openers(programs []pkcs12.Program, r pkcs12.Reading) string {
	var names []string
	for _, p := range programs {
		product, _, _ := strings.Cut(p.Product, " with ")
		if slices.Contains(r.OpenedBy, p.Name) && !slices.Contains(names, product) {
			names = append(names, p.Product)
		}
	}
	if len(names) == 0 {
		return "none of those"
	}
	return strings.Join(names, ", ")
}

func roff(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\e`), "-", `\-`) }
