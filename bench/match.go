package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/eventpattern"
)

// matchedEvent is an event of EC2 as EventBridge delivers it, with an array of objects.
const matchedEvent = `{"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"EC2 Instance State-change Notification","source":"aws.ec2",` +
	`"account":"123456789012","time":"2026-11-11T21:29:54Z","region":"us-east-1","resources":["arn:aws:ec2:us-east-1:123456789012:instance/i-000008"],` +
	`"detail":{"instance-id":"i-000008","state":"running","name":"web-12-a.example.com","ip":"10.0.5.7","count":17,"owner":"OWNER-14","group":"g-22",` +
	`"tags":[{"key":"team","value":"x"},{"key":"cost","value":"t5"},{"key":"team","value":"t5"}]}}`

// rulePattern is the pattern of rule i: all operators take turns, and few rules match the event.
func rulePattern(i int) string {
	switch i % 9 {
	case 0:
		return fmt.Sprintf(`{"source":["aws.ec2"],"detail":{"instance-id":["i-%06d"],"state":["running","stopped"]}}`, i)
	case 1:
		return fmt.Sprintf(`{"source":["aws.s3"],"detail":{"bucket":{"name":["bucket-%d"]},"object":{"key":[{"prefix":"in/%d/"}]}}}`, i%100, i)
	case 2:
		return fmt.Sprintf(`{"source":["aws.ec2"],"detail":{"count":[{"numeric":[">",%d,"<=",%d]}]}}`, i+20, i+30)
	case 3:
		return fmt.Sprintf(`{"account":["%012d"],"detail":{"state":[{"anything-but":["running"]}]}}`, i)
	case 4:
		return fmt.Sprintf(`{"source":["aws.ec2"],"detail":{"name":[{"wildcard":"web-%d-*.example.com"}]}}`, i)
	case 5:
		return fmt.Sprintf(`{"detail":{"ip":[{"cidr":"10.%d.%d.0/24"}],"tags":{"key":["team"],"value":["t%d"]}}}`, i/256%256, i%256, i)
	case 6:
		return fmt.Sprintf(`{"source":["aws.ec2"],"detail":{"$or":[{"owner":[{"equals-ignore-case":"Owner-%d"}]},{"group":[{"suffix":"-%d"}]}]}}`, i, i)
	case 7:
		return fmt.Sprintf(`{"detail":{"name":[{"wildcard":"*-%d.example*"}]}}`, i)
	default:
		return fmt.Sprintf(`{"source":["aws.ec2"],"detail-type":[{"prefix":"EC2"}],"detail":{"count":[%d],"gone":[{"exists":false}]}}`, i*1000)
	}
}

// matchTable prints how many events a second one processor matches with all rules of a bus.
func matchTable(_ context.Context, o options) error {
	fmt.Printf("## Matching events\n\nOne goroutine, an event of %d bytes, rules of all operators in turn. The floor decodes the event with encoding/json and looks at nothing in it.\n\n"+
		"| rules | matched | µs/event | events/s per core | of the floor |\n| ---: | ---: | ---: | ---: | ---: |\n", len(matchedEvent))
	event := []byte(matchedEvent)
	floor := fastest(o.seconds, func() {
		var v any
		if err := json.Unmarshal(event, &v); err != nil {
			panic(err)
		}
	})
	fmt.Printf("| floor | | %.2f | %.0f | 1.00 |\n", floor*1e6, 1/floor)
	for _, n := range []int{1, 100, 10_000} {
		set := eventpattern.NewSet[int]()
		for i := range n {
			p, err := eventpattern.Compile(rulePattern(i))
			if err != nil {
				return err
			}
			set.Add(i, p)
		}
		begin := time.Now()
		m := set.Matcher()
		made := time.Since(begin)
		each := fastest(o.seconds, func() { m.Match(event) })
		fmt.Printf("| %d | %d | %.2f | %.0f | %.2f |\n", n, len(m.Match(event)), each*1e6, 1/each, each/floor)
		if n == 10_000 {
			fmt.Printf("\nAfter a change, the first event waits until the automaton is made anew: %s for %d rules.\n", short(made), n)
		}
	}
	fmt.Println()
	return nil
}

// fastest is how long a call of do takes, in seconds, in the fastest of many short stretches: what other processes do to the rest weighs little.
func fastest(d time.Duration, do func()) float64 {
	const stretch = 200
	best := math.Inf(1)
	for begin := time.Now(); time.Since(begin) < d; {
		from := time.Now()
		for range stretch {
			do()
		}
		best = min(best, time.Since(from).Seconds()/stretch)
	}
	return best
}
