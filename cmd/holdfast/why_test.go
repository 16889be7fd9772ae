package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/holdfast-cloud/holdfast/evidence"
)

// user makes an IAM user with a policy, and returns a client of theirs.
func (s *server) user(t *testing.T, dir, name, document string) *kms.Client {
	t.Helper()
	args := []string{"credentials", "--data", dir, "--user", name}
	if document != "" {
		args = append(args, "--policy", write(t, document))
	}
	out := wantCommand(t, 0, args...)
	return kms.NewFromConfig(s.config(keyID.FindStringSubmatch(out)[1], secret.FindStringSubmatch(out)[1]))
}

func explained(t *testing.T, dir, id string) (calls []evidence.Explanation) {
	t.Helper()
	for line := range strings.Lines(wantCommand(t, 0, "why", id, "--json", "--data", dir)) {
		var x evidence.Explanation
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("holdfast why %s printed %s: %v", id, line, err)
		}
		calls = append(calls, x)
	}
	return calls
}

// header returns a header of the answer to a call that failed, whose code has to be the one given.
func header(t *testing.T, err error, code, name string) string {
	t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != code {
		t.Fatalf("the call ended with %v, want %s", err, code)
	}
	answer, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok {
		t.Fatalf("no answer in %v", err)
	}
	return answer.Response.Header.Get(name)
}

const (
	curious  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:SimulatePrincipalPolicy","Resource":"arn:aws:iam::*:user/${aws:username}"},` + encrypts + `]}`
	encrypts = `{"Sid":"Here","Effect":"Allow","Action":["kms:Encrypt","kms:ReEncrypt*"],"Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"},"Null":{"kms:ViaService":"true"}}}`
)

func TestWhy(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	root := s.kms()
	var keys []string
	for range 2 {
		made, err := root.CreateKey(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, *made.KeyMetadata.Arn)
	}
	ann := s.user(t, dir, "ann", curious)
	encrypted, err := ann.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &keys[0], Plaintext: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}

	t.Run("Allowed", func(t *testing.T) {
		calls := explained(t, dir, requestID(encrypted.ResultMetadata))
		if len(calls) != 1 || len(calls[0].Asked) != 1 {
			t.Fatalf("%d calls: %+v", len(calls), calls)
		}
		a := calls[0].Asked[0]
		if a.Action != "kms:Encrypt" || a.Resource != keys[0] || a.Outcome != "allowed" || calls[0].Who != "arn:aws:iam::000000000000:user/ann" {
			t.Errorf("who, action, resource, outcome: %s %s %s %s", calls[0].Who, a.Action, a.Resource, a.Outcome)
		}
		if a.Decided == nil || string(a.Decided.Statement) != encrypts || a.Decided.Policy != "default" {
			t.Errorf("decided by %+v", a.Decided)
		}
		says := make(map[string]string)
		for _, p := range a.Policies {
			says[p.Kind] = p.Says
			if p.Incomplete {
				t.Errorf("%s %s is told to be incomplete", p.Kind, p.Name)
			}
		}
		if says["identity-based policy"] != evidence.Allows || says["resource-based policy"] != evidence.Allows {
			t.Errorf("the policies say %v", says)
		}
		values := make(map[string]string)
		for _, v := range a.Values {
			values[v.Key] = strings.Join(v.Values, " ")
		}
		if values["aws:requestedregion"] != "us-east-1" {
			t.Errorf("the values are %v", values)
		}
		if via, ok := values["kms:viaservice"]; !ok || via != "" {
			t.Errorf("kms:ViaService is not told to be absent: %v", values)
		}
		text := wantCommand(t, 0, "why", "--data", dir, requestID(encrypted.ResultMetadata))
		for _, want := range []string{"ann", "kms:Encrypt on " + keys[0], `"Sid":"Here"`, "aws:requestedregion = us-east-1", "kms:viaservice is absent"} {
			if !strings.Contains(text, want) {
				t.Errorf("holdfast why does not tell %s:\n%s", want, text)
			}
		}
	})

	t.Run("SeveralQuestions", func(t *testing.T) {
		again, err := ann.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: encrypted.CiphertextBlob, DestinationKeyId: &keys[1]})
		if err != nil {
			t.Fatal(err)
		}
		calls := explained(t, dir, requestID(again.ResultMetadata))
		if len(calls) != 1 || len(calls[0].Asked) != 2 || calls[0].Asked[0].Action != "kms:ReEncryptFrom" || calls[0].Asked[1].Action != "kms:ReEncryptTo" {
			t.Errorf("ReEncrypt asked %+v", calls)
		}
	})

	t.Run("DeniedAndCurious", func(t *testing.T) {
		_, err := ann.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: encrypted.CiphertextBlob})
		id, message := header(t, err, "AccessDeniedException", "X-Holdfast-Why"), header(t, err, "AccessDeniedException", "X-Holdfast-Authorization-Message")
		if message == "" {
			t.Error("no encoded message")
		}
		calls := explained(t, dir, id)
		if len(calls) != 1 || len(calls[0].Asked) != 1 {
			t.Fatalf("%+v", calls)
		}
		a := calls[0].Asked[0]
		sentence := "User: arn:aws:iam::000000000000:user/ann is not authorized to perform: kms:Decrypt on resource: " + keys[0] +
			" because no identity-based policy allows the kms:Decrypt action"
		if a.Outcome != "implicitDeny" || a.Sentence != sentence || a.Decided != nil || calls[0].ErrorCode != "AccessDenied" {
			t.Errorf("outcome %s, %s\nwant %s; decided by %+v, answer %s", a.Outcome, a.Sentence, sentence, a.Decided, calls[0].ErrorCode)
		}
	})

	t.Run("DeniedAndNotAllowedToKnow", func(t *testing.T) {
		bob := s.user(t, dir, "bob", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*"}]}`)
		_, err := bob.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &keys[0], Plaintext: []byte("x")})
		for _, name := range []string{"X-Holdfast-Why", "X-Holdfast-Authorization-Message"} {
			if v := header(t, err, "AccessDeniedException", name); v != "" {
				t.Errorf("bob is told %s: %s", name, v)
			}
		}
	})

	t.Run("PolicyChangedSince", func(t *testing.T) {
		before := explained(t, dir, requestID(encrypted.ResultMetadata))
		s.user(t, dir, "ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`)
		after := explained(t, dir, requestID(encrypted.ResultMetadata))
		if string(after[0].Asked[0].Decided.Statement) != string(before[0].Asked[0].Decided.Statement) {
			t.Errorf("the statement that decided is now %s", after[0].Asked[0].Decided.Statement)
		}
	})

	t.Run("NobodyElseSeesTheTrace", func(t *testing.T) {
		if out := wantCommand(t, 0, "events", "--data", dir); strings.Contains(out, `"asked"`) || strings.Contains(out, "implicitDeny") {
			t.Error("the events show the trace")
		}
	})

	t.Run("NotFound", func(t *testing.T) { wantCommand(t, 1, "why", "--data", dir, "nobody") })
}

// TestKillAndWhy kills the server right after a call was answered: it can be explained.
func TestKillAndWhy(t *testing.T) {
	dir := t.TempDir()
	s, cmd := process(t, dir)
	made, err := s.kms().CreateKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	dan := s.user(t, dir, "dan", `{"Version":"2012-10-17","Statement":[`+encrypts+`]}`)
	out, err := dan.Encrypt(t.Context(), &kms.EncryptInput{KeyId: made.KeyMetadata.KeyId, Plaintext: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for _, id := range []string{requestID(made.ResultMetadata), requestID(out.ResultMetadata)} {
		calls := explained(t, dir, id)
		if len(calls) != 1 || len(calls[0].Asked) != 1 || calls[0].Asked[0].Outcome != "allowed" {
			t.Fatalf("after the kill: %+v", calls)
		}
		for _, p := range calls[0].Asked[0].Policies {
			if p.Says == evidence.NotKept {
				t.Errorf("%s %s was lost", p.Kind, p.Name)
			}
		}
	}
	if d := explained(t, dir, requestID(out.ResultMetadata))[0].Asked[0].Decided; d == nil || string(d.Statement) != encrypts {
		t.Errorf("decided by %+v", d)
	}
}

// TestGenerate makes a policy of what a user did, and does it again with that policy alone.
func TestGenerate(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	var keys []*string
	for range 2 {
		made, err := s.kms().CreateKey(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, made.KeyMetadata.Arn)
	}
	work := func(k *kms.Client) error {
		encrypted, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: keys[0], Plaintext: []byte("x")})
		if err != nil {
			return err
		}
		if _, err := k.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: encrypted.CiphertextBlob, DestinationKeyId: keys[1]}); err != nil {
			return err
		}
		if _, err := k.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/mine"), TargetKeyId: keys[0]}); err != nil {
			return err
		}
		if _, err := k.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: aws.String("alias/mine")}); err != nil {
			return err
		}
		_, err = k.ListKeys(t.Context(), nil)
		return err
	}
	const arn = "arn:aws:iam::000000000000:user/eve"
	wantCommand(t, 1, "policy", "generate", "--data", dir, "--principal", arn, "--since", "1h")
	eve := s.user(t, dir, "eve", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"},{"Effect":"Deny","Action":"kms:DescribeKey","Resource":"*"}]}`)
	if err := work(eve); err != nil {
		t.Fatal(err)
	}
	if _, err := eve.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: keys[0]}); err == nil {
		t.Fatal("DescribeKey was allowed")
	}
	generate := func(args ...string) string {
		return wantCommand(t, 0, append([]string{"policy", "generate", "--data", dir, "--principal", arn, "--since", "1d"}, args...)...)
	}
	doc := generate()
	if again := generate(); again != doc {
		t.Errorf("generated twice:\n%s\n%s", doc, again)
	}
	if denied := generate("--include-denied"); !strings.Contains(denied, "kms:DescribeKey") || strings.Contains(doc, "kms:DescribeKey") {
		t.Errorf("with what was denied:\n%s\nwithout:\n%s", denied, doc)
	}
	again := s.user(t, dir, "eve", doc)
	if err := work(again); err != nil {
		t.Errorf("with the generated policy alone: %v\n%s", err, doc)
	}
	_, err := again.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: keys[0], KeySpec: "AES_256"})
	header(t, err, "AccessDeniedException", "")
	_, err = again.Encrypt(t.Context(), &kms.EncryptInput{KeyId: keys[1], Plaintext: []byte("x")})
	header(t, err, "AccessDeniedException", "")
	wantCommand(t, 1, "policy", "generate", "--data", dir, "--principal", arn, "--since", "1d", "--account", "111122223333")
	wantCommand(t, 1, "policy", "generate", "--data", dir, "--principal", arn+"x", "--since", "1d")
	for _, args := range []string{"policy", "policy x", "policy generate", "policy generate --principal x", "policy generate --principal x --since yesterday", "policy generate --principal x --since -3h", "why", "why a b"} {
		wantCommand(t, 2, strings.Fields(args)...)
	}
	for _, args := range []string{"policy -h", "policy generate -h", "why -h"} {
		wantCommand(t, 0, strings.Fields(args)...)
	}
}

// TestRoleIsExplained goes the whole way of a session: assume a role, be denied, decode the message, read why, and make a policy of what was done.
func TestRoleIsExplained(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	made, err := s.kms().CreateKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	key := made.KeyMetadata.Arn
	roles := iam.NewFromConfig(s.config(s.id, s.secret))
	role, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: aws.String("deploy"), Path: aws.String("/team/"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("deploy"), PolicyName: aws.String("work"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:*","sts:DecodeAuthorizationMessage","iam:SimulatePrincipalPolicy"],"Resource":"*"},{"Sid":"NoLook","Effect":"Deny","Action":"kms:DescribeKey","Resource":"*"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	out := wantCommand(t, 0, "credentials", "--data", dir, "--user", "ann", "--policy", write(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}`))
	ann := sts.NewFromConfig(s.config(keyID.FindStringSubmatch(out)[1], secret.FindStringSubmatch(out)[1]))
	assumed, err := ann.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: aws.String("s1")})
	if err != nil {
		t.Fatal(err)
	}
	if calls := explained(t, dir, requestID(assumed.ResultMetadata)); len(calls) == 0 || len(calls[0].Asked) == 0 || calls[0].Asked[0].Action != "sts:AssumeRole" {
		t.Errorf("AssumeRole is explained by %+v", calls)
	}
	cfg := s.config("", "")
	cfg.Credentials = sdk.NewStaticCredentialsProvider(*assumed.Credentials.AccessKeyId, *assumed.Credentials.SecretAccessKey, *assumed.Credentials.SessionToken)
	session := kms.NewFromConfig(cfg)
	if _, err := session.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	_, err = session.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key})
	id, message := header(t, err, "AccessDeniedException", "X-Holdfast-Why"), header(t, err, "AccessDeniedException", "X-Holdfast-Authorization-Message")
	calls := explained(t, dir, id)
	if len(calls) != 1 || len(calls[0].Asked) != 1 || calls[0].Asked[0].Outcome != "explicitDeny" || calls[0].Asked[0].Decided == nil || !strings.Contains(string(calls[0].Asked[0].Decided.Statement), "NoLook") {
		t.Errorf("the denial is explained by %+v", calls)
	}
	decoded, err := sts.NewFromConfig(cfg).DecodeAuthorizationMessage(t.Context(), &sts.DecodeAuthorizationMessageInput{EncodedMessage: &message})
	if err != nil || !strings.Contains(*decoded.DecodedMessage, `"statementId":"NoLook"`) || !strings.Contains(*decoded.DecodedMessage, `"explicitDeny":true`) {
		t.Errorf("DecodeAuthorizationMessage: %v, %v", decoded, err)
	}
	doc := wantCommand(t, 0, "policy", "generate", "--data", dir, "--principal", *role.Role.Arn, "--since", "1h")
	if !strings.Contains(doc, "kms:Encrypt") || !strings.Contains(doc, *key) || strings.Contains(doc, "DescribeKey") || strings.Contains(doc, "AssumeRole") {
		t.Errorf("generated of the role's sessions:\n%s", doc)
	}
}

func write(t *testing.T, document string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
