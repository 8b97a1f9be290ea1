package main_test

import (
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A tenancy is a cluster with two projects, alpha and beta. Of each there is what somebody
// trusts: who trusts the root trusts all projects.
type tenancy struct {
	*cluster
	own  map[string]string // the file of the CA of each project alone
	root string
}

func newTenancy(t *testing.T) *tenancy {
	t.Helper()
	c := newCluster(t)
	x := &tenancy{c, map[string]string{}, c.path("project-root", "cert.pem")}
	for project, member := range map[string]string{"alpha": "alice", "beta": "bob"} {
		c.ok("project", "create", project)
		c.ok("project", "member-add", member, "--project", project)
		c.ok("project", "name-add", "vpn."+project+".example.org", "--project", project)
		x.own[project] = filepath.Join(t.TempDir(), project+".pem")
		c.ok("ca", "bundle", "--project", project, "--own-only", "--out", x.own[project])
	}
	return x
}

// leaf has a certificate made, whose file has the chain up to the root.
func (x *tenancy) leaf(project, name, keyType string, more ...string) identity {
	x.t.Helper()
	dir := x.t.TempDir()
	id := identity{
		key: filepath.Join(dir, "key.pem"), cert: filepath.Join(dir, "cert.pem"), p12: filepath.Join(dir, "id.p12"),
		password: filepath.Join(dir, "password"), ca: x.own[project],
	}
	write(x.t, id.password, 0o600, "Secret of "+name+"\n")
	args := []string{"cert", "issue", name, "--project", project, "--key-type", keyType, "--key", id.key, "--cert", id.cert,
		"--chain", "--p12", id.p12, "--password-file", id.password}
	x.ok(append(args, more...)...)
	return id
}

// plain is the file of a project's CA for Java, which doesn't know OpenSSL's form for what is
// trusted by itself, and does so with everything.
func (x *tenancy) plain(project string) string { return x.path("projects", project, "cert.pem") }

// An expert says whether a chain, the leaf's certificate first, is good for a purpose, by
// the CAs in a file.
type expert struct {
	name  string
	judge func(t *testing.T, ca, chain, purpose string) error
}

var experts = []expert{
	{"openssl", func(_ *testing.T, ca, chain, purpose string) error {
		_, err := try("", "openssl", "verify", "-x509_strict", "-purpose", "ssl"+purpose, "-CAfile", ca, "-untrusted", chain, chain)
		return err
	}},
	{"go", func(t *testing.T, ca, chain, purpose string) error {
		certs := certificatesIn(t, chain)
		o := x509.VerifyOptions{Roots: pool(t, identity{ca: ca}), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		if purpose == "server" {
			o.KeyUsages[0] = x509.ExtKeyUsageServerAuth
		}
		for _, c := range certs[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := certs[0].Verify(o)
		return err
	}},
	{"java", func(t *testing.T, ca, chain, purpose string) error {
		_, err := java(t, "purpose", ca, chain, purpose)
		return err
	}},
}

func certificatesIn(t *testing.T, file string) (certs []*x509.Certificate) {
	t.Helper()
	for block, rest := pem.Decode([]byte(read(t, file))); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c)
	}
	return certs
}

// TestProjectChains has the certificates of two projects and of the cluster judged by
// whoever trusts one of them, or the root of projects.
func TestProjectChains(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "java", "javac")
	x := newTenancy(t)
	node := x.identity(node1, "ecdsa-p256")
	for _, leaf := range []struct {
		name, project, purpose string
		id                     identity
	}{
		{"alice of alpha", "alpha", "client", x.leaf("alpha", "alice", "ecdsa-p256")},
		{"alpha's server", "alpha", "server", x.leaf("alpha", "vpn.alpha.example.org", "rsa-2048", "--server")},
		{"bob of beta", "beta", "client", x.leaf("beta", "bob", "ed25519")},
		{"beta's server", "beta", "server", x.leaf("beta", "vpn.beta.example.org", "ecdsa-p384", "--server")},
		{"a node", "", "client", node},
		{"the same node", "", "server", node},
	} {
		for _, e := range experts {
			for trusted, ca := range map[string]string{
				"alpha": x.own["alpha"], "beta": x.own["beta"], "the cluster": x.path("ca", "bundle.pem"), "the root": x.root,
			} {
				if e.name == "java" && x.own[trusted] != "" {
					ca = x.plain(trusted)
				}
				for _, purpose := range []string{"client", "server"} {
					good := trusted == leaf.project || trusted == "the root" && leaf.project != "" || trusted == "the cluster" && leaf.project == ""
					good = good && (purpose == leaf.purpose || leaf.project == "")
					if err := e.judge(t, ca, leaf.id.cert, purpose); (err == nil) != good {
						t.Errorf("%s, who trusts %s, says to %s as a %s: %v", e.name, trusted, leaf.name, purpose, err)
					}
				}
			}
		}
	}
}

// TestProjectTLS lets members meet servers: those of their project, of another one, and
// nodes.
func TestProjectTLS(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "curl", "java", "javac")
	x := newTenancy(t)
	name := "vpn.alpha.example.org"
	node := x.identity(node1, "ecdsa-p256")
	bob := x.leaf("beta", "bob", "ecdsa-p256")
	for _, pair := range []struct {
		server tlsServer
		client tlsClient
	}{{opensslTLS, goPeer}, {goTLS, javaPeer}, {javaTLS, curlPeer}, {goTLS, opensslPeer}} {
		t.Run(pair.server.name+" to "+pair.client.name, func(t *testing.T) {
			x := &tenancy{x.in(t), x.own, x.root}
			server, alice, bob := x.leaf("alpha", name, "ecdsa-p256", "--server"), x.leaf("alpha", "alice", "rsa-2048"), bob
			if pair.server.name == "java" {
				server.ca = x.plain("alpha")
			}
			if pair.client.name == "java" {
				alice.ca, bob.ca = x.plain("alpha"), x.plain("beta")
			}
			port, atNode := pair.server.start(t, server), pair.server.start(t, node)
			page, err := pair.client.get(t, port, name, alice)
			if err != nil || !strings.Contains(page, "alice") {
				t.Fatalf("alice gets %q, %v", page, err)
			}
			const byServer = "alert|remote error|reset|closed|broken pipe|not connected"
			for what, try := range map[string]struct {
				id         identity
				ca         string // what the client trusts
				port, name string
				why        string
			}{
				"a member of another project":          {bob, alice.ca, port, name, byServer},
				"a node":                               {node, alice.ca, port, name, byServer},
				"a member who trusts the cluster":      {alice, node.ca, port, name, pair.client.wrongCA},
				"a member who trusts another project":  {alice, bob.ca, port, name, pair.client.wrongCA},
				"a member who trusts a node, at it":    {alice, node.ca, atNode, node1, byServer},
				"a member at a node":                   {alice, alice.ca, atNode, node1, pair.client.wrongCA},
				"a node that trusts a project, at one": {node, node.ca, port, name, pair.client.wrongCA},
			} {
				try.id.ca = try.ca
				page, err := pair.client.get(t, try.port, try.name, try.id)
				switch {
				case err == nil:
					t.Errorf("%s gets %q", what, page)
				case !regexp.MustCompile("(?i)" + try.why).MatchString(err.Error()):
					t.Errorf("%s: refused for another reason than %q: %v", what, try.why, err)
				}
			}
		})
	}
}
