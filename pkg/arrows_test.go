// Package pkg_test holds what no single package can: which package may import
// which, and that only the edge knows the world.
package pkg_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "x509ctl/"

// A rule says what the files of one package may do that are not tests.
type rule struct {
	ours    []string // packages of this module that may be imported
	outside []string // modules, or parts of them
	world   string   // the file that may use the clock, the environment and the process; "*" is any
}

// leaves import no package of ours but fault, with the exceptions in rules.
var leaves = []string{"pkg/fault", "pkg/serial", "pkg/parallel", "pkg/durable", "pkg/profile", "pkg/trust", "pkg/pkcs12", "pkg/keypair", "pkg/project"}

// rules has every package; one that is missing here fails the test, and so does
// one that is gone.
var rules = map[string]rule{
	"cmd/x509ctl": {ours: []string{"pkg/cli"}, outside: []string{"modernc.org/sqlite"}, world: "*"},
	"pkg/cli": {
		ours: also(leaves, "pkg/manager", "pkg/store"),
		outside: []string{
			"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/AlecAivazis/survey/v2",
			"github.com/olekukonko/tablewriter", "github.com/schollz/progressbar/v3", "github.com/goccy/go-yaml",
			"golang.org/x/term", "golang.org/x/sys", "golang.org/x/crypto",
		},
		world: "cli.go",
	},
	"pkg/manager":   {ours: also(leaves, "pkg/authority", "pkg/store")},
	"pkg/authority": {ours: leaves, outside: []string{"github.com/youmark/pkcs8", "golang.org/x/sys"}},
	"pkg/store":     {ours: leaves, outside: []string{"github.com/pressly/goose/v3", "golang.org/x/sys"}},

	"pkg/fault":    {},
	"pkg/parallel": {},
	"pkg/serial":   {ours: []string{"pkg/fault", "pkg/durable"}},
	"pkg/durable":  {ours: []string{"pkg/fault", "pkg/parallel"}, outside: []string{"golang.org/x/sys"}},
	"pkg/profile":  {ours: []string{"pkg/fault", "pkg/serial"}, outside: []string{"golang.org/x/crypto"}},
	"pkg/trust":    {ours: []string{"pkg/fault", "pkg/serial"}},
	// crypto/tls is kept out of pkg/trust, which the tool links.
	"pkg/trust/trusttls": {ours: []string{"pkg/fault", "pkg/trust"}},

	"pkg/pkcs12": {ours: []string{"pkg/fault"}, outside: []string{"software.sslmate.com/src/go-pkcs12", "golang.org/x/crypto/scrypt"}},

	"pkg/project": {ours: []string{"pkg/fault"}},

	"pkg/keypair": {ours: []string{"pkg/fault"}, outside: []string{"golang.org/x/crypto/cryptobyte"}},

	// Support of tests, which no package but tests may import.
	"pkg/store/storetest": {
		ours:    also(leaves, "pkg/store"),
		outside: []string{"modernc.org/sqlite", "github.com/jackc/pgx/v5"},
		world:   "*",
	},
}

// reserved are the parts of the standard library that few packages may import. A
// path stands for those below it as well.
var reserved = map[string][]string{
	"crypto/tls":   {"pkg/trust/trusttls"},
	"net/http":     {},
	"database/sql": {"cmd/x509ctl", "pkg/store", "pkg/store/storetest"},
	"os/signal":    {"pkg/cli"},
	"os/user":      {"pkg/cli", "pkg/store/storetest"},
	"flag":         {},
	"log":          {},
	"testing":      {"pkg/store/storetest"},
}

// world is what packages take as arguments instead: the clock, the environment,
// and the process with its streams.
var world = map[string][]string{
	"time": {"Now", "Since", "Until"},
	"os": {
		"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "Unsetenv", "Clearenv",
		"Exit", "Args", "Stdin", "Stdout", "Stderr", "Chdir",
	},
	"fmt":     {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	"syscall": {"Getenv", "Environ", "Exit"},
}

// machine is what only packages with a file for the world may ask for, in any of
// their files.
var machine = map[string][]string{"os": {"Getwd", "Hostname", "Getuid", "Geteuid", "UserHomeDir", "TempDir"}}

func also(list []string, more ...string) []string { return slices.Concat(list, more) }

// TestArrows reads every Go file of the module that is not a test.
func TestArrows(t *testing.T) {
	for _, v := range violations(t, os.DirFS("..")) {
		t.Error(v)
	}
}

// violations returns what in the module at root is against the rules.
func violations(t *testing.T, root fs.FS) []string {
	t.Helper()
	var found []string
	seen := map[string]bool{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")):
			return fs.SkipDir // as the go command does
		case d.IsDir() || !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go"):
			return nil
		}
		pkg := path.Dir(name)
		rule, ok := rules[pkg]
		if !ok && !seen[pkg] {
			found = append(found, pkg+": is in no rule")
		}
		if seen[pkg] = true; !ok {
			return nil
		}
		found = append(found, checkFile(t, root, name, pkg, rule)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range rules {
		if !seen[pkg] {
			found = append(found, pkg+": has a rule, and no file")
		}
	}
	return found
}

// checkFile returns what in one file is against the rule of its package.
func checkFile(t *testing.T, root fs.FS, name, pkg string, r rule) []string {
	t.Helper()
	src, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	imported := map[string]string{} // local name to path
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		local := path.Base(p)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		imported[local] = p
		if local == "." || !r.allows(pkg, p) {
			found = append(found, fmt.Sprintf("%s: imports %s", set.Position(spec.Pos()), p))
		}
	}
	if r.world == "*" || r.world == path.Base(name) {
		return found
	}
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		// An identifier with an object is a variable that hides the import.
		x, ok := selector.X.(*ast.Ident)
		if !ok || x.Obj != nil {
			return true
		}
		from, what := imported[x.Name], selector.Sel.Name
		if slices.Contains(world[from], what) || r.world == "" && slices.Contains(machine[from], what) {
			found = append(found, fmt.Sprintf("%s: uses %s.%s", set.Position(n.Pos()), from, what))
		}
		return true
	})
	return found
}

// allows reports whether package pkg, which r is for, may import p.
func (r rule) allows(pkg, p string) bool {
	if ours, ok := strings.CutPrefix(p, module); ok {
		return slices.Contains(r.ours, ours)
	}
	for part, who := range reserved {
		if isPart(p, part) {
			return slices.Contains(who, pkg)
		}
	}
	if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") {
		return p != "C" // the standard library
	}
	return slices.ContainsFunc(r.outside, func(m string) bool { return isPart(p, m) })
}

// isPart reports whether p is the path whole, or one below it.
func isPart(p, whole string) bool { return p == whole || strings.HasPrefix(p, whole+"/") }

// TestArrowsFail breaks each rule once, in a file beside one that keeps them.
func TestArrowsFail(t *testing.T) {
	for _, tc := range []struct{ name, src, want string }{
		{"pkg/trust/x.go", `import "crypto/x509"; import "x509ctl/pkg/fault"; import "x509ctl/pkg/serial"`, ""},
		{"pkg/trust/x_test.go", `import "x509ctl/pkg/manager"`, ""},
		{"pkg/trust/testdata/x.go", `import "x509ctl/pkg/manager"`, ""},
		{"pkg/trust/x.go", `import "x509ctl/pkg/profile"`, "imports x509ctl/pkg/profile"},
		{"pkg/trust/x.go", `import f "x509ctl/pkg/faulty"`, "imports x509ctl/pkg/faulty"},
		{"pkg/fault/x.go", `import "x509ctl/pkg/serial"`, "imports x509ctl/pkg/serial"},
		{"pkg/authority/x.go", `import "x509ctl/pkg/store"`, "imports x509ctl/pkg/store"},
		{"pkg/store/x.go", `import "x509ctl/pkg/authority"`, "imports x509ctl/pkg/authority"},
		{"pkg/store/x.go", `import _ "modernc.org/sqlite"`, "imports modernc.org/sqlite"},
		{"pkg/store/x.go", `import "database/sql/driver"`, ""},
		{"pkg/manager/x.go", `import "x509ctl/pkg/cli"`, "imports x509ctl/pkg/cli"},
		{"pkg/manager/x.go", `import "x509ctl/pkg/store/storetest"`, "imports x509ctl/pkg/store/storetest"},
		{"pkg/manager/x.go", `import "github.com/spf13/cobra"`, "imports github.com/spf13/cobra"},
		{"pkg/manager/x.go", `import "database/sql"`, "imports database/sql"},
		{"pkg/cli/x.go", `import "x509ctl/pkg/authority"`, "imports x509ctl/pkg/authority"},
		{"pkg/cli/x.go", `import "net/http"`, "imports net/http"},
		{"pkg/cli/x.go", `import "net/http/httptest"`, "imports net/http/httptest"},
		{"pkg/cli/x.go", `import . "strings"`, "imports strings"},
		{"pkg/cli/x.go", `import "C"`, "imports C"},
		{"pkg/cli/x.go", `import "time"; var x = time.Now`, "uses time.Now"},
		{"pkg/cli/cli.go", `import "time"; var x = time.Now`, ""},
		{"pkg/serial/x.go", `import clock "time"; var x = clock.Now()`, "uses time.Now"},
		{"pkg/serial/x.go", `import "time"; func f(time struct{ Now int }) int { return time.Now }; var x time.Time`, ""},
		{"pkg/serial/x.go", `import "os"; func f() { os.Exit(1) }`, "uses os.Exit"},
		{"pkg/serial/x.go", `import "os"; func f() { os.Hostname() }`, "uses os.Hostname"},
		{"pkg/cli/x.go", `import "os"; func f() { os.Hostname() }`, ""},
		{"pkg/serial/x.go", `import "os"; var x = os.Stderr`, "uses os.Stderr"},
		{"pkg/serial/x.go", `import "os"; var x = os.Getenv("X")`, "uses os.Getenv"},
		{"cmd/x509ctl/x.go", `import "x509ctl/pkg/manager"`, "imports x509ctl/pkg/manager"},
		{"pkg/new/x.go", ``, "pkg/new: is in no rule"},
		{"cmd/new/x.go", ``, "cmd/new: is in no rule"},
		{"x.go", ``, ".: is in no rule"},
	} {
		root := fstest.MapFS{}
		for pkg := range rules {
			root[pkg+"/good.go"] = &fstest.MapFile{Data: []byte("package p")}
		}
		root[tc.name] = &fstest.MapFile{Data: []byte("package p; " + tc.src)}
		got := violations(t, root)
		switch {
		case tc.want == "" && len(got) > 0:
			t.Errorf("%s: %s: %q", tc.name, tc.src, got)
		case tc.want != "" && (len(got) != 1 || !strings.HasSuffix(got[0], tc.want)):
			t.Errorf("%s: %s: %q, want %q", tc.name, tc.src, got, tc.want)
		}
	}
	if got := violations(t, fstest.MapFS{}); len(got) != len(rules) {
		t.Errorf("%d rules without a file, want %d", len(got), len(rules))
	}
}
