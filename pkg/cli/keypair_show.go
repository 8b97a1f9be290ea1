package cli

import (
	"context"
	"crypto/x509"
	"io"

	"github.com/spf13/cobra"

	"x509ctl/pkg/keypair"
	"x509ctl/pkg/manager"
)

type keypairShowOptions struct {
	name      string
	user      string // empty: whoever calls
	publicKey bool
	output    output
}

func newKeypairShowCmd(a *app) *cobra.Command {
	var o keypairShowOptions
	cmd := &cobra.Command{
		Use:   "keypair-show NAME",
		Short: "Describe a keypair, or print its public half",
		Long: `Describe a keypair, or print its public half: to the octet as it was imported, so
that there may be no newline at its end.`,
		Example: `  # for people
  x509ctl keypair-show laptop

  # for authorized_keys, ssh-keygen or openssl
  x509ctl keypair-show laptop --public-key > laptop.pub`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return runKeypairShow(cmd.Context(), a, o)
		},
	}
	addUserFlag(cmd, &o.user)
	cmd.Flags().BoolVar(&o.publicKey, "public-key", false, "print the public half, and nothing else")
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runKeypairShow(ctx context.Context, a *app, o keypairShowOptions) error {
	if o.publicKey && o.output != (output{}) {
		return usagef("--public-key and --output exclude each other")
	}
	owner := a.owner(o.user)
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	k, err := svc.Keypair(ctx, owner, o.name)
	if err != nil {
		return err
	}
	if o.publicKey {
		_, err := io.WriteString(a.stdout, k.PublicKey)
		return err
	}
	return show(a, o.output, newKeypairShowView(k))
}

// keypairShowView is a keypair as "keypair-show" prints it.
type keypairShowView struct {
	ID          int64     `json:"id"`
	User        string    `json:"user"`
	Name        string    `json:"name"`
	Type        string    `json:"type"`
	Fingerprint string    `json:"fingerprint"`
	SHA256      string    `json:"sha256"`
	Algorithm   string    `json:"algorithm"`
	Bits        int       `json:"bits"`
	Keys        int       `json:"keys"` // SSH: how many there are in the public half
	Comment     string    `json:"comment"`
	UPN         string    `json:"upn"` // x509: whom Windows takes the holder for
	NotAfter    timestamp `json:"not_after"`
	Created     timestamp `json:"created"`
	Requester   string    `json:"requester"`
	PublicKey   string    `json:"public_key"`
}

func newKeypairShowView(k manager.Keypair) keypairShowView {
	v := keypairShowView{
		ID: k.ID, User: k.User, Name: k.Name, Type: k.Type, Fingerprint: k.Fingerprint,
		Created: at(k.Created), Requester: k.Requester, PublicKey: k.PublicKey,
	}
	p, err := keypair.Parse(keypair.Type(k.Type), k.PublicKey)
	if err != nil { // as it was recorded, it was none
		return v
	}
	v.SHA256, v.Algorithm, v.Bits, v.Keys, v.Comment, v.UPN = p.SHA256(), p.Algorithm, p.Bits, p.Keys, p.Comment, p.UPN()
	if c, err := x509.ParseCertificate(p.DER); err == nil {
		v.NotAfter = at(c.NotAfter)
	}
	return v
}
