package secretsmanager_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

func letIn(principal, action string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"` + action + `","Resource":"*"}]}`
}

func (h *house) setPolicy(id, text string, block bool) error {
	_, err := h.PutResourcePolicy(h.t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: &id, ResourcePolicy: &text, BlockPublicPolicy: &block})
	return err
}

func TestResourcePolicy(t *testing.T) {
	h := start(t)
	ctx := t.Context()
	id, _ := h.create("s", "1")
	if out := must(h.GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &id}))(t); out.ResourcePolicy != nil || *out.ARN != id {
		t.Errorf("got %+v", out)
	}
	ann := h.by(home, "ann")
	get := &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")}
	_, err := ann.GetSecretValue(ctx, get)
	wantError(t, err, "AccessDeniedException", "is not authorized to perform: secretsmanager:GetSecretValue on resource: "+id)
	text := letIn(`{"AWS":"arn:aws:iam::`+home+`:user/ann"}`, "secretsmanager:GetSecretValue")
	if err := h.setPolicy(id, text, true); err != nil {
		t.Fatal(err)
	}
	must(ann.GetSecretValue(ctx, get))(t)
	if out := must(h.GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &id}))(t); *out.ResourcePolicy != text {
		t.Errorf("got %s", *out.ResourcePolicy)
	}
	must(h.DeleteResourcePolicy(ctx, &secretsmanager.DeleteResourcePolicyInput{SecretId: &id}))(t)
	_, err = ann.GetSecretValue(ctx, get)
	wantError(t, err, "AccessDeniedException", "")

	t.Run("Public", func(t *testing.T) {
		public := letIn(`"*"`, "secretsmanager:GetSecretValue")
		wantError(t, h.setPolicy(id, public, true), "PublicPolicyException", "BlockPublicPolicy")
		if err := h.setPolicy(id, public, false); err != nil {
			t.Error(err)
		}
		held := strings.Replace(public, `"Resource"`, `"Condition":{"StringEquals":{"aws:PrincipalAccount":"`+home+`"}},"Resource"`, 1)
		if err := h.setPolicy(id, held, true); err != nil {
			t.Error(err)
		}
	})
	t.Run("Malformed", func(t *testing.T) {
		for _, text := range []string{"{", `{"Statement":[]}x`, letIn(`{"AWS":"arn:aws:iam::`+home+`:user/nobody"}`, "secretsmanager:*"), letIn(`{"AWS":"nobody"}`, "secretsmanager:*")} {
			wantError(t, h.setPolicy(id, text, false), "MalformedPolicyDocumentException", "This resource policy contains")
		}
	})
	t.Run("Validated", func(t *testing.T) {
		deny := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:PutResourcePolicy","Resource":"*"}]}`
		for text, check := range map[string]string{text: "", "{": "PolicySyntax", letIn(`"*"`, "secretsmanager:*"): "PublicAccess", deny: "CallerLockout"} {
			out := must(h.ValidateResourcePolicy(ctx, &secretsmanager.ValidateResourcePolicyInput{SecretId: &id, ResourcePolicy: &text}))(t)
			if out.PolicyValidationPassed != (check == "") || check != "" && *out.ValidationErrors[0].CheckName != check {
				t.Errorf("%s: %+v", text, out)
			}
		}
		must(h.ValidateResourcePolicy(ctx, &secretsmanager.ValidateResourcePolicyInput{ResourcePolicy: &text}))(t)
	})
}

// Somebody of another account needs the secret's policy, a policy of their own, and a key that lets them in.
func TestCrossAccount(t *testing.T) {
	h := start(t)
	ctx := t.Context()
	bob := h.by(other, "bob", allow("*", "*"))
	stranger := h.by(other, "stranger")
	everyone := letIn(`{"AWS":"`+other+`"}`, "secretsmanager:*")
	arn, _ := h.create("default", "1")
	get := &secretsmanager.GetSecretValueInput{SecretId: &arn}
	_, err := bob.GetSecretValue(ctx, get)
	wantError(t, err, "AccessDeniedException", "no resource-based policy allows the secretsmanager:GetSecretValue action")
	if err := h.setPolicy(arn, everyone, false); err != nil {
		t.Fatal(err)
	}
	_, err = bob.GetSecretValue(ctx, get)
	wantError(t, err, "InvalidRequestException", "You can't access a secret from a different AWS account if you encrypt the secret with the default KMS service key.")
	_, err = bob.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: aws.String("2")})
	wantError(t, err, "InvalidRequestException", "from a different AWS account")
	must(bob.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn}))(t)

	keys := kms.NewFromConfig(h.Config())
	key := *must(keys.CreateKey(ctx, &kms.CreateKeyInput{}))(t).KeyMetadata.KeyId
	arn, _ = h.create("own", "1", func(in *secretsmanager.CreateSecretInput) { in.KmsKeyId = &key })
	get = &secretsmanager.GetSecretValueInput{SecretId: &arn}
	if err := h.setPolicy(arn, everyone, false); err != nil {
		t.Fatal(err)
	}
	_, err = bob.GetSecretValue(ctx, get)
	wantError(t, err, "AccessDeniedException", "Access to KMS is not allowed")
	keyPolicy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + home + `:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + other + `:root"},"Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*","Condition":{"StringEquals":{
		"kms:ViaService":"secretsmanager.us-east-1.amazonaws.com","kms:EncryptionContext:SecretARN":"` + arn + `"}}}]}`
	must(keys.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &key, Policy: &keyPolicy}))(t)
	if out := must(bob.GetSecretValue(ctx, get))(t); *out.SecretString != "1" {
		t.Errorf("got %q", *out.SecretString)
	}
	must(bob.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: aws.String("2")}))(t)
	if got := h.get(arn); got != "2" {
		t.Errorf("it says %q", got)
	}
	_, err = stranger.GetSecretValue(ctx, get)
	wantError(t, err, "AccessDeniedException", "no identity-based policy allows")
	_, err = bob.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(secretARN + "none-aaaaaa")})
	wantError(t, err, "AccessDeniedException", "no resource-based policy allows the secretsmanager:GetSecretValue action")
}

// A value is encrypted under the secret's key, and each reader needs that, too.
func TestKeys(t *testing.T) {
	h := start(t)
	ctx := t.Context()
	keys := kms.NewFromConfig(h.Config())
	key := func() (id, arn string) {
		m := must(keys.CreateKey(ctx, &kms.CreateKeyInput{}))(t).KeyMetadata
		return *m.KeyId, *m.Arn
	}
	one, oneARN := key()
	two, twoARN := key()
	must(keys.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/one"), TargetKeyId: &one}))(t)
	id, v1 := h.create("s", "1", func(in *secretsmanager.CreateSecretInput) { in.KmsKeyId = aws.String("alias/one") })
	if got := *h.described(id).KmsKeyId; got != "alias/one" {
		t.Errorf("its key is %s", got)
	}
	keysOf := func() (out []string) {
		for _, v := range must(h.ListSecretVersionIds(ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: &id}))(t).Versions {
			out = append(out, strings.Join(v.KmsKeyIds, ","))
		}
		return out
	}
	if got := keysOf(); got[0] != oneARN {
		t.Errorf("it is encrypted under %v", got)
	}
	secretsAlone := allow("secretsmanager:*", "*")
	reader := h.by(home, "reader", secretsAlone)
	_, err := reader.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	wantError(t, err, "AccessDeniedException", "Access to KMS is not allowed")
	_, err = reader.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String("x")})
	wantError(t, err, "AccessDeniedException", "Access to KMS is not allowed")

	t.Run("EachReadIsOnRecord", func(t *testing.T) {
		before := len(h.recorded("Decrypt"))
		h.get(id)
		h.get(id)
		records := h.recorded("Decrypt")
		if len(records) != before+2 {
			t.Fatalf("%d records of kms:Decrypt", len(records)-before)
		}
		if raw := string(records[len(records)-1].Raw); !strings.Contains(raw, `"SecretARN":"`+id+`"`) || !strings.Contains(raw, `"SecretVersionId":"`+v1+`"`) || !strings.Contains(raw, `"invokedBy":"secretsmanager.amazonaws.com"`) {
			t.Errorf("recorded as %s", raw)
		}
	})
	t.Run("AnotherKey", func(t *testing.T) {
		must(h.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: &id, KmsKeyId: &two}))(t)
		if got := keysOf(); got[0] != twoARN+","+oneARN {
			t.Errorf("it is encrypted under %v", got)
		}
		must(keys.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &two}))(t)
		if got := h.get(id); got != "1" { // by the key before
			t.Errorf("it says %q", got)
		}
		must(keys.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &one}))(t)
		_, err := h.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
		wantError(t, err, "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key.")
		_, err = h.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String("x")})
		wantError(t, err, "EncryptionFailure", "Secrets Manager can't encrypt the protected secret text using the provided KMS key.")
		must(keys.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &one}))(t)
		must(keys.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &two}))(t)
	})
	t.Run("TheServicesKey", func(t *testing.T) {
		must(h.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: &id, KmsKeyId: aws.String("alias/aws/secretsmanager")}))(t)
		if d := h.described(id); d.KmsKeyId != nil {
			t.Errorf("its key is %s", *d.KmsKeyId)
		}
		if out := must(reader.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id}))(t); *out.SecretString != "1" {
			t.Errorf("it says %q", *out.SecretString)
		}
	})
	t.Run("NoKey", func(t *testing.T) {
		_, err := h.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("n"), SecretString: aws.String("x"), KmsKeyId: aws.String("alias/none")})
		wantError(t, err, "EncryptionFailure", "")
		must(keys.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &one}))(t)
		_, err = h.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("n"), SecretString: aws.String("x"), KmsKeyId: &one})
		wantError(t, err, "EncryptionFailure", "")
		if _, err := h.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("n")}); err == nil {
			t.Error("the secret is there all the same")
		}
	})
}

// Tags and the service's own condition keys decide, where policies ask for them.
func TestConditions(t *testing.T) {
	h := start(t)
	ctx := t.Context()
	red := func(in *secretsmanager.CreateSecretInput) {
		in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}}
	}
	id, v1 := h.create("s", "1", red)
	h.create("blue", "1")
	h.put(id, "2")
	when := func(conditions string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*","Condition":{"StringEquals":` + conditions + `}}]}`
	}
	read := func(c *secretsmanager.Client, in *secretsmanager.GetSecretValueInput) error {
		_, err := c.GetSecretValue(ctx, in)
		return err
	}
	for name, x := range map[string]struct {
		condition string
		yes, no   *secretsmanager.GetSecretValueInput
	}{
		"tag":     {`{"aws:ResourceTag/team":"red"}`, &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")}, &secretsmanager.GetSecretValueInput{SecretId: aws.String("blue")}},
		"owntag":  {`{"secretsmanager:ResourceTag/team":"red"}`, &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")}, &secretsmanager.GetSecretValueInput{SecretId: aws.String("blue")}},
		"id":      {`{"secretsmanager:SecretId":"` + id + `"}`, &secretsmanager.GetSecretValueInput{SecretId: &id}, &secretsmanager.GetSecretValueInput{SecretId: aws.String("blue")}},
		"stage":   {`{"secretsmanager:VersionStage":"AWSPREVIOUS"}`, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: aws.String("AWSPREVIOUS")}, &secretsmanager.GetSecretValueInput{SecretId: &id}},
		"version": {`{"secretsmanager:VersionId":"` + v1 + `"}`, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionId: &v1}, &secretsmanager.GetSecretValueInput{SecretId: &id}},
		"region":  {`{"secretsmanager:SecretPrimaryRegion":"us-east-1","aws:ResourceTag/team":"red"}`, &secretsmanager.GetSecretValueInput{SecretId: &id}, &secretsmanager.GetSecretValueInput{SecretId: aws.String("blue")}},
	} {
		t.Run(name, func(t *testing.T) {
			c := h.by(home, "who-"+name, when(x.condition))
			if err := read(c, x.yes); err != nil {
				t.Error(err)
			}
			wantError(t, read(c, x.no), "AccessDeniedException", "")
		})
	}
	// AWS's own example of a policy for readers of the current version, and its opposite.
	t.Run("StageOfTheVersion", func(t *testing.T) {
		v2 := must(h.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id}))(t).VersionId
		only := h.by(home, "current", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*",
			"Condition":{"ForAnyValue:StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}}]}`)
		all := h.by(home, "all", allow("secretsmanager:*", "*"), `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"secretsmanager:GetSecretValue","Resource":"*",
			"Condition":{"ForAnyValue:StringEquals":{"secretsmanager:VersionStage":"AWSPREVIOUS"}}}]}`)
		for _, c := range []*secretsmanager.Client{only, all} {
			for _, in := range []*secretsmanager.GetSecretValueInput{{}, {VersionStage: aws.String("AWSCURRENT")}, {VersionId: v2}, {VersionId: v2, VersionStage: aws.String("AWSCURRENT")}} {
				in.SecretId = &id
				if out := must(c.GetSecretValue(ctx, in))(t); *out.SecretString != "2" {
					t.Errorf("it says %s", *out.SecretString)
				}
			}
			for _, in := range []*secretsmanager.GetSecretValueInput{{VersionStage: aws.String("AWSPREVIOUS")}, {VersionId: &v1}} {
				in.SecretId = &id
				wantError(t, read(c, in), "AccessDeniedException", "secretsmanager:GetSecretValue")
			}
		}
	})
	t.Run("KeyOfTheRequest", func(t *testing.T) {
		c := h.by(home, "maker", when(`{"secretsmanager:KmsKeyId":"alias/one"}`))
		_, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("x")})
		wantError(t, err, "AccessDeniedException", "secretsmanager:CreateSecret")
		must(c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("x"), KmsKeyId: aws.String("alias/one")}))(t)
	})
	t.Run("TagsThatTakeThePermissionAway", func(t *testing.T) {
		c := h.by(home, "tagger", when(`{"aws:ResourceTag/team":"red"}`))
		_, err := c.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: &id, TagKeys: []string{"team"}})
		wantError(t, err, "AccessDeniedException", "secretsmanager:UntagResource")
		_, err = c.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: &id, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}})
		wantError(t, err, "AccessDeniedException", "secretsmanager:TagResource")
		must(c.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: &id, Tags: []types.Tag{{Key: aws.String("more"), Value: aws.String("x")}}}))(t)
		must(c.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: &id, TagKeys: []string{"more", "none"}}))(t)
		if tags := h.described(id).Tags; len(tags) != 1 {
			t.Errorf("it has %d tags", len(tags))
		}
	})
}
