package cli

import (
	"context"
	"encoding/hex"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type projectShowOptions struct {
	id     string
	output output
}

func newProjectShowCmd(a *app) *cobra.Command {
	var o projectShowOptions
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Describe a project and its CA",
		Long: `Describe a project and its CA. More of its CA, the serial counter and the minimum
accepted serial are in "x509ctl ca show --project ID".`,
		Example: `  # the fingerprint of its CA, for a script
  x509ctl project show tenant1 -o json`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			return runProjectShow(cmd.Context(), a, o)
		},
	}
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runProjectShow(ctx context.Context, a *app, o projectShowOptions) error {
	id, err := manager.ProjectAuthority(o.id)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	p, err := svc.Project(ctx, o.id)
	if err != nil {
		return err
	}
	ca, err := svc.Authority(ctx, id)
	if err != nil {
		return err
	}
	return show(a, o.output, projectShowView{
		ID: p.ID, Name: p.Name, Created: at(p.Created), Subject: ca.Subject, Issuer: ca.Issuer,
		NotAfter: at(ca.NotAfter), SHA256: hex.EncodeToString(ca.SHA256[:]), Live: ca.Counts.Live, Total: ca.Counts.Total,
	})
}

// projectShowView is a project as "project show" prints it.
type projectShowView struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Created  timestamp `json:"created"`
	Subject  string    `json:"subject"` // of its CA, as what follows
	Issuer   string    `json:"issuer"`
	NotAfter timestamp `json:"not_after"`
	SHA256   string    `json:"sha256"`
	Live     int64     `json:"live"`
	Total    int64     `json:"total"`
}
