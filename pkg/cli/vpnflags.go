package cli

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/project"
	"x509ctl/pkg/trust"
)

// What the commands for members and servers of a project have in common.

// vpnOptions say where an OpenVPN server is.
type vpnOptions struct {
	name   string
	remote string // empty: name
	port   int
	proto  vpnProto
}

// defaultVPNPort is the one that OpenVPN has from IANA.
const defaultVPNPort = 1194

// defaultVPNNetwork is the one of OpenVPN's own examples.
const defaultVPNNetwork = "10.8.0.0/24"

func (o *vpnOptions) addFlags(cmd *cobra.Command, prefix string) {
	f := cmd.Flags()
	f.StringVar(&o.name, prefix+"name", "", "`NAME` in the certificate of the OpenVPN server")
	f.StringVar(&o.remote, prefix+"remote", "", "`HOST` where clients find the server (default: its name)")
	f.IntVar(&o.port, prefix+"port", defaultVPNPort, "`PORT` of the server")
	f.Var(&o.proto, prefix+"proto", "udp or tcp")
	completeWords(cmd, prefix+"proto", "udp", "tcp")
}

// given reports whether anything beside the name is other than usual.
func (o *vpnOptions) given() bool { return o.remote != "" || o.port != defaultVPNPort || o.proto.tcp }

// config is the VPN of a project with these CAs of its own.
func (o *vpnOptions) config(id string, own []*x509.Certificate) project.VPN {
	return project.VPN{
		Project: id, Name: o.name, Remote: cmp.Or(o.remote, o.name), Port: o.port, TCP: o.proto.tcp,
		Network: netip.MustParsePrefix(defaultVPNNetwork), CAs: trust.FormatTrusted(own),
	}
}

// spelled returns a name of a project's as it is registered, and so as it stands in
// certificates: clients of OpenVPN compare it octet by octet. Another is returned as it is.
func spelled(ctx context.Context, svc manager.Service, project, name string) (string, error) {
	key := profile.FoldName(name)
	err := svc.ProjectNames(ctx, project, func(n manager.ProjectName) error {
		if profile.FoldName(n.Name) == key {
			name = n.Name
		}
		return nil
	})
	return name, err
}

// vpnProto is --proto. The zero vpnProto is udp.
type vpnProto struct{ tcp bool }

func (p *vpnProto) String() string {
	if p.tcp {
		return "tcp"
	}
	return "udp"
}

// Set is the flag's.
func (p *vpnProto) Set(s string) error {
	if s != "tcp" && s != "udp" {
		return errors.New("one of udp and tcp is wanted")
	}
	p.tcp = s == "tcp"
	return nil
}

// Type is the placeholder in help and man pages.
func (*vpnProto) Type() string { return "PROTO" }

// newLeaf makes a key and has it certified.
func newLeaf(ctx context.Context, svc manager.Service, keyType profile.KeyAlgorithm, req manager.IssueRequest) (crypto.Signer, manager.SignResult, error) {
	key, err := profile.GenerateKey(keyType)
	if err != nil {
		return nil, manager.SignResult{}, err
	}
	if req.SPKI, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return nil, manager.SignResult{}, fmt.Errorf("encoding the public key: %w", err)
	}
	result, err := svc.Issue(ctx, req)
	return key, result, err
}
