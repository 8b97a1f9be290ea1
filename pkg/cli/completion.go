package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// shells are the shells that x509ctl can complete for, and who writes the script.
var shells = []struct {
	name  string
	write func(root *cobra.Command, w io.Writer) error
}{
	{"bash", func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) }},
	{"fish", func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) }},
	{"zsh", func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) }},
}

func newCompletionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the completion script for a shell",
		Long: `Print the completion script for a shell: bash, fish or zsh.

"make install" puts these scripts where the shells look for them. In bash they need
what the package bash-completion of the distribution brings.`,
		Example: `  # completion in this bash, and nowhere else
  source <(x509ctl completion bash)`,
		Args:      exactArgs("SHELL"),
		ValidArgs: []string{"bash", "fish", "zsh"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCompletion(a, cmd, args[0])
		},
	}
}

func runCompletion(a *app, cmd *cobra.Command, shell string) error {
	for _, s := range shells {
		if s.name == shell {
			if err := s.write(cmd.Root(), a.stdout); err != nil {
				return fmt.Errorf("writing the script: %w", err)
			}
			return nil
		}
	}
	return usagef("unknown shell %q: bash, fish and zsh are known", shell)
}
