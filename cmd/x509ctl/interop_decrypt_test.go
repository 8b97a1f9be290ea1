package main_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestDecryptCertificateTLS has each program find a project's decrypt certificate good, and
// refuse it for both ends of TLS: by a check, and in handshakes by who holds its key.
func TestDecryptCertificateTLS(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "java", "javac")
	c := newCluster(t)
	c.ok("project", "create", "tenant1")
	dir := t.TempDir()
	cert, key, ca := filepath.Join(dir, "cert.pem"), c.path("projects", "tenant1", "decrypt-key.pem"), c.path("projects", "tenant1", "bundle.pem")
	write(t, cert, 0o644, c.ok("project", "show", "tenant1", "--encryption-cert"))

	refused := func(what, why string, err error) {
		t.Helper()
		if err == nil || !regexp.MustCompile("(?i)"+why).MatchString(err.Error()) {
			t.Errorf("%s: %v, want %q", what, err, why)
		}
	}
	must(t, "openssl", "verify", "-x509_strict", "-CAfile", ca, cert)
	for _, purpose := range []string{"sslserver", "sslclient", "smimesign", "smimeencrypt"} {
		_, err := try("", "openssl", "verify", "-purpose", purpose, "-CAfile", ca, cert)
		refused("openssl, "+purpose, "unsuitable certificate purpose|unsupported certificate purpose", err)
	}
	if _, err := java(t, "purpose", ca, cert, "any"); err != nil {
		t.Error(err)
	}
	for _, purpose := range []string{"server", "client"} {
		_, err := java(t, "purpose", ca, cert, purpose)
		refused("java, "+purpose, "Extended key usage does not permit|KeyUsage does not allow", err)
	}
	id := identity{cert: cert, key: key, ca: ca}
	leaf := keyPair(t, id).Leaf
	options := x509.VerifyOptions{Roots: pool(t, id), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if _, err := leaf.Verify(options); err != nil {
		t.Error(err)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		options.KeyUsages = []x509.ExtKeyUsage{usage}
		_, err := leaf.Verify(options)
		refused("go", "incompatible key usage", err)
	}
	refused("x509ctl", "exit status 6", c.command("cert", "verify", cert, "--ca-file", ca, "--purpose", "client").Run())

	// Whoever shows it is not let in, by openssl and by Go.
	server := serve(t, nil, nil, "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", cert, "-key", key)
	_, err := try(get, "openssl", "s_client", "-quiet", "-connect", "127.0.0.1:"+server.port(t, "ACCEPT "), "-verify_return_error", "-CAfile", ca)
	refused("openssl's server", "unsuitable certificate purpose|unsupported certificate purpose|verify failed", err)
	refused("go's client", "incompatible key usage", goRefusal(t, id))
}

// goRefusal returns why a Go server refuses a client with id.
func goRefusal(t *testing.T, id identity) error {
	t.Helper()
	self := newCluster(t).identity(node1, "ecdsa-p256")
	near, far := net.Pipe()
	go func() {
		config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{keyPair(t, id)}} // the server is the judge
		client := tls.Client(near, config)
		_ = client.Handshake() // what fails, the server says
		_ = client.Close()
	}()
	config := &tls.Config{Certificates: []tls.Certificate{keyPair(t, self)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(t, id)}
	return tls.Server(far, config).Handshake()
}

// TestDecryptKeyIsNotTheCA compares the keys themselves.
func TestDecryptKeyIsNotTheCA(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.ok("project", "create", "tenant1", "--key-type", "rsa-2048") // RSA as well
	c.ok("project", "show", "tenant1", "--encryption-cert")
	der := map[string]string{}
	for _, path := range [][]string{
		{"ca", "key.pem"}, {"project-root", "key.pem"}, {"projects", "tenant1", "key.pem"}, {"projects", "tenant1", "decrypt-key.pem"},
	} {
		data, err := os.ReadFile(c.path(path...))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		name := filepath.Join(path...)
		if other, same := der[string(block.Bytes)]; same {
			t.Errorf("%s is %s", name, other)
		}
		der[string(block.Bytes)] = name
	}
}
