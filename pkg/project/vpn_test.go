package project_test

import (
	"net/netip"
	"strings"
	"testing"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/project"
)

func vpn() project.VPN {
	return project.VPN{
		Project: "tenant1", Name: "vpn.example.com", Remote: "192.0.2.1", Port: 1194,
		Network: netip.MustParsePrefix("10.8.0.0/24"), CAs: []byte("-----BEGIN CERTIFICATE-----\n"),
	}
}

func TestVPN(t *testing.T) {
	v := vpn()
	server, err := v.Server()
	if err != nil || !strings.Contains(string(server), "\nserver 10.8.0.0 255.255.255.0\n") || !strings.Contains(string(server), "\nproto udp\nport 1194\n") {
		t.Errorf("%v:\n%s", err, server)
	}
	v.TCP, v.Remote, v.Port = true, "2001:db8::1", 443
	client, err := v.Client()
	if err != nil || !strings.Contains(string(client), "\nproto tcp-client\nremote 2001:db8::1 443\n") ||
		!strings.Contains(string(client), "\nverify-x509-name vpn.example.com name\n<ca>\n-----BEGIN CERTIFICATE-----\n</ca>\n") {
		t.Errorf("%v:\n%s", err, client)
	}
}

func TestVPNRefuses(t *testing.T) {
	for name, change := range map[string]func(*project.VPN){
		"a line":          func(v *project.VPN) { v.Name = "a\nscript-security 3" },
		"a word":          func(v *project.VPN) { v.Remote = "192.0.2.1 1194" },
		"a quote":         func(v *project.VPN) { v.Remote = `"` },
		"no name":         func(v *project.VPN) { v.Name = "" },
		"a flag":          func(v *project.VPN) { v.Remote = "-x" },
		"a project":       func(v *project.VPN) { v.Project = "a\nb" },
		"no port":         func(v *project.VPN) { v.Port = 0 },
		"a large port":    func(v *project.VPN) { v.Port = 65536 },
		"no network":      func(v *project.VPN) { v.Network = netip.Prefix{} },
		"a small network": func(v *project.VPN) { v.Network = netip.MustParsePrefix("10.8.0.0/30") },
		"a large network": func(v *project.VPN) { v.Network = netip.MustParsePrefix("10.0.0.0/15") },
		"an address":      func(v *project.VPN) { v.Network = netip.MustParsePrefix("10.8.0.1/24") },
		"IPv6":            func(v *project.VPN) { v.Network = netip.MustParsePrefix("2001:db8::/24") },
	} {
		v := vpn()
		change(&v)
		for _, make := range []func() ([]byte, error){v.Server, v.Client} {
			if text, err := make(); fault.KindOf(err) != fault.Malformed {
				t.Errorf("%s: %v:\n%s", name, err, text)
			}
		}
	}
}
