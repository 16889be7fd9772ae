package stories_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	orgtypes "github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/engine/oidc/oidctest"
	"github.com/holdfast-cloud/holdfast/engine/totp"
)

const production = "444455556666"

// done fails the test unless a step succeeded: done(t)(client.Operation(...)).
func done(t *testing.T) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// allow is an identity policy.
func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}

// trust is a trust policy for one principal, under a condition if there is one.
func trust(kind, principal, action, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"` + kind + `":"` + principal + `"},"Action":"` + action + `"` + condition + `}]}`
}

// newUser makes a user by IAM's own API, and returns a configuration with an access key of theirs.
func newUser(t *testing.T, c *cloudtest.Cloud, admin *iam.Client, name string) aws.Config {
	t.Helper()
	done(t)(admin.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}))
	key, err := admin.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return c.As(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey)
}

func session(c *cloudtest.Cloud, k *ststypes.Credentials) aws.Config {
	return c.Session(*k.AccessKeyId, *k.SecretAccessKey, *k.SessionToken)
}

// What a policy says is what happens, from the next call on.
func TestAPolicyCountsFromTheNextCallOn(t *testing.T) {
	c := cloudtest.Start(t)
	admin := iam.NewFromConfig(c.Config())
	ann := kms.NewFromConfig(newUser(t, c, admin, "ann"))
	may := func() error {
		_, err := ann.ListKeys(t.Context(), nil)
		return err
	}
	wantRefusal(t, may(), "AccessDeniedException", "because no identity-based policy allows the kms:ListKeys action")

	done(t)(admin.CreateGroup(t.Context(), &iam.CreateGroupInput{GroupName: aws.String("keepers")}))
	done(t)(admin.PutGroupPolicy(t.Context(), &iam.PutGroupPolicyInput{GroupName: aws.String("keepers"), PolicyName: aws.String("keys"), PolicyDocument: aws.String(allow("kms:*", "*"))}))
	done(t)(admin.AddUserToGroup(t.Context(), &iam.AddUserToGroupInput{GroupName: aws.String("keepers"), UserName: aws.String("ann")}))
	done(t)(nil, may())

	// A permissions boundary limits what policies give.
	boundary, err := admin.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("edge"), PolicyDocument: aws.String(allow("kms:Describe*", "*"))})
	done(t)(boundary, err)
	done(t)(admin.PutUserPermissionsBoundary(t.Context(), &iam.PutUserPermissionsBoundaryInput{UserName: aws.String("ann"), PermissionsBoundary: boundary.Policy.Arn}))
	wantRefusal(t, may(), "AccessDeniedException", "because no permissions boundary allows the kms:ListKeys action")
	done(t)(admin.CreatePolicyVersion(t.Context(), &iam.CreatePolicyVersionInput{PolicyArn: boundary.Policy.Arn, PolicyDocument: aws.String(allow("kms:List*", "*")), SetAsDefault: true}))
	done(t)(nil, may())

	done(t)(admin.RemoveUserFromGroup(t.Context(), &iam.RemoveUserFromGroupInput{GroupName: aws.String("keepers"), UserName: aws.String("ann")}))
	wantRefusal(t, may(), "AccessDeniedException", "because no identity-based policy allows")
}

// A role of another account is entered only by whom both accounts allow, and its session may do what is left when all have had their say, for as long as it lasts.
func TestARoleIsEnteredAndLeft(t *testing.T) {
	c := cloudtest.Start(t)
	home, away := iam.NewFromConfig(c.Config()), iam.NewFromConfig(c.Root(production))
	ann := newUser(t, c, home, "ann")
	done(t)(away.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("keeper"), AssumeRolePolicyDocument: aws.String(
		trust("AWS", "arn:aws:iam::"+c.Account+":user/ann", "sts:AssumeRole", `{"StringEquals":{"sts:ExternalId":"blue-42"}}`))}))
	done(t)(away.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("keeper"), PolicyName: aws.String("keys"), PolicyDocument: aws.String(allow("kms:*", "*"))}))
	role := "arn:aws:iam::" + production + ":role/keeper"
	enter := func(in sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
		in.RoleArn, in.RoleSessionName = &role, aws.String("work")
		return sts.NewFromConfig(ann).AssumeRole(t.Context(), &in)
	}
	_, err := enter(sts.AssumeRoleInput{ExternalId: aws.String("blue-42")})
	wantRefusal(t, err, "AccessDenied", "is not authorized to perform: sts:AssumeRole on resource: "+role) // her own account does not let her
	done(t)(home.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("enter"), PolicyDocument: aws.String(allow("sts:AssumeRole", role))}))
	_, err = enter(sts.AssumeRoleInput{})
	wantRefusal(t, err, "AccessDenied", "sts:AssumeRole")
	out, err := enter(sts.AssumeRoleInput{ExternalId: aws.String("blue-42"), DurationSeconds: aws.Int32(3600)})
	done(t)(out, err)
	keeper := kms.NewFromConfig(session(c, out.Credentials))
	key := newKey(t, keeper)
	if !strings.Contains(*key.Arn, ":"+production+":") {
		t.Errorf("the session made the key %s", *key.Arn)
	}
	// The session's own policy takes away, and gives nothing.
	small, err := enter(sts.AssumeRoleInput{ExternalId: aws.String("blue-42"), Policy: aws.String(allow("kms:DescribeKey", "*"))})
	done(t)(small, err)
	narrow := kms.NewFromConfig(session(c, small.Credentials))
	done(t)(narrow.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.Arn}))
	_, err = narrow.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key.Arn})
	wantRefusal(t, err, "AccessDeniedException", "because no session policy allows the kms:DisableKey action")

	// All sessions from before now can be ended by date.
	c.Advance(time.Minute)
	deny := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"` + c.Clock.Now().UTC().Format(time.RFC3339) + `"}}}]}`
	done(t)(away.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("keeper"), PolicyName: aws.String("revoke"), PolicyDocument: &deny}))
	_, err = keeper.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.Arn})
	wantRefusal(t, err, "AccessDeniedException", "with an explicit deny in an identity-based policy")
	c.Advance(time.Second)
	again, err := enter(sts.AssumeRoleInput{ExternalId: aws.String("blue-42"), DurationSeconds: aws.Int32(900)})
	done(t)(again, err)
	later := kms.NewFromConfig(session(c, again.Credentials))
	done(t)(later.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.Arn}))
	c.Advance(15 * time.Minute)
	_, err = later.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.Arn})
	wantRefusal(t, err, "ExpiredTokenException", "The security token included in the request is expired")
}

// An organization's policies bind everybody in its member accounts, the root users included, and nobody in its management account.
func TestAnOrganizationBindsItsMembers(t *testing.T) {
	c := cloudtest.Start(t)
	o := organizations.NewFromConfig(c.Config())
	done(t)(o.CreateOrganization(t.Context(), &organizations.CreateOrganizationInput{}))
	asked, err := o.CreateAccount(t.Context(), &organizations.CreateAccountInput{AccountName: aws.String("Production"), Email: aws.String("production@example.com")})
	done(t)(asked, err)
	made, err := o.DescribeCreateAccountStatus(t.Context(), &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: asked.CreateAccountStatus.Id})
	done(t)(made, err)
	account := *made.CreateAccountStatus.AccountId
	roots, err := o.ListRoots(t.Context(), nil)
	done(t)(roots, err)
	done(t)(o.EnablePolicyType(t.Context(), &organizations.EnablePolicyTypeInput{RootId: roots.Roots[0].Id, PolicyType: orgtypes.PolicyTypeServiceControlPolicy}))
	keep, err := o.CreatePolicy(t.Context(), &organizations.CreatePolicyInput{
		Name: aws.String("keep"), Description: aws.String("Keys stay."), Type: orgtypes.PolicyTypeServiceControlPolicy,
		Content: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"kms:ScheduleKeyDeletion","Resource":"*"}]}`),
	})
	done(t)(keep, err)
	done(t)(o.AttachPolicy(t.Context(), &organizations.AttachPolicyInput{PolicyId: keep.Policy.PolicySummary.Id, TargetId: roots.Roots[0].Id}))

	member, management := kms.NewFromConfig(c.Root(account)), kms.NewFromConfig(c.Config())
	theirs, ours := newKey(t, member), newKey(t, management)
	_, err = member.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: theirs.KeyId})
	wantRefusal(t, err, "AccessDeniedException", "User: arn:aws:iam::"+account+":root is not authorized to perform: kms:ScheduleKeyDeletion on resource: "+*theirs.Arn+" with an explicit deny in a service control policy")
	done(t)(management.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: ours.KeyId}))

	// Key policies can let in the whole organization, whoever is in it.
	shared := newKey(t, management, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"`+c.Account+`"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"`+orgID(t, o)+`/*"}}}]}`)
	encrypt(t, member, shared, "plans")
	_, err = kms.NewFromConfig(c.Root("999988887777")).Encrypt(t.Context(), &kms.EncryptInput{KeyId: shared.Arn, Plaintext: []byte("x")})
	wantRefusal(t, err, "AccessDeniedException", "kms:Encrypt")
	done(t)(o.RemoveAccountFromOrganization(t.Context(), &organizations.RemoveAccountFromOrganizationInput{AccountId: &account}))
	_, err = member.Encrypt(t.Context(), &kms.EncryptInput{KeyId: shared.Arn, Plaintext: []byte("x")})
	wantRefusal(t, err, "AccessDeniedException", "kms:Encrypt")
	done(t)(member.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: theirs.KeyId}))
}

func orgID(t *testing.T, o *organizations.Client) string {
	t.Helper()
	out, err := o.DescribeOrganization(t.Context(), nil)
	done(t)(out, err)
	return *out.Organization.Id
}

// A policy can ask for a second factor, and a code counts once.
func TestASecondFactorIsAskedFor(t *testing.T) {
	c := cloudtest.Start(t)
	admin := iam.NewFromConfig(c.Config())
	cfg := newUser(t, c, admin, "ann")
	done(t)(admin.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("keys"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}]}`)}))
	device, err := admin.CreateVirtualMFADevice(t.Context(), &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: aws.String("phone")})
	done(t)(device, err)
	seed, err := totp.ParseSeed(string(device.VirtualMFADevice.Base32StringSeed))
	done(t)(seed, err)
	code := func(ago time.Duration) *string { return aws.String(seed.Code(c.Clock.Now().Add(-ago))) }
	done(t)(admin.EnableMFADevice(t.Context(), &iam.EnableMFADeviceInput{
		UserName: aws.String("ann"), SerialNumber: device.VirtualMFADevice.SerialNumber, AuthenticationCode1: code(30 * time.Second), AuthenticationCode2: code(0),
	}))
	_, err = kms.NewFromConfig(cfg).ListKeys(t.Context(), nil)
	wantRefusal(t, err, "AccessDeniedException", "kms:ListKeys")

	c.Advance(time.Minute)
	login := func(code *string) (*sts.GetSessionTokenOutput, error) {
		return sts.NewFromConfig(cfg).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{SerialNumber: device.VirtualMFADevice.SerialNumber, TokenCode: code})
	}
	used := code(0)
	out, err := login(used)
	done(t)(out, err)
	done(t)(kms.NewFromConfig(session(c, out.Credentials)).ListKeys(t.Context(), nil))
	_, err = login(used)
	wantRefusal(t, err, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code")
}

// A CI job enters a role with the token that its own identity provider gave it, and without any secret of ours.
func TestATokenOfAnIdentityProviderEntersARole(t *testing.T) {
	c := cloudtest.Start(t)
	admin, provider := iam.NewFromConfig(c.Config()), oidctest.NewTLS(t)
	made, err := admin.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{
		Url: aws.String(provider.Issuer()), ClientIDList: []string{"sts.amazonaws.com"}, ThumbprintList: provider.Registration().Thumbprints,
	})
	done(t)(made, err)
	_, host, _ := strings.Cut(provider.Issuer(), "://")
	done(t)(admin.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("deploy"), AssumeRolePolicyDocument: aws.String(
		trust("Federated", *made.OpenIDConnectProviderArn, "sts:AssumeRoleWithWebIdentity", `{"StringEquals":{"`+host+`:sub":"repo:holdfast:main"}}`))}))
	enter := func(subject string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		return sts.New(sts.Options{Region: c.Region, BaseEndpoint: &c.URL}).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: aws.String("arn:aws:iam::" + c.Account + ":role/deploy"), RoleSessionName: aws.String("ci"),
			WebIdentityToken: aws.String(provider.Token(c.Clock.Now(), "sts.amazonaws.com", subject, nil)),
		})
	}
	out, err := enter("repo:holdfast:main")
	done(t)(out, err)
	who, err := sts.NewFromConfig(session(c, out.Credentials)).GetCallerIdentity(t.Context(), nil)
	if err != nil || *who.Arn != "arn:aws:sts::"+c.Account+":assumed-role/deploy/ci" {
		t.Errorf("GetCallerIdentity: %v, %v", who, err)
	}
	_, err = enter("repo:holdfast:fork")
	wantRefusal(t, err, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
}

// The simulator says beforehand what the door will do, and why tells afterwards what it did.
func TestWhatWillHappenAndWhyItDid(t *testing.T) {
	c := cloudtest.Start(t)
	admin := iam.NewFromConfig(c.Config())
	ann := kms.NewFromConfig(newUser(t, c, admin, "ann"))
	done(t)(admin.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("look"), PolicyDocument: aws.String(allow("kms:ListKeys", "*"))}))
	simulated, err := admin.SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: aws.String("arn:aws:iam::" + c.Account + ":user/ann"), ActionNames: []string{"kms:ListKeys", "kms:ListAliases"},
	})
	done(t)(simulated, err)
	for _, r := range simulated.EvaluationResults {
		var err error
		if *r.EvalActionName == "kms:ListKeys" {
			_, err = ann.ListKeys(t.Context(), nil)
		} else {
			_, err = ann.ListAliases(t.Context(), nil)
		}
		if (r.EvalDecision == iamtypes.PolicyEvaluationDecisionTypeAllowed) != (err == nil) {
			t.Errorf("%s was simulated as %s, and ended with %v", *r.EvalActionName, r.EvalDecision, err)
		}
	}
	for _, e := range c.Trail(c.Account) {
		if e.EventName != "ListKeys" && e.EventName != "ListAliases" {
			continue
		}
		told, err := c.Why(t.Context(), e.EventID)
		if err != nil || len(told) != 1 {
			t.Fatalf("Why(%s): %v, %v", e.EventName, told, err)
		}
		var text strings.Builder
		done(t)(nil, told[0].WriteText(&text))
		want := "decided   statement 1 of the identity-based policy look"
		if e.EventName == "ListAliases" {
			want = "outcome   implicitDeny"
		}
		if !strings.Contains(text.String(), want) {
			t.Errorf("why of %s does not tell %q:\n%s", e.EventName, want, text.String())
		}
	}
}

// Whoever is made anew under an old name is somebody else.
func TestASuccessorInNameInheritsNothing(t *testing.T) {
	c := cloudtest.Start(t)
	admin, root := iam.NewFromConfig(c.Config()), kms.NewFromConfig(c.Config())
	role := func() {
		t.Helper()
		done(t)(admin.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("keeper"), AssumeRolePolicyDocument: aws.String(trust("AWS", c.Account, "sts:AssumeRole", ""))}))
	}
	role()
	arn := "arn:aws:iam::" + c.Account + ":role/keeper"
	ann := newUser(t, c, admin, "ann")
	done(t)(admin.AttachUserPolicy(t.Context(), &iam.AttachUserPolicyInput{UserName: aws.String("ann"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")}))
	enter := func() *kms.Client {
		t.Helper()
		out, err := sts.NewFromConfig(ann).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("work")})
		done(t)(out, err)
		return kms.NewFromConfig(session(c, out.Credentials))
	}
	key := newKey(t, root, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"`+c.Account+`"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"`+arn+`"},"Action":"kms:Encrypt","Resource":"*"}]}`)
	done(t)(root.CreateGrant(t.Context(), &kms.CreateGrantInput{KeyId: key.KeyId, GranteePrincipal: &arn, Operations: []types.GrantOperation{types.GrantOperationDecrypt}}))
	old := enter()
	ciphertext := encrypt(t, old, key, "plans")
	wantText(t, old, ciphertext, "plans")
	done(t)(admin.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("keeper")}))
	role()
	_, err := old.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key.Arn, Plaintext: []byte("x")})
	wantRefusal(t, err, "UnrecognizedClientException", "The security token included in the request is invalid")
	successor := enter()
	_, err = successor.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key.Arn, Plaintext: []byte("x")})
	wantRefusal(t, err, "AccessDeniedException", "kms:Encrypt")
	_, err = decrypt(t, successor, ciphertext)
	wantRefusal(t, err, "AccessDeniedException", "kms:Decrypt")
	grants, err := root.ListGrants(t.Context(), &kms.ListGrantsInput{KeyId: key.KeyId})
	done(t)(grants, err)
	if len(grants.Grants) != 1 || !strings.HasPrefix(*grants.Grants[0].GranteePrincipal, "AROA") {
		t.Errorf("the grants are %+v", grants.Grants)
	}
	shown, err := root.GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: key.KeyId})
	done(t)(shown, err)
	if strings.Contains(*shown.Policy, arn) || !strings.Contains(*shown.Policy, `"AROA`) {
		t.Errorf("the key policy shows %s", *shown.Policy)
	}
}

// Everybody is still there after a restart, and so are their sessions.
func TestIdentitySurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	var id, secret string
	var credentials *ststypes.Credentials
	t.Run("Before", func(t *testing.T) {
		c := cloudtest.Start(t, onDisk(dir))
		admin := iam.NewFromConfig(c.Config())
		ann := newUser(t, c, admin, "ann")
		kept, err := ann.Credentials.Retrieve(t.Context())
		done(t)(kept, err)
		id, secret = kept.AccessKeyID, kept.SecretAccessKey
		done(t)(admin.AttachUserPolicy(t.Context(), &iam.AttachUserPolicyInput{UserName: aws.String("ann"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")}))
		done(t)(admin.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: aws.String(trust("AWS", c.Account, "sts:AssumeRole", ""))}))
		out, err := sts.NewFromConfig(ann).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + c.Account + ":role/r"), RoleSessionName: aws.String("work")})
		done(t)(out, err)
		credentials = out.Credentials
	})
	t.Run("After", func(t *testing.T) {
		c := cloudtest.Start(t, onDisk(dir))
		done(t)(kms.NewFromConfig(c.As(id, secret)).ListKeys(t.Context(), nil))
		who, err := sts.NewFromConfig(session(c, credentials)).GetCallerIdentity(t.Context(), nil)
		if err != nil || *who.Arn != "arn:aws:sts::"+c.Account+":assumed-role/r/work" {
			t.Errorf("GetCallerIdentity: %v, %v", who, err)
		}
	})
}
