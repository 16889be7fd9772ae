package iam_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

func TestLoginProfile(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newUser(t, "ann")
	ann := aws.String("ann")
	const none = "Login Profile for User ann cannot be found."
	create := func(password string) (any, error) {
		return w.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: ann, Password: &password, PasswordResetRequired: true})
	}
	get := func() (*iam.GetLoginProfileOutput, error) {
		return w.GetLoginProfile(ctx, &iam.GetLoginProfileInput{UserName: ann})
	}
	refused(t, "NoSuchEntity", none)(get())
	refused(t, "NoSuchEntity", none)(w.UpdateLoginProfile(ctx, &iam.UpdateLoginProfileInput{UserName: ann}))
	refused(t, "NoSuchEntity", none)(w.DeleteLoginProfile(ctx, &iam.DeleteLoginProfileInput{UserName: ann}))
	refused(t, "NoSuchEntity", noUser("x"))(w.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: aws.String("x"), Password: aws.String("Secret-123")}))
	refused(t, "PasswordPolicyViolation", "-")(create("Short-1"))
	refused(t, "PasswordPolicyViolation", "-")(create("longenough1"))
	ok(t)(create("Secret-123"))
	refused(t, "EntityAlreadyExists", "Login Profile for user ann already exists.")(create("Secret-123"))
	if l := must(get())(t).LoginProfile; *l.UserName != "ann" || !l.PasswordResetRequired || l.CreateDate == nil {
		t.Errorf("the login profile is %+v", l)
	}
	if e := w.recorded(t, "CreateLoginProfile", ""); strings.Contains(string(e.Raw), "Secret-123") {
		t.Error("the password is in the audit record")
	}
	ok(t)(w.UpdateLoginProfile(ctx, &iam.UpdateLoginProfileInput{UserName: ann, Password: aws.String("Secret-456"), PasswordResetRequired: aws.Bool(false)}))
	if l := must(get())(t).LoginProfile; l.PasswordResetRequired {
		t.Errorf("the login profile is %+v", l)
	}
	nobody := w.user("nobody")
	denied(t)(nobody.GetLoginProfile(ctx, &iam.GetLoginProfileInput{UserName: ann}))
	refused(t, "ValidationError", "-")(w.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{Password: aws.String("Secret-123")})) // of the root user
	ok(t)(w.DeleteLoginProfile(ctx, &iam.DeleteLoginProfileInput{UserName: ann}))
	refused(t, "NoSuchEntity", none)(get())
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	w := start(t)
	cfg := w.User(account, "ann")
	ann := iam.NewFromConfig(cfg)
	change := func(old, new string) (any, error) {
		return ann.ChangePassword(ctx, &iam.ChangePasswordInput{OldPassword: &old, NewPassword: &new})
	}
	set := func(in iam.UpdateAccountPasswordPolicyInput) {
		t.Helper()
		ok(t)(w.UpdateAccountPasswordPolicy(ctx, &in))
	}
	ok(t)(w.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: aws.String("ann"), Password: aws.String("Secret-1")}))
	denied(t)(change("Secret-1", "Secret-2"))
	denied(t)(ann.GetAccountPasswordPolicy(ctx, nil))
	// The account's policy lets users change their own, and see what a password must be.
	set(iam.UpdateAccountPasswordPolicyInput{AllowUsersToChangePassword: true, PasswordReusePrevention: aws.Int32(2), MaxPasswordAge: aws.Int32(10), HardExpiry: aws.Bool(true), RequireSymbols: true})
	ok(t)(ann.GetAccountPasswordPolicy(ctx, nil))
	refused(t, "AccessDenied", "The old password was incorrect.")(change("Secret-0", "Secret-2"))
	refused(t, "PasswordPolicyViolation", "-")(change("Secret-1", "Secret2"))
	ok(t)(change("Secret-1", "Secret-2"))
	refused(t, "PasswordPolicyViolation", "-")(change("Secret-2", "Secret-2"))
	refused(t, "PasswordPolicyViolation", "Policy constraint violation with password reuse prevention during password change.")(change("Secret-2", "Secret-1"))
	ok(t)(change("Secret-2", "Secret-3"))
	ok(t)(change("Secret-3", "Secret-1")) // the one before the last two
	if e := w.recorded(t, "ChangePassword", ""); strings.Contains(string(e.Raw), "Secret-") {
		t.Error("a password is in the audit record")
	}
	// An explicit deny goes before what the account's policy lets.
	ok(t)(w.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("no"), PolicyDocument: aws.String(document(`"Effect":"Deny","Action":"iam:ChangePassword","Resource":"*"`))}))
	denied(t)(change("Secret-1", "Secret-4"))
	ok(t)(w.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("no")}))
	w.Advance(10 * 24 * time.Hour)
	refused(t, "PasswordPolicyViolation", "-")(change("Secret-1", "Secret-4"))
	ok(t)(w.DeleteLoginProfile(ctx, &iam.DeleteLoginProfileInput{UserName: aws.String("ann")}))
	refused(t, "NoSuchEntity", "-")(change("Secret-1", "Secret-4"))
	refused(t, "InvalidUserType", "-")(w.Client.ChangePassword(ctx, &iam.ChangePasswordInput{OldPassword: aws.String("a"), NewPassword: aws.String("b")}))
}

func TestPasswordPolicy(t *testing.T) {
	t.Parallel()
	w := start(t)
	refused(t, "NoSuchEntity", "The Password Policy with domain name "+account+" cannot be found.")(w.GetAccountPasswordPolicy(ctx, nil))
	refused(t, "NoSuchEntity", "The account policy with name PasswordPolicy cannot be found.")(w.DeleteAccountPasswordPolicy(ctx, nil))
	ok(t)(w.UpdateAccountPasswordPolicy(ctx, nil))
	p := must(w.GetAccountPasswordPolicy(ctx, nil))(t).PasswordPolicy
	if *p.MinimumPasswordLength != 6 || p.ExpirePasswords || p.HardExpiry != nil || p.MaxPasswordAge != nil || p.PasswordReusePrevention != nil || p.RequireNumbers {
		t.Errorf("the default policy is %+v", p)
	}
	ok(t)(w.UpdateAccountPasswordPolicy(ctx, &iam.UpdateAccountPasswordPolicyInput{
		MinimumPasswordLength: aws.Int32(10), RequireLowercaseCharacters: true, RequireUppercaseCharacters: true, RequireNumbers: true, RequireSymbols: true,
		MaxPasswordAge: aws.Int32(60), PasswordReusePrevention: aws.Int32(3), HardExpiry: aws.Bool(true),
	}))
	p = must(w.GetAccountPasswordPolicy(ctx, nil))(t).PasswordPolicy
	if *p.MinimumPasswordLength != 10 || !p.ExpirePasswords || !*p.HardExpiry || *p.MaxPasswordAge != 60 || *p.PasswordReusePrevention != 3 || !p.RequireSymbols {
		t.Errorf("the policy is %+v", p)
	}
	w.newUser(t, "ann")
	for password, message := range map[string]string{
		"Aa1-aaaaa": "Password should have a minimum length of 10", "aaaaaaaa1-": "Password should have at least one uppercase letter",
		"AAAAAAAA1-": "Password should have at least one lowercase letter", "Aaaaaaaaa-": "Password should have at least one number",
		"Aaaaaaaaa1": "Password should have at least one of the following symbols: ! @ # $ % ^ & * ( ) _ + - = [ ] { } | '",
	} {
		refused(t, "PasswordPolicyViolation", message)(w.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: aws.String("ann"), Password: &password}))
	}
	refused(t, "ValidationError", "-")(w.UpdateAccountPasswordPolicy(ctx, &iam.UpdateAccountPasswordPolicyInput{MinimumPasswordLength: aws.Int32(129)}))
	nobody := w.user("nobody")
	denied(t)(nobody.UpdateAccountPasswordPolicy(ctx, nil))
	denied(t)(nobody.DeleteAccountPasswordPolicy(ctx, nil))
	ok(t)(w.DeleteAccountPasswordPolicy(ctx, nil))
	w.recorded(t, "DeleteAccountPasswordPolicy", "")
}

// What a path may hold must not get into the policy by which users change their passwords.
func TestChangePasswordOfAnyPath(t *testing.T) {
	t.Parallel()
	w := start(t)
	ok(t)(w.UpdateAccountPasswordPolicy(ctx, &iam.UpdateAccountPasswordPolicyInput{AllowUsersToChangePassword: true}))
	for i, path := range []string{`/"/`, `/*/`, `/\/`, `/"},"Effect":"Allow","x":{"/`} {
		name := aws.String("u" + string(rune('a'+i)))
		ok(t)(w.CreateUser(ctx, &iam.CreateUserInput{UserName: name, Path: &path}))
		k := must(w.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: name}))(t).AccessKey
		ok(t)(w.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: name, Password: aws.String("Secret-123")}))
		u := iam.NewFromConfig(w.As(*k.AccessKeyId, *k.SecretAccessKey))
		ok(t)(u.GetAccountPasswordPolicy(ctx, nil))
		ok(t)(u.ChangePassword(ctx, &iam.ChangePasswordInput{OldPassword: aws.String("Secret-123"), NewPassword: aws.String("Secret-456")}))
		denied(t)(u.GetAccountSummary(ctx, nil))
	}
}
