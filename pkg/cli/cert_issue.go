package cli

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
)

type certIssueOptions struct {
	name     string
	project  string
	server   bool
	key      string // empty: NAME.key, or nowhere when --combined or --p12 has it
	cert     string // empty: NAME.pem, as above
	combined string
	p12      p12Options
	chain    bool
	keyType  profile.KeyAlgorithm // empty: the setting
	lifetime time.Duration        // zero: the setting
	allow    []string
	output   output
}

func newCertIssueCmd(a *app) *cobra.Command {
	var o certIssueOptions
	cmd := &cobra.Command{
		Use:   "issue NAME",
		Short: "Make a key and a certificate for a node, or for a project",
		Long: `Make a key and a certificate for the cluster or one of its nodes. NAME is the
cluster's name, or a node's name or alias; the certificate is for all names and
addresses of the node.

With --project the project's CA signs, and NAME is the id of one of its members, who is
a TLS client with it. With --server as well, NAME is a name that is registered with the
project ("x509ctl project name-add"), and the certificate is a TLS server's.

Key and certificate are written to NAME.key and NAME.pem, or to the files that
--key and --cert name. With --combined or --p12, and none of those two flags, they
are in that one file. Files with a key can be read by their owner only. A file that
exists is not overwritten; all are prepared before a serial number is spent.

A lifetime is less than a week. Where none is asked for, it is a day, or as long as
the CA lives. In a project it is at most a year, and 90 days where none is asked for.

` + p12PasswordHelp,
		Example: `  # node1.example.com.key and node1.example.com.pem, for an hour
  x509ctl cert issue node1.example.com --lifetime 1h

  # one file, key first, as Ganeti wants it
  x509ctl cert issue node1.example.com --combined server.pem

  # PKCS#12; the password is printed
  x509ctl cert issue node1.example.com --p12 node1.p12

  # alice.key and alice.pem for a member of a project, for a month
  x509ctl cert issue alice --project tenant1 --lifetime 30d

  # and for one of its servers
  x509ctl cert issue vpn.tenant1.example.org --project tenant1 --server`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return runCertIssue(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addProjectFlag(cmd, &o.project)
	addServerFlag(cmd, &o.server)
	f.StringVar(&o.key, "key", "", "write the key to `FILE` (default NAME.key)")
	f.StringVar(&o.cert, "cert", "", "write the certificate to `FILE` (default NAME.pem)")
	f.StringVar(&o.combined, "combined", "", "write key, certificate and CA chain to one `FILE`")
	f.BoolVar(&o.chain, "chain", false, "append the CA chain to the file of --cert")
	addP12Flags(cmd, &o.p12)
	addKeyTypeFlag(cmd, &o.keyType, "type of the key")
	addLifetimeFlag(cmd, &o.lifetime)
	addAllowFlag(cmd, &o.allow)
	addOutputFlag(cmd, &o.output)
	return cmd
}

// runCertIssue claims the files first: a serial number is spent on what can be kept.
func runCertIssue(ctx context.Context, a *app, o certIssueOptions) error {
	id, kind, err := o.check()
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	lifetime, err := a.lifetime(o.lifetime, kind)
	if err != nil {
		return err
	}
	keyType, err := a.keyType(o.keyType)
	if err != nil {
		return err
	}
	files, err := o.claim(a)
	defer files.all.discard()
	if err != nil {
		return err
	}
	var p12 *p12Maker
	if files.p12 != nil {
		if p12, err = a.prepareP12(o.p12, files.p12.isStdout()); err != nil {
			return err
		}
	}
	key, err := profile.GenerateKey(keyType)
	if err != nil {
		return err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encoding the public key: %w", err)
	}
	result, err := svc.Issue(ctx, manager.IssueRequest{
		Authority: id, Profile: kind, Name: o.name, SPKI: spki, Allow: o.allow, Lifetime: lifetime,
	})
	if err != nil {
		return fmt.Errorf("issuing for %s: %w", o.name, err)
	}
	c := result.Certificate
	if err := files.write(ctx, svc, key, p12, c); err != nil {
		return &saveError{serial: c.Serial, err: err, keyLost: files.key == nil || !files.key.done}
	}
	if result.Shortened {
		a.noteShortened(c)
	}
	if files.all.stdout() {
		if p12 != nil {
			a.noteP12Password(files.p12.name(), p12.told())
		}
		return nil
	}
	return show(a, o.output, newCertIssueView(result, files, keyTypeOf(key.Public()), p12))
}

// check refuses a wrong command line, and returns whose certificate is wanted.
func (o certIssueOptions) check() (manager.AuthorityID, profile.Profile, error) {
	id, kind, err := leafOf(o.project, o.server)
	if err == nil && kind.OfProject() && len(o.allow) > 0 {
		err = usagef("--allow-name is for nodes' certificates, not a project's")
	}
	if err == nil {
		err = parseLeafName(kind, o.name)
	}
	if err == nil {
		err = o.p12.check()
	}
	return id, kind, err
}

// issueFiles are where key and certificate go; nil for a file that isn't wanted.
type issueFiles struct {
	all                      outfiles
	key, cert, combined, p12 *outfile
	chain                    bool // in cert too
}

// claim claims the files that the flags name.
func (o certIssueOptions) claim(a *app) (f issueFiles, err error) {
	key, cert := o.key, o.cert
	if o.combined == "" && o.p12.file == "" {
		key, cert = cmp.Or(key, o.name+".key"), cmp.Or(cert, o.name+".pem")
	}
	if f.chain = o.chain; o.chain && cert == "" {
		return f, usagef("--chain is for --cert, which is missing")
	}
	if f.key, err = f.all.claim(a, "key", key, 0o600); err != nil {
		return f, err
	}
	if f.cert, err = f.all.claim(a, "cert", cert, 0o644); err != nil {
		return f, err
	}
	if f.combined, err = f.all.claim(a, "combined", o.combined, 0o600); err != nil {
		return f, err
	}
	f.p12, err = f.all.claim(a, "p12", o.p12.file, 0o600)
	return f, err
}

// write writes the files, those with the key first: the certificate can be had
// again.
func (f issueFiles) write(ctx context.Context, svc manager.Service, key crypto.Signer, p12 *p12Maker, c manager.Certificate) error {
	keyText, err := encodeKey(key)
	if err != nil {
		return err
	}
	if f.key != nil {
		if err := f.key.commit(keyText); err != nil {
			return err
		}
	}
	var chain [][]byte
	if f.combined != nil || f.p12 != nil || f.chain {
		if chain, err = chainOf(ctx, svc, c); err != nil {
			return err
		}
	}
	cert := encodeCert(c.DER)
	if f.combined != nil {
		if err := f.combined.commit(slices.Concat(keyText, cert, encodeChain(chain))); err != nil {
			return err
		}
	}
	if f.p12 != nil {
		if err := f.writeP12(key, p12, c, chain); err != nil {
			return err
		}
	}
	if f.cert == nil {
		return nil
	}
	if f.chain {
		cert = append(cert, encodeChain(chain)...)
	}
	return f.cert.commit(cert)
}

func (f issueFiles) writeP12(key crypto.Signer, p12 *p12Maker, c manager.Certificate, chain [][]byte) error {
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return err
	}
	data, err := p12.encode(key, leaf, chain)
	if err != nil {
		return err
	}
	return f.p12.commit(data)
}

// certIssueView is a certificate and its files as "cert issue" prints them.
type certIssueView struct {
	Serial      serial.Number `json:"serial"`
	CommonName  string        `json:"common_name"`
	Names       []string      `json:"names"`
	NotAfter    timestamp     `json:"not_after"`
	Shortened   bool          `json:"shortened"` // to end with the CA
	KeyType     string        `json:"key_type"`
	SHA256      string        `json:"sha256"`
	Key         string        `json:"key"`
	Cert        string        `json:"cert"`
	Combined    string        `json:"combined"`
	P12         string        `json:"p12"`
	P12Profile  string        `json:"p12_profile"`
	P12Password string        `json:"p12_password"` // only if it was made up
}

func newCertIssueView(r manager.SignResult, f issueFiles, keyType string, p12 *p12Maker) certIssueView {
	c := r.Certificate
	v := certIssueView{
		Serial: c.Serial, CommonName: c.CommonName, Names: c.Names,
		NotAfter: at(c.NotAfter), Shortened: r.Shortened, KeyType: keyType,
		SHA256: hex.EncodeToString(c.Fingerprint[:]),
		Key:    f.key.name(), Cert: f.cert.name(), Combined: f.combined.name(), P12: f.p12.name(),
	}
	if p12 != nil {
		v.P12Profile, v.P12Password = string(p12.profile), p12.told()
	}
	return v
}
