package cli

import (
	"github.com/schollz/progressbar/v3"
)

// progress shows on a terminal how far a batch is. The zero progress shows nothing.
type progress struct{ bar *progressbar.ProgressBar }

// startProgress begins a bar of total steps on stderr, if that is a terminal. From
// now on a signal stops the batch rather than the process.
func (a *app) startProgress(total int, what string) *progress {
	a.catchSignals()
	if !a.isTerminal(a.stderr) {
		return &progress{}
	}
	return &progress{progressbar.NewOptions(total,
		progressbar.OptionSetWriter(a.stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionEnableColorCodes(!a.plain()),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionFullWidth(),
		progressbar.OptionThrottle(100e6), // nanoseconds
		progressbar.OptionClearOnFinish(),
	)}
}

// add tells of n more steps. Any goroutine may call it.
func (p *progress) add(n int) {
	if p.bar != nil {
		_ = p.bar.Add(n) // a terminal that can't be written to is no reason to stop
	}
}

// describe says what is being worked on.
func (p *progress) describe(what string) {
	if p.bar != nil {
		p.bar.Describe(what)
	}
}

// clear removes the bar until the next step, so that something can be printed.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// done removes the bar.
func (p *progress) done() {
	if p != nil && p.bar != nil {
		_ = p.bar.Finish()
	}
}
