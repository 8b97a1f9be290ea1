package cli

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/spf13/cobra"

	"x509ctl/pkg/project"
)

type projectEncryptOptions struct {
	project string
	input   string
	in, out encodingFlag
	outFile string
}

func newProjectEncryptCmd(a *app) *cobra.Command {
	o := projectEncryptOptions{input: "-", in: encodingFlag{project.Raw}, out: encodingFlag{project.Base64}}
	cmd := &cobra.Command{
		Use:   "encrypt [FILE]",
		Short: "Encrypt a small secret to a project",
		Long: `Encrypt a small secret, of at most 318 octets, to a project, whose operators can decrypt
it: RSA-OAEP with SHA-256. Without FILE, and for -, standard input is read, all of it:
"echo" adds a newline that belongs to the secret then.

It needs decrypt-cert.pem in the project's directory, and neither a key nor the database.
The first call makes that, and the key; so does "x509ctl project show ID
--encryption-cert", which prints it for openssl on other machines:

    openssl pkeyutl -encrypt -certin -inkey decrypt-cert.pem \
        -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256

A larger file is encrypted with a random key by another program, and that key is the
secret.`,
		Example: `  # a password, as base64
  printf %s 'open sesame' | x509ctl project encrypt --project tenant1 > secret.b64

  # the octets of a file, as octets
  x509ctl project encrypt --project tenant1 secret.bin --output-format raw > secret.enc`,
		Args: upToOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.input = args[0]
			}
			return runProjectEncrypt(cmd.Context(), a, o)
		},
	}
	addOfProjectFlag(cmd, &o.project)
	addEncodingFlags(cmd, &o.in, &o.out)
	cmd.Flags().StringVar(&o.outFile, "out", "-", "write to `FILE`, which must not exist; - is stdout")
	return cmd
}

func runProjectEncrypt(ctx context.Context, a *app, o projectEncryptOptions) error {
	if err := wantProject(o.project); err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	secret, err := a.readOctets(o.input, o.in)
	if err != nil {
		return err
	}
	defer clear(secret)
	out, err := a.claim(o.outFile, 0o644)
	if err != nil {
		return &outfileError{"out", o.outFile, err}
	}
	defer out.discard()
	der, err := svc.EncryptionCertificate(ctx, o.project)
	if err != nil {
		return fmt.Errorf("encrypting to project %q: %w", o.project, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("reading the project's certificate: %w", err)
	}
	ciphertext, err := project.Encrypt(cert, secret)
	if err != nil {
		return fmt.Errorf("encrypting %s: %w", inputName(o.input), err)
	}
	text, err := o.out.Encode(ciphertext)
	if err != nil {
		return err
	}
	return out.commit(text)
}

// readOctets reads the file that a user named, or standard input, and what it stands for.
func (a *app) readOctets(path string, format encodingFlag) ([]byte, error) {
	text, err := a.readInput(path, maxSecretInput)
	if err != nil {
		return nil, err
	}
	octets, err := format.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", inputName(path), err)
	}
	return octets, nil
}
