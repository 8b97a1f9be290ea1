package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is a command line that can't be understood.
type usageError struct {
	text string
	hint string // what to try, or empty
}

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{text: fmt.Sprintf(format, args...)}
}

// flagError is what the flag parser says, as a usage error.
func flagError(_ *cobra.Command, err error) error {
	if err == pflag.ErrHelp { //nolint:errorlint // never wrapped, and cobra compares it too
		return err
	}
	return &usageError{text: err.Error()}
}

// refuseEmpty refuses a flag that is given empty, as by a variable of a script that is
// not set. A default, standard output or no restriction at all is not what was meant.
func refuseEmpty(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && isEmpty(f.Value) {
			err = usagef("--%s is empty", f.Name)
		}
	})
	return err
}

// isEmpty reports whether a flag that was given has an empty value, or one in its list.
func isEmpty(v pflag.Value) bool {
	if list, ok := v.(pflag.SliceValue); ok {
		values := list.GetSlice()
		return len(values) == 0 || slices.Contains(values, "")
	}
	return v.String() == ""
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	return exactArgs()(cmd, args)
}

// exactArgs wants one argument for each of names, which are as in the synopsis.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("missing %s", names[len(args)])
		}
		if len(args) > len(names) {
			return usagef("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// upToOneArg takes one argument or none.
func upToOneArg(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("unexpected argument %q", args[1])
	}
	return nil
}

// minArgs wants one argument for each of names, and takes more.
func minArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("missing %s", names[len(args)])
		}
		return nil
	}
}

// group is a command that is only the first word of others. By itself, or with a
// verb that isn't one of them, it is a usage error: cobra would print help and
// succeed, and so would the script that misspelled the verb.
func group(name, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name + " COMMAND",
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE:  runGroup,
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(verbs...)
	return cmd
}

func runGroup(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{
			text: fmt.Sprintf("unknown command %q", cmd.CommandPath()+" "+args[0]),
			hint: suggestion(cmd, args[0]),
		}
	}
	var verbs []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			verbs = append(verbs, c.Name())
		}
	}
	return usagef("missing command after %q: one of %s", cmd.CommandPath(), strings.Join(verbs, ", "))
}

func suggestion(cmd *cobra.Command, typed string) string {
	names := cmd.SuggestionsFor(typed)
	if len(names) == 0 {
		return ""
	}
	for i, n := range names {
		names[i] = fmt.Sprintf("%q", cmd.CommandPath()+" "+n)
	}
	return "did you mean " + strings.Join(names, " or ") + "?"
}
