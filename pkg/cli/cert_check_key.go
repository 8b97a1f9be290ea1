package cli

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
)

type certCheckKeyOptions struct {
	cert           string
	key            string
	passphraseFile string
	output         output
}

func newCertCheckKeyCmd(a *app) *cobra.Command {
	var o certCheckKeyOptions
	cmd := &cobra.Command{
		Use:   "check-key CERTIFICATE KEY",
		Short: "Check that a key belongs to a certificate or request",
		Long: `Check that a private key belongs to a certificate, or to a certificate signing
request. The exit status is 0 when it does, and 6 when it does not.

Both are files in PEM or DER, and one file may hold both. Of several certificates
the first counts. The key may be PKCS#8, SEC 1 (EC) or PKCS#1 (RSA), and encrypted:
its passphrase comes from --key-passphrase-file, or is asked for on a terminal.`,
		Example: `  # is node1.key the key of node1.pem?
  x509ctl cert check-key node1.pem node1.key

  # one file with both, as Ganeti keeps them
  x509ctl cert check-key server.pem server.pem`,
		Args: exactArgs("CERTIFICATE", "KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.cert, o.key = args[0], args[1]
			return runCertCheckKey(cmd.Context(), a, o)
		},
	}
	cmd.Flags().StringVar(&o.passphraseFile, "key-passphrase-file", "", "`FILE` whose first line is the key's passphrase")
	addOutputFlag(cmd, &o.output)
	return cmd
}

var errOtherKey = fault.New(fault.Invalid, "the key belongs to another certificate")

func runCertCheckKey(_ context.Context, a *app, o certCheckKeyOptions) error {
	if o.cert == "-" && o.key == "-" {
		return usagef("certificate and key can't both be read from standard input")
	}
	data, err := a.readInput(o.cert, maxKeyFile)
	if err != nil {
		return err
	}
	kind, subject, err := subjectKey(data)
	if err != nil {
		return fmt.Errorf("reading %s: %w", inputName(o.cert), err)
	}
	key, err := a.readKey(o.key, o.passphraseFile)
	if err != nil {
		return err
	}
	v := keyCheckView{File: o.cert, Kind: kind, KeyFile: o.key, KeyType: keyTypeOf(key.Public())}
	v.SPKISHA256, err = spkiSHA256(key.Public())
	if err != nil {
		return err
	}
	v.Belongs = samePublicKey(subject, key.Public())
	if err := show(a, o.output, v); err != nil || v.Belongs {
		return err
	}
	return fmt.Errorf("checking %s against %s: %w", inputName(o.key), inputName(o.cert), errOtherKey)
}

// subjectKey returns the public key of the first certificate or request in data,
// and which of the two it is. It judges neither: a certificate that expired has a
// key too.
func subjectKey(data []byte) (kind string, key crypto.PublicKey, err error) {
	if looksLikePFX(data) {
		return "", nil, errWholePFX
	}
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		if kind, key, err = parseSubjectKey("CERTIFICATE", data); err != nil {
			kind, key, err = parseSubjectKey("CERTIFICATE REQUEST", data)
		}
		if err != nil {
			err = errNoSubject
		}
		return kind, key, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		kind, key, err = parseSubjectKey(block.Type, block.Bytes)
		if !errors.Is(err, errNoSubject) {
			return kind, key, err
		}
	}
	return "", nil, errNoSubject
}

// errWholePFX is a PKCS#12 file where a certificate or a key is wanted.
var errWholePFX = fault.New(fault.Malformed, "it is a PKCS#12 file, which holds both a key and its certificate")

var errNoSubject = fault.New(fault.Malformed, "there is no certificate and no request in it")

func parseSubjectKey(blockType string, der []byte) (kind string, key crypto.PublicKey, err error) {
	switch blockType {
	case "CERTIFICATE", "X509 CERTIFICATE":
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return "", nil, fault.Errorf(fault.Malformed, "the certificate can't be understood: %w", err)
		}
		kind, key = "certificate", cert.PublicKey
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		req, err := x509.ParseCertificateRequest(der)
		if err != nil {
			return "", nil, fault.Errorf(fault.Malformed, "the request can't be understood: %w", err)
		}
		kind, key = "request", req.PublicKey
	default:
		return "", nil, errNoSubject
	}
	if key == nil {
		return "", nil, fault.Errorf(fault.Malformed, "the key of the %s is of a kind that is not supported", kind)
	}
	return kind, key, nil
}

// samePublicKey compares keys of any types.
func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// keyCheckView is the verdict of "cert check-key".
type keyCheckView struct {
	File       string `json:"file"`
	Kind       string `json:"kind"` // "certificate" or "request"
	KeyFile    string `json:"key_file"`
	KeyType    string `json:"key_type"`
	SPKISHA256 string `json:"spki_sha256"`
	Belongs    bool   `json:"belongs"`
}
