package trusttls_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/trust"
	"x509ctl/pkg/trust/trusttls"
)

// An authority signs for tests, and publishes as x509ctl does.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newAuthority makes a CA of the name that publishes in dir.
func newAuthority(name, dir string) *authority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a := &authority{template, key, dir}
	a.cert = a.sign(template, key.Public())
	a.publish("bundle.pem", pemOf("CERTIFICATE", a.cert.Raw))
	a.publish("min-serial", []byte("1\n"))
	return a
}

func (a *authority) sign(template *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, a.cert, pub, a.key))))
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// publish replaces a file.
func (a *authority) publish(name string, data []byte) {
	temp := filepath.Join(a.dir, "."+name)
	if err := errors.Join(os.WriteFile(temp, data, 0o644), os.Rename(temp, filepath.Join(a.dir, name))); err != nil {
		panic(err)
	}
}

// revoke publishes a list with the numbers.
func (a *authority) revoke(serials ...int64) {
	template := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, n := range serials {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: time.Now()})
	}
	a.publish("crl.pem", pemOf("X509 CRL", must(x509.CreateRevocationList(rand.Reader, template, a.cert, a.key))))
}

// issue makes a node's certificate; edits change the template.
func (a *authority) issue(serial int64, name string, edits ...func(*x509.Certificate)) tls.Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-5 * time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	for _, edit := range edits {
		edit(template)
	}
	return tls.Certificate{Certificate: [][]byte{a.sign(template, key.Public()).Raw}, PrivateKey: key}
}

// source follows the authority's files, looking at them each time.
func (a *authority) source() *trust.Source {
	return must(trust.OpenSource(trust.DirFiles(a.dir), trust.SourceOptions{Now: time.Now, Interval: -1}))
}

// connect has client and server exchange a greeting over the loopback, and returns
// what each says, and whether the session was resumed.
func connect(t *testing.T, server, client *tls.Config) (serverErr, clientErr error, resumed bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer raw.Close()
		conn := tls.Server(raw, server)
		conn.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // a connection has deadlines
		_, err = conn.Write([]byte("hello"))
		done <- err
		io.Copy(io.Discard, conn) //nolint:errcheck // until the client has gone
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, client)
	conn.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // a connection has deadlines
	_, clientErr = io.ReadFull(conn, make([]byte, 5))  // a ticket comes before what is read
	resumed = conn.ConnectionState().DidResume
	conn.Close()
	return <-done, clientErr, resumed
}

// expect compares an error with its reason; "" is none.
func expect(t *testing.T, who string, err error, want trust.Reason) {
	t.Helper()
	var v *trust.VerifyError
	if want == "" && err != nil || want != "" && (!errors.As(err, &v) || v.Reason != want) {
		t.Errorf("%s: %v, want %q", who, err, want)
	}
}

func versions() map[string]uint16 {
	return map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
}

// TestHandshakes connects peers with each kind of certificate.
func TestHandshakes(t *testing.T) {
	a, stranger := newAuthority("cluster CA 1", t.TempDir()), newAuthority("cluster CA 1", t.TempDir())
	a.publish("min-serial", []byte("5\n"))
	a.revoke(50)
	source := a.source()
	old := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	long := func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(169 * time.Hour) }
	only := func(u x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{u} }
	}
	for name, version := range versions() {
		for _, tc := range []struct {
			name               string
			server, client     tls.Certificate
			onServer, onClient trust.Reason // why the server refuses, why the client does
		}{
			{"both good", a.issue(10, "node1"), a.issue(11, "node2"), "", ""},
			{"client below the floor", a.issue(10, "node1"), a.issue(4, "node2"), trust.BelowFloor, ""},
			{"client revoked", a.issue(10, "node1"), a.issue(50, "node2"), trust.Revoked, ""},
			{"client expired", a.issue(10, "node1"), a.issue(11, "node2", old), trust.Expired, ""},
			{"client for too long", a.issue(10, "node1"), a.issue(11, "node2", long), trust.BadLifetime, ""},
			{"client is a server", a.issue(10, "node1"), a.issue(11, "node2", only(x509.ExtKeyUsageServerAuth)), trust.WrongPurpose, ""},
			{"client is a stranger", a.issue(10, "node1"), stranger.issue(11, "node2"), trust.WrongIssuer, ""},
			{"server below the floor", a.issue(4, "node1"), a.issue(11, "node2"), "", trust.BelowFloor},
			{"server revoked", a.issue(50, "node1"), a.issue(11, "node2"), "", trust.Revoked},
			{"server is another", a.issue(10, "node3"), a.issue(11, "node2"), "", trust.WrongName},
			{"server is a client", a.issue(10, "node1", only(x509.ExtKeyUsageClientAuth)), a.issue(11, "node2"), "", trust.WrongPurpose},
			{"server is a stranger", stranger.issue(10, "node1"), a.issue(11, "node2"), "", trust.WrongIssuer},
		} {
			t.Run("TLS "+name+", "+tc.name, func(t *testing.T) {
				server := must(trusttls.ServerConfig(&tls.Config{Certificates: []tls.Certificate{tc.server}}, source, trusttls.Named("node2")))
				client := must(trusttls.ClientConfig(&tls.Config{Certificates: []tls.Certificate{tc.client}, ServerName: "node1", MaxVersion: version}, source, ""))
				serverErr, clientErr, _ := connect(t, server, client)
				if tc.onClient != "" {
					expect(t, "client", clientErr, tc.onClient)
					return
				}
				expect(t, "server", serverErr, tc.onServer)
				if (clientErr == nil) != (tc.onServer == "") {
					t.Errorf("client: %v", clientErr)
				}
			})
		}
	}
}

// TestResumption revokes between two connections of one session: what was good in
// the full handshake isn't in the resumed one.
func TestResumption(t *testing.T) {
	for name, version := range versions() {
		for _, tc := range []struct {
			name               string
			revoke             func(*authority)
			onServer, onClient trust.Reason
		}{
			{"nothing", func(*authority) {}, "", ""},
			{"client by the floor", func(a *authority) { a.publish("min-serial", []byte("11\n")) }, trust.BelowFloor, ""},
			{"client by the list", func(a *authority) { a.revoke(10) }, trust.Revoked, ""},
			{"server by the list", func(a *authority) { a.revoke(20) }, "", trust.Revoked},
			{"CA", func(a *authority) {
				a.publish("bundle.pem", pemOf("CERTIFICATE", newAuthority("cluster CA 9", must(os.MkdirTemp(a.dir, ""))).cert.Raw))
			}, trust.WrongIssuer, trust.WrongIssuer},
		} {
			t.Run("TLS "+name+", "+tc.name, func(t *testing.T) {
				a := newAuthority("cluster CA 1", t.TempDir())
				source := a.source()
				server := must(trusttls.ServerConfig(&tls.Config{Certificates: []tls.Certificate{a.issue(20, "node1")}}, source, trusttls.AnyNode))
				client := must(trusttls.ClientConfig(&tls.Config{Certificates: []tls.Certificate{a.issue(10, "node2")}, ServerName: "node1",
					MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(2)}, source, ""))
				serverErr, clientErr, resumed := connect(t, server, client)
				if serverErr != nil || clientErr != nil || resumed {
					t.Fatal(serverErr, clientErr, resumed)
				}
				tc.revoke(a)
				serverErr, clientErr, resumed = connect(t, server, client)
				switch {
				case tc.onClient != "" && tc.onServer != "": // whoever sees it first
					var v *trust.VerifyError
					if err := errors.Join(serverErr, clientErr); serverErr == nil || clientErr == nil || !errors.As(err, &v) || v.Reason != tc.onClient {
						t.Errorf("server: %v; client: %v", serverErr, clientErr)
					}
				case tc.onClient != "":
					expect(t, "client", clientErr, tc.onClient)
				case tc.onServer != "":
					expect(t, "server", serverErr, tc.onServer)
					if clientErr == nil {
						t.Error("the client got through")
					}
				case serverErr != nil || clientErr != nil || !resumed:
					t.Error(serverErr, clientErr, resumed)
				}
			})
		}
	}
}

// TestWhoMayConnect has the server look at names.
func TestWhoMayConnect(t *testing.T) {
	a := newAuthority("cluster CA 1", t.TempDir())
	leaf := must(x509.ParseCertificate(a.issue(10, "node2").Certificate[0]))
	for _, tc := range []struct {
		accept trusttls.Accept
		want   bool
	}{
		{trusttls.AnyNode, true},
		{trusttls.Named("node1", "NODE2"), true},
		{trusttls.Named("127.0.0.1"), true},
		{trusttls.Named("node1"), false},
		{trusttls.Named(), false},
	} {
		if err := tc.accept(leaf); (err == nil) != tc.want || err != nil && fault.KindOf(err) != fault.Denied {
			t.Error(err)
		}
	}
	server := must(trusttls.ServerConfig(&tls.Config{Certificates: []tls.Certificate{a.issue(20, "node1")}}, a.source(), trusttls.Named("node3")))
	client := must(trusttls.ClientConfig(&tls.Config{Certificates: []tls.Certificate{a.issue(10, "node2")}}, a.source(), "127.0.0.1"))
	if err, _, _ := connect(t, server, client); fault.KindOf(err) != fault.Denied {
		t.Error(err)
	}
	client = must(trusttls.ClientConfig(nil, a.source(), "node1"))
	if err, clientErr, _ := connect(t, server, client); err == nil || clientErr == nil {
		t.Error("a client without a certificate got through")
	}
}

// TestServerName has clients that know the server's name from different places, and
// one that doesn't.
func TestServerName(t *testing.T) {
	a := newAuthority("cluster CA 1", t.TempDir())
	server := must(trusttls.ServerConfig(&tls.Config{Certificates: []tls.Certificate{a.issue(20, "node1")}}, a.source(), trusttls.AnyNode))
	cert := []tls.Certificate{a.issue(10, "node2")}
	for _, tc := range []struct{ config, arg, later, want string }{
		{"node1", "", "", ""},
		{"", "node1", "", ""},
		{"", "127.0.0.1", "", ""},
		{"127.0.0.1", "", "", ""},
		{"", "", "node1", ""}, // as tls.Dial does
		{"", "", "node3", "not for"},
		{"node1", "node3", "", "not for"},
		{"", "", "127.0.0.1", "no name"},
		{"", "", "", "no name"},
	} {
		client := must(trusttls.ClientConfig(&tls.Config{Certificates: cert, ServerName: tc.config}, a.source(), tc.arg))
		if tc.later != "" {
			client.ServerName = tc.later
		}
		_, err, _ := connect(t, server, client)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

// TestIncomplete refuses configurations that would verify nothing.
func TestIncomplete(t *testing.T) {
	a := newAuthority("cluster CA 1", t.TempDir())
	around := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }}
	for what, err := range map[string]error{
		"no checker":         second(trusttls.ServerConfig(nil, nil, trusttls.AnyNode)),
		"no checker, client": second(trusttls.ClientConfig(nil, nil, "node1")),
		"nobody accepts":     second(trusttls.ServerConfig(nil, a.source(), nil)),
		"another config":     second(trusttls.ServerConfig(around, a.source(), trusttls.AnyNode)),
		"TLS 1.1":            second(trusttls.ClientConfig(&tls.Config{MinVersion: tls.VersionTLS11}, a.source(), "node1")),
	} {
		if fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestOwnHook calls the VerifyConnection that was there, after ours.
func TestOwnHook(t *testing.T) {
	a := newAuthority("cluster CA 1", t.TempDir())
	a.publish("min-serial", []byte("5\n"))
	var calls bytes.Buffer
	hook := func(who string) func(tls.ConnectionState) error {
		return func(tls.ConnectionState) error { calls.WriteString(who); return errors.New("no") }
	}
	server := must(trusttls.ServerConfig(&tls.Config{Certificates: []tls.Certificate{a.issue(20, "node1")}, VerifyConnection: hook("s")}, a.source(), trusttls.AnyNode))
	client := must(trusttls.ClientConfig(&tls.Config{Certificates: []tls.Certificate{a.issue(4, "node2")}, VerifyConnection: hook("c")}, a.source(), "node1"))
	if _, err, _ := connect(t, server, client); err == nil || calls.String() != "c" {
		t.Errorf("%v, called %q", err, calls.String())
	}
}
