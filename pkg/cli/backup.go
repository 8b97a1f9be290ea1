package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

type backupOptions struct{ file string }

func newBackupCmd(a *app) *cobra.Command {
	var o backupOptions
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Back up the directory",
		Long: `Write everything that "x509ctl restore" needs to FILE, a tar archive: the CA with
its private key, the settings and the database. It is consistent although others
go on working meanwhile.

The archive holds the CA's private key: it is made readable for its owner alone,
and belongs where such a key may lie. FILE is not overwritten. With - the archive
is written to standard output.`,
		Example: `  x509ctl backup x509ctl.tar`,
		Args:    exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return runBackup(cmd.Context(), a, o)
		},
	}
}

func runBackup(ctx context.Context, a *app, o backupOptions) error {
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	out, err := a.claim(o.file, 0o600)
	if err != nil {
		return &outfileError{path: o.file, err: err}
	}
	defer out.discard()
	if err := out.fill(func(w io.Writer) error { return svc.Backup(ctx, w) }); err != nil {
		return fmt.Errorf("backing up: %w", err)
	}
	return nil
}
