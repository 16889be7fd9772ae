package sns_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// webhook is a server that subscribes.
type webhook struct {
	*httptest.Server
	t        *testing.T
	requests chan request

	mu     sync.Mutex
	status []int // of the next answers; then 200
}

type request struct {
	header http.Header
	body   string
}

func newWebhook(t *testing.T) *webhook {
	w := &webhook{t: t, requests: make(chan request, 100)}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		status := http.StatusOK
		w.mu.Lock()
		if len(w.status) > 0 {
			status, w.status = w.status[0], w.status[1:]
		}
		w.mu.Unlock()
		w.requests <- request{r.Header, string(body)} // what the test says from here on is for the next
		rw.WriteHeader(status)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *webhook) answer(status ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = status
}

// next is the next request that the server gets.
func (w *webhook) next() request {
	w.t.Helper()
	select {
	case r := <-w.requests:
		return r
	case <-time.After(time.Minute):
		w.t.Fatal("the server was not asked")
	}
	return request{}
}

func (w *webhook) quiet(h *house) {
	w.t.Helper()
	h.Advance(time.Second)
	select {
	case r := <-w.requests:
		w.t.Errorf("the server was asked: %s", r.body)
	default:
	}
}

// follow opens a link without a signature.
func follow(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

// verify checks the signature of a message as AWS's documentation says.
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
func verify(t *testing.T, e envelope) {
	t.Helper()
	_, text := follow(t, e.SigningCertURL)
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("%s has no certificate: %s", e.SigningCertURL, text)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range [][2]string{
		{"Message", e.Message}, {"MessageId", e.MessageID}, {"Subject", e.Subject}, {"SubscribeURL", e.SubscribeURL}, {"Timestamp", e.Timestamp}, {"Token", e.Token}, {"TopicArn", e.TopicArn},
		{"Type", e.Type},
	} {
		if f[1] != "" {
			b.WriteString(f[0] + "\n" + f[1] + "\n")
		}
	}
	signature, err := base64.StdEncoding.DecodeString(e.Signature)
	if err != nil {
		t.Fatal(err)
	}
	key := cert.PublicKey.(*rsa.PublicKey)
	switch e.SignatureVersion {
	case "1":
		sum := sha1.Sum([]byte(b.String()))
		err = rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature)
	case "2":
		sum := sha256.Sum256([]byte(b.String()))
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
	default:
		t.Fatalf("the signature has version %q", e.SignatureVersion)
	}
	if err != nil {
		t.Errorf("the signature of %s %q does not verify: %v", e.Type, e.Message, err)
	}
}

// confirmed subscribes the server to a topic, and confirms that.
func (w *webhook) confirmed(h *house, topicARN string, attributes ...string) (arn string) {
	w.t.Helper()
	arn = h.subscribe(topicARN, "http", w.URL, attributes...)
	e := open(w.t, w.next().body)
	out, err := h.ConfirmSubscription(w.t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: &topicARN, Token: &e.Token})
	if err != nil || *out.SubscriptionArn != arn {
		w.t.Fatalf("confirming: %v", err)
	}
	return arn
}

func TestToServer(t *testing.T) {
	for _, version := range []string{"1", "2"} {
		t.Run(version, func(t *testing.T) {
			h, w := start(t), newWebhook(t)
			topicARN := h.topic("orders", "SignatureVersion", version)
			out := must(h.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topicARN, Protocol: aws.String("http"), Endpoint: &w.URL}))(t)
			if *out.SubscriptionArn != "pending confirmation" {
				t.Errorf("Subscribe returns %q", *out.SubscriptionArn)
			}
			r := w.next()
			e := open(t, r.body)
			if e.Type != "SubscriptionConfirmation" || r.header.Get("x-amz-sns-message-type") != "SubscriptionConfirmation" || r.header.Get("x-amz-sns-topic-arn") != topicARN ||
				r.header.Get("x-amz-sns-message-id") != e.MessageID || r.header.Get("Content-Type") != "text/plain; charset=UTF-8" || r.header.Get("x-amz-sns-subscription-arn") != "" ||
				e.SubscribeURL != h.URL+"/?Action=ConfirmSubscription&TopicArn="+topicARN+"&Token="+e.Token {
				t.Errorf("the server was asked %v %s", r.header, r.body)
			}
			verify(t, e)
			h.publish(topicARN, "too early")
			w.quiet(h)
			if l := must(h.ListSubscriptions(t.Context(), nil))(t).Subscriptions; len(l) != 1 || *l[0].SubscriptionArn != "PendingConfirmation" || *l[0].Endpoint != w.URL {
				t.Errorf("the list is %v", l)
			}
			if a := h.attributes(topicARN); a["SubscriptionsPending"] != "1" || a["SubscriptionsConfirmed"] != "0" {
				t.Errorf("the topic counts %v", a)
			}
			status, body := follow(t, e.SubscribeURL)
			found := regexp.MustCompile(`<SubscriptionArn>(` + topicARN + `:[0-9a-f-]{36})</SubscriptionArn>`).FindStringSubmatch(body)
			if status != 200 || found == nil {
				t.Fatalf("the link answers %d %s", status, body)
			}
			sub := found[1]
			if a := h.attributes(sub); a["PendingConfirmation"] != "false" || a["ConfirmationWasAuthenticated"] != "false" || a["Owner"] != home {
				t.Errorf("the subscription is %v", a)
			}
			if status, again := follow(t, e.SubscribeURL); status != 200 || !strings.Contains(again, sub) {
				t.Errorf("the link answers %d %s the second time", status, again)
			}

			h.publish(topicARN, "hello", func(in *sns.PublishInput) { in.Subject = aws.String("Greetings") })
			r = w.next()
			e = open(t, r.body)
			if e.Type != "Notification" || e.Message != "hello" || r.header.Get("x-amz-sns-subscription-arn") != sub || r.header.Get("x-amz-sns-rawdelivery") != "" ||
				r.header.Get("User-Agent") != "Amazon Simple Notification Service Agent" {
				t.Errorf("the server got %v %s", r.header, r.body)
			}
			verify(t, e)

			status, body = follow(t, e.UnsubscribeURL)
			if status != 200 || !strings.Contains(body, "UnsubscribeResponse") {
				t.Errorf("the link answers %d %s", status, body)
			}
			r = w.next()
			e = open(t, r.body)
			if e.Type != "UnsubscribeConfirmation" || r.header.Get("x-amz-sns-subscription-arn") != sub {
				t.Errorf("the server was told %v %s", r.header, r.body)
			}
			verify(t, e)
			h.publish(topicARN, "nobody listens")
			w.quiet(h)
			if a := h.attributes(topicARN); a["SubscriptionsDeleted"] != "1" || a["SubscriptionsConfirmed"] != "0" {
				t.Errorf("the topic counts %v", a)
			}
			if status, body := follow(t, e.SubscribeURL); status != 200 || !strings.Contains(body, sub) {
				t.Errorf("restoring answers %d %s", status, body)
			}
			h.publish(topicARN, "again")
			if e := open(t, w.next().body); e.Message != "again" {
				t.Errorf("the server got %v", e)
			}
		})
	}
}

func TestRawToServer(t *testing.T) {
	h, w := start(t), newWebhook(t)
	topicARN := h.topic("orders", "DeliveryPolicy", `{"http":{"defaultRequestPolicy":{"headerContentType":"application/json"}}}`)
	w.confirmed(h, topicARN, "RawMessageDelivery", "true")
	h.publish(topicARN, `{"a":1}`, func(in *sns.PublishInput) {
		in.MessageAttributes = map[string]types.MessageAttributeValue{"a": {DataType: aws.String("String"), StringValue: aws.String("v")}}
	})
	if r := w.next(); r.body != `{"a":1}` || r.header.Get("x-amz-sns-rawdelivery") != "true" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("the server got %v %s", r.header, r.body)
	}
}

func TestTokens(t *testing.T) {
	h, w := start(t), newWebhook(t)
	topicARN := h.topic("orders")
	sub := h.subscribe(topicARN, "http", w.URL)
	token := open(t, w.next().body).Token
	confirm := func(topicARN, token, authenticate string) error {
		_, err := h.ConfirmSubscription(t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: &topicARN, Token: &token, AuthenticateOnUnsubscribe: aws.String(authenticate)})
		return err
	}
	wantError(t, confirm(topicARN, "randomtoken", ""), "InvalidParameter", 400, "Invalid token")
	wantInvalid(t, confirm(topicARN, strings.Repeat("ab", 64), ""), "Token")
	wantInvalid(t, confirm(topicARN+"x", token, ""), "Token")
	wantInvalid(t, confirm("x", token, ""), "Topic")
	wantInvalid(t, confirm(strings.Replace(topicARN, "us-east-1", "eu-west-1", 1), token, ""), "Topic")
	if status, body := follow(t, h.URL+"/?Action=ConfirmSubscription&AuthenticateOnUnsubscribe=true&TopicArn="+topicARN+"&Token="+token); status != 403 {
		t.Errorf("who is not known asks for more than they may: %d %s", status, body)
	}
	if err := confirm(topicARN, token, "true"); err != nil {
		t.Fatal(err)
	}
	if a := h.attributes(sub); a["ConfirmationWasAuthenticated"] != "true" {
		t.Errorf("the subscription is %v", a)
	}
	if status, body := follow(t, h.URL+"/?Action=Unsubscribe&SubscriptionArn="+sub); status != 403 || !strings.Contains(body, "AuthorizationError") {
		t.Errorf("who is not known ends a subscription: %d %s", status, body)
	}
	if _, err := h.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: &sub}); err != nil {
		t.Error(err)
	}

	t.Run("Expire", func(t *testing.T) {
		sub := h.subscribe(topicARN, "http", w.URL+"/late")
		token := open(t, w.next().body).Token
		h.Advance(71 * time.Hour)
		if h.attributes(sub)["PendingConfirmation"] != "true" {
			t.Error("a subscription did not wait for its confirmation")
		}
		h.Advance(2 * time.Hour)
		wantInvalid(t, confirm(topicARN, token, ""), "Token")
		_, err := h.GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: &sub})
		wantError(t, err, "NotFound", 404, "Subscription does not exist")
	})
	t.Run("QueuesNeedASignature", func(t *testing.T) {
		queueARN := h.queue("in")
		sub := h.subscribe(topicARN, "sqs", queueARN)
		if status, _ := follow(t, h.URL+"/?Action=Unsubscribe&SubscriptionArn="+sub); status != 403 {
			t.Errorf("a link ends a subscription that nobody was sent one of: %d", status)
		}
	})
}

// A server that does not take a message is asked again as the delivery policy says, and then its dead-letter queue gets it. What comes later waits for its turn.
func TestRetries(t *testing.T) {
	h, w := start(t), newWebhook(t)
	topicARN, dead := h.topic("orders"), h.queue("dead")
	w.confirmed(h, topicARN, "RedrivePolicy", `{"deadLetterTargetArn":"`+dead+`"}`, "RawMessageDelivery", "true",
		"DeliveryPolicy", `{"healthyRetryPolicy":{"numRetries":3,"numNoDelayRetries":1,"minDelayTarget":10,"maxDelayTarget":30,"numMinDelayRetries":1,"numMaxDelayRetries":1}}`)
	w.answer(500, 503, 429, 500)
	h.publish(topicARN, "first")
	h.publish(topicARN, "second")
	want := func(text string) {
		t.Helper()
		if r := w.next(); r.body != text {
			t.Errorf("the server got %q, want %q", r.body, text)
		}
	}
	want("first")
	want("first") // at once
	w.quiet(h)
	h.Advance(10 * time.Second)
	want("first")
	h.Advance(10 * time.Second)
	w.quiet(h)
	h.Advance(20 * time.Second)
	want("first")
	want("second")
	if m := h.receive(dead, 1)[0]; *m.Body != "first" {
		t.Errorf("the dead letter is %q", *m.Body)
	}

	t.Run("NotForWhatWillNotChange", func(t *testing.T) {
		w.answer(404)
		h.publish(topicARN, "third")
		want("third")
		if m := h.receive(dead, 1)[0]; *m.Body != "third" || *m.MessageAttributes["ErrorCode"].StringValue != "404" ||
			*m.MessageAttributes["ErrorMessage"].StringValue != "the server answered with status 404" || *m.MessageAttributes["RequestID"].StringValue == "" {
			t.Errorf("the dead letter is %q with %v", *m.Body, m.MessageAttributes)
		}
		h.Advance(time.Hour)
		w.quiet(h)
	})
	t.Run("RedirectIsNotFollowed", func(t *testing.T) {
		w.answer(307)
		h.publish(topicARN, "fourth")
		want("fourth")
		if m := h.receive(dead, 1)[0]; *m.Body != "fourth" || *m.MessageAttributes["ErrorCode"].StringValue != "Redirected" {
			t.Errorf("the dead letter is %q with %v", *m.Body, m.MessageAttributes)
		}
	})
	t.Run("ReasonBesideOwnAttributes", func(t *testing.T) {
		w.answer(400)
		own := make(map[string]types.MessageAttributeValue)
		for _, name := range strings.Fields("ErrorCode b c d e f g h i") {
			own[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String("mine")}
		}
		h.publish(topicARN, "fifth", func(in *sns.PublishInput) { in.MessageAttributes = own })
		want("fifth")
		a := h.receive(dead, 1)[0].MessageAttributes
		if len(a) != 10 || *a["ErrorCode"].StringValue != "mine" || *a["ErrorMessage"].StringValue != "the server answered with status 400" {
			t.Errorf("the dead letter has %v", a)
		}
	})
}

// The password in a server's URL is for the server.
func TestPasswordInURL(t *testing.T) {
	h := start(t)
	seen := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		seen <- user + " " + password + " " + r.URL.String()
	}))
	defer server.Close()
	topicARN, host := h.topic("orders"), strings.TrimPrefix(server.URL, "http://")
	sub := h.subscribe(topicARN, "http", "http://ann:pass%20phrase@"+host+"/in?a=b")
	if got := <-seen; got != "ann pass phrase /in?a=b" {
		t.Errorf("the server saw %q", got)
	}
	if got, want := h.attributes(sub)["Endpoint"], "http://ann:****@"+host+"/in?a=b"; got != want {
		t.Errorf("the endpoint is shown as %q, want %q", got, want)
	}
	if l := must(h.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &topicARN}))(t).Subscriptions; strings.Contains(*l[0].Endpoint, "phrase") {
		t.Errorf("the list tells %q", *l[0].Endpoint)
	}
}

// Addresses inside are not reached, whoever names them.
func TestInsideIsNotReached(t *testing.T) {
	h := start(t)
	topicARN := h.topic("orders")
	for _, url := range []string{"http://169.254.169.254/latest", "http://10.0.0.1/", "http://[::1]:9/", "http://0.0.0.0:9/"} {
		h.subscribe(topicARN, "http", url)
	}
	h.Advance(time.Hour) // all confirmations are given up: Advance would not return if one waited for an answer
	for _, url := range []string{"ftp://example.com", "https://example.com", "http://", "x", "http://exa mple.com"} {
		_, err := h.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topicARN, Protocol: aws.String("http"), Endpoint: &url})
		wantInvalid(t, err, "Endpoint must match the specified protocol")
	}
}
