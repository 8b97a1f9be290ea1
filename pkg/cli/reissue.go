package cli

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/parallel"
	"x509ctl/pkg/serial"
)

// reissueOptions are what "serial set-min --reissue" takes besides the number.
type reissueOptions struct {
	wanted    bool
	except    []string
	noKeyLost bool
	from      serialValue
	outDir    string
	lifetime  time.Duration // zero: the setting
}

func addReissueFlags(cmd *cobra.Command, o *reissueOptions) {
	f := cmd.Flags()
	f.BoolVar(&o.wanted, "reissue", false, "sign anew for those cut off")
	f.StringSliceVar(&o.except, "except", nil, "the key of `SERIAL|NAME` was lost: revoke it and block its key (may be given again)")
	f.BoolVar(&o.noKeyLost, "no-key-lost", false, "no key was lost: reissue for all")
	f.Var(&o.from, "from", "reissue also for live ones with numbers from this one that were cut off before")
	f.StringVar(&o.outDir, "out-dir", "", "write each certificate to a file in `DIRECTORY`")
	addLifetimeFlag(cmd, &o.lifetime)
}

func (o reissueOptions) check(dryRun bool) error {
	switch {
	case !o.wanted && (len(o.except) > 0 || o.noKeyLost || o.from != 0 || o.outDir != "" || o.lifetime != 0):
		return usagef("--except, --no-key-lost, --from, --out-dir and --lifetime are for --reissue, which is missing")
	case !o.wanted:
		return nil
	case len(o.except) == 0 && !o.noKeyLost:
		return &usageError{
			text: "missing --except or --no-key-lost, which --reissue needs",
			hint: "name the certificates whose keys were lost, which must not be signed anew",
		}
	case len(o.except) > 0 && o.noKeyLost:
		return usagef("--except and --no-key-lost exclude each other")
	case o.outDir == "" && !dryRun:
		return usagef("missing --out-dir, which --reissue needs")
	}
	return nil
}

// request is what the flags ask for; to is the floor.
func (o reissueOptions) request(to manager.SetMinRequest) (manager.ReissueRequest, error) {
	req := manager.ReissueRequest{SetMin: to, From: serial.Number(o.from)}
	for _, t := range o.except {
		if n, err := parseSerial(t); err == nil {
			req.LostSerials = append(req.LostSerials, n)
		} else if strings.Trim(t, "0123456789") == "" {
			return req, err
		} else {
			req.LostNames = append(req.LostNames, t)
		}
	}
	if o.outDir != "" {
		abs, err := filepath.Abs(o.outDir)
		if err != nil {
			return req, fmt.Errorf("finding %s: %w", o.outDir, err)
		}
		req.Destination = abs
	}
	return req, nil
}

// A reissueBatch is one "serial set-min --reissue".
type reissueBatch struct {
	ctx      context.Context // of the command: ends with an interruption
	app      *app
	outDir   string
	dryRun   bool
	dir      *durable.Dir // nil for a dry run
	bar      *progress
	tell     func(reissueView)
	begun    manager.ReissueBegun
	tried    int
	failures failures
}

func runReissue(ctx context.Context, a *app, svc manager.Service, to manager.SetMinRequest, o serialSetMinOptions) error {
	req, err := o.reissue.request(to)
	if err != nil {
		return err
	}
	_, kind, err := leafOf(o.project, false)
	if err != nil {
		return err
	}
	if req.Lifetime, err = a.lifetime(o.reissue.lifetime, kind); err != nil {
		return err
	}
	b := &reissueBatch{ctx: ctx, app: a, outDir: o.reissue.outDir, dryRun: o.dryRun, bar: &progress{}}
	if !o.dryRun {
		if b.dir, err = a.openOutDir(o.reissue.outDir); err != nil {
			return err
		}
		a.catchSignals() // between two chunks, not in one
	}
	defer func() { b.bar.done() }()
	req.Begun, req.Deliver = b.begin, b.deliver
	var failed error
	err = list(a, o.output, func(yield func(reissueView) error) error {
		var unread error
		b.tell = func(v reissueView) {
			if unread == nil {
				unread = yield(v)
			}
		}
		late, cancel := lingering(ctx, signGrace)
		defer cancel()
		failed = b.outcome(svc.Reissue(late, req))
		if b.begun.After == 0 { // there is nothing to report
			return failed
		}
		return unread
	})
	return cmp.Or(failed, err)
}

// outcome is the error of the command, of which err is the manager's part.
func (b *reissueBatch) outcome(err error) error {
	b.bar.clear()
	if b.tried < b.begun.Total {
		b.app.note("stopped after %d of %d certificates; the same command again goes on", b.tried, b.begun.Total)
	}
	failed := b.failures.err("certificates")
	switch {
	case err != nil && b.begun.After == 0:
		return fmt.Errorf("setting min-serial: %w", err)
	case err != nil && !isSpreadError(err):
		return fmt.Errorf("reissuing: %w", err)
	case err != nil && failed != nil:
		b.app.complain(err)
	case err != nil:
		return err
	}
	return failed
}

// begin tells what is going to be done.
func (b *reissueBatch) begin(begun manager.ReissueBegun) {
	b.begun, b.failures.total = begun, begun.Total
	changed := "is now"
	if b.dryRun {
		changed = "would be"
	}
	switch {
	case !begun.Resumed.IsZero():
		b.app.note("going on with the reissue that was begun on %s: min-serial stays %v", begun.Resumed.UTC().Format(time.RFC3339), begun.After)
	case begun.After == begun.Before:
		b.app.note("min-serial is %v already", begun.After)
	default:
		b.app.note("min-serial %s %v, from %v", changed, begun.After, begun.Before)
	}
	for _, name := range begun.Unused {
		b.app.note("%s has no certificate that is cut off: no key of it is blocked", name)
	}
	if begun.Total == 0 && begun.Earlier {
		b.app.note("there are certificates that were cut off before, and --from was not given to reissue them")
	}
	if !b.dryRun {
		b.bar = b.app.startBatchProgress(begun.Total, "reissuing")
	}
}

// A reissueItem is one certificate on its way to its file.
type reissueItem struct {
	manager.Reissued
	name   string // of its file, in the directory
	status reissueStatus
	err    error
}

// deliver writes successors to their files. It stops for what would fail for the others
// as well.
func (b *reissueBatch) deliver(batch []manager.Reissued) (bool, error) {
	items := make([]*reissueItem, len(batch))
	parallel.Each(len(items), fileWorkers, func(i int) { items[i] = b.examine(batch[i]) })
	halt := b.write(items)
	b.bar.clear()
	delivered := true
	for _, i := range items {
		b.finish(i)
		delivered = delivered && i.err == nil
	}
	if halt == nil && b.ctx.Err() != nil {
		halt = context.Cause(b.ctx)
	}
	return delivered, halt
}

// examine says what is to be done for one certificate.
func (b *reissueBatch) examine(r manager.Reissued) *reissueItem {
	i := &reissueItem{Reissued: r, status: signedStatus, err: r.Err}
	switch {
	case r.Lost:
		i.status = lostStatus
		return i
	case r.Err != nil:
		return i
	case r.Certificate.Serial == 0:
		i.status = plannedStatus
		return i
	case r.Reused:
		i.status = exportedStatus
	}
	i.name = fmt.Sprintf("%s-%v.pem", r.Certificate.CommonName, r.Certificate.Serial)
	if r.Reused {
		b.skip(i)
	}
	return i
}

// skip finds out whether a certificate is in its file already.
func (b *reissueBatch) skip(i *reissueItem) {
	if b.outDir == "" {
		return
	}
	data, err := durable.ReadInput(filepath.Join(b.outDir, i.name), maxCertFile)
	switch {
	case err == nil && string(data) == string(encodeCert(i.Certificate.DER)):
		i.status, i.err = skippedStatus, nil
	case err == nil || fault.KindOf(err) != fault.NotFound:
		path := filepath.Join(b.outDir, i.name)
		i.err = &outfileError{"out-dir", path, fault.Errorf(fault.Exists, "file %s exists, and is not certificate %v", path, i.Certificate.Serial)}
	}
}

// write writes the files of a chunk. Its error is one that the next chunk would have.
func (b *reissueBatch) write(items []*reissueItem) (halt error) {
	var files []durable.File
	var of []*reissueItem
	for _, i := range items {
		if b.dir != nil && i.err == nil && i.name != "" && i.status != skippedStatus {
			files, of = append(files, durable.File{Name: i.name, Data: encodeCert(i.Certificate.DER)}), append(of, i)
		}
	}
	if len(files) == 0 {
		return nil
	}
	for n, err := range b.dir.CreateAll(0o644, files) {
		switch {
		case err == nil:
		case fault.KindOf(err) == fault.Exists:
			b.skip(of[n]) // perhaps another process of the same reissue made it
		default:
			of[n].err = &saveError{serial: of[n].Certificate.Serial, err: err}
			halt = of[n].err
		}
	}
	return halt
}

// finish tells what became of one certificate, in their order.
func (b *reissueBatch) finish(i *reissueItem) {
	if i.err != nil {
		i.status = failedStatus
		b.failures.add(fmt.Errorf("reissuing certificate %v: %w", i.Old.Serial, i.err))
	}
	if !i.Lost {
		b.tried++
		b.bar.add(1)
	}
	if names := i.Certificate.Exceptions; i.err == nil && len(names) > 0 {
		b.app.note("certificate %v keeps a name that was allowed for %v: %s", i.Certificate.Serial, i.Old.Serial, strings.Join(names, ", "))
	}
	if i.err == nil && i.Shortened {
		b.app.noteShortened(i.Certificate)
	}
	b.tell(newReissueView(i, b.outDir))
}

// A reissueStatus says what became of a certificate that was cut off.
type reissueStatus = signStatus

const (
	plannedStatus reissueStatus = "planned" // by a dry run
	lostStatus    reissueStatus = "lost"    // revoked, and its key blocked
)

// reissueView is what became of one certificate, as "serial set-min --reissue" reports it.
type reissueView struct {
	OldSerial  serial.Number  `json:"old_serial"`
	Status     reissueStatus  `json:"status"`
	Serial     optionalSerial `json:"serial"`
	CommonName string         `json:"common_name"`
	Holder     string         `json:"holder" table:"extra"`
	Names      []string       `json:"names" table:"extra"`
	Exceptions []string       `json:"exceptions" table:"extra"`
	NotAfter   timestamp      `json:"not_after"`
	Out        string         `json:"out"`
	Error      string         `json:"error"`
}

func newReissueView(i *reissueItem, outDir string) reissueView {
	c := i.Certificate
	if c.Serial == 0 {
		c = i.Old
		c.NotAfter = time.Time{}
	}
	v := reissueView{
		OldSerial: i.Old.Serial, Status: i.status, Serial: optionalSerial(i.Certificate.Serial),
		CommonName: c.CommonName, Holder: c.Holder, Names: c.Names, Exceptions: c.Exceptions, NotAfter: at(c.NotAfter),
	}
	if i.err != nil {
		v.Error = i.err.Error()
	} else if i.name != "" && outDir != "" {
		v.Out = filepath.Join(outDir, i.name)
	}
	return v
}
