package meter_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/meter"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func sent(queue string) meter.Series {
	return meter.Series{
		Account: "111122223333", Region: "eu-central-1", Namespace: "AWS/SQS", Name: "NumberOfMessagesSent", Unit: meter.Count,
		Dimensions: []meter.Dimension{{Name: "QueueName", Value: queue}},
	}
}

func TestTake(t *testing.T) {
	m := meter.New()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				m.Add(sent(fmt.Sprint(i%10)), noon.Add(time.Duration(i%2)*time.Minute), float64(i%3))
			}
		})
	}
	all.Wait()
	points := m.Take()
	if len(points) != 10 {
		t.Errorf("%d points", len(points))
	}
	count, sum := 0.0, 0.0
	for _, p := range points {
		count, sum = count+p.Count, sum+p.Sum
		if p.Min != 0 || p.Max != 2 || p.Minute != noon && p.Minute != noon.Add(time.Minute) || p.Series.Dimensions[0].Name != "QueueName" {
			t.Errorf("got %+v", p)
		}
	}
	if count != 8000 || sum != 8*999 {
		t.Errorf("%g numbers, their sum is %g", count, sum)
	}
	if rest := m.Take(); len(rest) != 0 {
		t.Errorf("taken twice: %v", rest)
	}
}

// TestTakeMeanwhile takes while numbers are added: nothing is lost, and no shard is read unlocked, the empty ones neither.
func TestTakeMeanwhile(t *testing.T) {
	m := meter.New()
	var adders sync.WaitGroup
	for i := range 4 {
		adders.Go(func() {
			for j := range 2000 {
				m.Add(sent(fmt.Sprint(i, j%50)), noon, 1)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		adders.Wait()
		close(done)
	}()
	count := 0.0
	for taking := true; taking; {
		select {
		case <-done:
			taking = false
		default:
		}
		for _, p := range m.Take() {
			count += p.Count
		}
	}
	if count != 8000 {
		t.Errorf("%g numbers of 8000", count)
	}
}

func TestGauge(t *testing.T) {
	m := meter.New()
	m.Collect(func(_ context.Context, _ time.Time, add meter.Adder) { add(sent("q"), 5) })
	m.Read(t.Context(), noon.Add(30*time.Second))
	if p := m.Take(); len(p) != 1 || p[0].Sum != 5 || p[0].Minute != noon {
		t.Errorf("got %+v", p)
	}
}

func TestBound(t *testing.T) {
	m := meter.New()
	for i := range 100_010 {
		m.Add(sent(fmt.Sprint(i)), noon, 1)
	}
	if n := len(m.Take()); n != 100_000 || m.Dropped() != 10 {
		t.Errorf("%d kept, %d dropped", n, m.Dropped())
	}
	m.Add(sent("again"), noon, 1)
	if n := len(m.Take()); n != 1 {
		t.Errorf("there is no room after a Take: %d", n)
	}
}

func TestNil(t *testing.T) {
	var m *meter.Meter
	m.Add(sent("q"), noon, 1)
	m.Collect(nil)
	m.Read(t.Context(), noon)
	if m.Take() != nil || m.Dropped() != 0 {
		t.Error("a nil meter has something")
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, series := range []int{1, 100} {
		b.Run(fmt.Sprint(series), func(b *testing.B) {
			m := meter.New()
			names := make([]string, series)
			for i := range names {
				names[i] = fmt.Sprint("queue-", i)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					m.Add(sent(names[i%series]), noon, float64(i%1000))
				}
			})
		})
	}
}
