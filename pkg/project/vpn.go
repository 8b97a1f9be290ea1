package project

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"x509ctl/pkg/fault"
)

// Files of an OpenVPN server, as its configuration names them.
const (
	VPNConfig = "server.conf"
	VPNCert   = "server.crt"
	VPNKey    = "server.key"
	VPNCA     = "ca.crt"
	VPNCRL    = "crl.pem"
	VPNClient = "client.conf"
)

// A VPN is an OpenVPN server that lets a project's members in, as Nova's cloudpipe did.
// Its configurations need OpenVPN 2.6, built with OpenSSL.
type VPN struct {
	Project string
	Name    string       // in the server's certificate
	Remote  string       // where clients find it: a DNS name or an IP address
	Port    int          // 1 to 65535
	TCP     bool         // instead of UDP
	Network netip.Prefix // addresses inside the tunnel: IPv4, /16 to /29
	CAs     []byte       // whom clients trust, in PEM: trust.FormatTrusted of the project's
}

// check refuses what would not be a configuration.
// Errors: [fault.Malformed].
func (v VPN) check() error {
	for what, s := range map[string]string{"project": v.Project, "name": v.Name, "remote": v.Remote} {
		if s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") != "" || strings.HasPrefix(s, "-") {
			return fault.Errorf(fault.Malformed, "the %s %.100q can't stand in OpenVPN's configuration", what, s)
		}
	}
	switch bits := v.Network.Bits(); {
	case v.Port < 1 || v.Port > 65535:
		return fault.Errorf(fault.Malformed, "port %d is not between 1 and 65535", v.Port)
	case !v.Network.IsValid() || !v.Network.Addr().Is4() || v.Network != v.Network.Masked() || bits < 16 || bits > 29:
		return fault.Errorf(fault.Malformed, "%v is not an IPv4 network between /16 and /29", v.Network)
	case len(v.CAs) == 0:
		return fault.New(fault.Internal, "a VPN needs a CA")
	}
	return nil
}

// Server returns the server's configuration, which names the other files, beside it. The
// error is [fault.Malformed].
func (v VPN) Server() ([]byte, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	mask := net.IP(net.CIDRMask(v.Network.Bits(), 32))
	return fmt.Appendf(nil, `# OpenVPN server of project %s. Started in this folder: openvpn --config %s
#
# Whoever has a certificate of the project for clients gets in. A new %s, put in the
# place of the old one, is read at the next connection; those that are connected are asked
# for their certificates again every hour.
dev tun
proto %s
port %d
topology subnet
server %v %v
keepalive 10 60
ca %s
cert %s
key %s
crl-verify %s
dh none
%sremote-cert-tls client
`, v.Project, VPNConfig, VPNCRL, v.proto("-server"), v.Port, v.Network.Addr(), mask, VPNCA, VPNCert, VPNKey, VPNCRL, vpnTLS), nil
}

// vpnTLS is what server and client agree on.
const vpnTLS = `tls-version-min 1.2
data-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305
`

func (v VPN) proto(end string) string {
	if v.TCP {
		return "tcp" + end
	}
	return "udp"
}

// Client returns the configuration of a member, whose cert.pem and pk.pem have to be beside
// it. Whom to trust stands in it. The error is [fault.Malformed].
func (v VPN) Client() ([]byte, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `# OpenVPN client of a member of project %s, with %s and %s in this folder.
client
dev tun
proto %s
remote %s %d
nobind
cert %s
key %s
%sremote-cert-tls server
verify-x509-name %s name
<ca>
%s</ca>
`, v.Project, certName, keyName, v.proto("-client"), v.Remote, v.Port, certName, keyName, vpnTLS, v.Name, v.CAs), nil
}
