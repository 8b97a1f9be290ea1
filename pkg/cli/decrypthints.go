package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

// decryptHints are the hints for secrets that are encrypted to a project.
func decryptHints(cmd *cobra.Command, err error) []string {
	encrypts := cmd.Name() == "encrypt" || cmd.Flags().Changed("encryption-cert")
	switch {
	case errors.Is(err, manager.ErrNoDecryptKey):
		return []string{"what was encrypted to another project needs --project with the id of that one"}
	case errors.Is(err, manager.ErrNoDecryptCertificate):
		return []string{`"x509ctl project show ID --encryption-cert" makes what is missing`}
	case errors.Is(err, manager.ErrDecryptKeyLost):
		return []string{
			"put decrypt-key.pem back from a backup",
			"without one, move decrypt-cert.pem away: there will be a new key, and what was encrypted to the old one is lost",
		}
	case errors.Is(err, manager.ErrDecryptMismatch):
		return []string{"put decrypt-key.pem back as it was, from a backup for instance"}
	case errors.Is(err, manager.ErrKeyBlocked) && encrypts:
		return []string{"decrypt what was encrypted to it, and then move decrypt-key.pem and decrypt-cert.pem away: there will be a new key"}
	case errors.Is(err, manager.ErrNotDecrypted):
		return []string{"what was encrypted as PKCS #1 v1.5, as euca2ools do, needs --pkcs1v15 and --length"}
	case errors.Is(err, errUnprintable):
		return []string{"write it to a file with --out, or as text with --output-format hex"}
	}
	return nil
}
