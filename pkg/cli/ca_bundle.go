package cli

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/spf13/cobra"

	"x509ctl/pkg/trust"
)

type caBundleOptions struct {
	of      authorityFlags
	out     string
	ownOnly bool
	p12     p12Options
	output  output
}

func newCABundleCmd(a *app) *cobra.Command {
	var o caBundleOptions
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Write the CA certificates that verifiers trust",
		Long: `Write the CA certificates that verifiers trust: the active CA's, those of CAs that
were replaced and are not retired yet, and what stands above them when they are a
project's or a third party's. The same is published as bundle.pem in the CA's directory.

In PEM all of them are written, for openssl, socat, nginx, HAProxy and curl. With
--p12 the authority's own are written as a trust store for Java, which takes each
entry for a root. Its password keeps nothing secret.

Programs that use OpenSSL look for a root, and accept whatever is below it: with a
project's bundle they accept the members of every project who bring the certificate of
their CA, and with that of a third party's intermediate its other customers. --own-only is
for these programs: it writes the authority's own CAs alone, and that they are trusted by
themselves.

` + p12PasswordHelp,
		Example: `  # in PEM, to stdout
  x509ctl ca bundle > cluster-ca.pem

  # for OpenVPN, nginx or HAProxy that let a project's members in
  x509ctl project create tenant1
  x509ctl ca bundle --project tenant1 --own-only > tenant1-ca.pem

  # for Java
  x509ctl ca bundle --p12 truststore.p12 --password-file password.txt`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCABundle(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.out, "out", "", "write the certificates to `FILE`, which must not exist (default: - for stdout, or nowhere with --p12 alone)")
	f.BoolVar(&o.ownOnly, "own-only", false, "only the authority's own CAs, trusted by themselves by what uses OpenSSL")
	f.StringVar(&o.p12.file, "p12", "", "write a trust store to `FILE` as PKCS#12")
	f.Var(&o.p12.profile, "p12-profile", "who can open the PKCS#12 file: modern2023 (the default), windows2016, legacy-rc2, modern2026")
	f.StringVar(&o.p12.passwordFile, "password-file", "", "`FILE` whose first line is the password of the PKCS#12 file")
	completeWords(cmd, "p12-profile", p12ProfileWords()...)
	addAuthorityFlags(cmd, &o.of)
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runCABundle(ctx context.Context, a *app, o caBundleOptions) error {
	id, err := o.of.id()
	if err != nil {
		return err
	}
	if err := o.p12.check(); err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if o.out == "" && (o.p12.file == "" || o.ownOnly) {
		o.out = "-"
	}
	var files outfiles
	defer func() { files.discard() }()
	out, err := files.claim(a, "out", o.out, 0o644)
	if err != nil {
		return err
	}
	p12, err := files.claim(a, "p12", o.p12.file, 0o644)
	if err := errors.Join(err, files.checkOutput(o.output, "--out or --p12")); err != nil {
		return err
	}
	v, err := svc.Verifier(ctx, id)
	if err != nil {
		return err
	}
	own := v.Bundle.Own()
	view := bundleView{Certificates: len(own), Own: len(own), Out: o.out, P12: o.p12.file}
	if !o.ownOnly {
		view.Certificates += len(v.Bundle.Path())
	}
	if p12 != nil {
		m, err := a.prepareP12(o.p12, o.p12.file == "-")
		if err != nil {
			return err
		}
		data, err := m.encodeTrust(own)
		if err == nil {
			err = p12.commit(data)
		}
		if err != nil {
			return err
		}
		view.P12Profile, view.P12Password = string(m.profile), m.told()
	}
	if out != nil {
		if err := out.commit(o.encode(own, v.Bundle)); err != nil {
			return err
		}
	}
	if files.stdout() {
		a.noteP12Password(view.P12, view.P12Password)
		return nil
	}
	return show(a, o.output, view)
}

// encode returns what goes into the PEM file. By itself trusted, each own CA is there a
// second time: nginx lists for its clients what it finds in the ordinary form. Of the two,
// OpenSSL takes the first.
func (o caBundleOptions) encode(own []*x509.Certificate, b *trust.Bundle) []byte {
	if !o.ownOnly {
		return encodeBundle(own, b)
	}
	text := trust.FormatTrusted(own)
	for _, c := range own {
		text = append(text, encodeCert(c.Raw)...)
	}
	return text
}

// encodeBundle returns all certificates in PEM, the authority's own first.
func encodeBundle(own []*x509.Certificate, b *trust.Bundle) []byte {
	var text []byte
	for _, c := range append(own, b.Path()...) {
		text = append(text, encodeCert(c.Raw)...)
	}
	return text
}

// bundleView says what "ca bundle" wrote.
type bundleView struct {
	Certificates int    `json:"certificates"`
	Own          int    `json:"own"` // the others stand above them
	Out          string `json:"out"`
	P12          string `json:"p12"`
	P12Profile   string `json:"p12_profile"`
	P12Password  string `json:"p12_password"` // only if it was made up
}
