package cli

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
)

type certListOptions struct {
	project                            string
	live, expired, belowFloor, revoked bool

	within             time.Duration
	name, holder, kind string
	serials            serialRange
	after              serialValue
	limit              int
	output             output
}

func newCertListCmd(a *app) *cobra.Command {
	var o certListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the certificates on record",
		Long: `List the certificates on record, by serial number. Every flag that selects
restricts the list further.

However many there are, they are printed as they are read. For pages, give --limit,
and --after with the last serial number of the page before.`,
		Example: `  # what has to be renewed today
  x509ctl cert list --expiring-within 24h

  # everything that a node ever had, with more columns
  x509ctl cert list --holder node1.example.com --fields +not_before,sha256

  # the second page of a hundred, as CSV
  x509ctl cert list --limit 100 --after 100 -o csv`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCertList(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addProjectFlag(cmd, &o.project)
	f.BoolVar(&o.live, "live", false, "neither expired nor revoked, in either way")
	f.BoolVar(&o.expired, "expired", false, "expired")
	f.BoolVar(&o.belowFloor, "below-min-serial", false, "below the minimum accepted serial, and not expired")
	f.BoolVar(&o.revoked, "revoked", false, "revoked by itself, not below the minimum accepted serial, and not expired")
	durationVar(f, &o.within, "expiring-within", "live, and expiring within this time")
	f.StringVar(&o.name, "name", "", "for this `NAME` or address")
	f.StringVar(&o.holder, "holder", "", "of the node or member `NAME`, or of the cluster")
	f.StringVar(&o.kind, "kind", "", "node, ca, or all of them, in a project member, server, decrypt, or all (default: those for TLS)")
	f.Var(&o.serials, "serial", "with numbers in a range: A..B, A.., ..B or A")
	f.Var(&o.after, "after", "with larger numbers")
	f.IntVar(&o.limit, "limit", 0, "at most `N` of them (0: all)")
	addListFlags(cmd, &o.output)
	completeWords(cmd, "kind", kindWords...)
	return cmd
}

func runCertList(ctx context.Context, a *app, o certListOptions) error {
	f, err := o.filter(a.now())
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	s, err := svc.Serial(ctx, f.Authority)
	if err != nil {
		return err
	}
	return list(a, o.output, func(yield func(certView) error) error {
		return svc.Certificates(ctx, f, func(c manager.Certificate) error {
			return yield(newCertView(c, f.At, s.Floor))
		})
	})
}

// kindWords are the values of --kind.
var kindWords = []string{"node", "ca", "member", "server", "decrypt", "all"}

// filter is what the flags select at the moment now.
func (o certListOptions) filter(now time.Time) (manager.CertificateFilter, error) {
	id, err := authorityOf(o.project)
	if err != nil {
		return manager.CertificateFilter{}, err
	}
	f := manager.CertificateFilter{
		Authority: id,
		At:        now,
		Name:      o.name,
		Holder:    o.holder,
		MinSerial: o.serials.from,
		MaxSerial: o.serials.to,
		After:     serial.Number(o.after),
		Limit:     o.limit,
		OmitDER:   true,
	}
	switch {
	case o.kind == "":
		f.Kind = store.KindLeaf
	case o.kind == "all":
	case slices.Contains(kindWords, o.kind):
		f.Kind = o.kind
	default:
		return f, usagef("invalid argument %q for --kind: one of %s is wanted", o.kind, strings.Join(kindWords, ", "))
	}
	if o.limit < 0 {
		return f, usagef("invalid argument %d for --limit: 0 or more is wanted", o.limit)
	}
	for status, wanted := range map[store.Status]bool{store.Live: o.live, store.Expired: o.expired, store.BelowFloor: o.belowFloor, store.Revoked: o.revoked} {
		if wanted && f.Status != "" {
			return f, usagef("of --live, --expired, --below-min-serial and --revoked only one can be given")
		}
		if wanted {
			f.Status = status
		}
	}
	if o.within != 0 {
		if o.expired {
			return f, usagef("--expired and --expiring-within exclude each other")
		}
		if f.Status == "" {
			f.Status = store.Live
		}
		f.ExpiringBefore = now.Add(o.within)
	}
	return f, nil
}

// certView is a certificate as "cert list" prints it.
type certView struct {
	Serial     serial.Number `json:"serial"`
	SerialHex  string        `json:"serial_hex" table:"extra"`
	Kind       string        `json:"kind" table:"extra"`
	CommonName string        `json:"common_name"`
	Names      []string      `json:"names" table:"extra"`
	NotBefore  timestamp     `json:"not_before" table:"extra"`
	NotAfter   timestamp     `json:"not_after"`
	State      string        `json:"state"`
	Holder     string        `json:"holder"`
	SHA256     string        `json:"sha256" table:"extra"`
	SPKISHA256 string        `json:"spki_sha256" table:"extra"`
	CASHA256   string        `json:"ca_sha256" table:"extra"` // the issuer's
	Exceptions []string      `json:"exceptions" table:"extra"`
	Requester  string        `json:"requester" table:"extra"`
	Origin     string        `json:"origin" table:"extra"`
	Created    timestamp     `json:"created" table:"extra"`
}

func newCertView(c manager.Certificate, now time.Time, floor serial.Floor) certView {
	return certView{
		Serial: c.Serial, SerialHex: serialHex(c.Serial), Kind: c.Kind,
		CommonName: c.CommonName, Names: c.Names, Holder: c.Holder,
		NotBefore: at(c.NotBefore), NotAfter: at(c.NotAfter), State: certState(c, now, floor),
		SHA256: hex.EncodeToString(c.Fingerprint[:]), SPKISHA256: hex.EncodeToString(c.SPKIHash[:]),
		CASHA256: hex.EncodeToString(c.CA[:]), Exceptions: c.Exceptions,
		Requester: c.Requester, Origin: c.Origin, Created: at(c.Created),
	}
}

// certState is what a certificate is worth: "live", "expired", "below-min-serial" or
// "revoked".
func certState(c manager.Certificate, now time.Time, floor serial.Floor) string {
	switch {
	case c.NotAfter.Unix() < now.Unix():
		return "expired"
	case c.Kind != "ca" && !floor.Accepts(c.Serial):
		return "below-min-serial"
	case c.State == "revoked":
		return "revoked"
	}
	return "live"
}
