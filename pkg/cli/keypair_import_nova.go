package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/keypair"
	"x509ctl/pkg/manager"
)

type keypairImportNovaOptions struct {
	file   string
	user   string // of rows that name none
	output output
}

func newKeypairImportNovaCmd(a *app) *cobra.Command {
	var o keypairImportNovaOptions
	cmd := &cobra.Command{
		Use:   "keypair-import-nova FILE",
		Short: "Take over the keypairs of OpenStack's Nova",
		Long: `Take over the keypairs of OpenStack's Nova: names, owners, types, public halves to
the octet, and when they were made. FILE (- for stdin) is the table key_pairs of the
database nova_api, or JSON.

The table comes as CSV under a line with the names of its columns, or as "mysql
--batch" prints it. JSON comes from the openstack client, if the public keys are in
it, or from the API.

Rows that name no owner need --user. A fingerprint that is given must be that of the
public key. One that is refused does not stop the others, and what is there already is
left as it is: the command can be run again.`,
		Example: `  # on the machine with Nova's database:
  #   mysql --batch -e 'SELECT * FROM key_pairs' nova_api > key_pairs.tsv
  x509ctl keypair-import-nova key_pairs.tsv

  # one user's, by the client
  x509ctl keypair-import-nova keypairs.json --user alice`,
		Args: exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return runKeypairImportNova(cmd.Context(), a, o)
		},
	}
	cmd.Flags().StringVar(&o.user, "user", "", "`USER` whose the keypairs are that name no owner")
	addListFlags(cmd, &o.output)
	return cmd
}

const (
	// maxNovaFile bounds the file, in bytes: 100,000 keypairs and more.
	maxNovaFile = 96 << 20
	// md5OfNothing is what Nova records for a key after two blanks.
	md5OfNothing = "d4:1d:8c:d9:8f:00:b2:04:e9:80:09:98:ec:f8:42:7e"
)

func runKeypairImportNova(ctx context.Context, a *app, o keypairImportNovaOptions) error {
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	data, err := a.readInputIf(o.file, maxNovaFile, looksLikeText)
	if err != nil {
		return err
	}
	rows, err := parseNova(data)
	if err != nil {
		return fmt.Errorf("reading %s: %w", inputName(o.file), err)
	}
	failed := failures{total: len(rows)}
	bar := a.startBatchProgress(len(rows), "importing")
	defer bar.done()
	var broken error
	err = list(a, o.output, func(yield func(keypairImportView) error) error {
		for chunk := range slices.Chunk(rows, batchChunk) {
			if ctx.Err() != nil {
				broken = context.Cause(ctx)
				return nil
			}
			views, err := importRows(ctx, svc, o.user, chunk, &failed)
			if err != nil {
				broken = err
				return nil
			}
			bar.add(len(chunk))
			for _, v := range views {
				if err := yield(v); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return cmp.Or(broken, failed.err("keypairs"), err)
}

// importRows records a chunk, and says what became of each row. The error is one that
// all of them met.
func importRows(ctx context.Context, svc manager.Service, user string, rows []novaRow, failed *failures) ([]keypairImportView, error) {
	views := make([]keypairImportView, len(rows))
	errs := make([]error, len(rows))
	var reqs []manager.AddKeypairRequest
	var asked []int // the row of each request
	for i, row := range rows {
		row.user = cmp.Or(row.user, user)
		views[i] = keypairImportView{User: row.user, Name: row.name, Type: row.typ}
		req, err := row.request()
		if err != nil {
			errs[i] = err
			continue
		}
		reqs, asked = append(reqs, req), append(asked, i)
	}
	results, err := svc.AddKeypairs(ctx, reqs)
	if err != nil {
		return nil, err
	}
	for n, r := range results {
		v := &views[asked[n]]
		if errs[asked[n]] = r.Err; r.Err != nil {
			continue
		}
		v.Type, v.Fingerprint, v.Status = r.Keypair.Type, r.Keypair.Fingerprint, "imported"
		if r.WasThere {
			v.Status = "unchanged"
		}
	}
	for i, err := range errs {
		if err != nil {
			failed.add(fmt.Errorf("importing keypair %q of user %q: %w", views[i].Name, views[i].User, err))
			views[i].Status, views[i].Error = "failed", err.Error()
		}
	}
	return views, nil
}

// request asks for the record of a row. What Nova's database did not refuse is
// judged again.
func (r novaRow) request() (req manager.AddKeypairRequest, err error) {
	switch {
	case r.user == "":
		return req, errNoOwner
	case r.publicKey == "":
		return req, fault.New(fault.Malformed, "there is no public key for it in the file")
	}
	typ, err := keypair.ParseType(cmp.Or(r.typ, "ssh")) // as Nova's own migration has it
	if err != nil {
		return req, err
	}
	p, err := keypair.Parse(typ, r.publicKey)
	if err != nil {
		return req, err
	}
	if got := p.Fingerprint(); r.fingerprint != "" && r.fingerprint != got && r.fingerprint != md5OfNothing {
		return req, fault.Errorf(fault.Malformed, "the fingerprint of its public key is %s, not %.80q", got, r.fingerprint)
	}
	return manager.AddKeypairRequest{
		User: r.user, Name: r.name, Type: typ, PublicKey: r.publicKey, Created: r.created, IfMissing: true,
	}, nil
}

var errNoOwner = fault.New(fault.Malformed, "the file does not say whose it is")

// keypairImportView is what became of one row, as "keypair-import-nova" reports it.
type keypairImportView struct {
	User        string `json:"user"`
	Name        string `json:"name"`
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	Status      string `json:"status"` // imported, unchanged, failed
	Error       string `json:"error"`
}
