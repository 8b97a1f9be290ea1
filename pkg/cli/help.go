package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// newHelpCmd replaces cobra's, which succeeds for a command that doesn't exist.
func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Describe a command",
		Long:  `Describe a command, as the flag --help after it does.`,
		Example: `  # what "x509ctl config show" takes
  x509ctl help config show`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runHelp(cmd, args)
		},
	}
}

func runHelp(cmd *cobra.Command, args []string) error {
	found, rest, err := cmd.Root().Find(args)
	if err != nil {
		return fmt.Errorf("looking for a command: %w", err)
	}
	if len(rest) > 0 {
		return &usageError{text: fmt.Sprintf("unknown command %q", found.CommandPath()+" "+rest[0]), hint: suggestion(found, rest[0])}
	}
	found.InitDefaultHelpFlag()
	return found.Help()
}

// printUsage is the part of a command's help below its description. cobra's own
// has a second line for every group.
func printUsage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n  " + cmd.UseLine())
	if len(cmd.Aliases) > 0 {
		b.WriteString("\n\nAliases:\n  " + strings.Join(cmd.Aliases, ", "))
	}
	if cmd.HasExample() {
		b.WriteString("\n\nExamples:\n" + cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		usageOfCommands(&b, cmd)
	}
	if cmd.HasAvailableLocalFlags() {
		b.WriteString("\n\nFlags:\n" + strings.TrimRight(cmd.LocalFlags().FlagUsages(), "\n"))
	}
	if cmd.HasAvailableInheritedFlags() {
		b.WriteString("\n\nGlobal flags:\n" + strings.TrimRight(cmd.InheritedFlags().FlagUsages(), "\n"))
	}
	b.WriteString("\n")
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

// usageOfCommands lists cmd's commands under their headings.
func usageOfCommands(b *strings.Builder, cmd *cobra.Command) {
	groups := cmd.Groups()
	if len(groups) == 0 {
		groups = []*cobra.Group{{Title: "Commands:"}}
	}
	for _, g := range groups {
		heading := "\n\n" + g.Title
		for _, c := range cmd.Commands() {
			if c.GroupID == g.ID && c.IsAvailableCommand() {
				fmt.Fprintf(b, "%s\n  %-*s %s", heading, c.NamePadding(), c.Name(), c.Short)
				heading = ""
			}
		}
	}
}
