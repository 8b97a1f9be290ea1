package cli

import (
	"context"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/project"
)

type projectDecryptOptions struct {
	project  string
	input    string
	in, out  encodingFlag
	outFile  string
	pkcs1v15 bool
	length   int
}

func newProjectDecryptCmd(a *app) *cobra.Command {
	o := projectDecryptOptions{input: "-", in: encodingFlag{project.Base64}, out: encodingFlag{project.Raw}}
	cmd := &cobra.Command{
		Use:   "decrypt [FILE]",
		Short: "Decrypt a small secret that was encrypted to a project",
		Long: `Decrypt a small secret that was encrypted to a project's decrypt certificate with RSA-OAEP
and SHA-256: by "x509ctl project encrypt", or by openssl, which writes octets
(--input-format raw). Without FILE, and for -, standard input is read. Who decrypted what
is in "x509ctl audit"; the secret is in no record.

What was encrypted as PKCS #1 v1.5, as in the manifests of EC2 images that euca2ools
bundled, needs --pkcs1v15 and the secret's --length in octets: 32 for their keys and
initialization vectors, which are in hex. The result has that length in any case. It is
not said whether the padding was right, since whoever learns that often enough can
decrypt everything; if it was not, the octets are random.`,
		Example: `  # what "project encrypt" made
  x509ctl project decrypt --project tenant1 secret.b64

  # the key of an image, of which the manifest has the ciphertext in hex
  sed -n '/ec2_encrypted_key/s/[^>]*>\([0-9a-f]*\).*/\1/p' image.manifest.xml |
    x509ctl project decrypt --project tenant1 --pkcs1v15 --length 32 --input-format hex`,
		Args: upToOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.input = args[0]
			}
			if o.pkcs1v15 != cmd.Flags().Changed("length") {
				return usagef("--pkcs1v15 and --length need each other")
			}
			return runProjectDecrypt(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addOfProjectFlag(cmd, &o.project)
	addEncodingFlags(cmd, &o.in, &o.out)
	f.BoolVar(&o.pkcs1v15, "pkcs1v15", false, "the padding is that of PKCS #1 v1.5")
	f.IntVar(&o.length, "length", 0, "the secret has `N` octets, with --pkcs1v15")
	f.StringVar(&o.outFile, "out", "-", "write to `FILE`, which must not exist and is the owner's alone; - is stdout")
	return cmd
}

func runProjectDecrypt(ctx context.Context, a *app, o projectDecryptOptions) error {
	if err := wantProject(o.project); err != nil {
		return err
	}
	if o.pkcs1v15 && o.length < 1 {
		return usagef("--length is 1 at least")
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	ciphertext, err := a.readOctets(o.input, o.in)
	if err != nil {
		return err
	}
	out, err := a.claim(o.outFile, 0o600)
	if err != nil {
		return &outfileError{"out", o.outFile, err}
	}
	defer out.discard()
	secret, err := svc.Decrypt(ctx, manager.DecryptRequest{Project: o.project, Ciphertext: ciphertext, Length: o.length})
	if err != nil {
		return fmt.Errorf("decrypting %s: %w", inputName(o.input), err)
	}
	defer clear(secret)
	if out.isStdout() && a.isTerminal(a.stdout) && o.out.Encoding == project.Raw && !printable(secret) {
		return errUnprintable
	}
	text, err := o.out.Encode(secret)
	if err != nil {
		return err
	}
	defer clear(text)
	return out.commit(text)
}

// errUnprintable keeps a secret from the terminal that may take it for orders.
var errUnprintable = fault.New(fault.Denied, "the secret is no text that a terminal could show")

// printable reports whether octets are a text of printable characters and newlines.
func printable(octets []byte) bool {
	for len(octets) > 0 {
		r, n := utf8.DecodeRune(octets)
		if r == utf8.RuneError && n == 1 || r != '\n' && !unicode.IsPrint(r) {
			return false
		}
		octets = octets[n:]
	}
	return true
}
