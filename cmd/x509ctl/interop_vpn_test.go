package main_test

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// vpnName is the server's, registered with the project; vpnAddress is where clients find it.
const (
	vpnName    = "vpn.example.com"
	vpnAddress = "10.99.0.1"
)

// A vpnNet are network namespaces: one of a server, and one of each client, joined to it.
type vpnNet struct {
	t       *testing.T
	server  string
	clients int
}

func newVPNNet(t *testing.T) *vpnNet {
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("no tunnels here, and TestCRLReaders has OpenVPN without one: %v", err)
	}
	n := &vpnNet{t: t, server: fmt.Sprintf("x509ctl-%d-s", os.Getpid())}
	if out, err := exec.Command("ip", "netns", "add", n.server).CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here, and TestCRLReaders has OpenVPN without a tunnel: %v: %s", err, out)
	}
	t.Cleanup(func() { must(t, "ip", "netns", "del", n.server) })
	n.in(n.server, "ip", "link", "add", "br0", "type", "bridge")
	n.in(n.server, "ip", "addr", "add", vpnAddress+"/24", "dev", "br0")
	n.in(n.server, "ip", "link", "set", "br0", "up")
	return n
}

// in runs a program in a namespace.
func (n *vpnNet) in(namespace string, args ...string) string {
	n.t.Helper()
	return must(n.t, "ip", append([]string{"netns", "exec", namespace}, args...)...)
}

// client makes a namespace that is joined to the server's.
func (n *vpnNet) client() string {
	n.t.Helper()
	n.clients++
	name, link := fmt.Sprintf("x509ctl-%d-%d", os.Getpid(), n.clients), fmt.Sprintf("c%d", n.clients)
	must(n.t, "ip", "netns", "add", name)
	n.t.Cleanup(func() { must(n.t, "ip", "netns", "del", name) })
	must(n.t, "ip", "link", "add", link, "netns", n.server, "type", "veth", "peer", "name", "eth0", "netns", name)
	n.in(n.server, "ip", "link", "set", link, "master", "br0", "up")
	n.in(name, "ip", "addr", "add", fmt.Sprintf("10.99.0.%d/24", n.clients+1), "dev", "eth0")
	n.in(name, "ip", "link", "set", "eth0", "up")
	return name
}

// openvpn runs one with a configuration in dir, and wants no complaint about what is in it.
func (n *vpnNet) openvpn(namespace, dir, config string) *service {
	n.t.Helper()
	return serve(n.t, nil, nil, "ip", "netns", "exec", namespace, "openvpn", "--cd", dir, "--config", config, "--verb", "3")
}

var vpnComplaint = regexp.MustCompile(`(?i)deprecated|warning|will be removed|unrecognized`)

// unzip writes the files of an archive into a new folder.
func unzip(t *testing.T, path string) string {
	t.Helper()
	dir := t.TempDir()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, f.Name), f.Mode().Perm(), string(data))
	}
	return dir
}

// TestVPN has OpenVPN run with what "project vpn" and "project credentials" made, through a
// tunnel. A member who is revoked is refused with the next list, and another is not; nor is
// a member of another project let in, though the root of all projects is the same.
func TestVPN(t *testing.T) {
	t.Parallel()
	need(t, "openvpn", "ip", "socat")
	n := newVPNNet(t)
	c := newCluster(t)
	for project, users := range map[string][]string{"tenant1": {"alice", "bob"}, "tenant2": {"mallory"}} {
		c.ok("project", "create", project)
		c.ok(append([]string{"project", "member-add", "--project", project}, users...)...)
	}
	c.ok("project", "name-add", "--project", "tenant1", vpnName)
	dir := t.TempDir()
	c.ok("project", "vpn", "tenant1", "--name", vpnName, "--remote", vpnAddress, "--out-dir", dir)
	folders := map[string]string{}
	for user, project := range map[string]string{"alice": "tenant1", "bob": "tenant1", "mallory": "tenant2"} {
		archive := filepath.Join(t.TempDir(), "nova.zip")
		c.ok("project", "credentials", user, "--project", project, "--out", archive, "--vpn-name", vpnName, "--vpn-remote", vpnAddress)
		folders[user] = unzip(t, archive)
	}
	// With the CA of her own project, and a configuration that trusts the server.
	own := read(t, filepath.Join(folders["mallory"], "cert.pem"))
	write(t, filepath.Join(folders["mallory"], "cert.pem"), 0o644, own+read(t, c.path("projects", "tenant2", "bundle.pem")))
	write(t, filepath.Join(folders["mallory"], "nova-vpn.conf"), 0o644, read(t, filepath.Join(folders["alice"], "nova-vpn.conf")))

	server := n.openvpn(n.server, dir, "server.conf")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server:\n%s", server.text())
		}
	})
	until(t, "the server", func() bool { return strings.Contains(server.text(), "Initialization Sequence Completed") })
	serve(t, nil, nil, "ip", "netns", "exec", n.server, "socat", "TCP-LISTEN:7,bind=10.8.0.1,fork,reuseaddr", "SYSTEM:echo hello")

	spaces := map[string]string{"alice": n.client(), "bob": n.client(), "mallory": n.client()}
	connect := func(user string) *service {
		t.Helper()
		s := n.openvpn(spaces[user], folders[user], "nova-vpn.conf")
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s:\n%s", user, s.text())
			}
		})
		until(t, user, func() bool { return strings.Contains(s.text(), "Initialization Sequence Completed") })
		return s
	}
	hello := func(user string) {
		t.Helper()
		if got := n.in(spaces[user], "socat", "-T10", "-", "TCP:10.8.0.1:7,connect-timeout=10"); got != "hello\n" {
			t.Errorf("%s got %q through the tunnel", user, got)
		}
	}
	refused := func(user, why string) {
		t.Helper()
		before := len(server.text())
		s := n.openvpn(spaces[user], folders[user], "nova-vpn.conf")
		defer s.stop()
		until(t, user+" to be refused", func() bool { return strings.Contains(server.text()[before:], "VERIFY ERROR") })
		if text := server.text()[before:]; !strings.Contains(text, why) {
			t.Errorf("%s is refused for another reason than %q:\n%s", user, why, text)
		}
		if strings.Contains(s.text(), "Initialization Sequence Completed") {
			t.Errorf("%s is connected:\n%s", user, s.text())
		}
	}
	alice, bob := connect("alice"), connect("bob")
	hello("alice")
	hello("bob")
	refused("mallory", "self-signed certificate in certificate chain")
	alice.stop()

	hers := identity{cert: filepath.Join(folders["alice"], "cert.pem"), key: filepath.Join(folders["alice"], "pk.pem")}
	c.ok("cert", "revoke", number(t, hers), "--project", "tenant1", "--yes")
	write(t, filepath.Join(dir, "crl.new"), 0o644, c.ok("ca", "crl", "--project", "tenant1"))
	if err := os.Rename(filepath.Join(dir, "crl.new"), filepath.Join(dir, "crl.pem")); err != nil {
		t.Fatal(err)
	}
	refused("alice", "certificate revoked")
	hello("bob")
	bob.stop()
	connect("bob")
	hello("bob")
	for _, s := range []*service{server, alice, bob} {
		for line := range strings.Lines(s.text()) {
			// A list of the root's is none that a project's verifiers have.
			if vpnComplaint.MatchString(line) && !strings.Contains(line, "unable to get certificate CRL") {
				t.Error(line)
			}
		}
	}
}
