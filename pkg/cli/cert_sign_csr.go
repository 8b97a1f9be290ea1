package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"
)

type certSignCSROptions struct {
	files       []string
	project     string
	server      bool
	out         string // empty or "-": stdout, unless outDir
	outDir      string
	holder      string
	forFilename bool
	allow       []string
	lifetime    time.Duration // zero: the setting
	output      output
}

func newCertSignCSRCmd(a *app) *cobra.Command {
	var o certSignCSROptions
	cmd := &cobra.Command{
		Use:   "sign-csr FILE...",
		Short: "Sign certificate signing requests",
		Long: `Sign certificate signing requests: files in PEM or DER, one request in each, - for
standard input, and directories, of which every regular file whose name ends in
.csr, .pem or .req is taken, by name. There may be any number of them.

Certificates go to stdout in PEM, in the order of the requests, and nothing else
does; or to one new file with --out; or with --out-dir each to a file of its own in
a directory that exists: NAME.csr becomes NAME.pem. (In a directory that is both,
only .csr and .req are requests.) With certificates in files, stdout has a report.

One bad request does not stop the others: the exit status is that of the first one
that failed. All names in a request must belong to one node, or to the cluster. What
else it wishes for, such as CA:TRUE, is ignored, and said so on stderr.

With --project the project's CA signs: for its members, whose id has to be the common
name and the only name in a request, or with --server for names registered with it.

With --out-dir the command can be interrupted at any time and run again: a file
with a good certificate for the same key is skipped, a certificate that is on record
and did not reach its file is written, and a file with anything else is left as it
is, exit status 4.`,
		Example: `  # one request, to stdout
  x509ctl cert sign-csr node1.csr > node1.pem

  # a directory, each request only for the node that its file is named after
  mkdir certs
  x509ctl cert sign-csr requests --out-dir certs --for-filename

  # a member of a project
  x509ctl cert gen-csr alice --project tenant1
  x509ctl cert sign-csr alice.csr --project tenant1 --for alice --out alice.pem

  # a report for a program
  x509ctl cert sign-csr node1.csr --out new.pem -o json`,
		Args: minArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.files = args
			return runCertSignCSR(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	addProjectFlag(cmd, &o.project)
	addServerFlag(cmd, &o.server)
	f.StringVar(&o.out, "out", "", "write all certificates to the new `FILE` (default - for stdout)")
	f.StringVar(&o.outDir, "out-dir", "", "write each certificate to a file in `DIRECTORY`")
	f.StringVar(&o.holder, "for", "", "accept only names of the node, member or server `NAME`")
	f.BoolVar(&o.forFilename, "for-filename", false, "accept only names of the node, member or server that the file is named after, as in NAME.csr")
	addAllowFlag(cmd, &o.allow)
	addLifetimeFlag(cmd, &o.lifetime)
	addListFlags(cmd, &o.output)
	return cmd
}

// toStdout says whether certificates take the place of the report.
func (o certSignCSROptions) toStdout() bool {
	return o.outDir == "" && (o.out == "" || o.out == "-" || o.out == "/dev/stdout")
}

func (o certSignCSROptions) check() error {
	switch stdin := countOf(o.files, "-"); {
	case o.out != "" && o.outDir != "":
		return usagef("--out and --out-dir exclude each other")
	case o.project != "" && len(o.allow) > 0:
		return usagef("--allow-name is for nodes' certificates, not a project's")
	case o.holder != "" && o.forFilename:
		return usagef("--for and --for-filename exclude each other")
	case o.toStdout() && o.output != (output{}):
		return &usageError{
			text: "certificates and a report can't both be written to stdout",
			hint: "write the certificates to files with --out or --out-dir",
		}
	case stdin > 1:
		return usagef("standard input can be read only once")
	case stdin > 0 && (o.outDir != "" || o.forFilename):
		return usagef("standard input has no file name for --out-dir or --for-filename")
	}
	return nil
}

func countOf(list []string, s string) (n int) {
	for _, item := range list {
		if item == s {
			n++
		}
	}
	return n
}

func runCertSignCSR(ctx context.Context, a *app, o certSignCSROptions) error {
	if err := o.check(); err != nil {
		return err
	}
	id, kind, err := leafOf(o.project, o.server)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	b := &signBatch{app: a, svc: svc, grace: signGrace, id: id, kind: kind, certSignCSROptions: o}
	if b.certSignCSROptions.lifetime, err = a.lifetime(o.lifetime, kind); err != nil {
		return err
	}
	if err := b.openOutDir(); err != nil {
		return err
	}
	inputs := findRequests(o.files, o.outDir)
	b.bar = a.startBatchProgress(len(inputs), "signing")
	defer b.bar.done()
	if o.outDir != "" {
		return b.report(ctx, inputs, nil)
	}
	out, err := a.claim(cmp.Or(o.out, "-"), 0o644)
	if err != nil {
		return &outfileError{"out", o.out, err}
	}
	defer out.discard()
	return b.toOne(ctx, inputs, out)
}

// toOne signs into one file, which is not made when nothing is to be put into it.
func (b *signBatch) toOne(ctx context.Context, inputs []input, out *outfile) error {
	var failed error
	err := out.fill(func(w io.Writer) error {
		if out.isStdout() {
			failed = b.run(ctx, inputs, w, nil)
		} else {
			failed = b.report(ctx, inputs, w)
		}
		if b.delivered == 0 {
			return errNothingSigned
		}
		return b.broken
	})
	if err != nil && !errors.Is(err, errNothingSigned) {
		return err
	}
	return failed
}

var errNothingSigned = errors.New("nothing was signed")

// report signs and prints what became of each request. A reader who has seen enough
// of it stops nothing else.
func (b *signBatch) report(ctx context.Context, inputs []input, w io.Writer) error {
	var failed error
	err := list(b.app, b.output, func(yield func(signView) error) error {
		var unread error
		failed = b.run(ctx, inputs, w, func(v signView) {
			if unread == nil {
				unread = yield(v)
			}
		})
		return unread
	})
	if failed != nil {
		return failed
	}
	return err
}

// signView is what became of one request, as "cert sign-csr" reports it.
type signView struct {
	File       string         `json:"file"`
	Status     signStatus     `json:"status"`
	Serial     optionalSerial `json:"serial"`
	CommonName string         `json:"common_name"`
	NotAfter   timestamp      `json:"not_after"`
	Out        string         `json:"out"`
	Ignored    []string       `json:"ignored"` // what was asked for and not granted
	Error      string         `json:"error"`
}

// A signStatus says what became of a request.
type signStatus string

const (
	signedStatus   signStatus = "signed"
	exportedStatus signStatus = "exported" // it was on record, and had not reached its file
	skippedStatus  signStatus = "skipped"  // its file was there
	failedStatus   signStatus = "failed"
)

func newSignView(i *signItem, out string) signView {
	v := signView{File: i.in.path, Status: i.status, Out: cmp.Or(i.out, out), Ignored: i.result.Ignored}
	if i.err != nil {
		v.Error, v.Out = i.err.Error(), ""
	}
	if c := i.result.Certificate; c.Serial != 0 {
		v.Serial, v.CommonName, v.NotAfter = optionalSerial(c.Serial), c.CommonName, at(c.NotAfter)
	}
	return v
}
