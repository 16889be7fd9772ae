package eventpattern

import (
	"fmt"
	"sync"
	"testing"
)

// ruled is a set of n rules like those that users have, of which few match one event.
func ruled(t testing.TB, n int) *Set[int] {
	set := NewSet[int]()
	for i := range n {
		p, err := Compile(ruleText(i))
		if err != nil {
			t.Fatal(err)
		}
		set.Add(i, p)
	}
	return set
}

func ruleText(i int) string {
	switch i % 9 {
	case 0:
		return fmt.Sprintf(`{"source":["aws.ec2"],"detail-type":["State"],"detail":{"instance-id":["i-%06d"],"state":["running","stopped"]}}`, i)
	case 1:
		return fmt.Sprintf(`{"source":["aws.s3"],"detail":{"bucket":{"name":["bucket-%d"]},"object":{"key":[{"prefix":"in/%d/"}]}}}`, i%100, i)
	case 2:
		return fmt.Sprintf(`{"source":["app.%d"],"detail":{"amount":[{"numeric":[">",%d,"<=",%d]}]}}`, i%50, i, i+10)
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
		return fmt.Sprintf(`{"source":["aws.ec2"],"detail-type":[{"prefix":"St"}],"detail":{"id":[%d],"gone":[{"exists":false}]}}`, i)
	}
}

const ruledEvent = `{"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"State","source":"aws.ec2","account":"000000000003",` +
	`"time":"2026-11-11T21:29:54Z","region":"us-east-1","resources":["arn:aws:ec2:us-east-1:123456789012:instance/i-000008"],` +
	`"detail":{"instance-id":"i-000008","state":"running","name":"web-12-a.example.com","ip":"10.0.5.7","id":17,"amount":12.5,` +
	`"owner":"OWNER-14","group":"g-22","tags":[{"key":"team","value":"x"},{"key":"cost","value":"t5"},{"key":"team","value":"t5"}]}}`

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := ruled(b, n).Matcher()
			b.ReportAllocs()
			for b.Loop() {
				m.Match([]byte(ruledEvent))
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	for b.Loop() {
		ruled(b, 10_000).Matcher()
	}
}

// Rules come and go while events are matched, and what a matcher finds is what was in the set when it was made.
func TestSetWhileMatching(t *testing.T) {
	set := ruled(t, 64)
	old := set.Matcher()
	want := old.Match([]byte(ruledEvent))
	if len(want) == 0 {
		t.Fatal("nothing matches")
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				if got := old.Match([]byte(ruledEvent)); len(got) != len(want) {
					t.Errorf("a matcher finds %v, and found %v", got, want)
				}
				if got := set.Matcher().Match([]byte(ruledEvent)); len(got) < len(want) {
					t.Errorf("the newest matcher finds %v, less than %v", got, want)
				}
			}
		})
	}
	p, err := Compile(`{"source":["aws.ec2"]}`)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		set.Add(1000+i, p)
		if got := set.Matcher().Match([]byte(ruledEvent)); len(got) != len(want)+1 {
			t.Errorf("%v are found, want one more than %v", got, want)
		}
		set.Remove(1000 + i)
	}
	all.Wait()
	if got := set.Matcher().Match([]byte(ruledEvent)); len(got) != len(want) || set.Len() != 64 {
		t.Errorf("%v are found, want %v", got, want)
	}
}

// A pattern that is put again under its key takes the place of the earlier one.
func TestSetReplace(t *testing.T) {
	set := NewSet[string]()
	add := func(text string) {
		p, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		set.Add("r", p)
	}
	add(`{"a":[1]}`)
	add(`{"a":[2]}`)
	if got := set.Matcher().Match([]byte(`{"a":1}`)); got != nil {
		t.Errorf("the old pattern finds %v", got)
	}
	if got := set.Matcher().Match([]byte(`{"a":2}`)); len(got) != 1 {
		t.Errorf("the new pattern finds %v", got)
	}
}
