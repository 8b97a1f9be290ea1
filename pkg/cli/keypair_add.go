package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/keypair"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
)

type keypairAddOptions struct {
	name         string // empty with from
	from         string // a file with names
	outDir       string // for from
	typ          string // empty: ssh, or what the imported file shows
	keyAlgorithm profile.KeyAlgorithm
	pubKey       string // import this
	user         string // empty: whoever calls
	privateKey   string // empty: stdout, or nowhere for x509
	p12          p12Options
	ifMissing    bool
	output       output
}

func newKeypairAddCmd(a *app) *cobra.Command {
	var o keypairAddOptions
	cmd := &cobra.Command{
		Use:   "keypair-add NAME",
		Short: "Make a keypair for a user's guests, or import one",
		Long: `Make a keypair for a user's guests, or import its public half. Only that half is
kept; a private half is handed out once.

Type ssh, for guests with sshd: an Ed25519 key unless --key-algorithm says otherwise.
The private key goes to --private-key, and else to stdout with nothing beside it.

Type x509, for Windows guests: a certificate that logs the user in over WinRM, without
a password, as OpenStack's Nova makes it. Certificate and key go to NAME.p12, or to
the file of --p12, as PKCS#12; --private-key writes the key alone, in PEM.

With --pub-key the public half is imported, as Nova would: one or more lines of
OpenSSH's, or a certificate in PEM. Its content shows the type; one that contradicts
--keypair-type is refused. It is kept to the octet.

` + p12PasswordHelp + ` x509ctl-guests(7) has the table of
who opens what, and how guests are logged in to.`,
		Example: `  # an SSH keypair; the private key is for its owner alone
  x509ctl keypair-add laptop --private-key laptop.key

  # for Windows guests: keypair1.p12; the password is printed
  x509ctl keypair-add keypair1 --keypair-type x509

  # the public halves that somebody has
  x509ctl keypair-add keypair2 --pub-key id_ed25519.pub
  x509ctl keypair-add keypair3 --keypair-type x509 --pub-key cert.pem

  # one for each name in a file, as NAME.key in the directory keys
  x509ctl keypair-add --from names.txt --out-dir keys --user alice`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.from != "" {
				return noArgs(cmd, args)
			}
			return exactArgs("NAME")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.name = args[0]
			}
			return runKeypairAdd(cmd.Context(), a, o)
		},
	}
	addKeypairAddFlags(cmd, &o)
	return cmd
}

func addKeypairAddFlags(cmd *cobra.Command, o *keypairAddOptions) {
	f := cmd.Flags()
	f.StringVar(&o.typ, "keypair-type", "", "`TYPE` ssh or x509, in any letter case (default ssh, or what --pub-key shows)")
	f.StringVar(&o.pubKey, "pub-key", "", "import the public half in `FILE` (- for stdin)")
	f.StringVar(&o.privateKey, "private-key", "", "write the private key to the new `FILE` (default for ssh: - for stdout)")
	f.Var((*keyTypeValue)(&o.keyAlgorithm), "key-algorithm", "kind of key: "+strings.Join(algorithmWords(keypair.SSH), ", ")+" for ssh; rsa-2048 and larger for x509")
	addUserFlag(cmd, &o.user)
	f.StringVar(&o.from, "from", "", "make a keypair for each name in `FILE`, one a line (- for stdin)")
	f.StringVar(&o.outDir, "out-dir", "", "with --from: write private halves to NAME.key or NAME.p12 in `DIRECTORY` (default .)")
	f.BoolVar(&o.ifMissing, "if-missing", false, "succeed when the user has such a keypair already")
	addP12Flags(cmd, &o.p12)
	f.Lookup("p12").Usage = "write key and certificate to `FILE` as PKCS#12 (default for x509: NAME.p12)"
	addOutputFlag(cmd, &o.output)
	completeWords(cmd, "keypair-type", "ssh", "x509")
	completeWords(cmd, "key-algorithm", algorithmWords(keypair.SSH)...)
}

// algorithms are the kinds of key that a type of keypair is made with, the default
// first. WinRM was made for RSA.
func algorithms(t keypair.Type) []profile.KeyAlgorithm {
	if t == keypair.X509 {
		return []profile.KeyAlgorithm{profile.RSA2048, profile.RSA3072, profile.RSA4096}
	}
	return []profile.KeyAlgorithm{
		profile.Ed25519, profile.RSA2048, profile.RSA3072, profile.RSA4096, profile.ECDSAP256, profile.ECDSAP384,
	}
}

func algorithmWords(t keypair.Type) (words []string) {
	for _, k := range algorithms(t) {
		words = append(words, string(k))
	}
	return words
}

// check refuses flags that have no meaning beside others.
func (o keypairAddOptions) check() error {
	p12 := o.p12 != p12Options{}
	switch {
	case o.pubKey != "" && (o.privateKey != "" || p12 || o.keyAlgorithm != ""):
		return usagef("--private-key, --key-algorithm and the flags of PKCS#12 are for keypairs that are made, not imported with --pub-key")
	case o.from != "" && (o.pubKey != "" || o.privateKey != "" || o.p12.file != ""):
		return usagef("--from goes with --out-dir, not with --pub-key, --private-key or --p12")
	case o.from == "" && o.outDir != "":
		return usagef("--out-dir is for --from, which is missing")
	case o.p12.noPassword && o.p12.passwordFile != "":
		return usagef("--no-password and --password-file exclude each other")
	}
	return nil
}

func runKeypairAdd(ctx context.Context, a *app, o keypairAddOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	var typ keypair.Type
	if o.typ != "" {
		var err error
		if typ, err = keypair.ParseType(o.typ); err != nil {
			return &usageError{text: err.Error()}
		}
	}
	if o.from == "" {
		if err := checkKeypairName(o.name); err != nil {
			return err
		}
	}
	owner := a.owner(o.user)
	if o.pubKey != "" {
		return a.importKeypair(ctx, o, typ, owner)
	}
	m, err := o.maker(cmp.Or(typ, keypair.SSH), owner)
	if err != nil {
		return err
	}
	if o.from != "" {
		return runKeypairFrom(ctx, a, o, m)
	}
	return a.addKeypair(ctx, o, m)
}

// checkKeypairName is the rule of Nova's API, without names that look like flags.
func checkKeypairName(name string) error {
	if strings.HasPrefix(name, "-") {
		return fault.Errorf(fault.Malformed, "the name of a keypair does not begin with a hyphen here: %.80q", name)
	}
	return keypair.CheckNovaName(name)
}

// importKeypair records the public half in a file.
func (a *app) importKeypair(ctx context.Context, o keypairAddOptions, typ keypair.Type, owner string) error {
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	text, err := a.readInput(o.pubKey, maxPublicFile)
	if err != nil {
		return err
	}
	r, err := addOneKeypair(ctx, svc, manager.AddKeypairRequest{
		User: owner, Name: o.name, Type: typ, PublicKey: string(text), IfMissing: o.ifMissing,
	})
	if err != nil {
		return &importError{path: o.pubKey, err: err}
	}
	for _, w := range r.Public.Warnings(a.now()) {
		a.note("%s: %s", inputName(o.pubKey), w)
	}
	return show(a, o.output, newKeypairAddView(r))
}

// maxPublicFile bounds a file with a public half, in bytes: more than may be kept, so
// that what is refused is told by what it is.
const maxPublicFile = 1 << 20

func addOneKeypair(ctx context.Context, svc manager.Service, req manager.AddKeypairRequest) (manager.KeypairResult, error) {
	results, err := svc.AddKeypairs(ctx, []manager.AddKeypairRequest{req})
	if err != nil {
		return manager.KeypairResult{}, err
	}
	return results[0], results[0].Err
}

// addKeypair makes a keypair. The files are claimed before the key is made, the public
// half is recorded before the private one is handed out, and forgotten again when that
// fails: nobody has the private one then.
func (a *app) addKeypair(ctx context.Context, o keypairAddOptions, m *keypairMaker) error {
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if o.ifMissing {
		if done, err := a.showExisting(ctx, o, svc, m); done || err != nil {
			return err
		}
	}
	var files outfiles
	defer func() { files.discard() }()
	private, p12, err := o.claim(a, &files, m.typ)
	if err != nil {
		return err
	}
	if err := files.checkOutput(o.output, "--private-key or --p12"); err != nil {
		return err
	}
	if err := m.prepare(a, o.p12, p12); err != nil {
		return err
	}
	made, err := m.make()
	if err != nil {
		return err
	}
	r, err := addOneKeypair(ctx, svc, m.request(o.name, made))
	if err != nil {
		return err
	}
	if err := commitHalves(made, private, p12); err != nil {
		_, undo := svc.DeleteKeypair(context.WithoutCancel(ctx), m.owner, o.name)
		return errors.Join(err, undo)
	}
	if files.stdout() {
		if p12 != nil {
			a.noteP12Password(p12.name(), made.p12Maker.told())
		}
		return nil
	}
	v := newKeypairAddView(r)
	v.PrivateKey, v.P12 = private.name(), p12.name()
	if p12 != nil {
		v.P12Profile, v.P12Password = string(made.p12Maker.profile), made.p12Maker.told()
		a.noteProfile(o.p12)
	}
	return show(a, o.output, v)
}

// claim claims the files for private halves.
func (o keypairAddOptions) claim(a *app, files *outfiles, typ keypair.Type) (private, p12 *outfile, err error) {
	key, pfx := o.privateKey, o.p12.file
	if typ == keypair.SSH {
		key = cmp.Or(key, "-")
	} else if key == "" {
		pfx = cmp.Or(pfx, o.name+".p12")
	}
	if private, err = files.claim(a, "private-key", key, 0o600); err != nil {
		return nil, nil, err
	}
	p12, err = files.claim(a, "p12", pfx, 0o600)
	return private, p12, err
}

func commitHalves(made *madeKeypair, private, p12 *outfile) error {
	if private != nil {
		if err := private.commit(made.private); err != nil {
			return err
		}
	}
	if p12 != nil {
		data, err := made.encodeP12()
		if err != nil {
			return err
		}
		return p12.commit(data)
	}
	return nil
}

// showExisting shows the keypair of the name if there is one of the type: done. Its
// private half can't be had again.
func (a *app) showExisting(ctx context.Context, o keypairAddOptions, svc manager.Service, m *keypairMaker) (done bool, err error) {
	k, err := svc.Keypair(ctx, m.owner, o.name)
	switch {
	case fault.KindOf(err) == fault.NotFound && !errors.Is(err, manager.ErrNotInitialised):
		return false, nil
	case err != nil:
		return false, err
	case k.Type != string(m.typ):
		return false, fault.Errorf(fault.Exists, "user %q has a keypair %q already, of type %s", k.User, k.Name, k.Type)
	}
	if o.privateKey == "" && m.typ == keypair.SSH {
		a.note("user %q has a keypair %q already: there is no private key to print", k.User, k.Name)
		return true, nil
	}
	p, err := keypair.Parse(m.typ, k.PublicKey)
	if err != nil {
		return false, err
	}
	return true, show(a, o.output, newKeypairAddView(manager.KeypairResult{Keypair: k, Public: p}))
}

// noteProfile tells who can't open the file of the default profile.
func (a *app) noteProfile(o p12Options) {
	if o.profile == "" {
		a.note("Windows Server 2016 and older can't open this kind of PKCS#12 file: --p12-profile windows2016 makes one that nearly all programs open")
	}
}

// keypairAddView is a keypair and its files as "keypair-add" prints them.
type keypairAddView struct {
	Name        string    `json:"name"`
	User        string    `json:"user"`
	Type        string    `json:"type"`
	Fingerprint string    `json:"fingerprint"` // as Nova's: MD5, or SHA-1 of a certificate
	SHA256      string    `json:"sha256"`
	Algorithm   string    `json:"algorithm"`
	Created     timestamp `json:"created"`
	PrivateKey  string    `json:"private_key"` // its file
	P12         string    `json:"p12"`
	P12Profile  string    `json:"p12_profile"`
	P12Password string    `json:"p12_password"` // only if it was made up
}

func newKeypairAddView(r manager.KeypairResult) keypairAddView {
	k := r.Keypair
	return keypairAddView{
		Name: k.Name, User: k.User, Type: k.Type, Fingerprint: k.Fingerprint,
		SHA256: r.Public.SHA256(), Algorithm: r.Public.Algorithm, Created: at(k.Created),
	}
}

// An importError is a file that is refused as a public half.
type importError struct {
	path string
	err  error
}

func (e *importError) Error() string {
	return fmt.Sprintf("importing %s: %v", inputName(e.path), e.err)
}
func (e *importError) Unwrap() error { return e.err }

// owner is whose keypairs a command is about: --user, or whoever calls, by way of sudo
// too.
func (a *app) owner(user string) string {
	return cmp.Or(user, a.sudoUser(), userName(os.Getuid()))
}

func addUserFlag(cmd *cobra.Command, user *string) {
	cmd.Flags().StringVar(user, "user", "", "`USER` whose keypair it is (default: whoever calls)")
}
