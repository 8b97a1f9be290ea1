package cli

import (
	"runtime"

	"github.com/spf13/cobra"
)

// Version is what this source calls itself. A release changes it in the commit that
// is tagged.
const Version = "0.1.0-dev"

type versionOptions struct {
	output output
}

func newVersionCmd(a *app) *cobra.Command {
	var o versionOptions
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of x509ctl",
		Long:  `Print the version of x509ctl, of the Go it was built with, and the platform.`,
		Example: `  # the version for a script
  x509ctl version -o json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			return runVersion(a, o)
		},
	}
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runVersion(a *app, o versionOptions) error {
	return show(a, o.output, versionView{Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
}

type versionView struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}
