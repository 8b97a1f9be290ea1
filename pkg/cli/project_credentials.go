package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/project"
)

type projectCredentialsOptions struct {
	project        string
	user           string
	out            string
	lifetime       time.Duration
	keyType        profile.KeyAlgorithm
	encryptionCert bool
	accessKey      string
	secretKeyFile  string
	ec2URL         string // empty: the setting, as of those that follow
	s3URL          string
	novaURL        string
	vpn            vpnOptions
}

func newProjectCredentialsCmd(a *app) *cobra.Command {
	var o projectCredentialsOptions
	cmd := &cobra.Command{
		Use:   "credentials USER",
		Short: "Make a member's archive of credentials, as Nova did",
		Long: `Make a zip archive for a member of a project, as Nova did it until its Essex release.

    novarc         variables for euca2ools and others, for ". ./novarc"
    pk.pem         a new private key, for its owner alone
    cert.pem       a new certificate for it
    nova-vpn.conf  for OpenVPN, with --vpn-name
    cacert.pem     the project's CA certificates

It has them in this order. Each call makes another key and certificate; the earlier
ones stay valid. With --encryption-cert there is decrypt-cert.pem, too, to which image
bundles are encrypted: Nova used the CA's certificate for that.

What novarc does not know is left out of it, with a comment: URLs come from flags or the
settings ec2_url, s3_url and nova_url, the keys of EC2 from flags. The file is there whole
or not at all. Old tools sign with RSA keys only, so that is the default.`,
		Example: `  # nova.zip
  x509ctl project credentials alice --project tenant1

  # for bundles of images, into a pipe
  x509ctl project credentials alice --project tenant1 --encryption-cert \
    --ec2-url http://192.0.2.1:8773/services/Cloud --s3-url http://192.0.2.1:3333 \
    --ec2-access-key AK123 --ec2-secret-key-file secret.txt --out - > alice.zip`,
		Args: exactArgs("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.user = args[0]
			return runProjectCredentials(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addOfProjectFlag(cmd, &o.project)
	f.StringVarP(&o.out, "out", "o", "nova.zip", "write the archive to `FILE`, which must not exist; - is stdout")
	durationVar(f, &o.lifetime, "lifetime", "how long the certificate is valid, at most a year (default 90d)")
	o.keyType = profile.RSA2048
	addKeyTypeFlag(cmd, &o.keyType, "type of the key")
	f.BoolVar(&o.encryptionCert, "encryption-cert", false, "add the certificate that secrets and image bundles are encrypted to")
	f.StringVar(&o.accessKey, "ec2-access-key", "", "the user's access `KEY` of EC2")
	f.StringVar(&o.secretKeyFile, "ec2-secret-key-file", "", "`FILE` whose first line is the user's secret key of EC2")
	f.StringVar(&o.ec2URL, "ec2-url", "", "`URL` of the EC2 service")
	f.StringVar(&o.s3URL, "s3-url", "", "`URL` of the S3 service")
	f.StringVar(&o.novaURL, "nova-url", "", "`URL` of the compute service")
	o.vpn.addFlags(cmd, "vpn-")
	return cmd
}

// runProjectCredentials checks everything that goes into the archive before a number is
// spent on the certificate.
func runProjectCredentials(ctx context.Context, a *app, o projectCredentialsOptions) error {
	if err := wantProject(o.project); err != nil {
		return err
	}
	if slices.Contains([]format{formatTable, formatJSON, formatYAML, formatCSV}, format(o.out)) {
		return &usageError{"nothing is printed here that " + o.out + " could be the format of: -o names the archive", "a file of that name is -o ./" + o.out}
	}
	if o.vpn.name == "" && o.vpn.given() {
		return usagef("missing --vpn-name, which is in the server's certificate")
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	p, err := svc.Project(ctx, o.project)
	if err != nil {
		return err
	}
	id, err := manager.ProjectAuthority(p.ID)
	if err != nil {
		return err
	}
	var c project.Credentials
	if c.Environment, err = o.environment(a, p.ID); err != nil {
		return err
	}
	if err := o.fill(ctx, svc, id, p.ID, &c); err != nil {
		return err
	}
	out, err := a.claim(o.out, 0o600)
	if err != nil {
		return &outfileError{"out", o.out, err}
	}
	defer out.discard()
	key, result, err := newLeaf(ctx, svc, o.keyType, manager.IssueRequest{
		Authority: id, Profile: profile.Member, Name: o.user, Lifetime: o.lifetime,
	})
	if err != nil {
		return fmt.Errorf("issuing for %s: %w", o.user, err)
	}
	serial := result.Certificate.Serial
	if c.PrivateKey, err = encodeKey(key); err != nil {
		return &saveError{serial, err, true}
	}
	defer clear(c.PrivateKey)
	c.Certificate = encodeCert(result.Certificate.DER)
	if err := out.fill(func(w io.Writer) error { return c.Write(w, a.now()) }); err != nil {
		return &saveError{serial, err, true}
	}
	if result.Shortened {
		a.noteShortened(result.Certificate)
	}
	a.note("certificate %v of %s is in %s", serial, o.user, outputName(o.out))
	return nil
}

// environment is what the flags and the settings say of other services.
func (o projectCredentialsOptions) environment(a *app, id string) (project.Environment, error) {
	s, err := a.settings()
	if err != nil {
		return project.Environment{}, err
	}
	e := project.Environment{
		User: o.user, Project: id, AccessKey: o.accessKey, Encryption: o.encryptionCert,
		EC2URL: cmp.Or(o.ec2URL, s.ec2URL), S3URL: cmp.Or(o.s3URL, s.s3URL), NovaURL: cmp.Or(o.novaURL, s.novaURL),
	}
	if o.secretKeyFile != "" {
		e.SecretKey, err = a.secret(secretSource{file: o.secretKeyFile, flag: "ec2-secret-key-file", what: "the secret key"})
	}
	if err == nil {
		_, err = e.Script() // or it can't be written
	}
	return e, err
}

// fill adds what is the project's and not the user's.
func (o projectCredentialsOptions) fill(ctx context.Context, svc manager.Service, id manager.AuthorityID, name string, c *project.Credentials) error {
	v, err := svc.Verifier(ctx, id)
	if err != nil {
		return err
	}
	own := v.Bundle.Own()
	if o.vpn.name != "" {
		if o.vpn.name, err = spelled(ctx, svc, name, o.vpn.name); err != nil {
			return err
		}
		if c.VPN, err = o.vpn.config(name, own).Client(); err != nil {
			return err
		}
	}
	c.CAs = encodeBundle(own, v.Bundle)
	if !o.encryptionCert {
		return nil
	}
	der, err := svc.EncryptionCertificate(ctx, name)
	c.Encryption = encodeCert(der)
	return err
}
