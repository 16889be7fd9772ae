package iam_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func TestAccessKeys(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newUser(t, "ann")
	ann := aws.String("ann")
	create := func() (*iam.CreateAccessKeyOutput, error) {
		return w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: ann})
	}
	first := must(create())(t).AccessKey
	who := func(t *testing.T, k *types.AccessKey) (any, error) {
		return sts.NewFromConfig(w.As(*k.AccessKeyId, *k.SecretAccessKey)).GetCallerIdentity(ctx, nil)
	}
	t.Run("Create", func(t *testing.T) {
		if *first.UserName != "ann" || !strings.HasPrefix(*first.AccessKeyId, "AKIA") || first.Status != types.StatusTypeActive {
			t.Errorf("created %+v", first)
		}
		ok(t)(who(t, first))
		if e := w.recorded(t, "CreateAccessKey", ""); strings.Contains(string(e.Raw), *first.SecretAccessKey) {
			t.Error("the secret is in the audit record")
		}
		refused(t, "NoSuchEntity", noUser("x"))(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("x")}))
		denied(t)(w.user("nobody").CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: ann}))
	})
	t.Run("Update", func(t *testing.T) {
		update := func(user, id string, s types.StatusType) (any, error) {
			return w.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &user, AccessKeyId: &id, Status: s})
		}
		ok(t)(update("ann", *first.AccessKeyId, types.StatusTypeInactive))
		refused(t, "InvalidClientTokenId", "-")(who(t, first))
		ok(t)(update("ann", *first.AccessKeyId, types.StatusTypeActive))
		ok(t)(who(t, first))
		refused(t, "NoSuchEntity", "The Access Key with id AKIAIOSFODNN7EXAMPLE cannot be found.")(update("ann", "AKIAIOSFODNN7EXAMPLE", types.StatusTypeInactive))
		w.newUser(t, "ben")
		refused(t, "NoSuchEntity", "-")(update("ben", *first.AccessKeyId, types.StatusTypeInactive))
		refused(t, "ValidationError", "-")(update("ann", *first.AccessKeyId, types.StatusTypeExpired))
	})
	t.Run("LimitExceeded", func(t *testing.T) {
		// Of several at once, exactly one gets the place that is left.
		var done sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			done.Go(func() { _, errs[i] = create() })
		}
		done.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			} else {
				refused(t, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")(nil, err)
			}
		}
		if n := len(must(w.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: ann}))(t).AccessKeyMetadata); made != 1 || n != 2 {
			t.Errorf("%d keys were made, and there are %d", made, n)
		}
	})
	t.Run("Pages", func(t *testing.T) {
		one := must(w.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: ann, MaxItems: aws.Int32(1)}))(t)
		two := must(w.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: ann, MaxItems: aws.Int32(1), Marker: one.Marker}))(t)
		if !one.IsTruncated || two.IsTruncated || *one.AccessKeyMetadata[0].AccessKeyId == *two.AccessKeyMetadata[0].AccessKeyId {
			t.Errorf("pages: %+v, %+v", one, two)
		}
	})
	t.Run("Own", func(t *testing.T) {
		cfg := w.User(account, "self", document(`"Action":"iam:*AccessKey*","Resource":"`+iamARN("user", "${aws:username}")+`"`))
		self := iam.NewFromConfig(cfg)
		made := must(self.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{}))(t).AccessKey
		if keys := must(self.ListAccessKeys(ctx, &iam.ListAccessKeysInput{}))(t).AccessKeyMetadata; len(keys) != 2 || *keys[0].UserName != "self" {
			t.Errorf("own keys: %+v", keys)
		}
		ok(t)(self.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{AccessKeyId: made.AccessKeyId}))
		refused(t, "InvalidClientTokenId", "-")(who(t, made))
	})
	t.Run("Root", func(t *testing.T) {
		made := must(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{}))(t).AccessKey
		if made.UserName != nil {
			t.Errorf("the root user's key is %+v", made)
		}
		if n := len(must(w.ListAccessKeys(ctx, &iam.ListAccessKeysInput{}))(t).AccessKeyMetadata); n != 2 {
			t.Errorf("the root user has %d keys", n)
		}
		ok(t)(w.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{AccessKeyId: made.AccessKeyId}))
	})
	t.Run("Role", func(t *testing.T) {
		ok(t)(w.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: aws.String(trusting(`"AWS":"` + account + `"`))}))
		ok(t)(w.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("r"), PolicyName: aws.String("p"), PolicyDocument: aws.String(document(`"Action":"*","Resource":"*"`))}))
		ok(t)(w.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: ann, PolicyName: aws.String("p"), PolicyDocument: aws.String(document(`"Action":"*","Resource":"*"`))}))
		session := must(sts.NewFromConfig(w.As(*first.AccessKeyId, *first.SecretAccessKey)).AssumeRole(ctx, &sts.AssumeRoleInput{
			RoleArn: aws.String(iamARN("role", "r")), RoleSessionName: aws.String("session"),
		}))(t).Credentials
		cfg := w.As(*session.AccessKeyId, *session.SecretAccessKey)
		cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: *session.AccessKeyId, SecretAccessKey: *session.SecretAccessKey, SessionToken: *session.SessionToken}, nil
		})
		role := iam.NewFromConfig(cfg)
		refused(t, "ValidationError", "Must specify userName when calling with non-User credentials")(role.ListAccessKeys(ctx, &iam.ListAccessKeysInput{}))
		// The role was used, which it tells.
		used := must(w.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("r")}))(t).Role.RoleLastUsed
		if used == nil || used.LastUsedDate == nil || aws.ToString(used.Region) != "us-east-1" {
			t.Errorf("the role was last used %+v", used)
		}
	})
	t.Run("LastUsed", func(t *testing.T) {
		last := func(id string) *types.AccessKeyLastUsed {
			t.Helper()
			out := must(w.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &id}))(t)
			if *out.UserName != "ben" {
				t.Errorf("the key is %s's", *out.UserName)
			}
			return out.AccessKeyLastUsed
		}
		key := must(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("ben")}))(t).AccessKey
		if u := last(*key.AccessKeyId); *u.Region != "N/A" || *u.ServiceName != "N/A" || u.LastUsedDate != nil {
			t.Errorf("an unused key was used: %+v", u)
		}
		cfg := w.As(*key.AccessKeyId, *key.SecretAccessKey)
		cfg.Region = "eu-west-1"
		denied := kms.NewFromConfig(cfg)
		_, err := denied.ListKeys(ctx, nil) // refused, and a use
		refused(t, "AccessDeniedException", "-")(nil, err)
		if u := last(*key.AccessKeyId); *u.Region != "eu-west-1" || *u.ServiceName != "kms" || u.LastUsedDate.Sub(w.Now()).Abs() > time.Minute {
			t.Errorf("last used %+v", u)
		}
		refused(t, "AccessDenied", "User: arn:aws:iam::"+account+":root is not authorized to perform iam:GetAccessKeyLastUsed on resource: access key AKIAIOSFODNN7EXAMPLE")(
			w.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: aws.String("AKIAIOSFODNN7EXAMPLE")}))
	})
	t.Run("Delete", func(t *testing.T) {
		ok(t)(w.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: ann, AccessKeyId: first.AccessKeyId}))
		refused(t, "NoSuchEntity", "-")(w.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: ann, AccessKeyId: first.AccessKeyId}))
		refused(t, "InvalidClientTokenId", "-")(who(t, first))
		w.recorded(t, "DeleteAccessKey", "NoSuchEntity")
	})
}

// Who may not ask about an access key does not learn whether it is there, nor whose it is.
func TestAccessKeyLastUsedTellsNothing(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newUser(t, "ann")
	own := *must(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("ann")}))(t).AccessKey.AccessKeyId
	theirs, _, err := w.CreateKey(ctx, other, "")
	ok(t)(theirs, err)
	nobody := w.user("nobody")
	for _, id := range []string{own, theirs, "AKIAIOSFODNN7EXAMPLE"} {
		refused(t, "AccessDenied", "User: "+iamARN("user", "nobody")+" is not authorized to perform iam:GetAccessKeyLastUsed on resource: access key "+id)(
			nobody.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &id}))
	}
	one := w.user("one", `"Action":"iam:GetAccessKeyLastUsed","Resource":"`+iamARN("user", "ann")+`"`)
	ok(t)(one.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &own}))
}
