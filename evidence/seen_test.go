package evidence

import (
	"fmt"
	"testing"
	"time"
)

func TestSawManyKeys(t *testing.T) {
	var trace Trace
	trace.Begin(New(Config{}), time.Time{}, nil)
	for _, n := range []int{3, few, 1000, 5} {
		trace.Ask()
		for range 3 {
			for i := range n {
				trace.Saw(fmt.Sprint("aws:requesttag/", i), []string{"v"}, true)
			}
		}
		if len(trace.seen) != n || len(trace.values) != n {
			t.Errorf("%d keys with %d values were seen, want %d", len(trace.seen), len(trace.values), n)
		}
	}
}
