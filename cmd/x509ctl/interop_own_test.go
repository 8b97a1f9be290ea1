package main_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestOwnOnlyBundle has servers with OpenSSL trust one project: by its bundle they let a
// member of another in who brings the certificate of his CA, and by "ca bundle --own-only"
// they don't.
func TestOwnOnlyBundle(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "nginx", "haproxy")
	c := newCluster(t)
	for user, project := range map[string]string{"alice": "tenant1", "mallory": "tenant2"} {
		c.ok("project", "create", project)
		c.ok("project", "member-add", user, "--project", project)
	}
	c.ok("project", "name-add", vpnName, "--project", "tenant1")
	dir := t.TempDir()
	c.ok("project", "vpn", "tenant1", "--name", vpnName, "--out-dir", dir)
	server := identity{cert: filepath.Join(dir, "server.crt"), key: filepath.Join(dir, "server.key")}
	bundle, own := c.path("projects", "tenant1", "bundle.pem"), filepath.Join(dir, "own.pem")
	c.ok("ca", "bundle", "--project", "tenant1", "--own-only", "--out", own)
	must(t, "openssl", "verify", "-x509_strict", "-CAfile", own, server.cert)

	id := map[string]identity{}
	for user, project := range map[string]string{"alice": "tenant1", "mallory": "tenant2"} {
		archive := filepath.Join(t.TempDir(), "nova.zip")
		c.ok("project", "credentials", user, "--project", project, "--out", archive)
		folder := unzip(t, archive)
		id[user] = identity{cert: filepath.Join(folder, "cert.pem"), key: filepath.Join(folder, "pk.pem"), ca: own}
	}
	for name, start := range map[string]func(*testing.T, identity) string{"openssl": projectOpenssl, "nginx": projectNginx, "haproxy": projectHAProxy} {
		ask := func(user, ca string) error {
			server.ca = ca
			// With the certificate of the own CA, as a client without a flaw sends it.
			args := []string{"s_client", "-quiet", "-connect", "127.0.0.1:" + start(t, server), "-servername", vpnName, "-verify_hostname", vpnName,
				"-verify_return_error", "-CAfile", own, "-cert", id[user].cert, "-key", id[user].key, "-cert_chain", c.path("projects", "tenant2", "cert.pem")}
			page, err := try(get, "openssl", args...)
			if err == nil && !strings.Contains(page, user) {
				err = fmt.Errorf("got %q", page)
			}
			return err
		}
		if err := ask("alice", own); err != nil {
			t.Errorf("%s: a member: %v", name, err)
		}
		if err := ask("mallory", own); err == nil || !regexp.MustCompile("(?i)unknown ca|certificate error|alert").MatchString(err.Error()) {
			t.Errorf("%s: a member of another project: %v", name, err)
		}
		if err := ask("mallory", bundle); err != nil { // or there is nothing to be kept out
			t.Errorf("%s: a member of another project, by the bundle: %v", name, err)
		}
	}
}

func projectOpenssl(t *testing.T, id identity) string {
	s := serve(t, nil, nil, "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-Verify", "3", "-verify_return_error",
		"-CAfile", id.ca, "-cert", id.cert, "-key", id.key)
	return s.port(t, "ACCEPT ")
}

func projectNginx(t *testing.T, id identity) string {
	dir, port := t.TempDir(), freePort(t)
	write(t, filepath.Join(dir, "nginx.conf"), 0o644, fmt.Sprintf(`daemon off;
master_process off;
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
		ssl_client_certificate %[5]s;
		ssl_verify_client on;
		ssl_verify_depth 3;
		location / { return 200 "hello $ssl_client_s_dn\n"; }
	}
}
`, dir, port, id.cert, id.key, id.ca))
	listens(t, serve(t, nil, nil, "nginx", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr"), port)
	return port
}

func projectHAProxy(t *testing.T, id identity) string {
	dir, port := t.TempDir(), freePort(t)
	write(t, filepath.Join(dir, "server.pem"), 0o600, read(t, id.cert)+read(t, id.key))
	write(t, filepath.Join(dir, "haproxy.cfg"), 0o644, fmt.Sprintf(`defaults
	mode http
	timeout connect 5s
	timeout client 20s
	timeout server 20s
frontend f
	bind 127.0.0.1:%s ssl crt %s/server.pem ca-file %s verify required
	http-request return status 200 content-type text/plain lf-string "hello %%[ssl_c_s_dn]"
`, port, dir, id.ca))
	listens(t, serve(t, nil, nil, "haproxy", "-db", "-f", filepath.Join(dir, "haproxy.cfg")), port)
	return port
}
