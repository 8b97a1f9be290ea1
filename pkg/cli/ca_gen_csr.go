package cli

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
)

type caGenCSROptions struct {
	of      authorityFlags
	keyType profile.KeyAlgorithm // empty: not given
	another bool
	out     string
	yes     bool
	output  output
}

func newCAGenCSRCmd(a *app) *cobra.Command {
	var o caGenCSROptions
	cmd := &cobra.Command{
		Use:   "gen-csr",
		Short: "Make a key and a request for a CA that a third party signs",
		Long: `Make a key and a certificate signing request (PKCS#10, PEM) for the cluster's next CA,
or a project's, or the next root of all projects: an intermediate of a third party's,
which must not be above the cluster and above projects as well. The key stays in the
CA's directory, and is encrypted when the present one is, with the same passphrase.
The present CA goes on.

Whoever signs the request has to make a CA of it: critical basic constraints CA:TRUE, a
key usage with keyCertSign and cRLSign, which the request asks for, and a subject key
identifier; the path length has to leave room for the projects' CAs below their root.
The subject may be changed, but not to that of the present CA. What comes back is
installed, with all certificates above it up to the root, by

    x509ctl ca renew-crypto --ca-certificate FILE

in one step or with --prepare. It needs no key.

Asked again, the command shows the same request until it is answered. With --new it
makes another one, and what is answered to the old one is of no use then. "x509ctl ca
show" tells of a request.`,
		Example: `  # the request to a file, for the third party
  x509ctl ca gen-csr --out cluster-ca.csr

  # another one, with a larger key
  x509ctl ca gen-csr --new --yes --key-type ecdsa-p384 > other.csr`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCAGenCSR(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addAuthorityFlags(cmd, &o.of)
	addKeyTypeFlag(cmd, &o.keyType, "type of a new key")
	f.BoolVar(&o.another, "new", false, "make another request, and lose the key of the one that is there")
	f.StringVar(&o.out, "out", "-", "write the request to `FILE`, which must not exist")
	addYesFlag(cmd, &o.yes)
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runCAGenCSR(ctx context.Context, a *app, o caGenCSROptions) error {
	id, err := o.of.id()
	if err != nil {
		return err
	}
	s, err := a.settings()
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if o.another {
		question := "Make another request? The key of one that is not answered yet is lost then, and the answer of no use."
		if err := a.confirm(o.yes, question); err != nil {
			return err
		}
	}
	var files outfiles
	defer func() { files.discard() }()
	out, err := files.claim(a, "out", o.out, 0o644)
	if err := errors.Join(err, files.checkOutput(o.output, "--out")); err != nil {
		return err
	}
	made, err := svc.RequestCA(ctx, manager.CARequestRequest{
		Authority: id, KeyAlgorithm: cmp.Or(o.keyType, s.keyType), New: o.another,
	})
	if err == nil && o.keyType != "" && made.KeyAlgorithm != string(o.keyType) {
		err = fault.Errorf(fault.Exists, "%w: its type is %s", errRequested, made.KeyAlgorithm)
	}
	if err != nil {
		return fmt.Errorf("making a request for a CA: %w", err)
	}
	if !made.Created {
		a.note("this is the request that is not answered yet; --new makes another")
	}
	if err := out.commit(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: made.DER})); err != nil {
		return fmt.Errorf("saving the request: %w", err)
	}
	if files.stdout() {
		return nil
	}
	return show(a, o.output, caRequestView{
		Subject: made.Subject, KeyType: made.KeyAlgorithm, SPKISHA256: hex.EncodeToString(made.SPKIHash[:]), Created: made.Created, Out: o.out,
	})
}

// errRequested means that there is a request of another type of key than was asked for.
var errRequested = errors.New("there is a request with another key already")

// caRequestView is a request as "ca gen-csr" describes it.
type caRequestView struct {
	Subject    string `json:"subject"`
	KeyType    string `json:"key_type"`
	SPKISHA256 string `json:"spki_sha256"`
	Created    bool   `json:"created"` // by this call
	Out        string `json:"out"`
}
