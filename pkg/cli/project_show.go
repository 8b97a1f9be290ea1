package cli

import (
	"context"
	"encoding/hex"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
)

type projectShowOptions struct {
	id             string
	encryptionCert bool
	output         output
}

func newProjectShowCmd(a *app) *cobra.Command {
	var o projectShowOptions
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Describe a project and its CA",
		Long: `Describe a project and its CA, with the first 100 of its members and of the names for its
servers: "project member-list" and "project name-list" have all. More of its CA, its
serial counter and its minimum accepted serial is in "x509ctl ca show --project ID".

With --encryption-cert its certificate is printed, in PEM, that secrets are encrypted to:
see "x509ctl project encrypt". It is published as decrypt-cert.pem in the project's
directory. The first call makes it, and its key, an RSA key of 3072 bits that is not the
CA's and decrypts nothing else. One that has expired, was revoked, or is of a CA that is
not trusted any more is replaced by another for the same key.`,
		Example: `  # the fingerprint of its CA, for a script
  x509ctl project show tenant1 -o json

  # what others encrypt secrets to, with openssl
  x509ctl project show tenant1 --encryption-cert > tenant1-encrypt.pem`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			return runProjectShow(cmd.Context(), a, o)
		},
	}
	cmd.Flags().BoolVar(&o.encryptionCert, "encryption-cert", false, "print the certificate that secrets are encrypted to, and nothing else")
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runProjectShow(ctx context.Context, a *app, o projectShowOptions) error {
	if o.encryptionCert && o.output != (output{}) {
		return usagef("--encryption-cert and --output exclude each other")
	}
	id, err := manager.ProjectAuthority(o.id)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if o.encryptionCert {
		der, err := svc.EncryptionCertificate(ctx, o.id)
		if err == nil {
			_, err = a.stdout.Write(encodeCert(der))
		}
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
	v := projectShowView{
		ID: p.ID, Name: p.Name, Created: at(p.Created), Deleted: at(p.Deleted), Subject: ca.Subject, Issuer: ca.Issuer,
		NotAfter: at(ca.NotAfter), SHA256: hex.EncodeToString(ca.SHA256[:]), Live: ca.Counts.Live, Total: ca.Counts.Total,
	}
	if err := v.people(ctx, svc); err != nil {
		return err
	}
	return show(a, o.output, v)
}

// shownItems is how many members, and how many names, "project show" shows.
const shownItems = 100

// people fills in members and names.
func (v *projectShowView) people(ctx context.Context, svc manager.Service) error {
	err := svc.Members(ctx, v.ID, func(m manager.Member) error {
		v.MemberCount++
		if v.MemberCount > shownItems {
			return nil
		}
		if m.Role == manager.RoleAdmin {
			v.Admins = append(v.Admins, m.User)
		}
		v.Members = append(v.Members, m.User)
		return nil
	})
	if err != nil {
		return err
	}
	return svc.ProjectNames(ctx, v.ID, func(n manager.ProjectName) error {
		v.NameCount++
		if v.NameCount <= shownItems {
			v.Names = append(v.Names, n.Name)
		}
		return nil
	})
}

// projectShowView is a project as "project show" prints it.
type projectShowView struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Created  timestamp `json:"created"`
	Deleted  timestamp `json:"deleted"` // null: it is not
	Subject  string    `json:"subject"` // of its CA, as what follows
	Issuer   string    `json:"issuer"`
	NotAfter timestamp `json:"not_after"`
	SHA256   string    `json:"sha256"`
	Live     int64     `json:"live"`
	Total    int64     `json:"total"`

	Members     []string `json:"members"` // the first of them, as what follows
	Admins      []string `json:"admins"`  // of these members
	MemberCount int      `json:"member_count"`
	Names       []string `json:"names"`
	NameCount   int      `json:"name_count"`
}
