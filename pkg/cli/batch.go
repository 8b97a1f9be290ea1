package cli

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
)

// startBatchProgress begins a bar for a batch that takes a while.
func (a *app) startBatchProgress(total int, what string) *progress {
	if total <= batchChunk {
		return &progress{}
	}
	return a.startProgress(total, what)
}

// failures count what failed of a batch.
type failures struct {
	total, n int
	first    error
}

// add counts a failure. Calls come in the order of the inputs.
func (f *failures) add(err error) {
	if f.n++; f.n == 1 {
		f.first = err
	}
}

// err is nil when nothing failed, and the failure itself when there was one input
// only. what is the plural of an input.
func (f *failures) err(what string) error {
	if f.n == 0 || f.total == 1 {
		return f.first
	}
	return &batchError{*f, what}
}

// A batchError is a batch of which a part failed. It is of the kind of the first
// failure.
type batchError struct {
	failures
	what string
}

func (e *batchError) Error() string {
	return fmt.Sprintf("%d of %d %s failed, first of all: %v", e.n, e.total, e.what, e.first)
}

// Unwrap returns the first failure.
func (e *batchError) Unwrap() error { return e.first }

// complain tells of a failure that does not end the command.
func (a *app) complain(err error) {
	fmt.Fprintf(a.stderr, "x509ctl: error: %s\n", escape(err.Error()))
}

// batchChunk is how many files of a batch are worked on together.
const batchChunk = 500

// batchAhead is how many chunks are under way: while one waits for the disk,
// another has the processors.
const batchAhead = 3

// batchGarbage is how much garbage a batch may leave before it is collected, in per
// cent of what is alive. A chunk leaves a lot at once and little of it for long: with
// Go's default of 100, a tenth of the processors' time went into finding that out.
const batchGarbage = 400

// batchMemory is how much memory, in bytes, a batch may take for that: with more it is
// collected more often. It is twice what a batch of any length needs, in a cluster of
// some ten thousand nodes.
const batchMemory = 56 << 20

// inChunks works on inputs in the background, a few chunks at a time, and returns
// their results in order. So memory doesn't depend on how many there are. When ctx
// ends or stop says so, no further chunk is begun. A single chunk is worked on at
// once: for one input, goroutines would be a part of the cost that can be measured.
func inChunks[T any](ctx context.Context, inputs []input, stop func() bool, work func([]input) []T) iter.Seq[[]T] {
	if len(inputs) <= batchChunk {
		return func(yield func([]T) bool) { yield(work(inputs)) }
	}
	queue := make(chan chan []T, batchAhead-1)
	go func() {
		defer close(queue)
		for chunk := range slices.Chunk(inputs, batchChunk) {
			if ctx.Err() != nil || stop() {
				return
			}
			done := make(chan []T, 1)
			queue <- done
			go func() { done <- work(chunk) }()
		}
	}()
	return func(yield func([]T) bool) {
		defer debug.SetGCPercent(debug.SetGCPercent(batchGarbage))
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(batchMemory))
		more := true
		for done := range queue { // to the end: what was begun is finished
			results := <-done
			more = more && yield(results)
		}
	}
}
