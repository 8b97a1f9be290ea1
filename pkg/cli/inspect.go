package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

type inspectOptions struct {
	files        []string
	passwordFile string
	noPassword   bool
	output       output
}

func newInspectCmd(a *app) *cobra.Command {
	var o inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect FILE...",
		Short: "Tell what certificates, requests, CRLs, keys and PKCS#12 files are",
		Long: `Tell what is in files: certificates, certificate signing requests, revocation lists,
private and public keys, PKCS#12, alone or several in one file, in PEM or DER, at
most 1 MiB each. What is wrong or weak about them is told as a warning, and under LINT
the rules for the certificates made here that another one does not keep, which may
be right for it. A private key is never shown, only its type, how it is encrypted, and
the fingerprint of its public key. No CA is needed. - is standard input.

Of a PKCS#12 file are told its algorithms, how much work it asks for, which programs
can open it, and what is in it. Its password is the first line of --password-file,
else the variable X509CTL_P12_PASSWORD, else the empty one is tried, else it is asked
for on a terminal; without any, what needs no password is told. If the password is
wrong, the usual reasons are looked for: a newline or quotes around it, an empty one,
another encoding. Files in BER, as NSS and Firefox write them, are refused, with the
command of openssl that rewrites them.

The exit status is 2 when a file can't be understood; and of PKCS#12, 5 when the
password is wrong or the file asks for absurd work or is not safe to open, and 6 when
it was changed, or the certificate is not the key's.`,
		Example: `  # who can open it, and is it my password?
  x509ctl inspect node1.p12 --password-file password.txt

  # when does each certificate of a bundle end, for a program
  x509ctl inspect bundle.pem -o json`,
		Args: minArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.files = args
			return runInspect(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.passwordFile, "password-file", "", "`FILE` whose first line is the password of the PKCS#12 files")
	f.BoolVar(&o.noPassword, "no-password", false, "the password of the PKCS#12 files is empty")
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runInspect(ctx context.Context, a *app, o inspectOptions) error {
	switch {
	case countOf(o.files, "-") > 1:
		return usagef("standard input can be read only once")
	case o.noPassword && o.passwordFile != "":
		return usagef("--no-password and --password-file exclude each other")
	}
	in := &inspector{app: a, passwordFile: o.passwordFile, noPassword: o.noPassword, now: a.now()}
	failed := failures{total: len(o.files)}
	each := func(yield func(inspectView) error) error {
		for _, path := range o.files {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			views, err := in.file(path)
			if err != nil {
				failed.add(fmt.Errorf("inspecting %s: %w", inputName(path), err))
			}
			for _, v := range views {
				if err := yield(v); err != nil {
					return err
				}
			}
		}
		return nil
	}
	var err error
	if o.output.format == formatTable || o.output.format == "" {
		err = a.printTrees(each)
	} else {
		err = list(a, o.output, each)
	}
	if err != nil {
		return err
	}
	return failed.err("files")
}

// inspectView is one thing in a file. One of the last fields is there, unless the
// kind is "unknown" or another one that is not described.
type inspectView struct {
	File     string   `json:"file"`
	Block    int      `json:"block"`   // in the file, from 1
	Format   string   `json:"format"`  // "PEM" or "DER"; empty when that is not known
	Kind     string   `json:"kind"`    // "certificate", "request", "crl", "private key", "public key", "pkcs12", "unknown"…
	Summary  string   `json:"summary"` // in a line
	Warnings []string `json:"warnings"`
	Error    string   `json:"error"`

	Certificate *inspectCertView `json:"certificate,omitempty" table:"-"`
	Request     *inspectReqView  `json:"request,omitempty" table:"-"`
	CRL         *inspectCRLView  `json:"crl,omitempty" table:"-"`
	Key         *inspectKeyView  `json:"key,omitempty" table:"-"`
	PKCS12      *inspectP12View  `json:"pkcs12,omitempty" table:"-"`
}
