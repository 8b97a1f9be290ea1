package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/keypair"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/parallel"
)

const (
	// keypairChunk is how many keypairs are made before they are recorded together.
	keypairChunk = 128
)

// runKeypairFrom is "keypair-add --from": a keypair for each name in a file.
func runKeypairFrom(ctx context.Context, a *app, o keypairAddOptions, m *keypairMaker) error {
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	names, err := a.readNames(o.from)
	if err != nil {
		return err
	}
	b := &keypairBatch{app: a, svc: svc, maker: m, outDir: cmp.Or(o.outDir, "."), ending: ".key", ifMissing: o.ifMissing}
	m.now = a.now
	if m.typ == keypair.X509 {
		b.ending = ".p12"
		if m.p12, err = a.prepareP12(o.p12, false); err != nil {
			return err
		}
		a.noteProfile(o.p12)
	}
	if b.dir, err = a.openOutDir(b.outDir); err != nil {
		return err
	}
	b.failures.total = len(names)
	b.bar = a.startProgress(len(names), "making keypairs")
	defer b.bar.done()
	var failed error
	err = list(a, o.output, func(yield func(keypairFromView) error) error {
		failed = b.run(ctx, names, yield)
		return nil
	})
	return cmp.Or(failed, err)
}

// readNames reads a file with the name of a keypair on each line.
func (a *app) readNames(path string) ([]string, error) {
	return a.readLines(path, "name", func(line string) string {
		if len(line) <= keypair.MaxName && checkKeypairName(line) == nil {
			return ""
		}
		return fmt.Sprintf("the name of a keypair: letters, digits and _ - @ ., blanks in between, %d characters at most, and no hyphen first", keypair.MaxName)
	})
}

// A keypairBatch makes keypairs on all processors, a chunk at a time.
type keypairBatch struct {
	app       *app
	svc       manager.Service
	maker     *keypairMaker
	dir       *durable.Dir
	outDir    string
	ending    string
	ifMissing bool
	bar       *progress
	failures  failures
}

// A keypairItem is one keypair on its way.
type keypairItem struct {
	name   string
	made   *madeKeypair // nil: nothing was made
	file   []byte       // the private half as it is to be written
	result manager.KeypairResult
	err    error
}

// run makes all keypairs and yields what became of each, in the order of the names.
// The error is the first failure in this order, or what ended the batch early.
func (b *keypairBatch) run(ctx context.Context, names []string, yield func(keypairFromView) error) error {
	making, stop := context.WithCancel(ctx)
	defer stop()
	var unread error
	for items := range b.make(making, names) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := b.deliver(ctx, items); err != nil {
			return err
		}
		b.bar.clear()
		for _, i := range items {
			if i.err != nil {
				b.failures.add(fmt.Errorf("making keypair %q: %w", i.name, i.err))
			}
			if unread == nil {
				unread = yield(b.view(i))
			}
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return b.failures.err("keypairs")
}

// make makes keypairs in the background until ctx ends. While one chunk is waiting for
// the disk, the next has the processors.
func (b *keypairBatch) make(ctx context.Context, names []string) <-chan []*keypairItem {
	made := make(chan []*keypairItem)
	go func() {
		defer close(made)
		for chunk := range slices.Chunk(names, keypairChunk) {
			items := make([]*keypairItem, len(chunk))
			parallel.Each(len(chunk), runtime.GOMAXPROCS(0), func(i int) {
				items[i] = b.prepare(ctx, chunk[i])
				b.bar.add(1)
			})
			select {
			case made <- items:
			case <-ctx.Done():
				return
			}
		}
	}()
	return made
}

// prepare makes a keypair, unless it is known already that it can't be kept.
func (b *keypairBatch) prepare(ctx context.Context, name string) *keypairItem {
	i := &keypairItem{name: name}
	if ctx.Err() != nil {
		i.err = ctx.Err()
		return i
	}
	have, err := b.svc.Keypair(ctx, b.maker.owner, name)
	switch {
	case err == nil && b.ifMissing && have.Type == string(b.maker.typ):
		i.result.Keypair = have
		return i
	case err == nil:
		i.err = fault.Errorf(fault.Exists, "user %q has a keypair %q already", b.maker.owner, name)
		return i
	case fault.KindOf(err) != fault.NotFound:
		i.err = err
		return i
	}
	if _, err := os.Lstat(filepath.Join(b.outDir, name+b.ending)); err == nil {
		i.err = fault.Errorf(fault.Exists, "%s exists", filepath.Join(b.outDir, name+b.ending))
		return i
	}
	made, err := b.maker.make()
	if err == nil {
		i.file = made.private
		if made.p12Maker != nil {
			i.file, err = made.encodeP12()
		}
	}
	if i.made, i.err = made, err; err != nil {
		i.made = nil
	}
	return i
}

// deliver records the public halves of what was made, and writes the private ones.
// The error is one that all of them met.
func (b *keypairBatch) deliver(ctx context.Context, items []*keypairItem) error {
	var made []*keypairItem
	var reqs []manager.AddKeypairRequest
	for _, i := range items {
		if i.made != nil {
			made, reqs = append(made, i), append(reqs, b.maker.request(i.name, i.made))
		}
	}
	if len(made) == 0 {
		return nil
	}
	results, err := b.svc.AddKeypairs(ctx, reqs)
	if err != nil {
		return err
	}
	var kept []*keypairItem
	var files []durable.File
	for n, i := range made {
		if i.result, i.err = results[n], results[n].Err; i.err == nil {
			kept, files = append(kept, i), append(files, durable.File{Name: i.name + b.ending, Data: i.file})
		}
	}
	for n, err := range b.dir.CreateAll(0o600, files) {
		if err == nil {
			continue
		}
		// Nobody has the private half: the public one is of no use.
		kept[n].err = err
		if _, undo := b.svc.DeleteKeypair(context.WithoutCancel(ctx), b.maker.owner, kept[n].name); undo != nil {
			return undo
		}
	}
	return nil
}

// keypairFromView is what became of one name, as "keypair-add --from" reports it.
type keypairFromView struct {
	Name        string `json:"name"`
	User        string `json:"user" table:"extra"`
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	File        string `json:"file"`         // the private half
	P12Password string `json:"p12_password"` // only if it was made up
	Error       string `json:"error"`
}

func (b *keypairBatch) view(i *keypairItem) keypairFromView {
	v := keypairFromView{Name: i.name, User: b.maker.owner, Type: string(b.maker.typ)}
	switch {
	case i.err != nil:
		v.Error = i.err.Error()
		return v
	case i.made != nil:
		v.File = filepath.Join(b.outDir, i.name+b.ending)
		if i.made.p12Maker != nil {
			v.P12Password = i.made.p12Maker.told()
		}
	}
	v.Fingerprint = i.result.Keypair.Fingerprint
	return v
}
