package lambda_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// keyring is the KMS of a house, and two of its keys.
type keyring struct {
	*kms.Client
	h        *house
	one, two string
}

func (h *house) keyring() *keyring {
	k := &keyring{Client: kms.NewFromConfig(h.Config()), h: h}
	for _, to := range []*string{&k.one, &k.two} {
		*to = *must(k.CreateKey(h.t.Context(), &kms.CreateKeyInput{}))(h.t).KeyMetadata.Arn
	}
	return k
}

// want holds the grantees of a key's grants against those wanted.
func (k *keyring) want(when, key string, roles ...string) {
	k.h.t.Helper()
	var got []string
	for _, g := range must(k.ListGrants(k.h.t.Context(), &kms.ListGrantsInput{KeyId: &key}))(k.h.t).Grants {
		got = append(got, *g.GranteePrincipal)
	}
	slices.Sort(got)
	slices.Sort(roles)
	if !slices.Equal(got, roles) {
		k.h.t.Errorf("%s, the key has grants for %q, want %q", when, got, roles)
	}
}

// secretive is a function with variables under a key.
func secretive(key string) func(*lambda.CreateFunctionInput) {
	return func(in *lambda.CreateFunctionInput) {
		in.KMSKeyArn, in.Environment = &key, &types.Environment{Variables: map[string]string{"MODE": "one"}}
	}
}

func (h *house) configure(name string, change func(*lambda.UpdateFunctionConfigurationInput)) {
	h.t.Helper()
	in := &lambda.UpdateFunctionConfigurationInput{FunctionName: &name}
	change(in)
	must(h.UpdateFunctionConfiguration(h.t.Context(), in))(h.t)
}

func (h *house) delete(name string, qualifier *string) {
	h.t.Helper()
	must(h.DeleteFunction(h.t.Context(), &lambda.DeleteFunctionInput{FunctionName: &name, Qualifier: qualifier}))(h.t)
}

// A grant lasts as long as a version needs it, published ones included.
func TestGrants(t *testing.T) {
	h := start(t)
	k := h.keyring()
	h.Role(home, "second", trust, allow("*", "*"))
	second := "arn:aws:iam::" + home + ":role/second"

	h.create("f", secretive(k.one))
	h.create("g", secretive(k.one))
	k.want("with two functions", k.one, roleARN, roleARN)
	h.configure("f", func(in *lambda.UpdateFunctionConfigurationInput) { in.Role = &second })
	k.want("with another role", k.one, roleARN, second)
	h.publish("f")
	h.configure("f", func(in *lambda.UpdateFunctionConfigurationInput) { in.KMSKeyArn = &k.two })
	k.want("while a version has it", k.one, roleARN, second)
	k.want("with another key", k.two, second)
	h.configure("f", func(in *lambda.UpdateFunctionConfigurationInput) { in.Timeout = aws.Int32(9) })
	k.want("after what is no change of it", k.two, second)
	h.publish("f")
	h.delete("f", aws.String("1"))
	k.want("without the version", k.one, roleARN)
	h.configure("f", func(in *lambda.UpdateFunctionConfigurationInput) { in.Environment = &types.Environment{} })
	k.want("while a version has variables", k.two, second)
	h.delete("f", aws.String("2"))
	k.want("without variables", k.two)
	h.configure("f", func(in *lambda.UpdateFunctionConfigurationInput) {
		in.Environment = &types.Environment{Variables: map[string]string{"MODE": "two"}}
	})
	h.publish("f")
	h.configure("f", func(in *lambda.UpdateFunctionConfigurationInput) { in.Role = aws.String(roleARN) })
	k.want("with two versions", k.two, roleARN, second)
	h.delete("f", nil)
	k.want("without the function", k.two)
	k.want("with the other function", k.one, roleARN)
}

// What became of the key or of the grant keeps nobody from deleting the function.
func TestGrantsGone(t *testing.T) {
	for name, lose := range map[string]func(k *keyring) any{
		"Disabled": func(k *keyring) any {
			return must(k.DisableKey(k.h.t.Context(), &kms.DisableKeyInput{KeyId: &k.one}))(k.h.t)
		},
		"PendingDeletion": func(k *keyring) any {
			return must(k.ScheduleKeyDeletion(k.h.t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &k.one}))(k.h.t)
		},
		"Revoked": func(k *keyring) any {
			g := must(k.ListGrants(k.h.t.Context(), &kms.ListGrantsInput{KeyId: &k.one}))(k.h.t).Grants[0]
			return must(k.RevokeGrant(k.h.t.Context(), &kms.RevokeGrantInput{KeyId: &k.one, GrantId: g.GrantId}))(k.h.t)
		},
		"KeyDeleted": func(k *keyring) any {
			must(k.ScheduleKeyDeletion(k.h.t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &k.one, PendingWindowInDays: aws.Int32(7)}))(k.h.t)
			k.h.Advance(8 * 24 * time.Hour)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t)
			k := h.keyring()
			h.create("f", secretive(k.one))
			k.want("with the function", k.one, roleARN)
			lose(k)
			h.delete("f", nil)
			if name != "KeyDeleted" {
				k.want("without the function", k.one)
			}
			_, err := h.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: f})
			wantError(t, err, "ResourceNotFoundException", 404, "Function not found")
		})
	}
}

// A grant of another account's key is retired by the service, which that key's policy does not know.
func TestGrantOfAnotherAccountsKey(t *testing.T) {
	h := start(t)
	theirs := kms.NewFromConfig(h.Root(other))
	key := *must(theirs.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":["` + home + `","` + other + `"]},"Action":"kms:*","Resource":"*"}]}`)}))(t).KeyMetadata.Arn
	k := &keyring{Client: theirs, h: h}
	h.create("f", secretive(key))
	k.want("with the function", key, roleARN)
	must(theirs.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: &key, Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"` + other + `"},"Action":"kms:*","Resource":"*"}]}`)}))(t)
	h.delete("f", nil)
	k.want("without the function", key)
	if !slices.ContainsFunc(h.Trail(other), func(e cloudtest.Event) bool {
		return e.EventName == "RetireGrant" && e.UserIdentity.InvokedBy == "lambda.amazonaws.com"
	}) {
		t.Error("the key's account is not told of it")
	}
}
