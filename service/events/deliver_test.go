package events_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func TestInputs(t *testing.T) {
	h := start(t)
	for name, target := range map[string]types.Target{
		`{"constant":true}`: {Input: aws.String(`{"constant":true}`)},
		`{"b":"baz"}`:       {InputPath: aws.String("$.detail.a")},
		`"baz"`:             {InputPath: aws.String("$.detail.a.b")},
		`"The order of shop is baz, and  is missing"`: {InputTransformer: &types.InputTransformer{
			InputPathsMap: map[string]string{"s": "$.source", "b": "$.detail.a.b", "x": "$.detail.x"}, InputTemplate: aws.String(`"The order of <s> is <b>, and <x> is missing"`),
		}},
		`{"rule":"` + ruleARN + `r3"}`: {InputTransformer: &types.InputTransformer{InputTemplate: aws.String(`{"rule":<aws.events.rule-arn>}`)}},
	} {
		t.Run(name, func(t *testing.T) {
			q := h.queue(home, fmt.Sprintf("q%d", len(name)), true)
			target.Arn = aws.String(q.arn())
			h.rule(h.Client, "", "r3", shop, target)
			h.put(h.Client, entry(`{"a":{"b":"baz"}}`))
			if got := q.bodies(); len(got) != 1 || got[0] != name {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestFIFO(t *testing.T) {
	h := start(t)
	q := h.queue(home, "q.fifo", true)
	target := to(q)
	target.SqsParameters = &types.SqsParameters{MessageGroupId: aws.String("g")}
	h.rule(h.Client, "", "r", shop, target)
	for i := range 20 {
		h.put(h.Client, entry(fmt.Sprintf(`{"n":%d}`, i)))
	}
	for i, body := range q.bodies() {
		if got := string(read(t, body).Detail); got != fmt.Sprintf(`{"n":%d}`, i) {
			t.Errorf("event %d is %s", i, got)
		}
	}
}

// A rule in one account triggers a queue in another only when both policies allow: that of the role, and that of the queue.
func TestQueueOfAnotherAccount(t *testing.T) {
	h := start(t)
	q, dead := h.queue(other, "q", false), h.queue(home, "dead", true)
	role := func(policies ...string) *string { return aws.String(h.Role(home, "sender", trusting, policies...)) }
	target := to(q)
	target.DeadLetterConfig = &types.DeadLetterConfig{Arn: aws.String(dead.arn())}
	target.RoleArn = role()
	h.rule(h.Client, "", "r", shop, target)
	open := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"sqs:SendMessage","Resource":"%s"}}`, *target.RoleArn, q.arn())
	shut := strings.Replace(open, `"Allow"`, `"Deny"`, 1)
	for _, tt := range []struct {
		name, policy string
		may          bool
		wants        bool
	}{
		{"Neither", shut, false, false}, {"RoleOnly", shut, true, false}, {"QueueOnly", open, false, false}, {"Both", open, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q.policy(tt.policy)
			if role(); tt.may {
				role(allow("sqs:SendMessage", q.arn()))
			}
			h.put(h.Client, entry(`{}`))
			arrived, buried := q.bodies(), dead.take()
			if tt.wants {
				if len(arrived) != 1 || len(buried) != 0 {
					t.Errorf("%d arrived, %d are dead", len(arrived), len(buried))
				}
				return
			}
			if len(arrived) != 0 || len(buried) != 1 {
				t.Fatalf("%d arrived, %d are dead", len(arrived), len(buried))
			}
			for name, want := range map[string]string{"RULE_ARN": ruleARN + "r", "TARGET_ARN": q.arn(), "ERROR_CODE": "NO_PERMISSIONS", "RETRY_ATTEMPTS": "0"} {
				if got := buried[0].MessageAttributes[name]; got.StringValue == nil || *got.StringValue != want {
					t.Errorf("%s is %v, want %s", name, got, want)
				}
			}
			if text := buried[0].MessageAttributes["ERROR_MESSAGE"]; text.StringValue == nil || !strings.Contains(*text.StringValue, "sqs:SendMessage") {
				t.Errorf("ERROR_MESSAGE is %v", text)
			}
		})
	}
}

func TestDeadLetters(t *testing.T) {
	h := start(t)
	dead := h.queue(home, "dead", true)
	letters := &types.DeadLetterConfig{Arn: aws.String(dead.arn())}
	h.rule(h.Client, "", "r", shop,
		types.Target{Arn: aws.String("arn:aws:sqs:us-east-1:" + home + ":gone"), DeadLetterConfig: letters},
		types.Target{Arn: aws.String("arn:aws:sqs:us-east-1:" + home + ":gone2")},                                    // it vanishes
		types.Target{Arn: aws.String("arn:aws:lambda:us-east-1:" + home + ":function:f"), DeadLetterConfig: letters}, // is not there to let anybody in
		types.Target{Arn: aws.String(busARN + "gone"), DeadLetterConfig: letters},
		types.Target{Arn: aws.String("arn:aws:sqs:us-east-1:" + home + ":gone3"), DeadLetterConfig: &types.DeadLetterConfig{Arn: aws.String("arn:aws:sqs:us-east-1:" + home + ":nodead")}},
	)
	h.put(h.Client, entry(`{"n":1}`))
	codes := make(map[string]string)
	for _, m := range dead.take() {
		if string(read(t, *m.Body).Detail) != `{"n":1}` {
			t.Errorf("buried %s", *m.Body)
		}
		codes[*m.MessageAttributes["TARGET_ARN"].StringValue] = *m.MessageAttributes["ERROR_CODE"].StringValue
	}
	want := map[string]string{
		"arn:aws:sqs:us-east-1:" + home + ":gone": "NO_RESOURCE", "arn:aws:lambda:us-east-1:" + home + ":function:f": "NO_PERMISSIONS", busARN + "gone": "NO_RESOURCE",
	}
	if fmt.Sprint(codes) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", codes, want)
	}
}

// Events go from bus to bus once, into other accounts and regions too, as they are.
func TestBusToBus(t *testing.T) {
	h := start(t)
	for _, name := range []string{"a", "b", "c"} {
		must(h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: &name}))(t)
	}
	q, dead := h.queue(home, "q", true), h.queue(home, "dead", true)
	letters := &types.DeadLetterConfig{Arn: aws.String(dead.arn())}
	h.rule(h.Client, "a", "on", shop, types.Target{Arn: aws.String(busARN + "b"), DeadLetterConfig: letters})
	h.rule(h.Client, "b", "on", shop, to(q), types.Target{Arn: aws.String(busARN + "c"), DeadLetterConfig: letters})
	h.rule(h.Client, "c", "on", shop, to(q))
	e := entry(`{}`)
	e.EventBusName = aws.String("a")
	id := *h.put(h.Client, e).Entries[0].EventId
	if got := q.bodies(); len(got) != 1 || read(t, got[0]).ID != id {
		t.Errorf("got %v", got)
	}
	if got := dead.take(); len(got) != 1 || *got[0].MessageAttributes["ERROR_CODE"].StringValue != "THIRD_ACCOUNT_HOP_DETECTED" {
		t.Errorf("buried %v", got)
	}

	theirs := eventbridge.NewFromConfig(h.Root(other))
	their := h.queue(other, "q", true)
	h.rule(theirs, "", "on", shop, to(their))
	theirBus := "arn:aws:events:us-east-1:" + other + ":event-bus/default"
	h.rule(h.Client, "b", "out", shop, types.Target{Arn: &theirBus, DeadLetterConfig: letters})
	e.EventBusName = aws.String("b")
	h.put(h.Client, e)
	if got := their.bodies(); len(got) != 0 {
		t.Errorf("got %v without permission", got)
	}
	must(theirs.PutPermission(t.Context(), &eventbridge.PutPermissionInput{Action: aws.String("events:PutEvents"), Principal: aws.String(home), StatementId: aws.String("a")}))(t)
	h.put(h.Client, e)
	if got := their.bodies(); len(got) != 1 || read(t, got[0]).Account != home {
		t.Errorf("got %v with permission", got)
	}

	cfg := h.Config()
	cfg.Region = "eu-west-1"
	far := eventbridge.NewFromConfig(cfg)
	role := h.Role(home, "across", trusting, allow("events:PutEvents", "*"))
	// What has crossed is not sent on to the queue of another region; a rule there hears it.
	must(far.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("far"), EventPattern: aws.String(shop)}))(t)
	must(far.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("far"), Targets: []types.Target{{
		Id: aws.String("0"), Arn: aws.String(busARN + "default"), RoleArn: &role, DeadLetterConfig: letters,
	}}}))(t)
	h.rule(h.Client, "c", "far", shop, types.Target{Arn: aws.String("arn:aws:events:eu-west-1:" + home + ":event-bus/default"), RoleArn: &role})
	dead.take()
	e.EventBusName = aws.String("c")
	h.put(h.Client, e)
	if got := dead.take(); len(got) != 1 || *got[0].MessageAttributes["ERROR_CODE"].StringValue != "THIRD_REGION_HOP_DETECTED" || read(t, *got[0].Body).Region != "us-east-1" {
		t.Errorf("buried %v", got)
	}
}

// What waits on a bus with a key of KMS is encrypted under it. Without the key nothing comes to targets; the bus's dead-letter queue gets it.
func TestKey(t *testing.T) {
	h := start(t)
	keys := kms.NewFromConfig(h.Config())
	key := must(keys.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + home + `:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"*",
		 "Condition":{"StringEquals":{"kms:EncryptionContext:aws:events:event-bus:arn":"` + busARN + `mine","aws:SourceArn":"` + busARN + `mine"}}}]}`)}))(t).KeyMetadata
	q, dead := h.queue(home, "q", true), h.queue(home, "dead", true)
	must(h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{
		Name: aws.String("mine"), KmsKeyIdentifier: key.Arn, DeadLetterConfig: &types.DeadLetterConfig{Arn: aws.String(dead.arn())},
	}))(t)
	h.rule(h.Client, "mine", "r", shop, to(q))
	e := entry(`{}`)
	e.EventBusName = aws.String("mine")
	h.put(h.Client, e)
	if n := len(q.take()); n != 1 {
		t.Fatalf("%d messages", n)
	}
	must(keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key.KeyId}))(t)
	h.Advance(6 * 60e9) // until the data key is used no more
	h.put(h.Client, e)
	if got := dead.take(); len(q.take()) != 0 || len(got) != 1 || *got[0].MessageAttributes["EVENT_BUS_ARN"].StringValue != busARN+"mine" {
		t.Errorf("buried %v", got)
	}
	_, err := h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String("yours"), KmsKeyIdentifier: key.Arn})
	wantError(t, err, "ValidationException", "Parameter KmsKeyIdentifier is not valid.")
}

// An event that many targets want comes to all of them, although their parcels do not fit into one transaction.
func TestSpread(t *testing.T) {
	h := start(t)
	q := h.queue(home, "q", true)
	const rules = 10
	for i := range rules {
		h.rule(h.Client, "", fmt.Sprintf("r%d", i), shop, to(q), to(q), to(q), to(q), to(q))
	}
	large := entry(`{"text":"` + strings.Repeat("x", 100<<10) + `"}`)
	h.put(h.Client, large)
	if n := len(q.take()); n != rules*5 {
		t.Errorf("%d of %d messages arrived", n, rules*5)
	}

	// So does one that comes from another bus.
	for _, name := range []string{"from", "to"} {
		must(h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: &name}))(t)
	}
	h.rule(h.Client, "from", "on", shop, types.Target{Arn: aws.String(busARN + "to")})
	const more = 30
	for i := range more {
		h.rule(h.Client, "to", fmt.Sprintf("r%d", i), shop, to(q), to(q), to(q), to(q), to(q))
	}
	large.EventBusName = aws.String("from")
	h.put(h.Client, large)
	if n := len(q.take()); n != more*5 {
		t.Errorf("%d of %d messages arrived from another bus", n, more*5)
	}
}

// What fails for a reason that may pass is tried again: here EventBridge may not decrypt, until the key's policy lets it.
func TestRetry(t *testing.T) {
	h := start(t)
	keys := kms.NewFromConfig(h.Config())
	policy := func(actions string) *string {
		return aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + home + `:root"},"Action":"kms:*","Resource":"*"},
			{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":` + actions + `,"Resource":"*"}]}`)
	}
	key := must(keys.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: policy(`"kms:GenerateDataKey"`)}))(t).KeyMetadata
	must(h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String("mine"), KmsKeyIdentifier: key.Arn}))(t)
	q := h.queue(home, "q", true)
	h.rule(h.Client, "mine", "r", shop, to(q))
	e := entry(`{}`)
	e.EventBusName = aws.String("mine")
	h.put(h.Client, e)
	if n := len(q.take()); n != 0 {
		t.Fatalf("%d messages, and nobody could decrypt", n)
	}
	must(keys.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key.KeyId, Policy: policy(`"kms:*"`)}))(t)
	h.Advance(time.Minute)
	if n := len(q.take()); n != 1 {
		t.Errorf("%d messages after a retry", n)
	}
}

// An event that was tried as often, or for as long, as its target wants lands in the dead-letter queue with which of them it was.
func TestExhausted(t *testing.T) {
	h := start(t)
	q, dead := h.queue(home, "dead", true), h.queue(home, "buried", true)
	connection := must(h.CreateConnection(t.Context(), &eventbridge.CreateConnectionInput{
		Name: aws.String("c"), AuthorizationType: types.ConnectionAuthorizationTypeApiKey,
		AuthParameters: &types.CreateConnectionAuthRequestParameters{ApiKeyAuthParameters: &types.CreateConnectionApiKeyAuthRequestParameters{ApiKeyName: aws.String("k"), ApiKeyValue: aws.String("v")}},
	}))(t)
	destination := must(h.CreateApiDestination(t.Context(), &eventbridge.CreateApiDestinationInput{
		Name: aws.String("d"), ConnectionArn: connection.ConnectionArn, HttpMethod: types.ApiDestinationHttpMethodPost, InvocationEndpoint: aws.String("https://127.0.0.1:1/"),
	}))(t)
	must(h.DeauthorizeConnection(t.Context(), &eventbridge.DeauthorizeConnectionInput{Name: aws.String("c")}))(t)
	role := h.Role(home, "caller", trusting, allow("events:InvokeApiDestination", "*"))
	target := func(dead *queue, policy types.RetryPolicy) types.Target {
		return types.Target{Arn: destination.ApiDestinationArn, RoleArn: &role, RetryPolicy: &policy, DeadLetterConfig: &types.DeadLetterConfig{Arn: aws.String(dead.arn())}}
	}
	h.rule(h.Client, "", "r", shop, target(q, types.RetryPolicy{MaximumRetryAttempts: aws.Int32(2)}), target(dead, types.RetryPolicy{MaximumEventAgeInSeconds: aws.Int32(60)}))
	h.put(h.Client, entry(`{}`))
	h.Advance(10 * time.Minute)
	for _, tt := range []struct {
		q                   *queue
		condition, attempts string
	}{{q, "MaximumRetryAttempts", "2"}, {dead, "MaximumEventAgeInSeconds", "6"}} {
		got := tt.q.take()
		if len(got) != 1 {
			t.Fatalf("%s: %d messages", tt.condition, len(got))
		}
		for name, want := range map[string]string{"EXHAUSTED_RETRY_CONDITION": tt.condition, "RETRY_ATTEMPTS": tt.attempts, "ERROR_CODE": "CONNECTION_NOT_AUTHORIZED"} {
			if a := got[0].MessageAttributes[name]; a.StringValue == nil || *a.StringValue != want {
				t.Errorf("%s: %s is %v, want %s", tt.condition, name, aws.ToString(a.StringValue), want)
			}
		}
	}
}

// What waits for a target that is removed does not come to one that is put in its place, which waits for nothing itself.
func TestRemovedTarget(t *testing.T) {
	h := start(t)
	keys := kms.NewFromConfig(h.Config())
	policy := func(actions string) *string {
		return aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + home + `:root"},"Action":"kms:*","Resource":"*"},
			{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":` + actions + `,"Resource":"*"}]}`)
	}
	key := must(keys.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: policy(`"kms:GenerateDataKey"`)}))(t).KeyMetadata
	must(h.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String("mine"), KmsKeyIdentifier: key.Arn}))(t)
	q := h.queue(home, "q", true)
	h.rule(h.Client, "mine", "r", shop, to(q))
	e := entry(`{"old":true}`)
	e.EventBusName = aws.String("mine")
	const waiting = 110 // more than go with the target at once
	for range waiting / 10 {
		h.put(h.Client, e, e, e, e, e, e, e, e, e, e)
	}
	if n := len(q.take()); n != 0 {
		t.Fatalf("%d messages, and nobody could decrypt", n)
	}
	must(h.RemoveTargets(t.Context(), &eventbridge.RemoveTargetsInput{EventBusName: e.EventBusName, Rule: aws.String("r"), Ids: []string{"0"}}))(t)
	must(keys.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key.KeyId, Policy: policy(`"kms:*"`)}))(t)
	h.rule(h.Client, "mine", "r", shop, to(q))
	e.Detail = aws.String(`{"old":false}`)
	h.put(h.Client, e)
	if got := q.bodies(); len(got) != 1 || string(read(t, got[0]).Detail) != *e.Detail {
		t.Errorf("got %d: %v", len(got), got)
	}
	h.Advance(time.Minute)
	if n := len(q.take()); n != 0 {
		t.Errorf("%d messages of the former target", n)
	}
}
