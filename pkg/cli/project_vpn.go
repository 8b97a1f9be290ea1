package cli

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/project"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

type projectVPNOptions struct {
	id       string
	outDir   string
	network  string
	lifetime time.Duration
	keyType  profile.KeyAlgorithm // empty: the setting
	vpn      vpnOptions
	output   output
}

func newProjectVPNCmd(a *app) *cobra.Command {
	var o projectVPNOptions
	cmd := &cobra.Command{
		Use:   "vpn ID",
		Short: "Make what an OpenVPN server needs to let a project's members in",
		Long: `Make what an OpenVPN server needs to let a project's members in, and nobody else.
Nova's cloudpipe was such a server.

    server.conf  its configuration, for OpenVPN 2.6: openvpn --config server.conf
    server.key   a new key
    server.crt   a certificate for it
    ca.crt       the project's CA, in OpenSSL's form for what is trusted by itself
    crl.pem      its revocation list
    client.conf  for members, beside cert.pem and pk.pem of "project credentials"

--name has to be registered with the project ("x509ctl project name-add").

Put the project's crl.pem in the place of the server's after each revocation, and at
least once a week, since it expires: OpenVPN reads it at the next connection. Make the
files anew before the server's certificate expires, and when the project's CA is
replaced.`,
		Example: `  # on the server: openvpn --config server.conf
  mkdir vpn
  x509ctl project vpn tenant1 --name vpn.tenant1.example.com --out-dir vpn

  # the list, every hour
  x509ctl ca crl --project tenant1 > vpn/crl.new && mv vpn/crl.new vpn/crl.pem`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			return runProjectVPN(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	o.vpn.addFlags(cmd, "")
	f.StringVar(&o.outDir, "out-dir", "", "write the files into this `DIRECTORY`, which must exist")
	f.StringVar(&o.network, "network", defaultVPNNetwork, "IPv4 `NETWORK` inside the tunnel, /16 to /29")
	durationVar(f, &o.lifetime, "lifetime", "how long the certificate is valid, at most a year (default 90d)")
	addKeyTypeFlag(cmd, &o.keyType, "type of the key")
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runProjectVPN(ctx context.Context, a *app, o projectVPNOptions) error {
	switch {
	case o.vpn.name == "":
		return usagef("missing --name")
	case o.outDir == "":
		return usagef("missing --out-dir")
	}
	keyType, err := a.keyType(o.keyType)
	if err != nil {
		return err
	}
	id, err := manager.ProjectAuthority(o.id)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	var files vpnFiles
	defer func() { files.all.discard() }()
	if err := files.prepare(ctx, a, svc, id, o); err != nil {
		return err
	}
	key, result, err := newLeaf(ctx, svc, keyType, manager.IssueRequest{
		Authority: id, Profile: profile.Server, Name: o.vpn.name, Lifetime: o.lifetime,
	})
	if err != nil {
		return fmt.Errorf("issuing for %s: %w", o.vpn.name, err)
	}
	c := result.Certificate
	keyText, err := encodeKey(key)
	if err != nil {
		return &saveError{c.Serial, err, true}
	}
	defer clear(keyText)
	files.data[project.VPNKey], files.data[project.VPNCert] = keyText, encodeCert(c.DER)
	if err := files.write(); err != nil {
		return &saveError{c.Serial, err, !files.all[0].done}
	}
	if result.Shortened {
		a.noteShortened(c)
	}
	return show(a, o.output, vpnView{
		Serial: c.Serial, Name: c.CommonName, NotAfter: at(c.NotAfter), SHA256: hex.EncodeToString(c.Fingerprint[:]), OutDir: o.outDir,
	})
}

// vpnFiles are the files of a server, all of them claimed before one is written.
type vpnFiles struct {
	all   outfiles
	names []string // in the order in which they are written, the key first
	data  map[string][]byte
}

// prepare claims the files, and makes all that is no secret.
func (f *vpnFiles) prepare(ctx context.Context, a *app, svc manager.Service, id manager.AuthorityID, o projectVPNOptions) error {
	p, err := svc.Project(ctx, o.id)
	if err != nil {
		return err
	}
	v, err := svc.Verifier(ctx, id)
	if err != nil {
		return err
	}
	if o.vpn.name, err = spelled(ctx, svc, p.ID, o.vpn.name); err != nil {
		return err
	}
	config := o.vpn.config(p.ID, v.Bundle.Own())
	if config.Network, err = netip.ParsePrefix(o.network); err != nil {
		return fault.Errorf(fault.Malformed, "%.40q is no network like %s", o.network, defaultVPNNetwork)
	}
	f.data = map[string][]byte{project.VPNCA: trust.FormatTrusted(v.Bundle.Own())}
	if f.data[project.VPNConfig], err = config.Server(); err != nil {
		return err
	}
	if f.data[project.VPNClient], err = config.Client(); err != nil {
		return err
	}
	f.names = []string{project.VPNKey, project.VPNCert, project.VPNCA, project.VPNCRL, project.VPNClient, project.VPNConfig}
	for _, name := range f.names {
		mode := fs.FileMode(0o644)
		if name == project.VPNKey {
			mode = 0o600
		}
		if _, err := f.all.claim(a, "out-dir", filepath.Join(o.outDir, name), mode); err != nil {
			return err
		}
	}
	var crl bytes.Buffer
	if _, err := svc.CRL(ctx, manager.CRLRequest{Authority: id}, &crl); err != nil {
		return err
	}
	f.data[project.VPNCRL] = crl.Bytes()
	return nil
}

// write writes the files.
func (f *vpnFiles) write() error {
	for i, name := range f.names {
		if err := f.all[i].commit(f.data[name]); err != nil {
			return err
		}
	}
	return nil
}

// vpnView says what "project vpn" made.
type vpnView struct {
	Serial   serial.Number `json:"serial"`
	Name     string        `json:"name"`
	NotAfter timestamp     `json:"not_after"`
	SHA256   string        `json:"sha256"`
	OutDir   string        `json:"out_dir"`
}
