// Package trusttls makes TLS servers and clients accept the certificates of one
// authority and no other: signed directly by one of its own CAs, not below the
// floor, not revoked, valid for less than a week, for the right purpose and name.
// It is a package of its own so that programs which only read certificates don't
// link crypto/tls.
//
// # Why crypto/tls verifies nothing here
//
// crypto/tls asks whether there is a path to a root, once for each full handshake,
// with roots that can't change while a configuration is in use. Here the question
// is another one ([trust.Check]), its bundle, floor and list change while a program
// runs ([trust.Source]), and it is asked for resumed sessions as well, whose
// certificate may have been revoked since. So the configurations made here turn the
// verification of crypto/tls off (InsecureSkipVerify, RequireAnyClientCert) and do
// all of it in VerifyConnection, which runs in every handshake. Who changes a
// configuration afterwards must leave these fields alone.
//
// Whether a peer holds the key of its certificate is proved by the handshake, as
// always.
//
// # What a handshake can't do
//
// A connection goes on when its certificate expires or is revoked later. Programs
// with long connections put the question again from time to time, with
// [trust.Source.Check] and the connection's PeerCertificates.
package trusttls

import (
	"crypto/tls"
	"crypto/x509"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/trust"
)

// A Checker says how certificates are to be judged now, as [trust.Source] does. It
// is asked in every handshake; an error of its ends it.
type Checker interface {
	Check() (trust.Check, error)
}

// An Accept decides whether the client with this certificate, which was found
// valid, may connect: nil means yes.
type Accept func(*x509.Certificate) error

// AnyNode accepts every client with a valid certificate.
func AnyNode(*x509.Certificate) error { return nil }

// Named accepts clients whose certificate has one of the names, DNS names or IP
// addresses. With no name it accepts nobody. Its error is [fault.Denied].
func Named(names ...string) Accept {
	return func(leaf *x509.Certificate) error {
		for _, name := range names {
			if trust.HasName(leaf, name) {
				return nil
			}
		}
		return fault.Errorf(fault.Denied, "certificate %v is of none of the nodes that may connect", leaf.SerialNumber)
	}
}

// ServerConfig returns base, which may be nil, for a server that wants a valid
// client certificate of each client and has accept decide about its holder. Clients
// are not told which CAs are accepted, as that may change.
//
// A VerifyConnection of base is called when all is well. What would get around the
// verification is refused as [fault.Malformed]: GetConfigForClient, versions below
// TLS 1.2; and so is a missing c or accept.
func ServerConfig(base *tls.Config, c Checker, accept Accept) (*tls.Config, error) {
	config, err := clone(base, c)
	switch {
	case err != nil:
		return nil, err
	case accept == nil:
		return nil, fault.New(fault.Malformed, "nobody says which clients may connect")
	case config.GetConfigForClient != nil:
		return nil, fault.New(fault.Malformed, "GetConfigForClient would replace this configuration by one that verifies nothing")
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAnyClientCert, nil
	also := config.VerifyConnection
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if err := verify(state, c, trust.Client, ""); err != nil {
			return err
		}
		if err := accept(state.PeerCertificates[0]); err != nil {
			return err
		}
		return call(also, state)
	}
	return config, nil
}

// ClientConfig returns base, which may be nil, for a client that wants a valid
// server certificate for name, a DNS name or IP address. With "" the name is the one
// that is dialled or ServerName; for an address that is dialled, which crypto/tls
// doesn't tell, name has to be given.
//
// A VerifyConnection of base is called when all is well. Versions below TLS 1.2 and
// a missing c are refused as [fault.Malformed].
func ClientConfig(base *tls.Config, c Checker, name string) (*tls.Config, error) {
	config, err := clone(base, c)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = config.ServerName
	}
	config.InsecureSkipVerify = true // VerifyConnection does it
	also := config.VerifyConnection
	config.VerifyConnection = func(state tls.ConnectionState) error {
		want := name
		if want == "" {
			want = state.ServerName
		}
		if want == "" {
			return fault.New(fault.Malformed, "there is no name that the server has to have")
		}
		if err := verify(state, c, trust.Server, want); err != nil {
			return err
		}
		return call(also, state)
	}
	return config, nil
}

// clone returns a copy of base that is fit to be completed.
func clone(base *tls.Config, c Checker) (*tls.Config, error) {
	switch {
	case c == nil:
		return nil, fault.New(fault.Malformed, "there is nothing to verify with")
	case base == nil:
		return new(tls.Config), nil
	case base.MinVersion != 0 && base.MinVersion < tls.VersionTLS12:
		return nil, fault.New(fault.Malformed, "versions of TLS below 1.2 are not secure")
	}
	return base.Clone(), nil
}

// verify judges the peer's certificate. What the peer sent with it doesn't matter:
// an own CA signed it directly, or nobody did.
func verify(state tls.ConnectionState, c Checker, purpose trust.Purpose, name string) error {
	if len(state.PeerCertificates) == 0 {
		return fault.New(fault.Denied, "the peer showed no certificate")
	}
	check, err := c.Check()
	if err != nil {
		return err
	}
	check.Purpose, check.Name = purpose, name
	return check.Verify(state.PeerCertificates[0])
}

func call(f func(tls.ConnectionState) error, state tls.ConnectionState) error {
	if f == nil {
		return nil
	}
	return f(state)
}
