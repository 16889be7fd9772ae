package stories_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/mail"
)

// queue is a queue and its client.
type queue struct {
	t        *testing.T
	client   *sqs.Client
	url, arn string
}

// newQueue makes a queue that a service may send to on behalf of a resource, or nobody but its account if service is empty.
func newQueue(t *testing.T, cfg aws.Config, name, service, source string) *queue {
	t.Helper()
	q := &queue{t: t, client: sqs.NewFromConfig(cfg, withoutMD5)}
	q.url = *must(q.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name}))(t).QueueUrl
	q.arn = must(q.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn},
	}))(t).Attributes["QueueArn"]
	if service != "" {
		q.allow(service, source)
	}
	return q
}

func (q *queue) allow(service, source string) {
	q.t.Helper()
	must(q.client.SetQueueAttributes(q.t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &q.url, Attributes: map[string]string{"Policy": fmt.Sprintf(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":%q},"Action":"sqs:SendMessage","Resource":%q,"Condition":{"ArnEquals":{"aws:SourceArn":%q}}}]}`,
		service, q.arn, source)}}))(q.t)
}

// receive takes as many messages as are wanted out of the queue, or a few more, unless nothing comes for a minute.
func (q *queue) receive(want int) (bodies []string) {
	q.t.Helper()
	for empty := 0; len(bodies) < want && empty < 12; {
		some := q.poll()
		if len(some) == 0 {
			empty++
			continue
		}
		bodies, empty = append(bodies, some...), 0
	}
	return bodies
}

// poll takes up to ten messages out of the queue, and waits five seconds for the first.
func (q *queue) poll() (bodies []string) {
	q.t.Helper()
	out := must(q.client.ReceiveMessage(q.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q.url, MaxNumberOfMessages: 10, WaitTimeSeconds: 5}))(q.t)
	if len(out.Messages) == 0 {
		return nil
	}
	var gone []sqstypes.DeleteMessageBatchRequestEntry
	for i, m := range out.Messages {
		bodies = append(bodies, *m.Body)
		gone = append(gone, sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle})
	}
	must(q.client.DeleteMessageBatch(q.t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: gone}))(q.t)
	return bodies
}

// busRule makes a rule of a bus with queues and topics as targets.
func busRule(t *testing.T, e *eventbridge.Client, bus, name, pattern string, targets ...string) {
	t.Helper()
	must(e.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: &name, EventBusName: &bus, EventPattern: &pattern}))(t)
	in := &eventbridge.PutTargetsInput{Rule: &name, EventBusName: &bus}
	for i, arn := range targets {
		in.Targets = append(in.Targets, eventtypes.Target{Id: aws.String("target-" + strconv.Itoa(i)), Arn: aws.String(arn)})
	}
	if out := must(e.PutTargets(t.Context(), in))(t); out.FailedEntryCount != 0 {
		t.Fatalf("PutTargets: %v", *out.FailedEntries[0].ErrorMessage)
	}
}

// notification is what SNS posts.
type notification struct {
	Type, MessageId, TopicArn, Subject, Message, Timestamp, Token, SubscribeURL, SignatureVersion, Signature, SigningCertURL string
}

// verify checks the signature as AWS documents it, with the certificate from the endpoint.
func (n *notification) verify(t *testing.T, endpoint string) {
	t.Helper()
	u, err := url.Parse(n.SigningCertURL)
	if err != nil {
		t.Fatal(err)
	}
	resp := must(http.Get(endpoint + u.Path))(t)
	defer resp.Body.Close()
	block, _ := pem.Decode(must(io.ReadAll(resp.Body))(t))
	if block == nil {
		t.Fatalf("%s holds no certificate", n.SigningCertURL)
	}
	key := must(x509.ParseCertificate(block.Bytes))(t).PublicKey.(*rsa.PublicKey)
	var text strings.Builder
	for _, field := range [][2]string{
		{"Message", n.Message}, {"MessageId", n.MessageId}, {"Subject", n.Subject}, {"SubscribeURL", n.SubscribeURL}, {"Timestamp", n.Timestamp}, {"Token", n.Token},
		{"TopicArn", n.TopicArn}, {"Type", n.Type},
	} {
		if field[1] != "" {
			text.WriteString(field[0] + "\n" + field[1] + "\n")
		}
	}
	signature := must(base64.StdEncoding.DecodeString(n.Signature))(t)
	hash := sha256.Sum256([]byte(text.String()))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, hash[:], signature); err != nil || n.SignatureVersion != "2" {
		t.Errorf("the signature, version %s, of a %s: %v", n.SignatureVersion, n.Type, err)
	}
}

// webhook is a server that SNS posts to.
func webhook(t *testing.T) (at string, posted <-chan notification) {
	t.Helper()
	all := make(chan notification, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n notification
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil || n.Type != r.Header.Get("x-amz-sns-message-type") {
			t.Errorf("posted what is no notification: %v", err)
		}
		all <- n
	}))
	t.Cleanup(server.Close)
	return server.URL, all
}

// mailbox is an SMTP server that keeps the mails it is given.
func mailbox(t *testing.T) (at string, mails <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	all := make(chan string, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveMail(conn, all)
		}
	}()
	return l.Addr().String(), all
}

func serveMail(conn net.Conn, mails chan<- string) {
	defer conn.Close()
	c := textproto.NewConn(conn)
	say := func(line string) { _ = c.PrintfLine("%s", line) }
	say("220 mailbox")
	for {
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "DATA":
			say("354 go on")
			text, err := io.ReadAll(c.DotReader())
			if err != nil {
				return
			}
			mails <- string(text)
			say("250 kept")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

func next[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Minute):
		t.Fatalf("no %s came", what)
		panic("not reached")
	}
}

// A key that is scheduled for deletion is known to whoever asked to be told: by a queue, a webhook and a mail.
func TestAKeysDeletionReachesQueueWebhookAndMail(t *testing.T) {
	smtp, mails := mailbox(t)
	hook, posted := webhook(t)
	server := must(mail.New(mail.Config{Server: smtp, From: "holdfast@example.com"}))(t)
	c := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Mail = server })
	events, topics := eventbridge.NewFromConfig(c.Config()), sns.NewFromConfig(c.Config())
	arn := "arn:aws:events:us-east-1:" + c.Account + ":rule/deletions"
	q := newQueue(t, c.Config(), "deletions", "events.amazonaws.com", arn)
	topic := *must(topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("deletions"), Attributes: map[string]string{"SignatureVersion": "2", "Policy": fmt.Sprintf(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sns:Publish","Resource":"arn:aws:sns:us-east-1:%s:deletions"}]}`, c.Account)}}))(t).TopicArn
	must(topics.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("http"), Endpoint: &hook}))(t)
	confirm := next(t, posted, "confirmation")
	confirm.verify(t, c.URL)
	must(topics.ConfirmSubscription(t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: &confirm.Token}))(t)
	must(topics.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("email"), Endpoint: aws.String("ops@example.com")}))(t)
	visit(t, next(t, mails, "mail to confirm"))

	logTrail(t, c)
	busRule(t, events, "default", "deletions", `{"source":["aws.kms"],"detail":{"eventName":["ScheduleKeyDeletion"]}}`, q.arn, topic)
	k := kms.NewFromConfig(c.Config())
	key := newKey(t, k)
	must(k.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key.KeyId, PendingWindowInDays: aws.Int32(7)}))(t)

	is := func(what, event string) {
		t.Helper()
		var e struct {
			Source     string `json:"source"`
			DetailType string `json:"detail-type"`
			Detail     struct {
				RequestParameters struct{ KeyID string }
				EventName         string
			}
		}
		if err := json.Unmarshal([]byte(event), &e); err != nil || e.Source != "aws.kms" || e.DetailType != "AWS API Call via CloudTrail" || e.Detail.EventName != "ScheduleKeyDeletion" ||
			e.Detail.RequestParameters.KeyID != *key.KeyId {
			t.Errorf("%s got %s", what, event)
		}
	}
	bodies := q.receive(1)
	if len(bodies) != 1 {
		t.Fatalf("the queue got %d messages", len(bodies))
	}
	is("the queue", bodies[0])
	n := next(t, posted, "notification")
	n.verify(t, c.URL)
	is("the webhook", n.Message)
	if text := next(t, mails, "mail"); !strings.Contains(strings.NewReplacer("=\n", "", "=\r\n", "").Replace(text), *key.KeyId) || !strings.Contains(text, "ops@example.com") {
		t.Errorf("the mail is\n%s", text)
	}

	// And what the deletion itself is, a week later.
	busRule(t, events, "default", "deletions", `{"source":["aws.kms"],"detail-type":["KMS CMK Deletion"]}`, q.arn)
	c.Advance(8 * 24 * time.Hour)
	bodies = q.receive(1)
	if len(bodies) != 1 || !strings.Contains(bodies[0], `"key-id":"`+*key.KeyId+`"`) {
		t.Errorf("of the deletion itself the queue got %q", bodies)
	}
}

// visit opens the link of a mail.
func visit(t *testing.T, mail string) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(strings.NewReplacer("=\n", "", "=\r\n", "", "=3D", "=").Replace(mail)))
	for lines.Scan() {
		if _, link, found := strings.Cut(lines.Text(), "http://"); found {
			link, _, _ = strings.Cut(link, " ")
			resp := must(http.Get("http://" + strings.Trim(link, "<>\"")))(t)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("the link of the mail answers %s", resp.Status)
			}
			return
		}
	}
	t.Fatalf("the mail has no link:\n%s", mail)
}

// logTrail makes a trail that logs, without which there are no events of API calls.
func logTrail(t *testing.T, c *cloudtest.Cloud) {
	t.Helper()
	b := newTrailBucket(t, c.Config(), "calls")
	b.trail(t, c.Account, "calls", "", "", false)
}

// Ten thousand events that were accepted arrive, though the server is killed while they are on their way.
func TestEventsInFlightSurviveKills(t *testing.T) {
	const account, all, perCall = "000000000000", 10_000, 10
	p := newServer(t, "--dev").start()
	p.id, p.secret = account, "anything"
	cfg := p.config("us-east-1")
	q := newQueue(t, cfg, "arrivals", "events.amazonaws.com", "arn:aws:events:us-east-1:"+account+":rule/all")
	busRule(t, eventbridge.NewFromConfig(cfg), "default", "all", `{"source":["orchard"]}`, q.arn)
	numbers := make(chan int, all/perCall)
	for n := range all / perCall {
		numbers <- n * perCall
	}
	close(numbers)
	var accepted sync.Map
	put := func(e *eventbridge.Client, from int) error {
		in := &eventbridge.PutEventsInput{}
		for n := range perCall {
			in.Entries = append(in.Entries, eventtypes.PutEventsRequestEntry{
				Source: aws.String("orchard"), DetailType: aws.String("Apple Picked"), Detail: aws.String(fmt.Sprintf(`{"n":%d}`, from+n)),
			})
		}
		out, err := e.PutEvents(context.Background(), in)
		if err == nil && out.FailedEntryCount == 0 {
			for n := range perCall {
				accepted.Store(from+n, true)
			}
		}
		return err
	}
	var writers sync.WaitGroup
	var alive sync.RWMutex // held while the server is killed and started again
	again := func() { alive.RLock(); defer alive.RUnlock() }
	for range 8 {
		writers.Go(func() {
			e := eventbridge.NewFromConfig(cfg)
			for from := range numbers {
				for put(e, from) != nil { // nobody knows whether it was accepted: again
					again()
				}
			}
		})
	}
	for range 5 {
		time.Sleep(300 * time.Millisecond)
		alive.Lock()
		p.kill()
		p.start()
		alive.Unlock()
	}
	writers.Wait()
	p.kill() // what is in flight now is left to the next life
	p.start()
	arrived := make(map[int]bool)
	for len(arrived) < all {
		bodies := q.receive(1)
		if len(bodies) == 0 {
			break
		}
		for _, b := range bodies {
			var e struct{ Detail struct{ N int } }
			if err := json.Unmarshal([]byte(b), &e); err != nil {
				t.Fatal(err)
			}
			arrived[e.Detail.N] = true
		}
	}
	for n := range all {
		if _, ok := accepted.Load(n); !ok || !arrived[n] {
			t.Errorf("event %d: accepted %t, arrived %t", n, ok, arrived[n])
		}
	}
}

// A rule triggers a queue of another account only if the rule's account lets the events out, and the queue lets them in.
func TestARuleReachesAnotherAccountsQueueWhenBothAllow(t *testing.T) {
	const other = "444455556666"
	for name, both := range map[string]struct{ out, in, arrives bool }{
		"Neither":      {},
		"OnlyTheRole":  {out: true},
		"OnlyTheQueue": {in: true},
		"BothSides":    {out: true, in: true, arrives: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := cloudtest.Start(t)
			allowed := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}]}`
			if !both.out {
				allowed = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:ListQueues","Resource":"*"}]}`
			}
			role := c.Role(c.Account, "sender", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sts:AssumeRole"}]}`, allowed)
			q := newQueue(t, c.Root(other), "visitors", "", "")
			if both.in {
				must(q.client.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &q.url, Attributes: map[string]string{"Policy": fmt.Sprintf(
					`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":"sqs:SendMessage","Resource":%q}]}`, role, q.arn)}}))(t)
			}
			dead := newQueue(t, c.Config(), "dead", "events.amazonaws.com", "arn:aws:events:us-east-1:"+c.Account+":rule/visits")
			e := eventbridge.NewFromConfig(c.Config())
			must(e.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("visits"), EventPattern: aws.String(`{"source":["orchard"]}`)}))(t)
			must(e.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("visits"), Targets: []eventtypes.Target{{
				Id: aws.String("there"), Arn: &q.arn, RoleArn: &role, DeadLetterConfig: &eventtypes.DeadLetterConfig{Arn: &dead.arn},
			}}}))(t)
			must(e.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{
				Source: aws.String("orchard"), DetailType: aws.String("Visit"), Detail: aws.String(`{"guest":"wasp"}`),
			}}}))(t)
			got := q
			if !both.arrives {
				got = dead
			}
			if bodies := got.receive(1); len(bodies) != 1 || !strings.Contains(bodies[0], "wasp") {
				t.Errorf("got %q", bodies)
			}
		})
	}
}

// An archive keeps what came by, and a replay brings a day of it back, in order.
func TestAnArchiveReplaysADay(t *testing.T) {
	c := cloudtest.Start(t)
	e := eventbridge.NewFromConfig(c.Config())
	q := newQueue(t, c.Config(), "again", "events.amazonaws.com", "arn:aws:events:us-east-1:"+c.Account+":rule/again")
	bus := "arn:aws:events:us-east-1:" + c.Account + ":event-bus/default"
	archive := *must(e.CreateArchive(t.Context(), &eventbridge.CreateArchiveInput{ArchiveName: aws.String("all"), EventSourceArn: &bus}))(t).ArchiveArn
	var day [2]time.Time
	for hour := range 72 {
		if hour == 24 || hour == 48 {
			day[hour/24-1] = c.Clock.Now()
		}
		must(e.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{
			Source: aws.String("tower"), DetailType: aws.String("Bell"), Detail: aws.String(fmt.Sprintf(`{"hour":%d}`, hour)),
		}}}))(t)
		c.Advance(time.Hour)
	}
	busRule(t, e, "default", "again", `{"source":["tower"]}`, q.arn)
	must(e.StartReplay(t.Context(), &eventbridge.StartReplayInput{
		ReplayName: aws.String("second-day"), EventSourceArn: &archive, EventStartTime: &day[0], EventEndTime: &day[1],
		Destination: &eventtypes.ReplayDestination{Arn: &bus},
	}))(t)
	c.Advance(time.Hour)
	bodies := append(q.receive(24), q.poll()...)
	for i, b := range bodies {
		var event struct {
			Detail     struct{ Hour int }
			ReplayName string `json:"replay-name"`
		}
		if err := json.Unmarshal([]byte(b), &event); err != nil || event.Detail.Hour != 24+i || event.ReplayName != "second-day" {
			t.Errorf("event %d of the replay is %s", i, b)
		}
	}
	if len(bodies) != 24 {
		t.Errorf("%d events came back, want 24", len(bodies))
	}
	if s := must(e.DescribeReplay(t.Context(), &eventbridge.DescribeReplayInput{ReplayName: aws.String("second-day")}))(t).State; s != eventtypes.ReplayStateCompleted {
		t.Errorf("the replay is %s", s)
	}
}

// must is the value of a call that has to succeed.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
