// Package parallel shares the items of a batch out among goroutines. It is a package
// because files, signatures and the command line's work on each of many files are shared
// out in the same way, and none of these packages is one that the others should need.
package parallel

import (
	"sync"
	"sync/atomic"
)

// Each calls fn for 0 to n-1, in up to workers goroutines, and returns when all calls have.
// Whoever is free takes the next one, so calls need not take the same time. With one
// worker, or one item, it calls fn itself and in order. Without items it does nothing.
func Each(n, workers int, fn func(int)) {
	if workers = min(n, workers); workers <= 1 {
		for i := range n {
			fn(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	wg.Wait()
}
