package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

type certVerifyOptions struct {
	files       []string
	at          timeValue
	name        string
	purpose     string
	serial      serialValue
	fingerprint fingerprintValue
	output      output
}

func newCertVerifyCmd(a *app) *cobra.Command {
	var o certVerifyOptions
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Check that certificates are this CA's, and valid",
		Long: `Check that certificates are valid: signed by this CA's own key, the present one or
a predecessor's; now, or at the time of --at; for less than a week; not below the
minimum accepted serial; and for the purpose and the name asked for. The exit status
is 0 when all are, 6 when one is not, and 2 when one can't be understood: that of the
first failure.

A FILE is in PEM or DER, - for standard input, or a directory, of which every
regular file whose name ends in .pem, .crt or .cer is taken. The first certificate
in a file counts.

Only bundle.pem and min-serial in the directory's ca are read: no key and no
database is needed. There is no revocation list yet, so a certificate counts as
revoked only when it is below the minimum accepted serial: "floor only".`,
		Example: `  # may this client connect?
  x509ctl cert verify node1.pem --purpose client --name node1.example.com

  # everything in a directory, for a program
  x509ctl cert verify certs -o json`,
		Args: minArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.files = args
			return runCertVerify(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.Var(&o.at, "at", "judge as of this time, RFC 3339 (default now)")
	f.StringVar(&o.name, "name", "", "want this DNS `NAME` or IP address in the certificate")
	f.StringVar(&o.purpose, "purpose", "", "want a TLS `client` or server certificate (default: both at once)")
	f.Var(&o.serial, "serial", "want this certificate")
	f.Var(&o.fingerprint, "fingerprint", "want the certificate with this SHA-256 fingerprint")
	addListFlags(cmd, &o.output)
	completeWords(cmd, "purpose", string(trust.Client), string(trust.Server))
	return cmd
}

func runCertVerify(ctx context.Context, a *app, o certVerifyOptions) error {
	if countOf(o.files, "-") > 1 {
		return usagef("standard input can be read only once")
	}
	purpose, err := trust.ParsePurpose(o.purpose)
	if err != nil {
		return &usageError{text: err.Error()}
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	v, err := svc.Verifier(ctx, manager.Cluster)
	if err != nil {
		return err
	}
	check := trust.Check{
		Bundle: v.Bundle, Floor: v.Floor, At: time.Time(o.at),
		Purpose: purpose, Name: o.name, Serial: serial.Number(o.serial), Fingerprint: o.fingerprint,
	}
	if check.At.IsZero() {
		check.At = a.now()
	}
	inputs := findInputs(o.files, func(string) []string { return []string{".pem", ".crt", ".cer"} })
	failed := failures{total: len(inputs)}
	err = list(a, o.output, func(yield func(verifyView) error) error {
		return a.verifyAll(ctx, check, inputs, &failed, yield)
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
func (a *app) verifyAll(ctx context.Context, check trust.Check, inputs []input, failed *failures, yield func(verifyView) error) error {
	bar := a.startBatchProgress(len(inputs), "verifying")
	defer bar.done()
	var unread error
	stop := func() bool { return false }
	for verdicts := range inChunks(ctx, inputs, stop, func(chunk []input) []verdict {
		verdicts := make([]verdict, len(chunk))
		parallel(len(chunk), runtime.GOMAXPROCS(0), func(i int) { verdicts[i] = a.verify(check, chunk[i]) })
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

func (a *app) verify(check trust.Check, in input) verdict {
	v := verdict{verifyView{File: in.path, Verdict: "unknown", Revocation: "floor only"}, in.err}
	if v.err == nil {
		v.err = v.judge(a, check)
	}
	if v.err != nil {
		v.view.Error = v.err.Error()
	}
	return v
}

func (v *verdict) judge(a *app, check trust.Check) error {
	data, err := a.readInput(v.view.File, maxCertFile)
	if err != nil {
		return err
	}
	cert, err := trust.ParseCertificate(data)
	if err != nil {
		return err
	}
	v.view.Serial, v.view.CommonName, v.view.NotAfter = cert.SerialNumber.String(), cert.Subject.CommonName, at(cert.NotAfter)
	err = check.Verify(cert)
	var why *trust.VerifyError
	switch {
	case err == nil:
		v.view.Verdict = "valid"
	case errors.As(err, &why):
		v.view.Verdict, v.view.Reason = "invalid", string(why.Reason)
	}
	return err
}

// verifyView is the verdict on one certificate as "cert verify" prints it.
type verifyView struct {
	File       string    `json:"file"`
	Verdict    string    `json:"verdict"` // "valid", "invalid", or "unknown" when it can't be understood
	Serial     string    `json:"serial"`  // decimal; another CA's may be longer than a number here
	CommonName string    `json:"common_name"`
	NotAfter   timestamp `json:"not_after"`
	Revocation string    `json:"revocation"` // what was asked about it: "floor only"
	Reason     string    `json:"reason"`     // why it is invalid, for programs
	Error      string    `json:"error"`      // the same in words
}

// timeValue is a flag's moment. Zero means that the flag was not given.
type timeValue time.Time

func (t *timeValue) String() string { return timestamp{time.Time(*t)}.text() }

// Set is the flag's.
func (t *timeValue) Set(s string) error {
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
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
