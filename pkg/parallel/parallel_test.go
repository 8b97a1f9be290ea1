package parallel_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"x509ctl/pkg/parallel"
)

// TestEach calls for each number once, and no more at once than there are workers.
func TestEach(t *testing.T) {
	for _, tc := range []struct{ n, workers int }{{0, 1}, {0, 4}, {1, 4}, {3, 4}, {4, 4}, {1000, 4}, {100, 1}, {10, 0}} {
		calls := make([]atomic.Int32, tc.n)
		var busy, most atomic.Int32
		parallel.Each(tc.n, tc.workers, func(i int) {
			now := busy.Add(1)
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			calls[i].Add(1)
			busy.Add(-1)
		})
		for i := range calls {
			if got := calls[i].Load(); got != 1 {
				t.Errorf("%d items, %d workers: %d calls for item %d", tc.n, tc.workers, got, i)
			}
		}
		if got := int(most.Load()); got > max(1, tc.workers) {
			t.Errorf("%d items, %d workers: %d at once", tc.n, tc.workers, got)
		}
	}
}

// TestEachAtOnce has calls that end only when all workers are in one.
func TestEachAtOnce(t *testing.T) {
	var all sync.WaitGroup
	all.Add(3)
	parallel.Each(3, 3, func(int) { all.Done(); all.Wait() })
}

// TestEachInOrder has one worker.
func TestEachInOrder(t *testing.T) {
	var got []int
	parallel.Each(4, 1, func(i int) { got = append(got, i) })
	if !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Error(got)
	}
}
