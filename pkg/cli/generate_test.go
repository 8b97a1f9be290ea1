package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// documented is the command tree as man pages and completions describe it.
func documented() *cobra.Command {
	root := newRootCmd(newApp())
	root.InitDefaultHelpFlag()
	return root
}

// TestMan compares man/ with what the commands say of themselves.
func TestMan(t *testing.T) {
	dir := t.TempDir()
	// Without a date of its own the header has today's.
	date := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	header := &doc.GenManHeader{Section: "1", Source: "x509ctl", Manual: "x509ctl", Date: &date}
	if err := doc.GenManTree(documented(), header, dir); err != nil {
		t.Fatal(err)
	}
	compareTree(t, "../../man", dir)
}

// TestCompletions compares completions/ with what cobra generates.
func TestCompletions(t *testing.T) {
	dir := t.TempDir()
	for _, s := range shells {
		var b bytes.Buffer
		if err := s.write(documented(), &b); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "x509ctl."+s.name), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	compareTree(t, "../../completions", dir)
}

// compareTree compares the files of have, in the tree, with those of want, or makes
// them equal with -update. A file that nothing generates any more is one difference.
func compareTree(t *testing.T, have, want string) {
	t.Helper()
	stale := map[string]bool{}
	files, err := os.ReadDir(have)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for _, f := range files {
		stale[f.Name()] = !strings.HasSuffix(f.Name(), ".7") // those are written by hand
	}
	files, err = os.ReadDir(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		delete(stale, f.Name())
		compareFile(t, filepath.Join(have, f.Name()), filepath.Join(want, f.Name()))
	}
	for name, is := range stale {
		if !is {
			continue
		}
		path := filepath.Join(have, name)
		if !*update {
			t.Errorf("%s belongs to nothing any more: remove it with make generate", path)
		} else if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

func compareFile(t *testing.T, have, want string) {
	t.Helper()
	b, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(have)
	if err == nil && bytes.Equal(old, b) {
		return
	}
	if !*update {
		t.Errorf("%s is not what the commands say: run make generate and commit the result (%v)", have, err)
		return
	}
	if err := os.MkdirAll(filepath.Dir(have), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(have, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestCommandsAreDescribed finds commands without a description, and placeholders
// in angle brackets: man pages lose them, because their source is Markdown.
func TestCommandsAreDescribed(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Hidden { // a second spelling of what is described
			return
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the short description %q is empty or a sentence", path, cmd.Short)
		}
		if !cmd.HasSubCommands() {
			if cmd.Long == "" || !strings.HasSuffix(firstParagraph(cmd.Long), ".") {
				t.Errorf("%s: the description does not begin with a sentence", path)
			}
			if !strings.Contains(cmd.Example, "x509ctl "+strings.TrimPrefix(path, "x509ctl ")) {
				t.Errorf("%s: there is no example", path)
			}
			if cmd.Args == nil && cmd.Name() != "help" {
				t.Errorf("%s: arguments are not checked", path)
			}
		}
		text := cmd.Use + cmd.Long + cmd.Short + cmd.Example
		if cmd.HasLocalFlags() {
			text += cmd.LocalFlags().FlagUsages()
		}
		if i := strings.Index(text, "<"); i >= 0 && strings.Contains(text[i:], ">") && !strings.Contains(text, "<(") {
			t.Errorf("%s: placeholders are written in capitals", path)
		}
		for line := range strings.SplitSeq(cmd.Long+"\n"+cmd.Example, "\n") {
			if len(line) > 90 {
				t.Errorf("%s: a line of %d characters: %s", path, len(line), line)
			}
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(documented())
}

func firstParagraph(s string) string {
	p, _, _ := strings.Cut(s, "\n\n")
	return strings.TrimRight(p, ":")
}
