package cli

import (
	"context"

	"github.com/spf13/cobra"

	"x509ctl/pkg/keypair"
	"x509ctl/pkg/manager"
)

type keypairListOptions struct {
	user     string // empty: whoever calls
	allUsers bool
	typ      string // empty: both
	marker   string // the name of the last keypair of the page before
	limit    int
	output   output
}

func newKeypairListCmd(a *app) *cobra.Command {
	var o keypairListOptions
	cmd := &cobra.Command{
		Use:   "keypair-list",
		Short: "List keypairs",
		Long: `List a user's keypairs by name, or with --all-users everybody's by user and name, in
the order of their bytes.

The fingerprints are Nova's: of an SSH key the MD5, of a certificate the SHA-1; the
field sha256 has those that ssh-keygen and browsers show today. For pages, give
--limit, and --marker with the last name of the page before; with --all-users, --user
says whose name that is.`,
		Example: `  # whoever calls
  x509ctl keypair-list

  # certificates of all users, a hundred at a time
  x509ctl keypair-list --all-users --type x509 --limit 100
  x509ctl keypair-list --all-users --type x509 --limit 100 --user alice --marker laptop

  # as ssh-keygen shows them
  x509ctl keypair-list --user alice --fields name,sha256`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runKeypairList(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addUserFlag(cmd, &o.user)
	f.BoolVar(&o.allUsers, "all-users", false, "everybody's")
	f.StringVar(&o.typ, "type", "", "only those of `TYPE` ssh or x509")
	f.StringVar(&o.marker, "marker", "", "only those after this `NAME`")
	f.IntVar(&o.limit, "limit", 0, "at most `N` of them (0: all)")
	addListFlags(cmd, &o.output)
	completeWords(cmd, "type", "ssh", "x509")
	return cmd
}

func runKeypairList(ctx context.Context, a *app, o keypairListOptions) error {
	if o.limit < 0 {
		return usagef("invalid argument %d for --limit: 0 or more is wanted", o.limit)
	}
	f := manager.KeypairFilter{User: a.owner(o.user), After: o.marker, Limit: o.limit}
	if o.allUsers {
		f.User, f.AfterUser = "", o.user
	}
	if o.typ != "" {
		t, err := keypair.ParseType(o.typ)
		if err != nil {
			return &usageError{text: err.Error()}
		}
		f.Type = string(t)
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	return list(a, o.output, func(yield func(keypairView) error) error {
		return svc.Keypairs(ctx, f, func(k manager.Keypair) error { return yield(newKeypairView(k)) })
	})
}

// keypairView is a keypair as "keypair-list" and "keypair-delete" print it.
type keypairView struct {
	User        string    `json:"user"`
	Name        string    `json:"name"`
	Type        string    `json:"type"`
	Fingerprint string    `json:"fingerprint"`
	SHA256      string    `json:"sha256" table:"extra"`
	Algorithm   string    `json:"algorithm" table:"extra"`
	Created     timestamp `json:"created" table:"extra"`
	Requester   string    `json:"requester" table:"extra"`
	PublicKey   string    `json:"public_key" table:"extra"`
}

func newKeypairView(k manager.Keypair) keypairView {
	v := keypairView{
		User: k.User, Name: k.Name, Type: k.Type, Fingerprint: k.Fingerprint,
		Created: at(k.Created), Requester: k.Requester, PublicKey: k.PublicKey,
	}
	if p, err := keypair.Parse(keypair.Type(k.Type), k.PublicKey); err == nil { // as it was when it was recorded
		v.SHA256, v.Algorithm = p.SHA256(), p.Algorithm
	}
	return v
}
