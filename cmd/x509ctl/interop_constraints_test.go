package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNameConstraints installs CAs below a third party's root, which openssl makes, with
// name constraints: what no verifier would accept is refused, and not issued.
func TestNameConstraints(t *testing.T) {
	need(t, "openssl")
	c := newCluster(t)
	before := parse[struct{ SHA256 string }](t, c.ok("ca", "show", "-o", "json")).SHA256
	for what, tc := range map[string]struct{ constraints, says string }{
		"the cluster's name is excluded": {"excluded;DNS:cluster1.example.com", `excludes the name "cluster1.example.com"`},
		"its domain is excluded":         {"excluded;DNS:example.com", `excludes the name "cluster1.example.com"`},
		"another domain is permitted":    {"permitted;DNS:example.org", `doesn't permit the name "cluster1.example.com"`},
		"other subjects are permitted":   {"permitted;dirName:dn", "critical extension"},
	} {
		chain, key := thirdParty(t, tc.constraints, "")
		if said := c.fails(5, "ca", "renew-crypto", "--ca-certificate", chain, "--ca-key", key, "--yes"); !strings.Contains(said, tc.says) {
			t.Errorf("%s: it says %s", what, said)
		}
		chain, key = thirdParty(t, "", tc.constraints)
		if said := c.fails(5, "ca", "renew-crypto", "--prepare", "--ca-certificate", chain, "--ca-key", key, "--yes"); !strings.Contains(said, tc.says) {
			t.Errorf("%s, by the intermediate: it says %s", what, said)
		}
	}
	chain, key := thirdParty(t, "excluded;dirName:dn", "")
	if said := c.fails(5, "ca", "renew-crypto", "--ca-certificate", chain, "--ca-key", key, "--yes"); !strings.Contains(said, `excludes the name "CN=intermediate,O=Acme"`) {
		t.Errorf("the intermediate's name is excluded: it says %s", said)
	}
	if after := parse[struct{ SHA256 string }](t, c.ok("ca", "show", "-o", "json")).SHA256; after != before {
		t.Error("the CA is another one")
	}
	if _, err := os.Stat(c.path("ca", "next")); err == nil {
		t.Error("something is left in next/")
	}

	// The root shuts out one node, and the intermediate the address of another.
	chain, key = thirdParty(t, "permitted;DNS:example.com,excluded;DNS:node2.example.com", "excluded;IP:127.0.0.3/255.255.255.255")
	c.ok("node", "add", "node3.example.com", "--ip", "127.0.0.3")
	c.ok("ca", "renew-crypto", "--ca-certificate", chain, "--ca-key", key, "--yes")
	id := c.identity("node1.example.com", "ecdsa-p256")
	dir := filepath.Dir(chain)
	root, above := filepath.Join(dir, "root.pem"), filepath.Join(dir, "ca.pem")
	must(t, "openssl", "verify", "-x509_strict", "-CAfile", root, "-untrusted", above, id.cert)
	c.ok("cert", "verify", id.cert)
	address := map[string]string{"node3.example.com": ",IP:127.0.0.3"}
	for node, says := range map[string]string{"node2.example.com": `excludes the name "node2.example.com"`, "node3.example.com": `excludes the name "127.0.0.3"`} {
		out := filepath.Join(dir, node)
		request := c.request(node, "DNS:"+node+address[node], out)
		for _, args := range [][]string{
			{"cert", "issue", node, "--combined", out + ".pem"},
			{"cert", "sign-csr", request, "--out", out + ".pem"},
		} {
			if said := c.fails(5, args...); !strings.Contains(said, says) {
				t.Errorf("%v: it says %s", args, said)
			}
		}
		if _, err := os.Stat(out + ".pem"); err == nil {
			t.Errorf("%s has a certificate", node)
		}
		// openssl doesn't accept what the intermediate's key signs elsewhere.
		write(t, out+".cnf", 0o600, "subjectAltName=DNS:"+node+address[node]+"\n")
		must(t, "openssl", "x509", "-req", "-in", request, "-CA", above, "-CAkey", key, "-days", "1", "-extfile", out+".cnf", "-out", out+".useless")
		if said, err := try("", "openssl", "verify", "-CAfile", root, "-untrusted", above, out+".useless"); err == nil {
			t.Errorf("openssl accepts what was refused for %s: %s", node, said)
		}
	}
	// Nothing of that has spent a number: the next one follows.
	next := c.identity("node1.example.com", "ecdsa-p256")
	serialOf := func(path string) string { return must(t, "openssl", "x509", "-noout", "-serial", "-in", path) }
	if a, b := serialOf(id.cert), serialOf(next.cert); a != "serial=02\n" || b != "serial=03\n" {
		t.Errorf("numbers are %s and %s", a, b)
	}
}

// request has openssl make a request for a node with alternative names.
func (c *cluster) request(node, alternative, prefix string) string {
	c.t.Helper()
	must(c.t, "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN="+node,
		"-addext", "subjectAltName="+alternative, "-keyout", prefix+".key", "-out", prefix+".csr")
	return prefix + ".csr"
}

// thirdParty has openssl make a root and an intermediate, each with name constraints or
// none, and returns the files with the chain and with the intermediate's key.
func thirdParty(t *testing.T, ofRoot, ofCA string) (chain, key string) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	extensions := func(section, constraints string) string {
		text := "[" + section + "]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
		if constraints != "" {
			text += "nameConstraints=critical," + constraints + "\n"
		}
		return text
	}
	write(t, file("cnf"), 0o600, "[req]\ndistinguished_name=any\n[any]\n[dn]\nO=Acme\n"+extensions("root", ofRoot)+extensions("ca", ofCA))
	must(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-days", "99", "-subj", "/O=Acme/CN=root",
		"-config", file("cnf"), "-extensions", "root", "-keyout", file("root.key"), "-out", file("root.pem"))
	must(t, "openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Acme/CN=intermediate", "-config", file("cnf"),
		"-keyout", file("ca.key"), "-out", file("ca.csr"))
	must(t, "openssl", "x509", "-req", "-in", file("ca.csr"), "-CA", file("root.pem"), "-CAkey", file("root.key"), "-days", "98",
		"-extfile", file("cnf"), "-extensions", "ca", "-out", file("ca.pem"))
	var text string
	for _, name := range []string{"ca.pem", "root.pem"} {
		data, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		text += string(data)
	}
	write(t, file("chain.pem"), 0o600, text)
	if err := os.Chmod(file("ca.key"), 0o400); err != nil {
		t.Fatal(err)
	}
	return file("chain.pem"), file("ca.key")
}
