package pkcs12

import (
	_ "embed" // the table is a file, which the test can write again
	"slices"
	"strings"
)

// A Program is one that was tried on every kind of file.
type Program struct {
	Name    string // as in the table
	Product string // as people call it
	Version string // the version that was tried
}

// A Reading is what programs did with one kind of file.
type Reading struct {
	Profile       Profile
	Key           string   // "rsa-2048", "ecdsa-p256", "ecdsa-p384", "ed25519"
	EmptyPassword bool     // else an ordinary one
	OpenedBy      []string // names of programs that got the key and all certificates out
}

// table is what was seen. A test tries all of it again with the programs that are
// installed, and rewrites it with -update.
//
//go:embed compatibility.txt
var table string

// Compatibility returns what was seen with real programs, for documents to be made
// from: the programs, and a Reading for each profile, kind of key and kind of
// password. A program that opens a file only when told that it is a legacy one is
// listed twice, with and without.
func Compatibility() ([]Program, []Reading) {
	var programs []Program
	var readings []Reading
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		switch {
		case len(f) < 4 || f[0] == "#":
		case f[0] == "program":
			programs = append(programs, Program{f[1], strings.Join(f[3:], " "), f[2]})
		case f[0] == "reading":
			readings = append(readings, Reading{Profile(f[1]), f[2], f[3] == "empty", f[4:]})
		}
	}
	return programs, readings
}

// Readers says in words which programs can open the files of p: first what their
// makers and users report, then what was seen here. It is "" for an unknown
// profile.
func (p Profile) Readers() string {
	reported := map[Profile]string{
		Modern2023: "OpenSSL 1.1.1, Java 12 and Windows Server 2019, and later ones; not Windows Server 2016, nor older macOS keychains",
		Modern2026: "OpenSSL 3.4 and Java 26, and later ones",
		LegacyDES:  "nearly all software, Windows Server 2016 and macOS keychains among it",
		LegacyRC2:  "old software",
	}
	text, ok := reported[p]
	if !ok {
		return ""
	}
	can, not := p.tried()
	if len(can) > 0 {
		return text + "; tried with " + strings.Join(can, ", ")
	}
	return text + "; none of " + strings.Join(not, ", ")
}

// tried lists the programs of the table that open files of p with an ordinary
// password, with the kinds of keys that they can't read, and those that open none.
// One that needs no option is not listed again with the option.
func (p Profile) tried() (can, not []string) {
	programs, readings := Compatibility()
	known := make(map[string]bool)
	for _, program := range programs {
		product, option, legacy := strings.Cut(program.Product, " with ")
		opened, refused := keysOpened(program, p, readings)
		switch text := product + " " + program.Version; {
		case known[product], legacy && len(opened) == 0:
			continue
		case len(opened) == 0:
			not = append(not, text)
			continue
		case legacy:
			can = append(can, text+" with "+option)
		case len(refused) > 0:
			can = append(can, text+" (not "+strings.Join(refused, ", ")+")")
		default:
			can = append(can, text)
		}
		known[product] = true
	}
	return can, not
}

// keysOpened sorts the kinds of keys by whether program read them in files of p.
func keysOpened(program Program, p Profile, readings []Reading) (opened, refused []string) {
	for _, r := range readings {
		switch {
		case r.Profile != p || r.EmptyPassword:
		case slices.Contains(r.OpenedBy, program.Name):
			opened = append(opened, r.Key)
		default:
			refused = append(refused, r.Key)
		}
	}
	return opened, refused
}
