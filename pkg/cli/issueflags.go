package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

// What the commands that issue certificates have in common.

func addLifetimeFlag(cmd *cobra.Command, d *time.Duration) {
	durationVar(cmd.Flags(), d, "lifetime", "how long a certificate is valid, less than a week (default 24h), in a project at most a year (default 90d)")
}

func addAllowFlag(cmd *cobra.Command, names *[]string) {
	cmd.Flags().StringSliceVar(names, "allow-name", nil, "allow this `NAME` though it is no node's, on record (may be given again)")
}

// lifetime is what the flag, or else a setting, asks for: the setting is for nodes. Zero
// leaves it to the manager, which may shorten its default.
func (a *app) lifetime(flag time.Duration, kind profile.Profile) (time.Duration, error) {
	if flag != 0 || kind.OfProject() {
		return flag, nil
	}
	s, err := a.settings()
	if err != nil || s.origin["lifetime"] == "default" {
		return 0, err
	}
	return s.lifetime, nil
}

// keyType is what the flag, or else a setting, asks for.
func (a *app) keyType(flag profile.KeyAlgorithm) (profile.KeyAlgorithm, error) {
	if flag != "" {
		return flag, nil
	}
	s, err := a.settings()
	if err != nil {
		return "", err
	}
	return s.keyType, nil
}

func (a *app) noteShortened(c manager.Certificate) {
	a.note("certificate %v ends with the CA, on %s", c.Serial, c.NotAfter.UTC().Format(time.RFC3339))
}

// A saveError is a certificate on record that did not reach its file.
type saveError struct {
	serial  serial.Number
	err     error
	keyLost bool // the key that was made for it is gone
}

func (e *saveError) Error() string { return fmt.Sprintf("saving certificate %v: %v", e.serial, e.err) }
func (e *saveError) Unwrap() error { return e.err }
