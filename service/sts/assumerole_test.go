package sts_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

func TestAssumeRole(t *testing.T) {
	c := cloudtest.Start(t)
	arn := c.Role(c.Account, "reader", trust(account(c.Account), ""), allow(`"kms:ListKeys"`))
	ann := c.User(c.Account, "ann", allow(`"sts:*"`))
	before := c.Clock.Now()
	out, err := sts.NewFromConfig(ann).AssumeRole(t.Context(), role(arn))
	if err != nil {
		t.Fatal(err)
	}
	k := out.Credentials
	if len(*k.AccessKeyId) != 20 || !strings.HasPrefix(*k.AccessKeyId, "ASIA") || len(*k.SecretAccessKey) != 40 || *k.SessionToken == "" {
		t.Errorf("credentials %+v", k)
	}
	if d := k.Expiration.Sub(before); d < 59*time.Minute || d > 61*time.Minute {
		t.Errorf("they last %s", d)
	}
	u := out.AssumedRoleUser
	if want := "arn:aws:sts::" + c.Account + ":assumed-role/reader/session"; *u.Arn != want || !strings.HasPrefix(*u.AssumedRoleId, "AROA") || !strings.HasSuffix(*u.AssumedRoleId, ":session") {
		t.Errorf("AssumedRoleUser %s %s, want %s", *u.Arn, *u.AssumedRoleId, want)
	}
	if out.PackedPolicySize != nil || out.SourceIdentity != nil {
		t.Errorf("PackedPolicySize %v, SourceIdentity %v", out.PackedPolicySize, out.SourceIdentity)
	}
	reader := with(c, k)
	if got := whoami(t, reader); got != *u.Arn {
		t.Errorf("the session is %s", got)
	}
	if _, err := kms.NewFromConfig(reader).ListKeys(t.Context(), nil); err != nil {
		t.Errorf("ListKeys: %v", err)
	}
	if _, err := kms.NewFromConfig(reader).CreateKey(t.Context(), nil); code(err) != "AccessDeniedException" {
		t.Errorf("CreateKey: %v", err)
	}
	// In another region, too.
	west := reader.Copy()
	west.Region = "eu-west-1"
	if got := whoami(t, west); got != *u.Arn {
		t.Errorf("in another region the session is %s", got)
	}

	events := c.Trail(c.Account)
	i := slices.IndexFunc(events, func(e cloudtest.Event) bool { return e.EventName == "AssumeRole" })
	if i < 0 || !events[i].ReadOnly || events[i].RequestParameters["roleArn"] != arn || len(events[i].Resources) != 1 || events[i].Resources[0].Type != "AWS::IAM::Role" {
		t.Fatalf("the record is %s", events[i].Raw)
	}
	i = slices.IndexFunc(events, func(e cloudtest.Event) bool { return e.EventName == "ListKeys" })
	var record struct {
		UserIdentity struct {
			Type, ARN, PrincipalID, AccessKeyID string
			SessionContext                      struct {
				SessionIssuer struct{ Type, ARN, UserName, PrincipalID, AccountID string }
				Attributes    struct{ CreationDate, MFAAuthenticated string }
			}
		}
	}
	if err := json.Unmarshal(events[i].Raw, &record); err != nil {
		t.Fatal(err)
	}
	id := record.UserIdentity
	if id.Type != "AssumedRole" || id.ARN != *u.Arn || id.PrincipalID != *u.AssumedRoleId || id.AccessKeyID != *k.AccessKeyId ||
		id.SessionContext.SessionIssuer.ARN != arn || id.SessionContext.SessionIssuer.UserName != "reader" || id.SessionContext.Attributes.MFAAuthenticated != "false" {
		t.Errorf("userIdentity of the session: %s", events[i].Raw)
	}
	for _, e := range events {
		if strings.Contains(string(e.Raw), *k.SecretAccessKey) {
			t.Errorf("the record tells the secret: %s", e.Raw)
		}
	}

	c.Advance(time.Hour + time.Second)
	if got := whoami(t, reader); got != "ExpiredToken" {
		t.Errorf("after an hour the session is %s", got)
	}
}

// Who may assume which role: both the trust policy and the caller's own policies have their say, as the account they are in demands.
func TestAssumeRoleAsksBothSides(t *testing.T) {
	c := cloudtest.Start(t)
	nobody, assumer := c.User(c.Account, "nobody"), c.User(c.Account, "assumer", allow(`"sts:AssumeRole"`))
	denied := c.User(c.Account, "denied", allow(`"*"`), deny(`"sts:AssumeRole"`))
	strange, stranger := c.User(other, "strange"), c.User(other, "stranger", allow(`"sts:AssumeRole"`))
	byAccount := c.Role(c.Account, "by-account", trust(account(c.Account), ""))
	byUser := c.Role(c.Account, "by-user", trust(`{"AWS":["arn:aws:iam::`+c.Account+`:user/nobody","arn:aws:iam::`+other+`:user/strange"]}`, ""))
	byOther := c.Role(c.Account, "by-other", trust(account(other), ""))
	byNone := c.Role(c.Account, "by-none", trust(`{"Service":"ec2.amazonaws.com"}`, ""))
	for _, tt := range []struct {
		who   string
		as    aws.Config
		arn   string
		wants bool
	}{
		{"assumer", assumer, byAccount, true}, {"nobody", nobody, byAccount, false}, {"stranger", stranger, byAccount, false},
		{"nobody", nobody, byUser, true}, {"assumer", assumer, byUser, false}, {"strange", strange, byUser, false},
		{"stranger", stranger, byOther, true}, {"strange", strange, byOther, false}, {"assumer", assumer, byOther, false},
		{"assumer", assumer, byNone, false}, {"denied", denied, byAccount, false},
		{"assumer", assumer, "arn:aws:iam::" + c.Account + ":role/no-such", false},
		{"stranger", stranger, "arn:aws:iam::" + c.Account + ":role/no-such", false},
		{"assumer", assumer, "arn:aws:iam::" + c.Account + ":role/path/by-account", false},
	} {
		_, err := sts.NewFromConfig(tt.as).AssumeRole(t.Context(), role(tt.arn))
		if tt.wants {
			if err != nil {
				t.Errorf("%s cannot assume %s: %v", tt.who, tt.arn, err)
			}
			continue
		}
		message := "is not authorized to perform: sts:AssumeRole on resource: " + tt.arn
		if tt.who == "denied" {
			message += " with an explicit deny in an identity-based policy"
		}
		// The same words whether the role is there or not.
		if code(err) != "AccessDenied" || !strings.HasSuffix(err.Error(), message) {
			t.Errorf("%s assumes %s: %v, want AccessDenied: ... %s", tt.who, tt.arn, err, message)
		}
	}
	// Both accounts have a record of what went across, with one shared ID.
	shared := make(map[string]int)
	for _, e := range append(c.Trail(c.Account), c.Trail(other)...) {
		if e.EventName == "AssumeRole" && e.SharedEventID != "" && e.ErrorCode == "" {
			shared[e.SharedEventID]++
		}
	}
	if len(shared) != 1 {
		t.Errorf("shared events %v, want one", shared)
	}
	for id, n := range shared {
		if n != 2 {
			t.Errorf("shared event %s stands in %d records", id, n)
		}
	}
}

func TestAssumeRoleRefuses(t *testing.T) {
	c := cloudtest.Start(t)
	arn := c.Role(c.Account, "r", trust(account(c.Account), ""), allow(`"*"`))
	ann := c.User(c.Account, "ann", allow(`"*"`))
	chained := assume(t, c, ann, role(arn))
	for _, tt := range []struct {
		name          string
		as            aws.Config
		change        func(*sts.AssumeRoleInput)
		code, message string
	}{
		{"Root", c.Config(), nil, "AccessDenied", "Roles may not be assumed by root accounts."},
		{"NoARN", ann, func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String("a role of some kind or other") }, "ValidationError", "a role of some kind or other is invalid"},
		{"ARNOfAUser", ann, func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String("arn:aws:iam::111122223333:user/ann") },
			"ValidationError", "arn:aws:iam::111122223333:user/ann is invalid"},
		{"SessionName", ann, func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("a/b") }, "ValidationError", "1 validation error detected"},
		{"TooShort", ann, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(899) }, "ValidationError", "1 validation error detected"},
		{"LongerThanTheChain", chained, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(3601) },
			"ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."},
		{"PolicyIsNoJSON", ann, func(in *sts.AssumeRoleInput) { in.Policy = aws.String(`{"Version"`) }, "MalformedPolicyDocument", ""},
		{"PolicyWithPrincipal", ann, func(in *sts.AssumeRoleInput) { in.Policy = aws.String(trust(`"*"`, "")) }, "MalformedPolicyDocument", ""},
		{"PolicyTooLong", ann, func(in *sts.AssumeRoleInput) { in.Policy = aws.String(allow(`"*"`) + strings.Repeat(" ", 2048)) }, "PackedPolicyTooLarge", ""},
		{"TooManyPolicies", ann, func(in *sts.AssumeRoleInput) {
			in.PolicyArns = slices.Repeat([]types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")}}, 11)
		}, "ValidationError", ""},
		{"NoSuchPolicy", ann, func(in *sts.AssumeRoleInput) {
			in.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/NoSuch")}}
		}, "MalformedPolicyDocument", "Policy arn:aws:iam::aws:policy/NoSuch does not exist"},
		{"PolicyOfAnotherAccount", ann, func(in *sts.AssumeRoleInput) {
			in.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::444455556666:policy/NoSuch")}}
		}, "MalformedPolicyDocument", ""},
		{"DuplicateTags", ann, func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{tag("Team", "a"), tag("team", "b")} },
			"InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		{"ReservedTag", ann, func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{tag("aws:x", "a")} }, "InvalidParameterValue", ""},
		{"TransitiveWithoutTag", ann, func(in *sts.AssumeRoleInput) { in.TransitiveTagKeys = []string{"Team"} },
			"InvalidParameterValue", "The specified transitive tag key must be included in the requested tags."},
		{"Contexts", ann, func(in *sts.AssumeRoleInput) {
			in.ProvidedContexts = []types.ProvidedContext{{ProviderArn: aws.String("arn:aws:iam::aws:contextProvider/IdentityCenter"), ContextAssertion: aws.String("an assertion")}}
		}, "NotImplemented", ""},
		{"SerialNumberAlone", ann, func(in *sts.AssumeRoleInput) { in.SerialNumber = aws.String("arn:aws:iam::111122223333:mfa/ann") },
			"AccessDenied", "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := role(arn)
			if tt.change != nil {
				tt.change(in)
			}
			_, err := sts.NewFromConfig(tt.as).AssumeRole(t.Context(), in)
			wantError(t, err, tt.code, tt.message)
		})
	}
	t.Run("LongerThanTheRole", func(t *testing.T) {
		short := role(c.Role(c.Account, "short", trust(account(c.Account), "")))
		short.DurationSeconds = aws.Int32(43200)
		if _, err := sts.NewFromConfig(ann).AssumeRole(t.Context(), short); err != nil {
			t.Errorf("twelve hours: %v", err)
		}
		putShort(t, c, "short", trust(account(c.Account), ""))
		_, err := sts.NewFromConfig(ann).AssumeRole(t.Context(), short)
		wantError(t, err, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	})
	t.Run("PackedTooLarge", func(t *testing.T) {
		in := role(arn)
		for i := range 50 {
			value := make([]byte, 200)
			for j := range value {
				value[j] = byte('a' + rand.IntN(26))
			}
			in.Tags = append(in.Tags, tag(fmt.Sprintf("%d-%d", i, rand.Int()), string(value)))
		}
		_, err := sts.NewFromConfig(ann).AssumeRole(t.Context(), in)
		wantError(t, err, "PackedPolicyTooLarge", "Packed policy consumes 1")
	})
}

func TestSessionPolicies(t *testing.T) {
	c := cloudtest.Start(t)
	arn := c.Role(c.Account, "r", trust(account(c.Account), ""), allow(`["kms:ListKeys","kms:CreateKey"]`))
	ann := c.User(c.Account, "ann", allow(`"sts:AssumeRole"`))
	for _, tt := range []struct {
		name           string
		policy         string
		arns           []string
		lists, creates bool
	}{
		{"None", "", nil, true, true},
		{"Narrower", allow(`"kms:ListKeys"`), nil, true, false},
		{"NeverWider", allow(`["kms:ListKeys","kms:ListAliases"]`), nil, true, false},
		{"Managed", "", []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}, true, false},
		{"OneOfBoth", allow(`"kms:CreateKey"`), []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}, true, true},
		{"Nothing", allow(`"s3:GetObject"`), nil, false, false},
		{"Deny", allow(`"*"`)[:len(allow(`"*"`))-1] + `}`, nil, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := role(arn)
			if tt.policy != "" {
				in.Policy = &tt.policy
			}
			for _, a := range tt.arns {
				in.PolicyArns = append(in.PolicyArns, types.PolicyDescriptorType{Arn: &a})
			}
			out, err := sts.NewFromConfig(ann).AssumeRole(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if size := out.PackedPolicySize; (size != nil) != (tt.name != "None") || size != nil && (*size < 1 || *size > 50) {
				t.Errorf("PackedPolicySize %v", size)
			}
			k := kms.NewFromConfig(with(c, out.Credentials))
			_, lists := k.ListKeys(t.Context(), nil)
			_, creates := k.CreateKey(t.Context(), nil)
			if (lists == nil) != tt.lists || (creates == nil) != tt.creates {
				t.Errorf("ListKeys: %v, CreateKey: %v", lists, creates)
			}
			if !tt.lists && !strings.Contains(lists.Error(), "because no session policy allows the kms:ListKeys action") {
				t.Errorf("ListKeys: %v", lists)
			}
		})
	}
}

// What a trust policy can ask for, the confused deputy's missing word first.
func TestTrustConditions(t *testing.T) {
	c := cloudtest.Start(t)
	stranger := c.User(other, "stranger", allow(`"sts:*"`))
	for _, tt := range []struct {
		name, condition string
		right, wrong    func(*sts.AssumeRoleInput)
	}{
		{"ExternalId", `{"StringEquals":{"sts:ExternalId":"open sesame"}}`, nil, nil},
		{"ExternalIdGiven", `{"StringEquals":{"sts:ExternalId":"word-17"}}`,
			func(in *sts.AssumeRoleInput) { in.ExternalId = aws.String("word-17") }, func(in *sts.AssumeRoleInput) { in.ExternalId = aws.String("word-18") }},
		{"SessionName", `{"StringLike":{"sts:RoleSessionName":"ci-*"}}`,
			func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("ci-17") }, nil},
		{"SourceIdentity", `{"StringEquals":{"sts:SourceIdentity":"ann"}}`,
			func(in *sts.AssumeRoleInput) { in.SourceIdentity = aws.String("ann") }, func(in *sts.AssumeRoleInput) { in.SourceIdentity = aws.String("bob") }},
		{"RequestTag", `{"StringEquals":{"aws:RequestTag/team":"red"}}`,
			func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{tag("Team", "red")} }, func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{tag("Team", "blue")} }},
		{"TagKeys", `{"ForAllValues:StringEquals":{"aws:TagKeys":["Team"]}}`,
			func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{tag("Team", "red")} },
			func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{tag("Team", "red"), tag("More", "")} }},
		{"TransitiveTagKeys", `{"ForAnyValue:StringEquals":{"sts:TransitiveTagKeys":"Team"}}`,
			func(in *sts.AssumeRoleInput) {
				in.Tags, in.TransitiveTagKeys = []types.Tag{tag("Team", "red")}, []string{"Team"}
			}, func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{tag("Team", "red")} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			arn := c.Role(c.Account, tt.name, trust(account(other), tt.condition))
			in := role(arn)
			if tt.wrong != nil {
				tt.wrong(in)
			}
			if _, err := sts.NewFromConfig(stranger).AssumeRole(t.Context(), in); code(err) != "AccessDenied" {
				t.Errorf("without: %v", err)
			}
			if tt.right == nil {
				return
			}
			in = role(arn)
			tt.right(in)
			if _, err := sts.NewFromConfig(stranger).AssumeRole(t.Context(), in); err != nil {
				t.Errorf("with: %v", err)
			}
		})
	}
}

// Tags and a source identity need permissions of their own, of both sides.
func TestSessionExtrasNeedPermission(t *testing.T) {
	c := cloudtest.Start(t)
	only := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":` + account(other) + `,"Action":"sts:AssumeRole"}}`
	all, plain := c.Role(c.Account, "all", trust(account(other), "")), c.Role(c.Account, "plain", only)
	may, mayNot := c.User(other, "may", allow(`"sts:*"`)), c.User(other, "may-not", allow(`"sts:AssumeRole"`))
	for _, tt := range []struct {
		action string
		change func(*sts.AssumeRoleInput)
	}{
		{"sts:TagSession", func(in *sts.AssumeRoleInput) { in.Tags = []types.Tag{tag("a", "b")} }},
		{"sts:SetSourceIdentity", func(in *sts.AssumeRoleInput) { in.SourceIdentity = aws.String("ann") }},
	} {
		for _, who := range []struct {
			as    aws.Config
			arn   string
			wants bool
		}{{may, all, true}, {may, plain, false}, {mayNot, all, false}} {
			in := role(who.arn)
			tt.change(in)
			_, err := sts.NewFromConfig(who.as).AssumeRole(t.Context(), in)
			if (err == nil) != who.wants || err != nil && !strings.Contains(err.Error(), "is not authorized to perform: "+tt.action+" on resource: "+who.arn) {
				t.Errorf("%s on %s: %v", tt.action, who.arn, err)
			}
		}
	}
}

func TestChain(t *testing.T) {
	c := cloudtest.Start(t)
	ann := c.User(c.Account, "ann", allow(`"sts:*"`))
	first := c.Role(c.Account, "first", trust(account(c.Account), ""), allow(`"sts:*"`))
	second := c.Role(c.Account, "second", trust(account(c.Account), ""), allow(`"sts:*"`))
	onlyRed := c.Role(c.Account, "red", trust(account(c.Account), `{"StringEquals":{"aws:PrincipalTag/Team":"red","aws:SourceIdentity":"ann"}}`))
	in := role(first)
	in.Tags, in.TransitiveTagKeys = []types.Tag{tag("Team", "red"), tag("Floor", "3")}, []string{"team"}
	in.SourceIdentity = aws.String("ann")
	one := assume(t, c, ann, in)

	t.Run("CannotOverrideTransitiveTag", func(t *testing.T) {
		in := role(second)
		in.Tags = []types.Tag{tag("TEAM", "blue")}
		_, err := sts.NewFromConfig(one).AssumeRole(t.Context(), in)
		wantError(t, err, "InvalidParameterValue", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
	})
	t.Run("CannotChangeSourceIdentity", func(t *testing.T) {
		in := role(second)
		in.SourceIdentity = aws.String("bob")
		_, err := sts.NewFromConfig(one).AssumeRole(t.Context(), in)
		wantError(t, err, "AccessDenied", "User: arn:aws:sts::"+c.Account+":assumed-role/first/session is not authorized to perform: sts:SetSourceIdentity on resource: "+second)
	})
	in = role(second)
	in.Tags = []types.Tag{tag("Floor", "4")} // was not transitive
	out, err := sts.NewFromConfig(one).AssumeRole(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if out.SourceIdentity == nil || *out.SourceIdentity != "ann" {
		t.Errorf("the source identity became %v", out.SourceIdentity)
	}
	// The third link still sees who it was, and of which team.
	two := with(c, out.Credentials)
	if _, err := sts.NewFromConfig(two).AssumeRole(t.Context(), role(onlyRed)); err != nil {
		t.Errorf("the third role: %v", err)
	}
	if _, err := sts.NewFromConfig(ann).AssumeRole(t.Context(), role(onlyRed)); code(err) != "AccessDenied" {
		t.Errorf("without the chain: %v", err)
	}
}

// Sessions are revoked by a policy that denies what was issued before: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html
func TestRevocation(t *testing.T) {
	c := cloudtest.Start(t)
	ann := c.User(c.Account, "ann", allow(`"sts:*"`))
	arn := c.Role(c.Account, "r", trust(account(c.Account), ""), allow(`"kms:ListKeys"`))
	old := kms.NewFromConfig(assume(t, c, ann, role(arn)))
	if _, err := old.ListKeys(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
	c.Role(c.Account, "r", trust(account(c.Account), ""), allow(`"kms:ListKeys"`),
		`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"`+
			c.Clock.Now().UTC().Format(time.RFC3339)+`"}}}}`)
	if _, err := old.ListKeys(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "with an explicit deny in an identity-based policy") {
		t.Errorf("after the revocation: %v", err)
	}
	c.Advance(time.Second)
	if _, err := kms.NewFromConfig(assume(t, c, ann, role(arn))).ListKeys(t.Context(), nil); err != nil {
		t.Errorf("a new session: %v", err)
	}
}
