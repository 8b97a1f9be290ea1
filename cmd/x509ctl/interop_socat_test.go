package main_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// socatOptions are what Ganeti's import-export daemon gives to either side of a
// transfer (lib/impexpd/__init__.py), but for the files.
const socatOptions = "keepalive,keepidle=60,keepintvl=10,keepcnt=5,verify=1,cipher=HIGH:-DES:-3DES:-EXPORT:-DH,pf=ipv4"

// A transfer sends a file from a connector to a listener.
type transfer struct {
	connector, listener identity
	commonName          string // that the connector expects of the listener
	listenerName        string // that the listener expects of the connector; Ganeti asks for none
}

// TestSocat moves 3 MiB between two nodes as Ganeti does, both ways, and judges by
// both exit statuses and by what arrived: a connector whose certificate is rejected
// may exit with 0 under TLS 1.3, and so may a listener that its peer rejected.
func TestSocat(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "socat")
	content := make([]byte, 3<<20)
	_, _ = rand.Read(content) // never fails
	data := filepath.Join(t.TempDir(), "data")
	write(t, data, 0o600, string(content))
	for _, caType := range []string{"ecdsa-p256", "rsa-2048"} {
		c := newCluster(t, "--key-type", caType)
		one, two := c.identity(node1, "rsa-2048"), c.identity(node2, "ecdsa-p256")
		for name, tr := range map[string]transfer{
			"node1 to node2":       {connector: one, listener: two, commonName: node2},
			"node2 to node1":       {connector: two, listener: one, commonName: node1},
			"with names both ways": {connector: two, listener: one, commonName: node1, listenerName: node2},
		} {
			listener, connector, received := tr.start(t, data)
			send, receive := connector.wait(t), listener.wait(t)
			if same := read(t, received) == string(content); send != 0 || receive != 0 || !same {
				t.Errorf("%s CA, %s: exit status %d and %d, the same arrived: %v\n%s%s",
					caType, name, send, receive, same, connector.text(), listener.text())
			}
		}
	}
}

// TestSocatRefusals has transfers fail, for another name and another CA, on either
// side. Nothing may arrive.
func TestSocatRefusals(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "socat")
	data := filepath.Join(t.TempDir(), "data")
	write(t, data, 0o600, strings.Repeat("data", 1000))
	c := newCluster(t)
	one, two := c.identity(node1, "ecdsa-p256"), c.identity(node2, "ecdsa-p256")
	stranger := newCluster(t).identity(node2, "ecdsa-p256") // of a cluster with the same name
	stranger.ca = two.ca
	const otherName, otherCA = "commonName does not match", "certificate verify failed"
	for name, tt := range map[string]struct {
		transfer
		byListener bool   // who refuses
		why        string // and logs this
	}{
		"listener has another name":  {transfer{one, two, node1, ""}, false, otherName},
		"connector has another name": {transfer{one, two, node2, node2}, true, otherName},
		"listener is of another CA":  {transfer{one, stranger, node2, ""}, false, otherCA},
		"connector is of another CA": {transfer{stranger, one, node1, ""}, true, otherCA},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, connector, received := tt.start(t, data)
			refuser := connector
			if tt.byListener {
				refuser = listener
			}
			until(t, tt.why+" in "+refuser.text(), func() bool { return strings.Contains(refuser.text(), tt.why) })
			connector.stop() // both may go on trying
			listener.stop()
			if got := read(t, received); got != "" {
				t.Errorf("%d bytes arrived\n%s%s", len(got), connector.text(), listener.text())
			}
		})
	}
}

// start starts both ends of a transfer of the file data, and returns them and the
// file that it arrives in. The third -d is ours: with it socat logs refusals that it
// is told to try again after.
func (tr transfer) start(t *testing.T, data string) (listener, connector *service, received string) {
	t.Helper()
	received = filepath.Join(t.TempDir(), "received")
	in, err := os.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(received)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()

	listen := "OPENSSL-LISTEN:0,reuseaddr,forever,intervall=0.01,bind=127.0.0.1," + tr.listener.socat()
	if tr.listenerName != "" {
		listen += ",openssl-commonname=" + tr.listenerName
	}
	listener = serve(t, nil, out, "socat", "-ls", "-d", "-d", "-d", "-b1048576", "-u", listen, "STDOUT")
	connect := "OPENSSL:127.0.0.1:" + listener.port(t, "listening on ") +
		",connect-timeout=20,retry=10,intervall=1,openssl-commonname=" + tr.commonName + "," + tr.connector.socat()
	connector = serve(t, in, nil, "socat", "-ls", "-d", "-d", "-d", "-b1048576", "-u", "STDIN", connect)
	return listener, connector, received
}

// socat returns the options that both ends have.
func (id identity) socat() string {
	return socatOptions + ",key=" + id.combined + ",cert=" + id.combined + ",cafile=" + id.ca
}
