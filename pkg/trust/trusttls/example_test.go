package trusttls_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"time"

	"x509ctl/pkg/trust"
	"x509ctl/pkg/trust/trusttls"
)

// A server that only nodes of the cluster may use, and a client of it. When the
// operator raises the floor, the client's certificate is refused.
func Example() {
	// In real life: /var/lib/x509ctl/ca, or a copy of its three files.
	dir, _ := os.MkdirTemp("", "ca")
	defer os.RemoveAll(dir) //nolint:errcheck // a directory for a moment
	ca := newAuthority("cluster CA 1", dir)
	serverCert := ca.issue(20, "node1.example.com")
	clientCert := ca.issue(10, "node2.example.com")

	source, err := trust.OpenSource(trust.DirFiles(dir), trust.SourceOptions{
		Now:      time.Now,
		Interval: 10 * time.Millisecond, // a second, unless given
		Report:   func(err error) { fmt.Println("trust:", err) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	serverConfig, err := trusttls.ServerConfig(
		&tls.Config{Certificates: []tls.Certificate{serverCert}}, source, trusttls.Named("node2.example.com"))
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", serverConfig)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	refused := make(chan error, 1)
	go greet(listener, refused)

	clientConfig, err := trusttls.ClientConfig(
		&tls.Config{Certificates: []tls.Certificate{clientCert}}, source, "node1.example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	call := func() {
		conn, err := tls.Dial("tcp", listener.Addr().String(), clientConfig)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer conn.Close()
		greeting := make([]byte, 100)
		n, _ := conn.Read(greeting)
		fmt.Printf("%s\n", greeting[:n])
	}

	call()
	ca.publish("min-serial", []byte("11\n")) // x509ctl serial set-min 11
	time.Sleep(20 * time.Millisecond)
	call()
	fmt.Println("server:", <-refused)

	// Output:
	// hello node2.example.com
	//
	// server: certificate 10 is revoked: min-serial is 11, and all numbers below are
}

// greet is the server: it greets each client by the name in its certificate.
func greet(listener net.Listener, refused chan<- error) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		tlsConn := conn.(*tls.Conn)
		if err := tlsConn.Handshake(); err != nil {
			refused <- err
		} else {
			peer := tlsConn.ConnectionState().PeerCertificates[0]
			fmt.Fprintf(conn, "hello %s", peer.DNSNames[0])
		}
		conn.Close()
	}
}
