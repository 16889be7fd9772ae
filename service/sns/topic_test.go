package sns_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/google/go-cmp/cmp"
)

// What AWS shows of a topic, as LocalStack recorded it.
func TestTopicAttributes(t *testing.T) {
	h := start(t)
	topicARN := h.topic("t.fifo", "FifoTopic", "true", "DisplayName", "TestTopic", "SignatureVersion", "2")
	got := h.attributes(topicARN)
	for name, want := range map[string]string{
		"ContentBasedDeduplication": "false", "DisplayName": "TestTopic", "FifoTopic": "true", "Owner": home, "SignatureVersion": "2", "SubscriptionsConfirmed": "0", "SubscriptionsDeleted": "0",
		"SubscriptionsPending": "0", "TopicArn": topicARN,
		"EffectiveDeliveryPolicy": `{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,"numMaxDelayRetries":0,"numNoDelayRetries":0,` +
			`"numMinDelayRetries":0,"backoffFunction":"linear"},"disableSubscriptionOverrides":false,"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"}}}`,
	} {
		if got[name] != want {
			t.Errorf("%s is\n%s, want\n%s", name, got[name], want)
		}
		delete(got, name)
	}
	if p := got["Policy"]; !strings.HasPrefix(p, `{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow","Principal":{"AWS":"*"},`) ||
		!strings.HasSuffix(p, `"SNS:Publish"],"Resource":"`+topicARN+`","Condition":{"StringEquals":{"AWS:SourceOwner":"`+home+`"}}}]}`) {
		t.Errorf("the policy is %s", p)
	}
	if len(got) != 1 {
		t.Errorf("there are more attributes: %v", got)
	}
}

func TestCreateTopicAgain(t *testing.T) {
	h := start(t)
	create := func(name string, attributes map[string]string, tags ...string) error {
		in := &sns.CreateTopicInput{Name: &name, Attributes: attributes}
		for i := 0; i < len(tags); i += 2 {
			in.Tags = append(in.Tags, types.Tag{Key: &tags[i], Value: &tags[i+1]})
		}
		return answer(h.CreateTopic(t.Context(), in))
	}
	for _, err := range []error{create("t", nil, "a", "1"), create("t", nil), create("t", nil, "a", "1"), create("t", map[string]string{})} {
		if err != nil {
			t.Error(err)
		}
	}
	wantInvalid(t, create("t", nil, "a", "1", "b", "2"), "Tags Reason: Topic already exists with different tags")
	wantInvalid(t, create("t", nil, "a", "2"), "Tags Reason: Topic already exists with different tags")
	wantInvalid(t, create("t", map[string]string{"DisplayName": "x"}), "Attributes Reason: Topic already exists with different attributes")
	wantInvalid(t, create("t", nil, "a", "1", "a", "2"), "Duplicated keys are not allowed.")
	if err := h.set("arn:aws:sns:us-east-1:"+home+":t", "DisplayName", "x"); err != nil {
		t.Fatal(err)
	}
	if err := create("t", map[string]string{"DisplayName": "x"}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", strings.Repeat("x", 257), "a:b", "a;b", "a b", "a.fifo", "ä"} {
		wantInvalid(t, create(name, nil), "Topic Name")
	}
	wantError(t, create("a", map[string]string{"FifoTopic": "true"}), "InvalidParameter", 400, "Fifo Topic names must end with .fifo")
	wantInvalid(t, create("a", map[string]string{"Nonsense": "1"}), "Attributes Reason: Unknown attribute Nonsense")
	wantInvalid(t, create("a", map[string]string{"SignatureVersion": "3"}), "Attributes Reason: SignatureVersion: Invalid value [3]. Must be 1 or 2.")
	wantError(t, create("a", map[string]string{"HTTPSuccessFeedbackRoleArn": "x"}), "NotImplemented", 501, "HTTPSuccessFeedbackRoleArn")
	wantError(t, create("a.fifo", map[string]string{"FifoTopic": "true", "ArchivePolicy": "{}"}), "NotImplemented", 501, "ArchivePolicy")
	if err := create(strings.Repeat("x", 251)+".fifo", map[string]string{"FifoTopic": "true", "FifoThroughputScope": "MessageGroup", "ContentBasedDeduplication": "true"}); err != nil {
		t.Error(err)
	}
}

// Terraform gives every topic the rates at 0.
func TestFeedbackSampleRate(t *testing.T) {
	h := start(t)
	topicARN := h.topic("t")
	for _, value := range []string{"0", "100"} {
		if err := h.set(topicARN, "SQSSuccessFeedbackSampleRate", value); err != nil {
			t.Fatal(err)
		}
		if got := must(h.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &topicARN}))(t).Attributes["SQSSuccessFeedbackSampleRate"]; got != value {
			t.Errorf("the rate is %q, want %q", got, value)
		}
	}
	for _, value := range []string{"-1", "101", "all"} {
		wantInvalid(t, h.set(topicARN, "SQSSuccessFeedbackSampleRate", value), "SQSSuccessFeedbackSampleRate: Invalid value ["+value+"]. Must be from 0 to 100.")
	}
	wantError(t, h.set(topicARN, "SQSFailureFeedbackRoleArn", "x"), "NotImplemented", 501, "SQSFailureFeedbackRoleArn")
	if err := h.set(topicARN, "SQSFailureFeedbackRoleArn", ""); err != nil {
		t.Error(err)
	}
}

func TestDeleteTopic(t *testing.T) {
	h := start(t)
	topicARN, queueARN := h.topic("t"), h.queue("q")
	sub := h.subscribe(topicARN, "sqs", queueARN)
	for range 2 {
		if _, err := h.Client.DeleteTopic(t.Context(), &sns.DeleteTopicInput{TopicArn: &topicARN}); err != nil {
			t.Error(err)
		}
	}
	_, err := h.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &topicARN})
	wantError(t, err, "NotFound", 404, "Topic does not exist")
	h.topic("t")
	_, err = h.GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: &sub})
	wantError(t, err, "NotFound", 404, "Subscription does not exist")
	h.publish(topicARN, "text")
	h.none(queueARN)
	if l := must(h.ListSubscriptions(t.Context(), nil))(t).Subscriptions; len(l) != 0 {
		t.Errorf("subscriptions are left: %v", l)
	}
}

func TestDeliveryPolicy(t *testing.T) {
	h := start(t)
	topicARN := h.topic("t", "DeliveryPolicy", `{"http":{"defaultRequestPolicy":{"headerContentType":"application/json"}}}`)
	const shape = `{"http":{%s"disableSubscriptionOverrides":false%s}}`
	for _, tt := range []struct{ set, want, effective string }{
		{"", `{"http":{"disableSubscriptionOverrides":false,"defaultRequestPolicy":{"headerContentType":"application/json"}}}`, `application/json`},
		{`{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":6,"numRetries":1}}}`,
			`{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":6,"numRetries":1},"disableSubscriptionOverrides":false}}`, `"numRetries":1,"numMaxDelayRetries":0`},
		{`{"http":{"defaultHealthyRetryPolicy":null}}`, fmt.Sprintf(shape, "", ""), `"numRetries":3`},
	} {
		if tt.set != "" {
			if err := h.set(topicARN, "DeliveryPolicy", tt.set); err != nil {
				t.Fatal(err)
			}
		}
		if a := h.attributes(topicARN); a["DeliveryPolicy"] != tt.want || !strings.Contains(a["EffectiveDeliveryPolicy"], tt.effective) {
			t.Errorf("after %s: %s and %s", tt.set, a["DeliveryPolicy"], a["EffectiveDeliveryPolicy"])
		}
	}
	if err := h.set(topicARN, "DeliveryPolicy", ""); err != nil {
		t.Fatal(err)
	}
	if _, has := h.attributes(topicARN)["DeliveryPolicy"]; has {
		t.Error("the policy is still there")
	}
	for _, bad := range []string{
		`x`, `{}`, `{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":0}}}`, `{"http":{"defaultHealthyRetryPolicy":{"maxDelayTarget":4000}}}`,
		`{"http":{"defaultHealthyRetryPolicy":{"numRetries":101}}}`, `{"http":{"defaultHealthyRetryPolicy":{"numRetries":1,"numNoDelayRetries":2}}}`,
		`{"http":{"defaultHealthyRetryPolicy":{"backoffFunction":"magic"}}}`, `{"http":{"defaultRequestPolicy":{"headerContentType":"text/evil\r\nX-A: b"}}}`,
	} {
		wantError(t, h.set(topicARN, "DeliveryPolicy", bad), "InvalidParameter", 400, "DeliveryPolicy")
	}
}

func TestPermissions(t *testing.T) {
	h := start(t)
	topicARN, queueARN := h.topic("t"), h.queue("q")
	h.subscribe(topicARN, "sqs", queueARN, "RawMessageDelivery", "true")
	stranger := sns.NewFromConfig(h.User(other, "ann", allow("sns:*", "*")))
	publish := func(text string) error {
		return answer(stranger.Publish(t.Context(), &sns.PublishInput{TopicArn: &topicARN, Message: &text}))
	}
	wantError(t, publish("no"), "AuthorizationError", 403, "no resource-based policy allows the sns:Publish action")
	missing := topicARN + "x"
	wantError(t, answer(stranger.Publish(t.Context(), &sns.PublishInput{TopicArn: &missing, Message: aws.String("no")})), "AuthorizationError", 403, "")

	add := func(label, account, action string) error {
		return answer(h.AddPermission(t.Context(), &sns.AddPermissionInput{TopicArn: &topicARN, Label: &label, AWSAccountId: []string{account}, ActionName: []string{action}}))
	}
	if err := add("other", other, "Publish"); err != nil {
		t.Fatal(err)
	}
	wantInvalid(t, add("other", other, "Publish"), "Statement already exists")
	wantInvalid(t, add("x", other, "Dance"), "Policy statement action out of service scope!")
	wantInvalid(t, add("x", "12", "Publish"), "Policy Error: PrincipalNotFound")
	var p struct{ Statement []map[string]any }
	if err := json.Unmarshal([]byte(h.attributes(topicARN)["Policy"]), &p); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"Sid": "other", "Effect": "Allow", "Principal": map[string]any{"AWS": "arn:aws:iam::" + other + ":root"}, "Action": "SNS:Publish", "Resource": topicARN}
	if d := cmp.Diff(want, p.Statement[1]); d != "" {
		t.Errorf("the statement (-want +got):\n%s", d)
	}
	if err := publish("yes"); err != nil {
		t.Fatal(err)
	}
	if m := h.receive(queueARN, 1)[0]; *m.Body != "yes" {
		t.Errorf("the queue got %q", *m.Body)
	}
	if _, err := h.RemovePermission(t.Context(), &sns.RemovePermissionInput{TopicArn: &topicARN, Label: aws.String("other")}); err != nil {
		t.Fatal(err)
	}
	wantError(t, publish("no"), "AuthorizationError", 403, "")

	set := func(policy string) error { return h.set(topicARN, "Policy", policy) }
	wantError(t, set("{"), "InvalidParameter", 400, "Invalid parameter: Policy Error")
	wantInvalid(t, set(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sqs:SendMessage","Resource":"`+topicARN+`"}]}`), "Policy statement action out of service scope!")
	wantInvalid(t, set(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+other+`:user/nobody"},"Action":"sns:Publish","Resource":"`+topicARN+`"}]}`),
		"Policy Error: PrincipalNotFound")
	if err := set(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + other + `"},"Action":["sns:Subscribe","sns:Publish"],"Resource":"` + topicARN +
		`","Condition":{"StringEqualsIfExists":{"sns:Protocol":"sqs"},"StringLikeIfExists":{"sns:Endpoint":"arn:aws:sqs:*:` + other + `:*"}}}}`); err != nil {
		t.Fatal(err)
	}
	subscribe := func(endpoint string) (string, error) {
		out, err := stranger.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topicARN, Protocol: aws.String("sqs"), Endpoint: &endpoint})
		if err != nil {
			return "", err
		}
		return *out.SubscriptionArn, nil
	}
	_, err := subscribe(queueARN)
	wantError(t, err, "AuthorizationError", 403, "")
	sub, err := subscribe("arn:aws:sqs:us-east-1:" + other + ":theirs")
	if err != nil || !strings.HasPrefix(sub, topicARN+":") {
		t.Fatalf("subscribing a queue of one's own: %q, %v", sub, err)
	}
	if l := must(stranger.ListSubscriptions(t.Context(), nil))(t).Subscriptions; len(l) != 1 || *l[0].Owner != other {
		t.Errorf("the list is %v", l)
	}
	if _, err := stranger.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: &sub}); err != nil {
		t.Error(err)
	}
}

// A queue of another account is asked before it gets anything.
func TestQueueOfAnotherAccount(t *testing.T) {
	h := start(t)
	topicARN, queueARN := h.topic("t"), h.queue("q")
	theirs := sns.NewFromConfig(h.Root(other))
	if err := h.set(topicARN, "Policy", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"`+other+`"},"Action":"sns:Subscribe","Resource":"`+topicARN+`"}}`); err != nil {
		t.Fatal(err)
	}
	out := must(theirs.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topicARN, Protocol: aws.String("sqs"), Endpoint: &queueARN}))(t)
	if *out.SubscriptionArn != "pending confirmation" {
		t.Errorf("Subscribe returns %s", *out.SubscriptionArn)
	}
	e := open(t, *h.receive(queueARN, 1)[0].Body)
	verify(t, e)
	h.publish(topicARN, "too early")
	h.none(queueARN)
	if status, body := follow(t, e.SubscribeURL); status != 200 {
		t.Fatalf("the link answers %d %s", status, body)
	}
	h.publish(topicARN, "hello")
	if e := open(t, *h.receive(queueARN, 1)[0].Body); e.Message != "hello" {
		t.Errorf("the queue got %v", e)
	}
}

func TestEncryptedTopic(t *testing.T) {
	h := start(t)
	keys := kms.NewFromConfig(h.Config())
	key := *must(keys.CreateKey(t.Context(), nil))(t).KeyMetadata.KeyId
	topicARN, queueARN := h.topic("t", "KmsMasterKeyId", key), h.queue("q")
	h.subscribe(topicARN, "sqs", queueARN, "RawMessageDelivery", "true")
	h.publish(topicARN, "text")
	if m := h.receive(queueARN, 1)[0]; *m.Body != "text" {
		t.Errorf("the queue got %q", *m.Body)
	}
	found := false
	for _, e := range h.Trail(home) {
		found = found || e.EventName == "GenerateDataKey" && strings.Contains(string(e.Raw), `"aws:sns:topicArn":"`+topicARN+`"`) && strings.Contains(string(e.Raw), `"invokedBy":"sns.amazonaws.com"`)
	}
	if !found {
		t.Error("KMS was not asked")
	}
	publish := func(c *sns.Client) error {
		return answer(c.Publish(t.Context(), &sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x")}))
	}
	wantError(t, publish(sns.NewFromConfig(h.User(home, "ann", allow("sns:*", "*")))), "KMSAccessDenied", 400, "kms:GenerateDataKey")
	must(keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}))(t)
	wantError(t, publish(h.Client), "KMSDisabled", 400, "disabled")
	must(keys.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &key}))(t)
	wantError(t, publish(h.Client), "KMSInvalidState", 400, "pending deletion")
	if err := h.set(topicARN, "KmsMasterKeyId", "alias/none"); err != nil {
		t.Fatal(err)
	}
	wantError(t, publish(h.Client), "KMSNotFound", 400, "alias/none")
	h.none(queueARN)
}
