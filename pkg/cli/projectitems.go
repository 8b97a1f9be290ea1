package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// addOfProjectFlag adds --project, for a command about something that a project has.
func addOfProjectFlag(cmd *cobra.Command, project *string) {
	cmd.Flags().StringVar(project, "project", "", "the `ID` of the project")
}

func wantProject(project string) error {
	if project == "" {
		return usagef("missing --project")
	}
	return nil
}

// An itemKind is what a command takes as arguments or reads from a file.
type itemKind struct {
	what   string
	plural string
	wanted string // what one is, with its article
	check  func(string) error
}

// ofProject returns the items of a project that a command is about: its arguments, or the
// lines of a file.
func (a *app) ofProject(project string, args []string, from string, kind itemKind) ([]string, error) {
	if err := wantProject(project); err != nil {
		return nil, err
	}
	return a.itemsOf(args, from, kind)
}

// itemsOf returns args, or the lines of the file from.
func (a *app) itemsOf(args []string, from string, kind itemKind) ([]string, error) {
	switch {
	case from != "" && len(args) > 0:
		return nil, usagef("--from and %q exclude each other", args[0])
	case from != "":
		return a.readLines(from, kind.what, func(line string) string {
			if kind.check(line) != nil {
				return kind.wanted
			}
			return ""
		})
	case len(args) == 0:
		return nil, usagef("missing %s", strings.ToUpper(kind.what))
	}
	return args, nil
}

// removalQuestion asks whether items of a project are to be removed.
func removalQuestion(items []string, kind itemKind, project string, keep bool) string {
	what := fmt.Sprintf("%d %s", len(items), kind.plural)
	if len(items) <= 5 {
		what = strings.Join(items, ", ")
	}
	if keep {
		return fmt.Sprintf("Remove %s from project %s, and keep their certificates?", what, project)
	}
	return fmt.Sprintf("Remove %s from project %s, and revoke their certificates?", what, project)
}

// afterItems prints what became of a batch that ended with err, unless all of it was
// refused.
func afterItems[T, V any](a *app, o output, err error, done []T, view func(T) V) error {
	if len(done) == 0 && err != nil {
		return err
	}
	return afterChange(err, list(a, o, each(done, view)))
}
