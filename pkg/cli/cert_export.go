package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/serial"
)

type certExportOptions struct {
	serial         string
	project        string
	out            string
	chain          bool
	der            bool
	key            string
	passphraseFile string
	p12            p12Options
	output         output
}

func newCertExportCmd(a *app) *cobra.Command {
	var o certExportOptions
	cmd := &cobra.Command{
		Use:   "export SERIAL",
		Short: "Write a certificate on record to a file",
		Long: `Write a certificate on record to stdout or a file: in PEM, in DER, or together
with its key as PKCS#12.

The CA keeps no keys of others: for PKCS#12, --key names the file with the key that
belongs to the certificate. A file that exists is not overwritten.

` + p12PasswordHelp,
		Example: `  # certificate and CA chain, for a server that wants them in one file
  x509ctl cert export 2 --chain --out node1-chain.pem

  # PKCS#12 for an old Windows; the password is printed
  x509ctl cert export 2 --p12 node1.p12 --key node1.key --p12-profile windows2016`,
		Args: exactArgs("SERIAL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.serial = args[0]
			return runCertExport(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addProjectFlag(cmd, &o.project)
	f.StringVar(&o.out, "out", "", "write the certificate to `FILE` (default: - for stdout, or nowhere with --p12)")
	f.BoolVar(&o.chain, "chain", false, "append the CA certificates above")
	f.BoolVar(&o.der, "der", false, "write DER instead of PEM")
	f.StringVar(&o.key, "key", "", "`FILE` with the certificate's key, for --p12")
	f.StringVar(&o.passphraseFile, "key-passphrase-file", "", "`FILE` whose first line is the passphrase of that key")
	addP12Flags(cmd, &o.p12)
	addOutputFlag(cmd, &o.output)
	return cmd
}

func (o certExportOptions) check() error {
	switch {
	case o.der && o.chain:
		return usagef("--der has room for one certificate: leave --chain away")
	case o.p12.file != "" && o.key == "":
		return usagef("missing --key, which --p12 needs")
	case o.p12.file == "" && (o.key != "" || o.passphraseFile != ""):
		return usagef("--key and --key-passphrase-file are for --p12, which is missing")
	case o.p12.file != "" && o.out == "" && (o.der || o.chain):
		return usagef("--der and --chain are for --out, which is missing")
	}
	return o.p12.check()
}

func runCertExport(ctx context.Context, a *app, o certExportOptions) error {
	n, err := argSerial(o.serial)
	if err == nil {
		err = o.check()
	}
	id := manager.Cluster
	if err == nil {
		id, err = authorityOf(o.project)
	}
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if o.out == "" && o.p12.file == "" {
		o.out = "-"
	}
	var files outfiles
	defer func() { files.discard() }()
	out, err := files.claim(a, "out", o.out, 0o644)
	if err != nil {
		return err
	}
	p12, err := files.claim(a, "p12", o.p12.file, 0o600)
	if err := errors.Join(err, files.checkOutput(o.output, "--out or --p12")); err != nil {
		return err
	}
	c, err := svc.Certificate(ctx, id, n)
	if err != nil {
		return err
	}
	text, err := exportText(ctx, svc, o, c)
	if err != nil {
		return fmt.Errorf("exporting certificate %v: %w", n, err)
	}
	v := certExportView{Serial: c.Serial, CommonName: c.CommonName, Out: o.out, P12: o.p12.file}
	if p12 != nil {
		m, data, err := a.exportP12(ctx, svc, o, c)
		if err == nil {
			err = p12.commit(data)
		}
		if err != nil {
			return fmt.Errorf("exporting certificate %v: %w", n, err)
		}
		v.P12Profile, v.P12Password = string(m.profile), m.told()
	}
	if out != nil {
		if err := out.commit(text); err != nil {
			return err
		}
	}
	if files.stdout() {
		a.noteP12Password(v.P12, v.P12Password)
		return nil
	}
	return show(a, o.output, v)
}

func exportText(ctx context.Context, svc manager.Service, o certExportOptions, c manager.Certificate) ([]byte, error) {
	if o.der {
		return c.DER, nil
	}
	text := encodeCert(c.DER)
	if !o.chain {
		return text, nil
	}
	chain, err := chainOf(ctx, svc, c)
	return append(text, encodeChain(chain)...), err
}

func (a *app) exportP12(ctx context.Context, svc manager.Service, o certExportOptions, c manager.Certificate) (*p12Maker, []byte, error) {
	key, err := a.readKey(o.key, o.passphraseFile)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, nil, err
	}
	if !samePublicKey(leaf.PublicKey, key.Public()) {
		return nil, nil, fmt.Errorf("checking %s: %w", inputName(o.key), errOtherKey)
	}
	m, err := a.prepareP12(o.p12, o.p12.file == "-")
	if err != nil {
		return nil, nil, err
	}
	chain, err := chainOf(ctx, svc, c)
	if err != nil {
		return nil, nil, err
	}
	data, err := m.encode(key, leaf, chain)
	return m, data, err
}

// certExportView says what "cert export" wrote.
type certExportView struct {
	Serial      serial.Number `json:"serial"`
	CommonName  string        `json:"common_name"`
	Out         string        `json:"out"`
	P12         string        `json:"p12"`
	P12Profile  string        `json:"p12_profile"`
	P12Password string        `json:"p12_password"` // only if it was made up
}
