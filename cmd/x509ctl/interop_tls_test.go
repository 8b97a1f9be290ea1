package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A tlsServer starts a server that shows id, wants a certificate of one of id.ca's
// from its clients, and tells each its name in a page. It returns its port, on
// 127.0.0.1.
type tlsServer struct {
	name     string
	programs []string
	start    func(t *testing.T, id identity) string
}

// A tlsClient gets the page of the server at port, which has to show a certificate
// for name by id.ca. It shows id, or nothing if id has no certificate.
type tlsClient struct {
	name      string
	programs  []string
	get       func(t *testing.T, port, name string, id identity) (string, error)
	wrongName string // how it says that the server is another
	wrongCA   string // how it says that it does not trust the server's CA
}

var (
	opensslTLS = tlsServer{"openssl", []string{"openssl"}, opensslServer}
	goTLS      = tlsServer{"go", nil, goServer}
	javaTLS    = tlsServer{"java", []string{"java", "javac"}, javaServer}

	opensslPeer = tlsClient{"openssl", []string{"openssl"}, opensslClient, "hostname mismatch", "verify failed|self-signed certificate in|unable to get local issuer"}
	goPeer      = tlsClient{"go", nil, goClient, "certificate is valid for", "unknown authority"}
	curlPeer    = tlsClient{"curl", []string{"curl"}, curlClient, "does not match|no alternative certificate subject name", "SSL certificate problem"}
	javaPeer    = tlsClient{"java", []string{"java", "javac"}, javaClient, "No subject alternative DNS name", "does not chain|unable to find valid certification path|Signature does not match"}
)

// TestTLS connects programs that both show a certificate of the CA, of each common
// type of key, and checks that each refuses whom it should.
func TestTLS(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "curl", "java", "javac")
	for caType, pairs := range map[string][]struct {
		server     tlsServer
		serverType string
		client     tlsClient
		clientType string
	}{
		"ecdsa-p256": {
			{opensslTLS, "ecdsa-p256", opensslPeer, "rsa-2048"},
			{opensslTLS, "rsa-2048", goPeer, "ecdsa-p256"},
			{goTLS, "ed25519", curlPeer, "ecdsa-p384"},
			{goTLS, "ecdsa-p384", javaPeer, "rsa-2048"},
			{javaTLS, "ecdsa-p256", opensslPeer, "ed25519"},
			{opensslTLS, "ed25519", javaPeer, "ecdsa-p256"},
		},
		"rsa-2048": {
			{opensslTLS, "rsa-2048", javaPeer, "rsa-2048"},
			{goTLS, "rsa-2048", curlPeer, "rsa-2048"},
			{javaTLS, "rsa-2048", goPeer, "ed25519"},
		},
		"ed25519": {
			{javaTLS, "ed25519", curlPeer, "ed25519"},
			{goTLS, "ecdsa-p256", opensslPeer, "ed25519"},
		},
	} {
		t.Run(caType, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "--key-type", caType)
			stranger := newCluster(t, "--key-type", caType).identity(node2, "ecdsa-p256")
			for _, p := range pairs {
				t.Run(p.server.name+" to "+p.client.name, func(t *testing.T) {
					server := c.in(t).identity(node1, p.serverType)
					client := c.in(t).identity(node2, p.clientType)
					p.client.meet(t, p.server.start(t, server), client, stranger)
				})
			}
		})
	}
}

// meet connects a client to a server that shows node1's certificate: as node2, which
// works, and in ways that don't.
func (c tlsClient) meet(t *testing.T, port string, id, stranger identity) {
	page, err := c.get(t, port, node1, id)
	if err != nil || !strings.Contains(page, node2) {
		t.Fatalf("got %q, %v, want a page that greets %s", page, err, node2)
	}
	refused := func(what, why, name string, id identity) {
		t.Helper()
		page, err := c.get(t, port, name, id)
		switch {
		case err == nil:
			t.Errorf("%s: got %q", what, page)
		case !regexp.MustCompile("(?i)" + why).MatchString(err.Error()):
			t.Errorf("%s: refused for another reason than %q: %v", what, why, err)
		}
	}
	refused("another server's name", c.wrongName, node2, id)
	refused("a server of another CA", c.wrongCA, node1, stranger)
	const byServer = "alert|remote error|reset|closed|broken pipe|not connected"
	stranger.ca = id.ca // now it trusts the server, which must not trust it
	refused("a client of another CA", byServer, node1, stranger)
	id.cert, id.p12 = "", ""
	refused("a client without a certificate", byServer, node1, id)
}

func opensslServer(t *testing.T, id identity) string {
	s := serve(t, nil, nil, "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-Verify", "2", "-verify_return_error",
		"-CAfile", id.ca, "-cert", id.cert, "-key", id.key)
	return s.port(t, "ACCEPT ")
}

func goServer(t *testing.T, id identity) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	greet := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello", r.TLS.VerifiedChains[0][0].Subject)
	}
	server := http.Server{
		Handler:     http.HandlerFunc(greet),
		ReadTimeout: patience,
		ErrorLog:    log.New(io.Discard, "", 0), // the client's error is the one that is judged
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{keyPair(t, id)},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    pool(t, id),
		},
	}
	go func() { _ = server.ServeTLS(listener, "", "") }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

func javaServer(t *testing.T, id identity) string {
	port, err := java(t, "server", id.ca, id.p12, id.password)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// get asks for a page in the words of HTTP/1.0, for clients that know none.
const get = "GET / HTTP/1.0\r\n\r\n"

func opensslClient(_ *testing.T, port, name string, id identity) (string, error) {
	args := []string{"s_client", "-quiet", "-connect", "127.0.0.1:" + port, "-servername", name,
		"-verify_hostname", name, "-verify_return_error", "-CAfile", id.ca}
	if id.cert != "" {
		args = append(args, "-cert", id.cert, "-key", id.key)
	}
	return try(get, "openssl", args...)
}

func goClient(t *testing.T, port, name string, id identity) (string, error) {
	config := &tls.Config{RootCAs: pool(t, id), ServerName: name}
	if id.cert != "" {
		config.Certificates = []tls.Certificate{keyPair(t, id)}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", "127.0.0.1:"+port)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, get); err != nil {
		return "", err
	}
	page, err := io.ReadAll(conn)
	return string(page), err
}

func curlClient(_ *testing.T, port, name string, id identity) (string, error) {
	args := []string{"--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--http1.0", "--no-alpn", "--cacert", id.ca,
		"--resolve", name + ":" + port + ":127.0.0.1", "https://" + name + ":" + port + "/"}
	if id.cert != "" {
		args = append(args, "--cert", id.cert, "--key", id.key)
	}
	return try("", "curl", args...)
}

func javaClient(t *testing.T, port, name string, id identity) (string, error) {
	return java(t, "client", port, name, id.ca, id.p12, id.password)
}

func keyPair(t *testing.T, id identity) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(id.cert, id.key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func pool(t *testing.T, id identity) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM([]byte(read(t, id.ca))) {
		t.Fatalf("no certificate in %s", id.ca)
	}
	return p
}
