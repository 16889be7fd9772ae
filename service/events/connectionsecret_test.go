package events_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const linkedRole = "AWSServiceRoleForAmazonEventBridgeApiDestinations"

// connection describes the connection c.
func (h *house) connection() *eventbridge.DescribeConnectionOutput {
	h.t.Helper()
	return must(h.DescribeConnection(h.t.Context(), &eventbridge.DescribeConnectionInput{Name: aws.String("c")}))(h.t)
}

// said is what the secret of the connection c says.
func (h *house) said() *secretsmanager.GetSecretValueOutput {
	h.t.Helper()
	return must(secretsmanager.NewFromConfig(h.Config()).GetSecretValue(h.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: h.connection().SecretArn}))(h.t)
}

// newPassword is a request for another password of the connection c.
func newPassword(text string) *eventbridge.UpdateConnectionInput {
	return &eventbridge.UpdateConnectionInput{Name: aws.String("c"), AuthParameters: &types.UpdateConnectionAuthRequestParameters{
		BasicAuthParameters: &types.UpdateConnectionBasicAuthRequestParameters{Password: &text},
	}}
}

// connectionKey is a key of KMS, with the tag that lets EventBridge use it for connections or without.
func (h *house) connectionKey(tagged bool) *kmstypes.KeyMetadata {
	h.t.Helper()
	in := &kms.CreateKeyInput{}
	if tagged {
		in.Tags = []kmstypes.Tag{{TagKey: aws.String("EventBridgeApiDestinations"), TagValue: aws.String("true")}}
	}
	return must(kms.NewFromConfig(h.Config()).CreateKey(h.t.Context(), in))(h.t).KeyMetadata
}

// The secret of a connection has AWS's name, and says what AWS's says, as recorded on 6 December 2024.
func TestConnectionSecret(t *testing.T) {
	w := newWeb(t)
	key := &eventbridge.CreateConnectionInput{Name: aws.String("c"), AuthorizationType: types.ConnectionAuthorizationTypeApiKey, AuthParameters: &types.CreateConnectionAuthRequestParameters{
		ApiKeyAuthParameters:     &types.CreateConnectionApiKeyAuthRequestParameters{ApiKeyName: aws.String("x-key"), ApiKeyValue: aws.String(password)},
		InvocationHttpParameters: &types.ConnectionHttpParameters{},
	}}
	headed := basic("c")
	headed.AuthParameters.InvocationHttpParameters = &types.ConnectionHttpParameters{
		HeaderParameters: []types.ConnectionHeaderParameter{{Key: aws.String("X-Team"), Value: aws.String("red"), IsValueSecret: true}},
	}
	for name, tt := range map[string]struct {
		in   *eventbridge.CreateConnectionInput
		want string
	}{
		"Basic":      {basic("c"), `{"username":"ann","password":"` + password + `"}`},
		"Parameters": {headed, `{"username":"ann","password":"` + password + `","invocation_http_parameters":{"header_parameters":[{"key":"X-Team","value":"red","is_value_secret":true}]}}`},
		"APIKey":     {key, `{"api_key_name":"x-key","api_key_value":"` + password + `","invocation_http_parameters":{}}`},
		"OAuth": {oauth(w), `{"client_id":"me","client_secret":"` + password + `","authorization_endpoint":"` + w.URL + `/token","http_method":"POST",` +
			`"oauth_http_parameters":{"body_parameters":[{"key":"scope","value":"orders","is_value_secret":false}]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t)
			tt.in.KmsKeyIdentifier = h.connectionKey(true).Arn
			must(h.CreateConnection(t.Context(), tt.in))(t)
			n, said := h.connection(), h.said()
			if *said.SecretString != tt.want {
				t.Errorf("the secret says %s, want %s", *said.SecretString, tt.want)
			}
			id := regexp.MustCompile(`^events!connection/c/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$`)
			if !id.MatchString(*said.Name) || *n.SecretArn != *said.ARN || *n.KmsKeyIdentifier != *tt.in.KmsKeyIdentifier {
				t.Errorf("the connection has the secret %s, the key %s; the secret is %s", *n.SecretArn, *n.KmsKeyIdentifier, *said.Name)
			}
			about := must(secretsmanager.NewFromConfig(h.Config()).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: n.SecretArn}))(t)
			if aws.ToString(about.OwningService) != "events" || aws.ToString(about.KmsKeyId) != *tt.in.KmsKeyIdentifier {
				t.Errorf("the secret belongs to %v and has the key %v", about.OwningService, about.KmsKeyId)
			}
			text, err := json.Marshal(n)
			if err != nil || strings.Contains(string(text), password) || strings.Contains(string(text), `"red"`) {
				t.Errorf("%v; DescribeConnection tells %s", err, text)
			}
		})
	}
}

// The secret follows its connection.
func TestConnectionSecretFollows(t *testing.T) {
	h := start(t)
	secrets := secretsmanager.NewFromConfig(h.Config())
	must(h.CreateConnection(t.Context(), basic("c")))(t)
	first := h.said()
	must(h.UpdateConnection(t.Context(), &eventbridge.UpdateConnectionInput{Name: aws.String("c"), Description: aws.String("ours")}))(t)
	if got := h.said(); *got.VersionId != *first.VersionId {
		t.Errorf("a description has changed the secret")
	}
	must(h.UpdateConnection(t.Context(), newPassword("new")))(t)
	if got := h.said(); *got.ARN != *first.ARN || *got.SecretString != `{"username":"ann","password":"new"}` {
		t.Errorf("after an update %s says %s", *got.ARN, *got.SecretString)
	}
	key := h.connectionKey(true)
	must(h.UpdateConnection(t.Context(), &eventbridge.UpdateConnectionInput{Name: aws.String("c"), KmsKeyIdentifier: key.KeyId}))(t)
	about := must(secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: first.ARN}))(t)
	if got := h.said(); *got.SecretString != `{"username":"ann","password":"new"}` || *about.KmsKeyId != *key.KeyId || *h.connection().KmsKeyIdentifier != *key.KeyId {
		t.Errorf("under another key, %v, it says %s", about.KmsKeyId, *got.SecretString)
	}
	must(h.UpdateConnection(t.Context(), &eventbridge.UpdateConnectionInput{Name: aws.String("c"), KmsKeyIdentifier: aws.String("")}))(t)
	about = must(secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: first.ARN}))(t)
	if about.KmsKeyId != nil || h.connection().KmsKeyIdentifier != nil {
		t.Errorf("with a key no more it has %v", about.KmsKeyId)
	}
	gone := func(arn *string) {
		t.Helper()
		_, err := secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: arn})
		wantError(t, err, "ResourceNotFoundException", "")
	}
	must(h.DeauthorizeConnection(t.Context(), &eventbridge.DeauthorizeConnectionInput{Name: aws.String("c")}))(t)
	gone(first.ARN)
	if n := h.connection(); n.SecretArn != nil || n.AuthParameters != nil || n.ConnectionState != types.ConnectionStateDeauthorized {
		t.Errorf("without authorization the connection is %+v", n)
	}
	wantError(t, answer(h.UpdateConnection(t.Context(), newPassword("new"))), "ValidationException", "BasicAuthParameters are required")
	again := newPassword("again")
	again.AuthParameters.BasicAuthParameters.Username = aws.String("bob")
	must(h.UpdateConnection(t.Context(), again))(t)
	second := h.said()
	if *second.ARN == *first.ARN || *second.SecretString != `{"username":"bob","password":"again"}` {
		t.Errorf("authorized again, %s says %s", *second.ARN, *second.SecretString)
	}
	must(h.DeleteConnection(t.Context(), &eventbridge.DeleteConnectionInput{Name: aws.String("c")}))(t)
	gone(second.ARN)
}

// Without a permission that AWS asks for nothing is changed, neither here nor in the neighbours.
func TestConnectionDenied(t *testing.T) {
	h := start(t)
	secrets := secretsmanager.NewFromConfig(h.Config())
	but := func(action string) *eventbridge.Client {
		return eventbridge.NewFromConfig(h.User(home, "ann", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"`+action+`","Resource":"*"}}`))
	}
	denied := func(err error, action string) {
		t.Helper()
		wantError(t, err, "AccessDeniedException", "is not authorized to perform: "+action+" on resource: ")
	}
	for _, action := range []string{"iam:CreateServiceLinkedRole", "secretsmanager:CreateSecret"} {
		denied(answer(but(action).CreateConnection(t.Context(), basic("c"))), action)
	}
	in := basic("c")
	in.KmsKeyIdentifier = h.connectionKey(true).Arn
	wantError(t, answer(but("kms:GenerateDataKey").CreateConnection(t.Context(), in)), "AccessDeniedException", "Access to KMS is not allowed")
	in.KmsKeyIdentifier = aws.String("alias/none")
	wantError(t, answer(h.CreateConnection(t.Context(), in)), "ValidationException", "KMS key")
	list := must(secrets.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}))(t)
	_, err := iam.NewFromConfig(h.Config()).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String(linkedRole)})
	if n := must(h.ListConnections(t.Context(), &eventbridge.ListConnectionsInput{}))(t).Connections; len(n) != 0 || len(list.SecretList) != 0 || err == nil {
		t.Errorf("there are %v and %v; the role: %v", n, list.SecretList, err)
	}
	must(h.CreateConnection(t.Context(), basic("c")))(t)
	before := h.said()
	denied(answer(but("secretsmanager:GetSecretValue").UpdateConnection(t.Context(), newPassword("new"))), "secretsmanager:GetSecretValue")
	denied(answer(but("secretsmanager:PutSecretValue").UpdateConnection(t.Context(), newPassword("new"))), "secretsmanager:PutSecretValue")
	rekey := &eventbridge.UpdateConnectionInput{Name: aws.String("c"), KmsKeyIdentifier: h.connectionKey(true).Arn}
	denied(answer(but("secretsmanager:UpdateSecret").UpdateConnection(t.Context(), rekey)), "secretsmanager:UpdateSecret")
	denied(answer(but("secretsmanager:DeleteSecret").DeauthorizeConnection(t.Context(), &eventbridge.DeauthorizeConnectionInput{Name: aws.String("c")})), "secretsmanager:DeleteSecret")
	denied(answer(but("secretsmanager:DeleteSecret").DeleteConnection(t.Context(), &eventbridge.DeleteConnectionInput{Name: aws.String("c")})), "secretsmanager:DeleteSecret")
	if n, said := h.connection(), h.said(); *said.VersionId != *before.VersionId || n.KmsKeyIdentifier != nil || n.ConnectionState != types.ConnectionStateAuthorized {
		t.Errorf("the connection is %+v", n)
	}
}

// EventBridge reads the credentials by its service-linked role, on record; who makes the connection does the rest.
func TestConnectionRecords(t *testing.T) {
	h, w := start(t), newWeb(t)
	c := basic("c")
	c.KmsKeyIdentifier = h.connectionKey(true).Arn
	h.destination(c, w.URL)
	h.put(h.Client, entry(`{}`))
	h.settle()
	secret := *h.connection().SecretArn
	if got := w.requests(); len(got) != 1 || got[0].header.Get("Authorization") != "Basic YW5uOmNvcnJlY3QgaG9yc2UgYmF0dGVyeSBzdGFwbGU=" {
		t.Fatalf("the server got %+v", got)
	}
	must(h.DeleteConnection(t.Context(), &eventbridge.DeleteConnectionInput{Name: aws.String("c")}))(t)
	session := "arn:aws:sts::" + home + ":assumed-role/" + linkedRole + "/"
	for _, want := range []struct{ name, who, by string }{
		{"CreateServiceLinkedRole", "arn:aws:iam::" + home + ":root", "events.amazonaws.com"}, {"CreateSecret", "arn:aws:iam::" + home + ":root", "events.amazonaws.com"},
		{"GetSecretValue", session, "events.amazonaws.com"}, {"Decrypt", session, "secretsmanager.amazonaws.com"}, {"DeleteSecret", "arn:aws:iam::" + home + ":root", "events.amazonaws.com"},
	} {
		var found []cloudtest.Event
		for _, e := range h.Trail(home) {
			if e.EventName == want.name && e.ErrorCode == "" && strings.HasPrefix(e.UserIdentity.ARN, want.who) && e.UserIdentity.InvokedBy == want.by {
				found = append(found, e)
			}
			if strings.Contains(string(e.Raw), password) {
				t.Errorf("the trail tells the password: %s", e.Raw)
			}
		}
		if len(found) != 1 || strings.HasSuffix(want.name, "Secret") && (len(found[0].Resources) != 1 || found[0].Resources[0].ARN != secret) {
			t.Errorf("%s by %s for %s: %+v", want.name, want.who, want.by, found)
		}
	}
}

// What EventBridge reads for an event is no event.
func TestConnectionReadsAreNoEvents(t *testing.T) {
	h, w := start(t), newWeb(t)
	h.destination(basic("c"), w.URL)
	h.log()
	must(h.PutRule(t.Context(), &eventbridge.PutRuleInput{
		Name: aws.String("web"), EventPattern: aws.String(`{"source":["aws.secretsmanager","aws.kms"],"detail":{"eventName":["GetSecretValue","Decrypt"]}}`), State: types.RuleStateEnabledWithAllCloudtrailManagementEvents,
	}))(t)
	h.said()
	for range 5 {
		h.settle()
	}
	if got := w.requests(); len(got) != 2 { // the user's GetSecretValue, and what KMS did for it
		t.Errorf("the server got %+v", got)
	}
}

// A connection whose credentials cannot be read is deauthorized, and says why. What was sent with it ends in the dead-letter queue, and an update mends it.
func TestConnectionLost(t *testing.T) {
	type stage struct {
		*house
		key *kmstypes.KeyMetadata
	}
	policies := func(s *stage) *secretsmanager.Client { return secretsmanager.NewFromConfig(s.Config()) }
	keys := func(s *stage) *kms.Client { return kms.NewFromConfig(s.Config()) }
	for name, tt := range map[string]struct {
		untagged   bool
		lose, mend func(*stage) error
		reason     string
	}{
		"DeniedByPolicy": {false, func(s *stage) error {
			return answer(policies(s).PutResourcePolicy(s.t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: s.connection().SecretArn, ResourcePolicy: aws.String(
				`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*",
					"Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/aws-service-role/*"}}}}`)}))
		}, func(s *stage) error {
			return answer(policies(s).DeleteResourcePolicy(s.t.Context(), &secretsmanager.DeleteResourcePolicyInput{SecretId: s.connection().SecretArn}))
		}, "is not authorized to perform: secretsmanager:GetSecretValue"},
		"KeyWithoutTag": {true, nil, func(s *stage) error {
			return answer(keys(s).TagResource(s.t.Context(), &kms.TagResourceInput{KeyId: s.key.KeyId, Tags: []kmstypes.Tag{{TagKey: aws.String("EventBridgeApiDestinations"), TagValue: aws.String("true")}}}))
		}, "Access to KMS is not allowed"},
		"KeyDisabled": {false, func(s *stage) error {
			return answer(keys(s).DisableKey(s.t.Context(), &kms.DisableKeyInput{KeyId: s.key.KeyId}))
		}, func(s *stage) error {
			return answer(keys(s).EnableKey(s.t.Context(), &kms.EnableKeyInput{KeyId: s.key.KeyId}))
		}, "Secrets Manager can't decrypt"},
		"RoleDeleted": {false, func(s *stage) error {
			return answer(iam.NewFromConfig(s.Config()).DeleteServiceLinkedRole(s.t.Context(), &iam.DeleteServiceLinkedRoleInput{RoleName: aws.String(linkedRole)}))
		}, nil, "service-linked role is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			h, w := start(t), newWeb(t)
			s := &stage{h, h.connectionKey(!tt.untagged)}
			c := basic("c")
			c.KmsKeyIdentifier = s.key.Arn
			dead := h.destination(c, w.URL, func(x *types.Target) { x.RetryPolicy = &types.RetryPolicy{MaximumRetryAttempts: aws.Int32(0)} })
			if tt.lose != nil {
				if err := tt.lose(s); err != nil {
					t.Fatal(err)
				}
			}
			h.put(h.Client, entry(`{"n":1}`))
			messages := dead.take()
			if got := w.requests(); len(got) != 0 || len(messages) != 1 {
				t.Fatalf("the server got %v, the dead-letter queue %v", got, messages)
			}
			a := messages[0].MessageAttributes
			if *a["ERROR_CODE"].StringValue != "CONNECTION_NOT_AUTHORIZED" || !strings.Contains(*a["ERROR_MESSAGE"].StringValue, tt.reason) {
				t.Errorf("it was given up for %s: %s", *a["ERROR_CODE"].StringValue, *a["ERROR_MESSAGE"].StringValue)
			}
			if n := h.connection(); n.ConnectionState != types.ConnectionStateDeauthorized || !strings.Contains(aws.ToString(n.StateReason), tt.reason) {
				t.Errorf("the connection is %s: %s", n.ConnectionState, aws.ToString(n.StateReason))
			}
			if tt.mend != nil {
				if err := tt.mend(s); err != nil {
					t.Fatal(err)
				}
			}
			must(h.UpdateConnection(t.Context(), newPassword("new")))(t)
			h.put(h.Client, entry(`{"n":2}`))
			h.settle()
			if got := w.requests(); len(got) != 1 || got[0].header.Get("Authorization") != "Basic YW5uOm5ldw==" {
				t.Errorf("after an update the server got %+v", got)
			}
		})
	}
}
