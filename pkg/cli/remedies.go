package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

// remedies are what can be done about a finding of "ca check".
func remedies(cmd *cobra.Command, f manager.Finding) []string {
	found := fileRemedies(f)
	if len(found) == 0 {
		found = hints(cmd, f.Err)
	}
	if f.Mendable && f.Failed == nil {
		return append([]string{"x509ctl ca check --repair"}, found...)
	}
	return found
}

func fileRemedies(f manager.Finding) []string {
	path := shellQuote(f.Path)
	var link *manager.LinkError
	var stray *manager.StrayError
	var hidden *manager.HiddenError
	var journal *manager.JournalError
	var config *manager.SettingsError
	var validity *manager.ValidityError
	var list *manager.CRLError
	var clock *manager.ClockError
	var unusable *manager.DecryptKeyError
	switch {
	case errors.As(f.Err, &link):
		return []string{fmt.Sprintf("look where it leads (ls -l %s), and put the file itself there, if it is yours: rm %s; mv FILE %s", path, path, path)}
	case errors.As(f.Err, &stray), errors.As(f.Err, &journal):
		return []string{fmt.Sprintf("mv %s %s.away", path, path)}
	case errors.As(f.Err, &hidden):
		return []string{"chmod 0644 " + path}
	case errors.As(f.Err, &config):
		return []string{`correct it, or take the line out; "x509ctl help config show" lists what can be in it`}
	case errors.As(f.Err, &clock), errors.As(f.Err, &validity) && f.Check == "clock":
		return []string{"set the clock: timedatectl set-ntp true"}
	case errors.As(f.Err, &validity):
		return []string{"x509ctl ca renew-crypto" + projectFlag(f.Of)}
	case errors.As(f.Err, &list):
		return []string{"x509ctl ca crl" + projectFlag(f.Of)}
	case errors.As(f.Err, &unusable):
		return []string{"x509ctl project show " + manager.ProjectOf(f.Of) + " --encryption-cert"}
	case errors.Is(f.Err, manager.ErrCARevoked), errors.Is(f.Err, manager.ErrRootGone):
		return []string{"x509ctl ca renew-crypto" + projectFlag(f.Of) + " --compromised"}
	case errors.Is(f.Err, manager.ErrInitCut):
		return []string{`run "x509ctl ca init" again: it goes on where it was`}
	case errors.Is(f.Err, manager.ErrProjectCut):
		return []string{`run "x509ctl project create" again: it goes on where it was`}
	case errors.Is(f.Err, manager.ErrDirectoryMissing):
		return []string{`bring the directory back from a backup: "x509ctl restore FILE" into an empty directory`}
	case errors.Is(f.Err, manager.ErrNetworkDisk):
		return []string{`move the directory to a local disk, and then: x509ctl serial recover --restored`}
	case errors.Is(f.Err, manager.ErrLittleRoom):
		return []string{"make room: df -h " + path}
	case errors.Is(f.Err, manager.ErrTooLarge):
		return []string{`forget what expired long ago with "x509ctl cert prune"; or, while nothing else runs: sqlite3 ` + path + ` "PRAGMA quick_check"`}
	}
	return nil
}
