package cli

import (
	"context"
	"encoding/hex"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/serial"
)

type caShowOptions struct {
	of     authorityFlags
	output output
}

func newCAShowCmd(a *app) *cobra.Command {
	var o caShowOptions
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Describe the cluster's CA, or a project's",
		Long: `Describe the cluster's CA, or a project's: subject, fingerprints, validity, the
serial counter and the minimum accepted serial, and how many certificates it issued.
While it is being replaced: which CAs are trusted besides, who has certificates of
the old one, when that can be retired, and the name in a request that a third party
has not answered yet.`,
		Example: `  # the CA's SHA-256 fingerprint, for a script
  x509ctl ca show -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCAShow(cmd.Context(), a, o)
		},
	}
	addAuthorityFlags(cmd, &o.of)
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runCAShow(ctx context.Context, a *app, o caShowOptions) error {
	id, err := o.of.id()
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	ca, err := svc.Authority(ctx, id)
	if err != nil {
		return err
	}
	v := newCAView(ca)
	if o.of.project != "" {
		v.Cluster, v.Project = "", ca.Name
	}
	return show(a, o.output, v)
}

// caView is an authority as "ca show" and "ca init" print it.
type caView struct {
	Cluster      string        `json:"cluster"` // empty for a project's
	Project      string        `json:"project"` // empty for the cluster's
	Subject      string        `json:"subject"`
	Issuer       string        `json:"issuer"`
	CASerial     string        `json:"ca_serial"`
	KeyType      string        `json:"key_type"`
	KeyEncrypted bool          `json:"key_encrypted"`
	NotBefore    timestamp     `json:"not_before"`
	NotAfter     timestamp     `json:"not_after"`
	SHA1         string        `json:"sha1"`
	SHA256       string        `json:"sha256"`
	Reserved     serial.Number `json:"reserved"`
	Last         serial.Number `json:"last"`
	Next         serial.Number `json:"next"`
	MinSerial    serial.Floor  `json:"min_serial"`
	Nodes        int           `json:"nodes"`
	Live         int64         `json:"live"`
	Expired      int64         `json:"expired"`
	BelowFloor   int64         `json:"below_min_serial"`
	Revoked      int64         `json:"revoked"` // one by one
	Total        int64         `json:"total"`
	Phase        string        `json:"phase"` // of a renewal: steady, prepared, replaced
	Prepared     []string      `json:"prepared"`
	Replaced     []string      `json:"replaced"` // trusted still
	OldHolders   []string      `json:"old_holders"`
	Request      string        `json:"request"`      // the subject of one that is not answered yet
	RetirableAt  timestamp     `json:"retirable_at"` // when the last certificate of a replaced CA has expired
}

func newCAView(ca manager.Authority) caView {
	return caView{
		Cluster: ca.Name, Subject: ca.Subject, Issuer: ca.Issuer, CASerial: ca.CASerial,
		KeyType: ca.KeyAlgorithm, KeyEncrypted: ca.KeyEncrypted,
		NotBefore: at(ca.NotBefore), NotAfter: at(ca.NotAfter),
		SHA1: hex.EncodeToString(ca.SHA1[:]), SHA256: hex.EncodeToString(ca.SHA256[:]),
		Reserved: ca.Serial.Reserved, Last: ca.Serial.Last, Next: ca.Serial.Next, MinSerial: ca.Serial.Floor,
		Nodes: ca.Nodes, Live: ca.Counts.Live, Expired: ca.Counts.Expired,
		BelowFloor: ca.Counts.BelowFloor, Revoked: ca.Counts.Revoked, Total: ca.Counts.Total,
		Phase: phase(ca), Prepared: subjects(ca.Prepared), Replaced: subjects(ca.Replaced),
		OldHolders: holders(ca), Request: ca.Request, RetirableAt: at(retirable(ca)),
	}
}
