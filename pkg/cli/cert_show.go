package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

type certShowOptions struct {
	serial  string
	project string
	output  output
}

func newCertShowCmd(a *app) *cobra.Command {
	var o certShowOptions
	cmd := &cobra.Command{
		Use:   "show SERIAL",
		Short: "Describe a certificate on record",
		Long: `Describe a certificate on record: its names, dates and fingerprints, who asked for
it, and whether it is still accepted.

The serial number is given in decimal digits, or in hexadecimal ones after 0x, as
openssl shows it. With -o json the certificate itself is there too, in PEM.

Of a project's certificate -o json has a record with the names of OpenStack's proposal as
well: x509, tenant_id, subject, created and enabled, which is false once it is revoked, by
itself or by the minimum accepted serial. Several may have one subject.`,
		Example: `  # by the number that "openssl x509 -serial" prints as serial=2A
  x509ctl cert show 0x2A

  # a project's
  x509ctl cert show 1 --project tenant1 -o json`,
		Args: exactArgs("SERIAL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.serial = args[0]
			return runCertShow(cmd.Context(), a, o)
		},
	}
	addProjectFlag(cmd, &o.project)
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runCertShow(ctx context.Context, a *app, o certShowOptions) error {
	n, err := argSerial(o.serial)
	if err != nil {
		return err
	}
	id, err := authorityOf(o.project)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	c, err := svc.Certificate(ctx, id, n)
	if err != nil {
		return err
	}
	s, err := svc.Serial(ctx, id)
	if err != nil {
		return err
	}
	return show(a, o.output, newCertShowView(c, a.now(), s.Floor))
}

// certShowView is a certificate as "cert show" prints it.
type certShowView struct {
	Serial     serial.Number `json:"serial"`
	SerialHex  string        `json:"serial_hex"`
	Kind       string        `json:"kind"`
	CommonName string        `json:"common_name"`
	Names      []string      `json:"names"`
	Holder     string        `json:"holder"`
	State      string        `json:"state"`
	NotBefore  timestamp     `json:"not_before"`
	NotAfter   timestamp     `json:"not_after"`
	KeyType    string        `json:"key_type"`
	SHA256     string        `json:"sha256"`
	SPKISHA256 string        `json:"spki_sha256"`
	CASHA256   string        `json:"ca_sha256"`
	Exceptions []string      `json:"exceptions"`
	Requester  string        `json:"requester"`
	Origin     string        `json:"origin"`
	Created    timestamp     `json:"created"`
	Revoked    timestamp     `json:"revoked"` // one by one
	Reason     string        `json:"reason"`
	PEM        string        `json:"pem" table:"-"`

	// Of a project's certificate.
	X509     string `json:"x509,omitempty" table:"-"`
	TenantID string `json:"tenant_id,omitempty" table:"-"`
	Subject  string `json:"subject,omitempty" table:"-"`
	Enabled  *bool  `json:"enabled,omitempty" table:"-"`
}

func newCertShowView(c manager.Certificate, now time.Time, floor serial.Floor) certShowView {
	v := newCertView(c, now, floor)
	show := certShowView{
		Serial: v.Serial, SerialHex: v.SerialHex, Kind: v.Kind, CommonName: v.CommonName, Names: v.Names,
		Holder: v.Holder, State: v.State, NotBefore: v.NotBefore, NotAfter: v.NotAfter,
		SHA256: v.SHA256, SPKISHA256: v.SPKISHA256, CASHA256: v.CASHA256, Exceptions: v.Exceptions,
		Requester: v.Requester, Origin: v.Origin, Created: v.Created,
		Revoked: at(c.Revoked), Reason: string(c.Reason), PEM: string(encodeCert(c.DER)),
	}
	// A record that can't be parsed is shown all the same: that is when it is looked at.
	if cert, err := x509.ParseCertificate(c.DER); err == nil {
		show.KeyType = keyTypeOf(cert.PublicKey)
		if profile.Profile(c.Kind).OfProject() && len(cert.Subject.Organization) == 1 {
			show.TenantID = cert.Subject.Organization[0]
		}
	}
	if show.TenantID != "" {
		enabled := c.State != "revoked" && floor.Accepts(c.Serial)
		show.X509, show.Subject, show.Enabled = show.PEM, c.CommonName, &enabled
	}
	return show
}

// encodeCert returns a certificate in PEM.
func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
