package sns

import (
	"testing"
	"time"
)

func FuzzDeliveryPolicy(f *testing.F) {
	for _, s := range []string{
		`{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":6,"numRetries":1}}}`, `{"http":null}`, `{"http":{"defaultHealthyRetryPolicy":{"numRetries":1e9}}}`,
		`{"healthyRetryPolicy":{"numRetries":100,"numNoDelayRetries":1,"backoffFunction":"exponential"},"requestPolicy":{"headerContentType":"text/csv"}}`, `[]`, `null`, `"x"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if shown, err := parseTopicPolicy(text); err == nil && shown != "" {
			if again, err := parseTopicPolicy(shown); err != nil || again != shown {
				t.Errorf("%q is shown as %q, which is read as %q, %v", text, shown, again, err)
			}
		}
		shown, err := parseSubscriptionPolicy(text)
		if err != nil || shown == "" {
			return
		}
		r := subscriptionRecord{Attributes: map[string]string{"DeliveryPolicy": shown}}
		p := r.deliveryPolicy((&topic{topicRecord: &topicRecord{}}).deliveryPolicy()).HealthyRetryPolicy.filled()
		for i := range *p.NumRetries + 2 {
			if d := p.delay(i + 1); d < 0 || d > time.Hour {
				t.Errorf("%q waits %s before retry %d", text, d, i+1)
			}
		}
	})
}

func FuzzStructure(f *testing.F) {
	for _, s := range []string{`{"default":"x","sqs":"y"}`, `{"default":null}`, `{"default":"a","default":"b"}`, `[]`, `{`, `null`, "{\"default\":\"\xff\"}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if m := new(message); m.structured(text) == nil && m.Body == nil {
			t.Errorf("%q has no text", text)
		}
	})
}

func FuzzRedrivePolicy(f *testing.F) {
	for _, s := range []string{`{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111122223333:q"}`, `{i`, `{`, ``, `{"deadLetterTargetArn":1}`, "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { _, _ = parseRedrivePolicy(text) })
}

// The four phases of a policy, in the example of AWS's documentation: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
func TestDelays(t *testing.T) {
	n := func(i int) *int { return &i }
	p := (&retryPolicy{
		MinDelayTarget: n(1), MaxDelayTarget: n(60), NumRetries: n(50), NumNoDelayRetries: n(3), NumMinDelayRetries: n(2), NumMaxDelayRetries: n(35), BackoffFunction: "exponential",
	}).filled()
	for retry, want := range map[int]time.Duration{1: 0, 3: 0, 4: time.Second, 5: time.Second, 6: time.Second, 15: time.Minute, 16: time.Minute, 50: time.Minute} {
		if got := p.delay(retry); got != want {
			t.Errorf("retry %d comes after %s, want %s", retry, got, want)
		}
	}
	for _, function := range []string{"linear", "arithmetic", "geometric", "exponential"} {
		p.BackoffFunction = function
		for retry := 7; retry <= 15; retry++ {
			if p.delay(retry) < p.delay(retry-1) {
				t.Errorf("%s: the delay before retry %d is less than the one before", function, retry)
			}
		}
	}
}
