package lambda

import (
	"testing"
	"time"
)

func TestQueuedEventMeans(t *testing.T) {
	made := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	f := &functionRecord{Created: made}
	for name, tt := range map[string]struct {
		made  time.Time
		means bool
	}{
		"TheSame": {made, true}, "MadeAgain": {made.Add(-time.Second), false}, "OfAnEarlierVersion": {time.Time{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&queuedEvent{Made: tt.made}).means(f); got != tt.means {
				t.Errorf("means: %v", got)
			}
		})
	}
}
