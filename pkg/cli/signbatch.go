package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/parallel"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/trust"
)

const (
	// fileWorkers is how many files are read at once. They may have to wait for the
	// disk.
	fileWorkers = 8
	// signGrace is signBatch.grace.
	signGrace = 5 * time.Second
)

// A signBatch signs any number of requests in chunks. Results come in the order of
// the requests, and no more than a few chunks are in memory.
type signBatch struct {
	certSignCSROptions
	app    *app
	svc    manager.Service
	id     manager.AuthorityID
	kind   profile.Profile
	grace  time.Duration // how long what is under way may take after an interruption
	dir    *durable.Dir  // outDir, or nil
	absDir string        // its absolute path
	bar    *progress

	halted    atomic.Bool // what failed would fail for the requests to come as well
	delivered int         // certificates that are where they should be
	broken    error       // of the one file or stream for all of them
	failures  failures

	check func() (trust.Check, error) // what files that exist are judged by
}

// A signItem is one request on its way.
type signItem struct {
	in      input
	holder  string // for --for
	out     string // its file; empty: the one for all
	request []byte
	status  signStatus // empty until it is known
	result  manager.SignResult
	pem     []byte
	err     error
}

// open reports whether the item still needs work.
func (i *signItem) open() bool { return i.status == "" && i.err == nil }

// run signs all inputs. Certificates go to w, unless each has a file of its own;
// tell, if not nil, is called for each request. The error is the first failure in
// the order of the inputs, or what ended the batch early.
func (b *signBatch) run(ctx context.Context, inputs []input, w io.Writer, tell func(signView)) error {
	if len(inputs) > batchChunk {
		b.app.catchSignals()
	}
	b.failures.total = len(inputs)
	tried := 0
	work := func(chunk []input) []*signItem { return b.chunk(ctx, chunk) }
	for items := range inChunks(ctx, inputs, b.halted.Load, work) {
		b.bar.clear()
		for _, item := range items {
			b.finish(item, w, tell)
		}
		tried += len(items)
		b.bar.add(len(items))
	}
	if call, ok := b.failures.first.(callError); ok && b.delivered == 0 { //nolint:errorlint // not what it wraps
		return call.error // of no request in particular
	}
	if tried < len(inputs) {
		b.bar.clear()
		b.app.note("stopped after %d of %d requests", tried, len(inputs))
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case b.broken != nil:
		return b.broken
	}
	return b.failures.err("requests")
}

// A callError is what the manager could not do for any request of a chunk.
type callError struct{ error }

func (e callError) Unwrap() error { return e.error }

// chunk takes requests from their files to their certificates' files. It returns
// nothing when the batch was stopped before a serial number was spent on them.
func (b *signBatch) chunk(ctx context.Context, inputs []input) []*signItem {
	items := make([]*signItem, len(inputs))
	parallel.Each(len(items), fileWorkers, func(i int) { items[i] = b.prepare(ctx, inputs[i]) })
	if ctx.Err() != nil || b.halted.Load() {
		return nil
	}
	b.sign(ctx, items)
	b.deliver(items)
	return items
}

// prepare reads a request, and looks at what is where its certificate will be.
func (b *signBatch) prepare(ctx context.Context, in input) *signItem {
	i := &signItem{in: in, holder: b.holder, err: in.err}
	if i.err != nil {
		return i
	}
	if b.forFilename {
		i.holder = baseName(in.path)
	}
	i.request, i.err = b.app.readInput(in.path, profile.MaxRequestSize)
	if i.err == nil && b.dir != nil {
		i.out = filepath.Join(b.outDir, baseName(in.path)+".pem")
		b.resume(ctx, i)
	}
	return i
}

// sign gets certificates for the items that are open.
func (b *signBatch) sign(ctx context.Context, items []*signItem) {
	open := slices.DeleteFunc(slices.Clone(items), func(i *signItem) bool { return !i.open() })
	if len(open) == 0 {
		return
	}
	req := manager.SignRequest{Authority: b.id, Profile: b.kind, Allow: b.allow, Lifetime: b.lifetime}
	for _, i := range open {
		item := manager.SignItem{Request: i.request, For: i.holder}
		if i.out != "" {
			item.Destination = filepath.Join(b.absDir, filepath.Base(i.out))
		}
		req.Items = append(req.Items, item)
	}
	ctx, cancel := lingering(ctx, b.grace)
	defer cancel()
	results, err := b.svc.Sign(ctx, req)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // in the words of who ended it
	}
	for n, i := range open {
		i.request = nil
		switch {
		case err != nil:
			i.err = callError{err}
		case results[n].Err != nil:
			i.err = results[n].Err
		default:
			i.result = results[n]
		}
	}
	if err != nil {
		b.halted.Store(true)
	}
}

// lingering returns a context that ends some time after ctx: what is almost on
// record is finished rather than given up, and a wait for somebody else's lock ends.
func lingering(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { cancel(context.Cause(ctx)) })
	})
	return late, func() { stop(); cancel(nil) }
}

// deliver writes the certificates of the items that are open to their files.
func (b *signBatch) deliver(items []*signItem) {
	var files []durable.File
	var of []*signItem
	for _, i := range items {
		if !i.open() {
			continue
		}
		i.status = signedStatus
		if i.result.Reused {
			i.status = exportedStatus
		}
		i.pem = encodeCert(i.result.Certificate.DER)
		if i.out != "" {
			files, of = append(files, durable.File{Name: filepath.Base(i.out), Data: i.pem}), append(of, i)
			i.pem = nil
		}
	}
	if len(files) == 0 {
		return
	}
	for n, err := range b.dir.CreateAll(0o644, files) {
		if err == nil {
			continue
		}
		of[n].err = &saveError{serial: of[n].result.Certificate.Serial, err: err}
		if fault.KindOf(err) != fault.Exists {
			b.halted.Store(true)
		}
	}
}

// finish tells what became of an item, in the order of the inputs.
func (b *signBatch) finish(i *signItem, w io.Writer, tell func(signView)) {
	if i.err == nil && i.pem != nil {
		if b.broken == nil {
			if _, err := w.Write(i.pem); err != nil {
				b.broken = fmt.Errorf("writing certificate %v: %w", i.result.Certificate.Serial, err)
				b.halted.Store(true)
			}
		}
		i.err = b.broken
	}
	name := inputName(i.in.path)
	if i.err != nil {
		i.status = failedStatus
		b.fail(i, name, tell != nil)
	} else {
		b.delivered++
		if len(i.result.Ignored) > 0 {
			b.app.note("%s: %s", name, ignoredText(i.result.Ignored))
		}
		if i.result.Shortened {
			b.app.noteShortened(i.result.Certificate)
		}
	}
	if tell != nil {
		tell(newSignView(i, b.out))
	}
}

// fail counts the failure of an item, and tells it where no report does.
func (b *signBatch) fail(i *signItem, name string, reported bool) {
	err := i.err
	if _, ok := err.(callError); !ok { //nolint:errorlint // not what it wraps
		err = fmt.Errorf("signing %s: %w", name, err)
		if !reported && b.failures.total > 1 {
			b.app.complain(err)
		}
	}
	b.failures.add(err)
}

// ignoredText says what a request did not get.
func ignoredText(wishes []string) string {
	if len(wishes) == 1 {
		return wishes[0] + " was asked for and ignored"
	}
	return strings.Join(wishes, ", ") + " were asked for and ignored"
}
