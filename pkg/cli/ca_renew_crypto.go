package cli

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/trust"
)

type caRenewCryptoOptions struct {
	of authorityFlags

	prepare, activate, retire, cancel, compromised bool

	keyType  profile.KeyAlgorithm
	lifetime time.Duration

	certificate, key, passphraseFile string // of a CA that was made elsewhere

	yes    bool
	output output
}

func newCARenewCryptoCmd(a *app) *cobra.Command {
	var o caRenewCryptoOptions
	cmd := &cobra.Command{
		Use:   "renew-crypto",
		Short: "Replace the CA, or a project's, by one with a new key",
		Long: `Replace the CA by one with a new key and a new name. Serial numbers and the minimum
accepted serial go on. What the old CA signed stays good: its certificate stays in
bundle.pem until it is retired.

In one step, verifiers that have the old bundle refuse new certificates until they
get the new one. In three, nobody is refused:

    --prepare   makes the new CA. It is in the bundle and signs nothing yet.
                Bring bundle.pem and crl.pem to all machines now.
    --activate  lets it sign. The old CA is in the bundle still.
    --retire    takes the old CA out of the bundle and deletes its key. That is
                refused while a live certificate of it exists: a week at most.
                "x509ctl ca show" says when, and whose certificates they are.

--cancel gives up what was prepared.

When the CA's key was stolen, --compromised makes a new CA and ends the trust in all
others at once, the prepared one too: whatever they signed is refused by everybody
with the new bundle. A request that is not answered is given up. Each machine needs a
new certificate then.

A third party's intermediate is installed with --ca-certificate, in one step or with
--prepare. The file has its certificate and those above it up to the root, each
followed by its issuer. Its name must not be that of another key. For the answer to
"x509ctl ca gen-csr", and for a new certificate of the present CA's key, that is all: the
key is here. --ca-key is for a CA whose key was made elsewhere.

With --project a project's CA is replaced: the root of all projects signs the new one, and
with --compromised lists the old one as revoked. With --project-root it is that root: it
signs what is made from then on, and the old one can be retired when the CAs of all
projects have been replaced.

Each step can be repeated after a crash; the next command finishes or undoes what was
cut. The new key is encrypted when the old one is, with the same passphrase.`,
		Example: `  # nobody is refused: copy the bundle to all machines after each step
  x509ctl ca renew-crypto --prepare --yes
  x509ctl ca renew-crypto --activate --yes
  x509ctl ca show

  # what a third party made of the request of "ca gen-csr"
  x509ctl ca renew-crypto --ca-certificate chain.pem --yes

  # the key was stolen
  x509ctl ca renew-crypto --compromised --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCARenewCrypto(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addAuthorityFlags(cmd, &o.of)
	f.BoolVar(&o.prepare, "prepare", false, "make a CA that is trusted and signs nothing yet")
	f.BoolVar(&o.activate, "activate", false, "let the prepared CA sign")
	f.BoolVar(&o.retire, "retire", false, "end the trust in the CA that was replaced")
	f.BoolVar(&o.cancel, "cancel", false, "give up the prepared CA")
	f.BoolVar(&o.compromised, "compromised", false, "make a CA, and end the trust in all others at once")
	addKeyTypeFlag(cmd, &o.keyType, "type of the new CA's key")
	durationVar(f, &o.lifetime, "lifetime", "how long the new CA is valid (default "+formatDuration(profile.DefaultCALifetime)+")")
	f.StringVar(&o.certificate, "ca-certificate", "", "install the CA whose certificate, and those above it up to the root, are in `FILE`")
	f.StringVar(&o.key, "ca-key", "", "`FILE` with the key of --ca-certificate, if it was made elsewhere")
	f.StringVar(&o.passphraseFile, "key-passphrase-file", "", "`FILE` whose first line is the passphrase of --ca-key")
	addYesFlag(cmd, &o.yes)
	addOutputFlag(cmd, &o.output)
	return cmd
}

// foreign reads the CA that was made elsewhere, nil for none.
func (o caRenewCryptoOptions) foreign(a *app) (*manager.ForeignCA, error) {
	if o.certificate == "" {
		return nil, nil
	}
	data, err := a.readInput(o.certificate, maxChainFile)
	if err != nil {
		return nil, err
	}
	chain, err := trust.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", inputName(o.certificate), err)
	}
	if o.key == "" { // it is in the directory
		return &manager.ForeignCA{Chain: chain}, nil
	}
	if err := checkKeyFile(o.key); err != nil {
		return nil, err
	}
	key, err := a.readKey(o.key, o.passphraseFile)
	return &manager.ForeignCA{Chain: chain, Key: key}, err
}

// maxChainFile bounds the file with a chain, in bytes.
const maxChainFile = 1 << 20

// checkKeyFile refuses the key of a CA that others can read.
func checkKeyFile(path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 {
		return nil // what is not there is told when it is read
	}
	return &durable.SecrecyError{Path: path, Mode: info.Mode(), Mend: 0o400}
}

// step is what the flags ask for, and the question before it.
func (o caRenewCryptoOptions) step() (manager.RenewStep, string, error) {
	step, question, chosen := manager.RenewAtOnce, "Replace the CA now? Verifiers with the old bundle will refuse new certificates.", 0
	for _, c := range []struct {
		on       bool
		step     manager.RenewStep
		question string
	}{
		{o.prepare, manager.RenewPrepare, "Prepare a new CA?"},
		{o.activate, manager.RenewActivate, "Activate the prepared CA? Verifiers with an older bundle will refuse new certificates."},
		{o.retire, manager.RenewRetire, "Retire the replaced CA, and delete its key?"},
		{o.cancel, manager.RenewCancel, "Give up the prepared CA?"},
		{o.compromised, manager.RenewCompromised, "Replace the CA, and have everything that it signed refused?"},
	} {
		if c.on {
			step, question, chosen = c.step, c.question, chosen+1
		}
	}
	if chosen > 1 {
		return "", "", usagef("--prepare, --activate, --retire, --cancel and --compromised exclude each other")
	}
	makes := step == manager.RenewAtOnce || step == manager.RenewPrepare || step == manager.RenewCompromised
	switch {
	case o.key != "" && o.certificate == "":
		return "", "", usagef("--ca-key is for --ca-certificate, which is missing")
	case o.passphraseFile != "" && o.key == "":
		return "", "", usagef("--key-passphrase-file is for --ca-key, which is missing")
	case o.certificate != "" && (!makes || o.keyType != "" || o.lifetime != 0):
		return "", "", usagef("with --ca-certificate no CA is made: it goes alone, with --prepare or with --compromised")
	}
	if !makes && (o.keyType != "" || o.lifetime != 0) {
		return "", "", usagef("--key-type and --lifetime are for a new CA, and none is made now")
	}
	return step, question, nil
}

func runCARenewCrypto(ctx context.Context, a *app, o caRenewCryptoOptions) error {
	step, question, err := o.step()
	if err != nil {
		return err
	}
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
	if err := a.confirm(o.yes, question); err != nil {
		return err
	}
	foreign, err := o.foreign(a)
	if err != nil {
		return err
	}
	result, err := svc.RenewCA(ctx, manager.RenewRequest{
		Authority: id, Step: step, KeyAlgorithm: cmp.Or(o.keyType, s.keyType), Lifetime: o.lifetime, Foreign: foreign,
	})
	if err != nil && !isSpreadError(err) {
		return fmt.Errorf("renewing the CA: %w", err)
	}
	if foreign != nil && o.key != "" {
		a.note("certificates that this key has signed elsewhere have serial numbers of their own: they may be below min-serial, or among those to come")
	}
	a.noteRenewal(id, step)
	return afterChange(err, show(a, o.output, newRenewView(result)))
}

// noteRenewal says what is to be done after a step.
func (a *app) noteRenewal(id manager.AuthorityID, step manager.RenewStep) {
	dir, root := directoryOf(id), id == manager.ProjectRoot
	switch {
	case step == manager.RenewPrepare:
		a.note("bring %s/bundle.pem and %s/crl.pem to all machines, and then: x509ctl ca renew-crypto%s --activate", dir, dir, projectFlag(id))
	case step == manager.RenewRetire || step == manager.RenewCancel:
	case step == manager.RenewCompromised && root:
		a.note("the bundles of projects have the stolen root still; one by one, x509ctl ca renew-crypto --project ID --compromised takes it out")
	case step == manager.RenewCompromised:
		a.note("no certificate that was issued so far is good any more: bring %s/bundle.pem to all machines, and issue new ones", dir)
	case root:
		a.note("the CAs of projects are the old root's still: x509ctl ca renew-crypto --project ID renews one")
	default:
		a.note("verifiers that don't have this bundle.pem refuse new certificates")
	}
}

// renewView is what "ca renew-crypto" has changed.
type renewView struct {
	Phase        string    `json:"phase"`
	SHA256Before string    `json:"sha256_before"`
	SHA256       string    `json:"sha256"` // the active CA's
	Subject      string    `json:"subject"`
	NotAfter     timestamp `json:"not_after"`
	Prepared     []string  `json:"prepared"`
	Replaced     []string  `json:"replaced"`
	RetirableAt  timestamp `json:"retirable_at"` // null: now, or nothing is to be retired
}

func newRenewView(r manager.RenewResult) renewView {
	return renewView{
		Phase: phase(r.After), SHA256Before: hex.EncodeToString(r.Before.SHA256[:]), SHA256: hex.EncodeToString(r.After.SHA256[:]),
		Subject: r.After.Subject, NotAfter: at(r.After.NotAfter),
		Prepared: subjects(r.After.Prepared), Replaced: subjects(r.After.Replaced), RetirableAt: at(retirable(r.After)),
	}
}

// phase is where a renewal is: "steady" without one, "prepared", "replaced" while an
// old CA is trusted, or "replaced, prepared".
func phase(ca manager.Authority) string {
	switch {
	case len(ca.Replaced) > 0 && len(ca.Prepared) > 0:
		return "replaced, prepared"
	case len(ca.Replaced) > 0:
		return "replaced"
	case len(ca.Prepared) > 0:
		return "prepared"
	}
	return "steady"
}

func subjects(cas []manager.ReplacedCA) []string {
	var list []string
	for _, ca := range cas {
		list = append(list, ca.Subject)
	}
	return list
}

// retirable is when the last certificate of a replaced CA will have expired.
func retirable(ca manager.Authority) (last time.Time) {
	for _, old := range ca.Replaced {
		if old.Retirable.After(last) {
			last = old.Retirable
		}
	}
	return last
}

// holders are those who have certificates of a replaced CA.
func holders(ca manager.Authority) (list []string) {
	for _, old := range ca.Replaced {
		list = append(list, old.Holders...)
	}
	return list
}
