package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/parallel"
	"x509ctl/pkg/trust"
)

type certVerifyOptions struct {
	files   []string
	project string
	at      timeValue

	name, ip, email, user string

	purpose      string
	crls         []string
	requireFresh bool

	// Of this CA's certificates.
	serial      serialValue
	fingerprint fingerprintValue
	recorded    bool

	// Of others'.
	caFile, intermediates string

	output output
}

func newCertVerifyCmd(a *app) *cobra.Command {
	var o certVerifyOptions
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Check that certificates are this CA's, and valid",
		Long: `Check that certificates are valid: signed by this CA's own key, the present one or
a predecessor's; now, or at the time of --at; for less than a week; not below the
minimum accepted serial; not revoked; and for the purpose and the name asked for. The
exit status is 0 when all are, 6 when one is not, and 2 when one can't be understood:
that of the first failure.

A FILE is in PEM or DER, - for standard input, or a directory, of which every
regular file whose name ends in .pem, .crt or .cer is taken. The first certificate
in a file counts.

Only bundle.pem, min-serial and, when there is one, crl.pem in the directory's ca are
read: no key and no database is needed. Without a revocation list, of which another
can be named by --crl, a certificate counts as revoked only when it is below the
minimum accepted serial: "floor only". A list that is out of date still revokes what
is on it; --require-fresh wants one of the present time.

With --project the certificates of that project are judged, and no others, by the files in
its directory: a member's is a TLS client's, a server's a server's, and they may live for
a year. --user wants the one of a member.

So a certificate that somebody made elsewhere with the CA's stolen key passes. With
--recorded it has to be in the database as well, as everything is that x509ctl issued,
and not be revoked there.

With --ca-file others' certificates are judged, by RFC 5280 alone: the roots are in
that file, certificates between in --intermediates or behind the one in question, and
there is neither a floor nor a longest life. This needs no directory. --crl can be
given once for each CA's list. A certificate is refused that has a CA above it without
a list when one of those given is of none of its CAs. Without --crl nothing is known
of revocation: "unchecked".`,
		Example: `  # may this client connect?
  x509ctl cert verify node1.pem --purpose client --name node1.example.com

  # everything in a directory, for a program
  x509ctl cert verify certs -o json

  # was it really issued here, and not made with a stolen key?
  x509ctl cert verify node1.pem --recorded

  # may this member of a project connect?
  x509ctl cert verify alice.pem --project tenant1 --user alice --purpose client

  # somebody else's server
  x509ctl cert verify www.pem --ca-file roots.pem --name www.example.org --purpose server`,
		Args: minArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.files = args
			if err := o.check(cmd); err != nil {
				return err
			}
			return runCertVerify(cmd.Context(), a, o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *certVerifyOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	addProjectFlag(cmd, &o.project)
	f.Var(&o.at, "at", "judge as of this time, RFC 3339 (default now)")
	f.StringVar(&o.name, "name", "", "want this DNS `NAME` or IP address in the certificate")
	f.StringVar(&o.ip, "ip", "", "want this IP `ADDRESS` in the certificate")
	f.StringVar(&o.email, "email", "", "want this mail `ADDRESS` in the certificate")
	f.StringVar(&o.user, "user", "", "want the certificate of the project's member with this `ID`")
	f.StringVar(&o.purpose, "purpose", "", "want a certificate for a TLS `client` or server (default: both at once, in a project one of them), of others' also for email or code-signing (default: any)")
	f.StringArrayVar(&o.crls, "crl", nil, "ask the revocation list in `FILE` (default: the directory's crl.pem, if there is one)")
	f.BoolVar(&o.requireFresh, "require-fresh", false, "want a revocation list of the present time")
	f.Var(&o.serial, "serial", "want this certificate")
	f.Var(&o.fingerprint, "fingerprint", "want the certificate with this SHA-256 fingerprint")
	f.BoolVar(&o.recorded, "recorded", false, "want it in the database, too, and not revoked there")
	f.StringVar(&o.caFile, "ca-file", "", "judge others' certificates by the roots in `FILE`")
	f.StringVar(&o.intermediates, "intermediates", "", "certificates between those and the roots are in `FILE`")
	addListFlags(cmd, &o.output)
	completeWords(cmd, "purpose", string(trust.Client), string(trust.Server), string(trust.Email), string(trust.CodeSigning))
}

// check refuses what could be answered with yes by mistake, as an empty name, of which
// a script's variable is one that was not set.
func (o *certVerifyOptions) check(cmd *cobra.Command) error {
	for _, name := range []string{"name", "ip", "email", "user", "project", "purpose", "ca-file", "intermediates"} {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return usagef("--%s is empty", name)
		}
	}
	names := 0
	for _, n := range []string{o.name, o.ip, o.email, o.user} {
		if n != "" {
			names++
		}
	}
	foreign := o.caFile != ""
	switch addr, err := netip.ParseAddr(o.ip); {
	case countOf(slices.Concat(o.files, o.crls, []string{o.caFile, o.intermediates}), "-") > 1:
		return usagef("standard input can be read only once")
	case slices.Contains(o.crls, ""):
		return usagef("--crl is empty")
	case names > 1:
		return usagef("--name, --ip, --email and --user exclude each other")
	case o.user != "" && o.project == "":
		return usagef("--user is for a project's certificates, and --project is missing")
	case foreign && o.project != "":
		return usagef("--project is for this CA's certificates, and --ca-file for others'")
	case o.ip != "" && (err != nil || addr.Zone() != ""):
		return usagef("--ip: %q is no IP address", o.ip)
	case foreign && (o.serial != 0 || len(o.fingerprint) > 0 || o.recorded):
		return usagef("--serial, --fingerprint and --recorded are for this CA's certificates, and --ca-file for others'")
	case !foreign && o.intermediates != "":
		return usagef("--intermediates is for others' certificates, whose roots --ca-file names")
	case !foreign && len(o.crls) > 1:
		return usagef("--crl can be given more than once only with --ca-file: this CA has one list for all of its certificates")
	}
	return nil
}

func runCertVerify(ctx context.Context, a *app, o certVerifyOptions) error {
	newJudge := a.newOwnJudge
	if o.caFile != "" {
		newJudge = a.newChainJudge
	}
	j, err := newJudge(ctx, o)
	if err != nil {
		return err
	}
	inputs := findInputs(o.files, func(string) []string { return []string{".pem", ".crt", ".cer"} })
	failed := failures{total: len(inputs)}
	err = list(a, o.output, func(yield func(verifyView) error) error {
		return a.verifyAll(ctx, j, inputs, &failed, yield)
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	return failed.err("certificates")
}

// verifyAll judges inputs on all processors, and yields the verdicts in order.
func (a *app) verifyAll(ctx context.Context, j judge, inputs []input, failed *failures, yield func(verifyView) error) error {
	bar := a.startBatchProgress(len(inputs), "verifying")
	defer bar.done()
	var unread error
	stop := func() bool { return false }
	for verdicts := range inChunks(ctx, inputs, stop, func(chunk []input) []verdict {
		verdicts := make([]verdict, len(chunk))
		parallel.Each(len(chunk), runtime.GOMAXPROCS(0), func(i int) { verdicts[i] = a.verify(ctx, j, chunk[i]) })
		return verdicts
	}) {
		bar.clear()
		for _, v := range verdicts {
			if v.err != nil {
				failed.add(fmt.Errorf("verifying %s: %w", inputName(v.view.File), v.err))
			}
			if unread == nil {
				unread = yield(v.view)
			}
		}
		bar.add(len(verdicts))
	}
	return unread
}

// A verdict is what is to be said of one file.
type verdict struct {
	view verifyView
	err  error
}

// maxCertFile bounds a file with a certificate, perhaps with a chain and a key, in
// bytes.
const maxCertFile = 1 << 20

func (a *app) verify(ctx context.Context, j judge, in input) verdict {
	v := verdict{verifyView{File: in.path, Verdict: "unknown"}, in.err}
	var data []byte
	if v.err == nil {
		data, v.err = a.readInput(in.path, maxCertFile)
	}
	if v.err == nil {
		v.err = noCertificate(data, j.judge(ctx, &v.view, data))
	}
	if v.err != nil {
		v.view.Error = v.err.Error()
	}
	return v
}

// noCertificate makes err, of a file where a certificate was expected, tell what is there
// instead.
func noCertificate(data []byte, err error) error {
	if fault.KindOf(err) != fault.Malformed {
		return err
	}
	kinds := kindsIn(data)
	if len(kinds) == 0 || slices.Contains(kinds, kindCertificate) {
		return err
	}
	how, ok := map[string]string{
		kindRequest:    "a request, for a CA to sign",
		kindCRL:        `a revocation list, which "--crl" takes`,
		kindPrivateKey: `a private key; "x509ctl cert check-key" tells whose`,
		kindPublicKey:  "a public key",
		kindPKCS12:     `PKCS#12: "openssl pkcs12 -nokeys" takes the certificates out`,
		kindPKCS7:      `PKCS#7: "openssl pkcs7 -print_certs" takes the certificates out`,
	}[kinds[0]]
	if !ok {
		return err
	}
	return fault.Errorf(fault.Malformed, "this is no certificate, but %s", how)
}

// verifyView is the verdict on one certificate as "cert verify" prints it.
type verifyView struct {
	File       string    `json:"file"`
	Verdict    string    `json:"verdict"` // "valid", "invalid", or "unknown" when it can't be understood
	Serial     string    `json:"serial"`  // decimal; another CA's may be longer than a number here
	CommonName string    `json:"common_name"`
	NotAfter   timestamp `json:"not_after"`
	Revocation string    `json:"revocation"` // what "valid" rests on: "floor only", "crl", "stale crl", "unchecked"
	Reason     string    `json:"reason"`     // why it is invalid, for programs
	Error      string    `json:"error"`      // the same in words

	Recorded string          `json:"recorded" table:"extra"` // "yes", "no", "revoked", or empty when that was not asked
	CRLs     []verifyCRLView `json:"crls" table:"-"`         // the lists that were asked
}

// verifyCRLView is a revocation list that was asked about a certificate or the CAs
// above it.
type verifyCRLView struct {
	File       string    `json:"file"`
	Issuer     string    `json:"issuer"`
	Number     string    `json:"number"` // decimal; empty: none
	ThisUpdate timestamp `json:"this_update"`
	NextUpdate timestamp `json:"next_update"`
	Fresh      bool      `json:"fresh"` // of the time that was asked about
}

// timeValue is a flag's moment. Zero means that the flag was not given.
type timeValue time.Time

func (t *timeValue) String() string { return timestamp{time.Time(*t)}.text() }

// Set is the flag's.
func (t *timeValue) Set(s string) error {
	v, err := time.Parse(time.RFC3339, s)
	if err != nil || v.IsZero() {
		return errors.New("a time such as 2026-01-02T03:04:05Z is wanted")
	}
	*t = timeValue(v)
	return nil
}

// Type is the placeholder in help and man pages.
func (*timeValue) Type() string { return "TIME" }

// fingerprintValue is a flag's SHA-256 fingerprint in hexadecimal, with colons or
// without, as openssl and "cert show" print it.
type fingerprintValue []byte

func (f *fingerprintValue) String() string { return hex.EncodeToString(*f) }

// Set is the flag's.
func (f *fingerprintValue) Set(s string) error {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(b) != 32 {
		return fault.New(fault.Malformed, "a SHA-256 fingerprint of 64 hexadecimal digits is wanted")
	}
	*f = b
	return nil
}

// Type is the placeholder in help and man pages.
func (*fingerprintValue) Type() string { return "SHA256" }
