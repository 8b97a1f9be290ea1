package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// helpOf is what root prints as help for a command.
func helpOf(t *testing.T, root *cobra.Command, words []string) string {
	t.Helper()
	cmd, rest, err := root.Find(words)
	if err != nil || len(rest) > 0 {
		t.Fatalf("finding %q: %v, %q", words, err, rest)
	}
	var b bytes.Buffer
	cmd.SetOut(&b)
	cmd.InitDefaultHelpFlag()
	if err := cmd.Help(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func leaves(cmd *cobra.Command) (all []*cobra.Command) {
	for _, c := range cmd.Commands() {
		all = append(all, leaves(c)...)
	}
	if len(all) == 0 {
		all = append(all, cmd)
	}
	return all
}

// A command is the same whether it is made alone or among all others.
func TestCommandAlone(t *testing.T) {
	all := newRootCmd(newApp())
	for _, cmd := range leaves(all) {
		words := strings.Fields(cmd.CommandPath())[1:]
		alone := newRootCmd(newApp(), append(words, "--dir", "x")...)
		if n := len(leaves(alone)); n != 1 && cmd.Name() != "help" {
			t.Errorf("%q: %d commands were made", words, n)
		}
		if got, want := helpOf(t, alone, words), helpOf(t, all, words); got != want {
			t.Errorf("%q made alone says\n%s\nand among the others\n%s", words, got, want)
		}
	}
}

// Whatever is not the words of a command makes all of them.
func TestAllCommands(t *testing.T) {
	want := len(leaves(newRootCmd(newApp())))
	for _, line := range []string{"", "cert", "certs list", "cert lst", "help cert", "--dir x cert list", "-h", "__complete cert ", "cert --help"} {
		if n := len(leaves(newRootCmd(newApp(), strings.Split(line, " ")...))); n != want {
			t.Errorf("%q: %d commands, not %d", line, n, want)
		}
	}
}
