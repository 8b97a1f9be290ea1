package main_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"x509ctl/pkg/trust"
	"x509ctl/pkg/trust/trusttls"
)

// A crlReader is a program that refuses certificates by a revocation list. What start
// returns asks whether a client, or for a client's program a server, is accepted by the
// files that c publishes now, once they were read again as the program does it.
type crlReader struct {
	name     string
	programs []string
	start    func(t *testing.T, c *cluster, server identity) (ask func(identity) error)
	refusal  string // how it says that a certificate is revoked
}

var crlReaders = []crlReader{
	{"openssl", []string{"openssl"}, opensslCRL, "certificate revoked"},
	{"nginx", []string{"nginx"}, nginxCRL, "400 The SSL certificate error"},
	{"haproxy", []string{"haproxy"}, haproxyCRL, "alert certificate revoked"},
	{"openvpn", []string{"openvpn"}, openvpnCRL, "is revoked|certificate revoked"},
	{"curl", []string{"curl", "openssl"}, curlCRL, "certificate revoked"},
	{"java", []string{"java", "javac"}, javaCRL, "has been revoked"},
	{"go", nil, goCRL, "remote error: tls: bad certificate"},
}

// TestCRLReaders has each program accept certificates, and refuse them once they are
// revoked: one below the floor, one by itself. Others are accepted, before and after.
func TestCRLReaders(t *testing.T) {
	t.Parallel()
	for _, r := range crlReaders {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			need(t, append(r.programs, "openssl")...)
			c := newCluster(t)
			below, single := c.identity(node2, "ecdsa-p256"), c.identity(node2, "ecdsa-p256")
			server, good := c.identity(node1, "ecdsa-p256"), c.identity(node2, "ecdsa-p256")
			start := r.start(t, c, server)
			ask := func(id identity) error {
				id.ca = c.path("ca", "bundle.pem")
				return start(id)
			}
			accepted := func(what string, id identity) {
				t.Helper()
				if err := ask(id); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			refused := func(what string, id identity) {
				t.Helper()
				err := ask(id)
				if err == nil || !regexp.MustCompile("(?i)"+r.refusal).MatchString(err.Error()) {
					t.Errorf("%s: refused for another reason than %q: %v", what, r.refusal, err)
				}
			}
			accepted("before", below)
			c.ok("serial", "set-min", "3")
			refused("below the floor", below)
			accepted("the first above", single)
			c.ok("cert", "revoke", "3", "--yes", "--reason", "keyCompromise")
			refused("by itself", single)
			refused("still", below)
			accepted("another", good)
			// A replaced CA is trusted still, and the file has a list of each.
			c.ok("ca", "renew-crypto", "--yes")
			renewed, next := c.identity(node2, "ecdsa-p256"), c.identity(node2, "ecdsa-p256")
			accepted("of the new CA", renewed)
			accepted("of the old CA", good)
			c.ok("cert", "revoke", number(t, good), number(t, renewed), "--yes")
			refused("of the old CA, by itself", good)
			refused("of the new CA, by itself", renewed)
			accepted("another of the new CA", next)
		})
	}
}

// number returns the serial number of id's certificate.
func number(t *testing.T, id identity) string {
	t.Helper()
	return keyPair(t, id).Leaf.SerialNumber.String()
}

func opensslCRL(_ *testing.T, c *cluster, _ identity) func(identity) error {
	return func(id identity) error {
		_, err := try("", "openssl", "verify", "-x509_strict", "-crl_check_all", "-CAfile", c.path("ca", "bundle.pem"),
			"-CRLfile", c.path("ca", "crl.pem"), id.cert)
		return err
	}
}

// freePort returns a port of 127.0.0.1 that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// listens waits until somebody does at port.
func listens(t *testing.T, s *service, port string) {
	t.Helper()
	until(t, "port "+port, func() bool {
		select {
		case <-s.done:
			t.Fatalf("%s has ended:\n%s", s.cmd.Path, s.text())
		default:
		}
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

// nginxCRL reads its list again when it is told to.
func nginxCRL(t *testing.T, c *cluster, server identity) func(identity) error {
	dir, port := t.TempDir(), freePort(t)
	conf := filepath.Join(dir, "nginx.conf")
	write(t, conf, 0o644, fmt.Sprintf(`daemon off;
user root;
pid %[1]s/pid;
error_log stderr notice;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/1; proxy_temp_path %[1]s/2; fastcgi_temp_path %[1]s/3; uwsgi_temp_path %[1]s/4; scgi_temp_path %[1]s/5;
	server {
		listen 127.0.0.1:%[2]s ssl;
		ssl_certificate %[3]s;
		ssl_certificate_key %[4]s;
		ssl_client_certificate %[5]s/bundle.pem;
		ssl_crl %[5]s/crl.pem;
		ssl_verify_client on;
		ssl_session_cache off;
		ssl_session_tickets off;
		location / { return 200 "hello $ssl_client_s_dn\n"; }
	}
}
`, dir, port, server.cert, server.key, c.path("ca")))
	s := serve(t, nil, nil, "nginx", "-p", dir, "-c", conf, "-e", "stderr")
	t.Cleanup(func() { _ = s.cmd.Process.Signal(syscall.SIGTERM); <-s.done }) // or its workers go on
	// It listens before it minds signals: one that comes too early ends it, or reloads nothing.
	until(t, "nginx", func() bool { return strings.Contains(s.text(), "start worker process ") })
	reloads := 0
	return func(id identity) error {
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			return err
		}
		reloads++
		until(t, "nginx to reload", func() bool { return strings.Count(s.text(), "exited with code 0") >= reloads })
		page, err := opensslClient(t, port, node1, id)
		if err == nil && !strings.Contains(page, "hello CN="+node2) {
			return errors.New(page)
		}
		return err
	}
}

// haproxyCRL is started again: that is what a reload does in the end.
func haproxyCRL(t *testing.T, c *cluster, server identity) func(identity) error {
	dir := t.TempDir()
	conf, combined := filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "server.pem")
	write(t, combined, 0o600, read(t, server.cert)+read(t, server.key))
	return func(id identity) error {
		port := freePort(t)
		write(t, conf, 0o644, fmt.Sprintf(`defaults
	mode http
	timeout connect 5s
	timeout client 20s
	timeout server 20s
frontend f
	bind 127.0.0.1:%s ssl crt %s ca-file %s crl-file %s verify required
	http-request return status 200 content-type text/plain lf-string "hello %%[ssl_c_s_dn]"
`, port, combined, c.path("ca", "bundle.pem"), c.path("ca", "crl.pem")))
		s := serve(t, nil, nil, "haproxy", "-db", "-f", conf)
		defer s.stop()
		listens(t, s, port)
		page, err := opensslClient(t, port, node1, id)
		if err == nil && !strings.Contains(page, node2) {
			return errors.New(page)
		}
		return err
	}
}

// openvpnCRL is the server of a tunnel that leads nowhere.
func openvpnCRL(t *testing.T, c *cluster, server identity) func(identity) error {
	return func(id identity) error {
		port := freePort(t)
		common := []string{"--dev", "null", "--ifconfig-noexec", "--verb", "3", "--ca", c.path("ca", "bundle.pem"), "--data-ciphers", "AES-256-GCM"}
		s := serve(t, nil, nil, "openvpn", append(common, "--proto", "tcp-server", "--local", "127.0.0.1", "--port", port, "--tls-server",
			"--dh", "none", "--cert", server.cert, "--key", server.key, "--crl-verify", c.path("ca", "crl.pem"), "--remote-cert-tls", "client")...)
		defer s.stop()
		until(t, "openvpn", func() bool { return strings.Contains(s.text(), "Listening for incoming TCP connection") })
		peer := serve(t, nil, nil, "openvpn", append(common, "--proto", "tcp-client", "--remote", "127.0.0.1", port, "--nobind", "--tls-client",
			"--cert", id.cert, "--key", id.key, "--remote-cert-tls", "server", "--verify-x509-name", node1, "name")...)
		defer peer.stop()
		var text string
		until(t, "the tunnel", func() bool {
			text = s.text()
			return strings.Contains(text, "Peer Connection Initiated") || strings.Contains(text, "VERIFY ERROR")
		})
		if strings.Contains(text, "VERIFY ERROR") {
			return errors.New(text)
		}
		return nil
	}
}

// curlCRL is a client, which refuses a server.
func curlCRL(t *testing.T, c *cluster, _ identity) func(identity) error {
	return func(id identity) error {
		s := serve(t, nil, nil, "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", id.cert, "-key", id.key)
		defer s.stop()
		port := s.port(t, "ACCEPT ")
		_, err := try("", "curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--cacert", c.path("ca", "bundle.pem"),
			"--crlfile", c.path("ca", "crl.pem"), "--resolve", node2+":"+port+":127.0.0.1", "https://"+node2+":"+port+"/")
		return err
	}
}

func javaCRL(t *testing.T, c *cluster, _ identity) func(identity) error {
	return func(id identity) error {
		_, err := java(t, "revocation", c.path("ca", "bundle.pem"), c.path("ca", "crl.pem"), id.cert)
		return err
	}
}

// goCRL is a server with the library: it has the bundle and the list, and no floor.
func goCRL(t *testing.T, c *cluster, server identity) func(identity) error {
	source, err := trust.OpenSource(trust.Files{Bundle: c.path("ca", "bundle.pem"), CRL: c.path("ca", "crl.pem")},
		trust.SourceOptions{Now: time.Now, Interval: -1, RequireFresh: true})
	if err != nil {
		t.Fatal(err)
	}
	config, err := trusttls.ServerConfig(&tls.Config{Certificates: []tls.Certificate{keyPair(t, server)}}, source, trusttls.AnyNode)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, _ = conn.Write([]byte("hello")) // what fails, the client sees
			_ = conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return func(id identity) error {
		page, err := goClient(t, port, node1, id)
		if err == nil && page != "hello" {
			err = fmt.Errorf("got %q", page)
		}
		return err
	}
}
