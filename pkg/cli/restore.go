package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
)

type restoreOptions struct {
	file    string
	atLeast string
	from    []string
	keepMin bool
	output  output
}

func newRestoreCmd(a *app) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the directory from a backup",
		Long: `Make the directory from what "x509ctl backup" wrote. The directory may exist but
holds no CA yet, or what is left of the same one without its database; an x509ctl.yaml
that is there is kept. With - the archive is read from standard input.

Nobody knows which serial numbers were used since the backup was made. So the
count goes on above what --at-least or --from say, or jumps to where the clock is,
as "x509ctl serial recover --restored" does; and the minimum accepted serial number
moves there too, because certificates may exist that the backup does not know,
unless --keep-min-serial says that there are none.

What was revoked after the backup is revoked again, if the ca/crl.pem that is in the
directory lists it: leave it there, or bring a copy from another machine. Otherwise
those revocations are lost, and so is what was blocked since: a compromised key whose
certificate had expired, or is not in the backup, can get certificates again.

Nodes, members and names of projects that were removed since the backup was made are
there again, and deleted projects, too: remove them again, for they can get certificates.`,
		Example: `  x509ctl restore x509ctl.tar`,
		Args:    exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return runRestore(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.atLeast, "at-least", "", "`NUMBER` that was used at most")
	f.StringArrayVar(&o.from, "from", nil, "`FILE` with a serial number, a copy of the serial file; may be given again")
	f.BoolVar(&o.keepMin, "keep-min-serial", false, "no certificate exists that the backup does not know")
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runRestore(ctx context.Context, a *app, o restoreOptions) error {
	// First of all, as with connect: root becomes the directory's owner here, and
	// opens no file for him before.
	config, err := a.managerConfig()
	if err != nil {
		return err
	}
	known, err := knownSerial(o.atLeast, o.from)
	if err != nil {
		return err
	}
	var in io.Reader
	if o.file == "-" {
		in = a.standardInput()
	} else {
		f, err := openArchive(o.file)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	s, err := manager.Restore(ctx, config, in, known, o.keepMin)
	if err != nil && !isSpreadError(err) {
		return fmt.Errorf("restoring %s: %w", o.file, err)
	}
	if s.KeptSettings {
		a.note("%s was there and stays as it is; the backup has another one", settingsFile)
	}
	a.note("nodes, members and names that were removed since the backup are there again, and so are deleted projects")
	return afterChange(err, show(a, o.output, newSerialView(s.Serial)))
}

// openArchive opens a regular file: an archive may be larger than memory, so it is
// streamed, and a FIFO would let a command wait for ever.
func openArchive(name string) (io.ReadCloser, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, fault.Errorf(fault.NotFound, "opening the backup: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fault.Errorf(fault.Malformed, "%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening the backup: %w", err)
	}
	return f, nil
}
