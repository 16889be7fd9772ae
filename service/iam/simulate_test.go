package iam_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-cloud/holdfast/identity"
)

const annARN = "arn:aws:iam::" + account + ":user/ann"

func invalidInput(t *testing.T, message string) func(any, error) {
	return refused(t, "InvalidInput", message)
}

// withAnn is a cloud in which ann has an inline policy, and a managed one of each kind.
func withAnn(t *testing.T) *world {
	t.Helper()
	w := start(t)
	mine := must(w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("mine"), PolicyDocument: new(document(`"Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"`))}))(t).Policy
	u := identity.User{Account: account, Name: "ann", Tags: map[string]string{"Team": "red"}}
	u.Inline = map[string]string{"in": "{\n  \"Version\":\"2012-10-17\",\n  \"Statement\":{\n    \"Effect\":\"Allow\",\"Action\":\"s3:Get*\",\n    \"Resource\":\"arn:aws:s3:::b/${aws:username}/*\"\n  }\n}"}
	u.Attached = []string{*mine.Arn, "arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser"}
	ok(t)(nil, w.PutUser(ctx, u))
	return w
}

func (w *world) simulate(t *testing.T, in *iam.SimulatePrincipalPolicyInput) []types.EvaluationResult {
	t.Helper()
	if in.PolicySourceArn == nil {
		in.PolicySourceArn = new(annARN)
	}
	return must(w.SimulatePrincipalPolicy(ctx, in))(t).EvaluationResults
}

func decisions(results []types.EvaluationResult) (list []string) {
	for _, r := range results {
		list = append(list, string(r.EvalDecision))
		for _, s := range r.ResourceSpecificResults {
			list = append(list, string(s.EvalResourceDecision))
		}
	}
	return list
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	unexported := cmp.FilterPath(func(p cmp.Path) bool { return strings.Contains(p.String(), "noSmithyDocumentSerde") }, cmp.Ignore())
	if diff := cmp.Diff(want, got, unexported, cmpopts.IgnoreUnexported(types.Statement{}, types.Position{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func statement(id string, kind types.PolicySourceType, line1, column1, line2, column2 int32) types.Statement {
	return types.Statement{
		SourcePolicyId: &id, SourcePolicyType: kind,
		StartPosition: &types.Position{Line: line1, Column: column1}, EndPosition: &types.Position{Line: line2, Column: column2},
	}
}

func TestSimulatePrincipalPolicy(t *testing.T) {
	t.Parallel()
	w := withAnn(t)
	t.Run("OK", func(t *testing.T) {
		results := w.simulate(t, &iam.SimulatePrincipalPolicyInput{
			ActionNames: []string{"s3:GetObject", "s3:PutObject", "kms:CreateKey"}, ResourceArns: []string{"arn:aws:s3:::b/ann/x", "arn:aws:s3:::b/bob/x"},
		})
		same(t, "decisions", decisions(results), []string{
			"implicitDeny", "allowed", "implicitDeny", "allowed", "allowed", "allowed", "allowed", "allowed", "allowed",
		})
		same(t, "where s3:GetObject is allowed", results[0].ResourceSpecificResults[0].MatchedStatements, []types.Statement{statement("user_ann_in", "user", 3, 15, 6, 4)})
		same(t, "where it is not in all", results[0].MatchedStatements, []types.Statement{})
		put := results[1]
		if len(put.MatchedStatements) != 1 || *put.MatchedStatements[0].SourcePolicyId != "mine" || put.MatchedStatements[0].SourcePolicyType != "user-managed" {
			t.Errorf("statements of s3:PutObject: %+v", put.MatchedStatements)
		}
		if *put.EvalResourceName != "arn:${Partition}:s3:::${BucketName}/${ObjectName}" {
			t.Errorf("s3:PutObject is on %s", *put.EvalResourceName)
		}
		if aws := results[2].MatchedStatements; len(aws) != 1 || *aws[0].SourcePolicyId != "AWSKeyManagementServicePowerUser" || aws[0].SourcePolicyType != "aws-managed" {
			t.Errorf("statements of kms:CreateKey: %+v", aws)
		}
		if put.EvalDecisionDetails == nil || len(put.EvalDecisionDetails) != 0 || put.OrganizationsDecisionDetail != nil || put.PermissionsBoundaryDecisionDetail != nil {
			t.Errorf("details of s3:PutObject: %+v", put)
		}
		if e := w.recorded(t, "SimulatePrincipalPolicy", ""); !e.ReadOnly || len(e.Resources) != 1 || e.Resources[0].ARN != annARN {
			t.Errorf("the record is %s", e.Raw)
		}
	})
	t.Run("AnyResource", func(t *testing.T) {
		r := w.simulate(t, &iam.SimulatePrincipalPolicyInput{ActionNames: []string{"kms:ListKeys"}})[0]
		if r.EvalDecision != "allowed" || *r.EvalResourceName != "*" || len(r.ResourceSpecificResults) != 0 || r.EvalDecisionDetails != nil {
			t.Errorf("kms:ListKeys: %+v", r)
		}
	})
	t.Run("MissingContext", func(t *testing.T) {
		in := &iam.SimulatePrincipalPolicyInput{
			ActionNames: []string{"sqs:SendMessage"}, ResourceArns: []string{"arn:aws:sqs:us-east-1:" + account + ":q", "arn:aws:sqs:us-east-1:" + account + ":r"},
			PolicyInputList: []string{document(`"Action":"sqs:*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"},"StringEquals":{"aws:PrincipalTag/team":"red"}}`,
				`"Action":"sns:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}`)},
		}
		r := w.simulate(t, in)[0]
		same(t, "keys that are missing", r.MissingContextValues, []string{"aws:MultiFactorAuthPresent"})
		same(t, "keys that are missing for r", r.ResourceSpecificResults[1].MissingContextValues, []string{"aws:MultiFactorAuthPresent"})
		in.ContextEntries = []types.ContextEntry{{ContextKeyName: new("AWS:multifactorauthpresent"), ContextKeyType: "boolean", ContextKeyValues: []string{"true"}}}
		r = w.simulate(t, in)[0]
		if r.EvalDecision != "allowed" || len(r.MissingContextValues) != 0 || *r.MatchedStatements[0].SourcePolicyId != "PolicyInputList.1" || r.MatchedStatements[0].SourcePolicyType != "none" {
			t.Errorf("with the key: %+v", r)
		}
	})
	t.Run("Boundary", func(t *testing.T) {
		in := &iam.SimulatePrincipalPolicyInput{
			ActionNames: []string{"kms:ListKeys", "kms:CreateKey"}, PermissionsBoundaryPolicyInputList: []string{document(`"Action":"kms:ListKeys","Resource":"*"`)},
		}
		results := w.simulate(t, in)
		same(t, "decisions", decisions(results), []string{"allowed", "implicitDeny"})
		if !results[0].PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary || results[1].PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary {
			t.Errorf("by the boundary: %+v, %+v", results[0].PermissionsBoundaryDecisionDetail, results[1].PermissionsBoundaryDecisionDetail)
		}
	})
	t.Run("CrossAccount", func(t *testing.T) {
		in := &iam.SimulatePrincipalPolicyInput{
			ActionNames: []string{"s3:GetObject"}, ResourceArns: []string{"arn:aws:s3:::b/ann/x"}, ResourceOwner: new("arn:aws:iam::" + other + ":root"),
			ResourcePolicy: new(document(`"Principal":{"AWS":"` + account + `"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`)),
		}
		r := w.simulate(t, in)[0]
		same(t, "decisions", decisions([]types.EvaluationResult{r}), []string{"allowed", "allowed"})
		same(t, "details", r.EvalDecisionDetails, map[string]types.PolicyEvaluationDecisionType{"IAM Policy": "allowed", "Resource Policy": "allowed"})
		if len(r.MatchedStatements) != 2 || !slices.ContainsFunc(r.MatchedStatements, func(s types.Statement) bool { return s.SourcePolicyType == "resource" }) {
			t.Errorf("statements: %+v", r.MatchedStatements)
		}
		in.ResourcePolicy = new(document(`"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/*"`))
		same(t, "details of a denial", w.simulate(t, in)[0].ResourceSpecificResults[0].EvalDecisionDetails,
			map[string]types.PolicyEvaluationDecisionType{"IAM Policy": "allowed", "Resource Policy": "explicitDeny"})
		in.ResourcePolicy = nil
		same(t, "without the other side", decisions(w.simulate(t, in)), []string{"implicitDeny", "implicitDeny"})
	})
	t.Run("AsSomebodyElse", func(t *testing.T) {
		in := &iam.SimulatePrincipalPolicyInput{
			ActionNames: []string{"s3:GetObject", "sqs:SendMessage"}, ResourceArns: []string{"arn:aws:s3:::b/bob/x"}, CallerArn: new(iamARN("user", "bob")),
			PolicyInputList: []string{document(`"Action":"sqs:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}`)},
		}
		results := w.simulate(t, in)
		same(t, "decisions", decisions(results), []string{"allowed", "allowed", "implicitDeny", "implicitDeny"})
		same(t, "bob's tags", results[1].MissingContextValues, []string{"aws:PrincipalTag/team"})
	})
	t.Run("Role", func(t *testing.T) {
		role := must(w.CreateRole(ctx, &iam.CreateRoleInput{RoleName: new("app"), Path: new("/team/"), AssumeRolePolicyDocument: &trustEC2}))(t).Role
		ok(t)(w.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: new("app"), PolicyName: new("in"), PolicyDocument: new(document(`"Action":"kms:*","Resource":"*"`))}))
		r := w.simulate(t, &iam.SimulatePrincipalPolicyInput{PolicySourceArn: role.Arn, ActionNames: []string{"kms:ListKeys"}})[0]
		if r.EvalDecision != "allowed" || *r.MatchedStatements[0].SourcePolicyId != "role_app_in" || r.MatchedStatements[0].SourcePolicyType != "role" {
			t.Errorf("kms:ListKeys: %+v", r)
		}
		// A resource's policy that names the role leaves the role's boundary in force.
		same(t, "a bounded role", decisions(w.simulate(t, &iam.SimulatePrincipalPolicyInput{
			PolicySourceArn: role.Arn, ActionNames: []string{"s3:GetObject"}, ResourceArns: []string{"arn:aws:s3:::b/x"},
			ResourcePolicy:                     new(document(`"Principal":{"AWS":"` + *role.Arn + `"},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"`)),
			PermissionsBoundaryPolicyInputList: []string{document(`"Action":"kms:*","Resource":"*"`)},
		})), []string{"implicitDeny", "implicitDeny"})
	})
	t.Run("Exclusions", func(t *testing.T) {
		for name, c := range map[string]struct {
			exclude types.PolicyIdentifier
			want    string
		}{
			"Inline":      {&types.PolicyIdentifierMemberPolicyType{Value: "inline"}, "implicitDeny allowed allowed"},
			"Customer":    {&types.PolicyIdentifierMemberPolicyType{Value: "user-managed"}, "allowed implicitDeny allowed"},
			"AWS":         {&types.PolicyIdentifierMemberPolicyType{Value: "aws-managed"}, "allowed allowed implicitDeny"},
			"ByARN":       {&types.PolicyIdentifierMemberPolicyArn{Value: "arn:aws:iam::aws:policy/AWSKey*P?werUser"}, "allowed allowed implicitDeny"},
			"ByName":      {&types.PolicyIdentifierMemberInlinePolicyIdentifier{Value: types.InlinePolicyIdentifierType{PolicyName: new("in"), AttachmentType: "user", AttachmentName: new("ann")}}, "implicitDeny allowed allowed"},
			"OtherHolder": {&types.PolicyIdentifierMemberInlinePolicyIdentifier{Value: types.InlinePolicyIdentifierType{PolicyName: new("in"), AttachmentType: "user", AttachmentName: new("bob")}}, "allowed allowed allowed"},
			"Nothing":     {&types.PolicyIdentifierMemberPolicyArn{Value: "arn:aws:iam::aws:policy/None"}, "allowed allowed allowed"},
		} {
			t.Run(name, func(t *testing.T) {
				results := w.simulate(t, &iam.SimulatePrincipalPolicyInput{
					ActionNames: []string{"s3:GetObject", "s3:PutObject", "kms:ListKeys"}, ResourceArns: []string{"arn:aws:s3:::b/ann/x"}, PolicyExclusionList: []types.PolicyIdentifier{c.exclude},
				})
				var got []string
				for _, r := range results {
					got = append(got, string(r.EvalDecision))
				}
				same(t, "decisions", strings.Join(got, " "), c.want)
			})
		}
		for _, bad := range []types.PolicyIdentifier{
			&types.PolicyIdentifierMemberPolicyArn{Value: "arn:aws:iam::aws:policy/*/x*y"}, &types.PolicyIdentifierMemberPolicyArn{Value: "arn:aws:s3:::some-bucket-name"},
			&types.PolicyIdentifierMemberPolicyArn{Value: "arn:aws:iam::aws:policy/a*b*"},
		} {
			invalidInput(t, "-")(w.SimulatePrincipalPolicy(ctx, &iam.SimulatePrincipalPolicyInput{
				PolicySourceArn: new(annARN), ActionNames: []string{"s3:GetObject"}, PolicyExclusionList: []types.PolicyIdentifier{bad},
			}))
		}
	})
	t.Run("Pages", func(t *testing.T) {
		var names []string
		for i := range 7 {
			names = append(names, fmt.Sprintf("kms:List%d", i))
		}
		in := &iam.SimulatePrincipalPolicyInput{PolicySourceArn: new(annARN), ActionNames: names, MaxItems: new(int32(3))}
		var got []string
		pages := 0
		for p := iam.NewSimulatePrincipalPolicyPaginator(w.Client, in); p.HasMorePages(); pages++ {
			out := must(p.NextPage(ctx))(t)
			for _, r := range out.EvaluationResults {
				got = append(got, *r.EvalActionName)
			}
			if out.Marker != nil && pages == 0 {
				refused(t, "ValidationError", "Invalid Marker.")(w.SimulatePrincipalPolicy(ctx, &iam.SimulatePrincipalPolicyInput{PolicySourceArn: new(annARN), ActionNames: names[1:], Marker: out.Marker}))
			}
		}
		same(t, "actions", got, names)
		if pages != 3 {
			t.Errorf("%d pages", pages)
		}
	})
	t.Run("NoSuchEntity", func(t *testing.T) {
		ask := func(name string) (any, error) {
			return w.SimulatePrincipalPolicy(ctx, &iam.SimulatePrincipalPolicyInput{PolicySourceArn: &name, ActionNames: []string{"s3:GetObject"}})
		}
		refused(t, "NoSuchEntity", "The role with name none cannot be found.")(ask(iamARN("role", "none")))
		refused(t, "NoSuchEntity", "The user with name ann cannot be found.")(ask(iamARN("user", "team/ann")))
		refused(t, "NoSuchEntity", "The group with name none cannot be found.")(ask(iamARN("group", "none")))
	})
	t.Run("InvalidInput", func(t *testing.T) {
		ask := func(in iam.SimulatePrincipalPolicyInput) (any, error) {
			if in.PolicySourceArn == nil {
				in.PolicySourceArn = new(annARN)
			}
			if in.ActionNames == nil {
				in.ActionNames = []string{"s3:GetObject"}
			}
			return w.SimulatePrincipalPolicy(ctx, &in)
		}
		entry := func(kind types.ContextKeyTypeEnum, values ...string) iam.SimulatePrincipalPolicyInput {
			return iam.SimulatePrincipalPolicyInput{ContextEntries: []types.ContextEntry{{ContextKeyName: new("s3:some-key"), ContextKeyType: kind, ContextKeyValues: values}}}
		}
		session := "arn:aws:sts::" + account + ":assumed-role/app/s"
		invalidInput(t, "Invalid Entity Arn: "+session+" does not clearly define entity type and name.")(ask(iam.SimulatePrincipalPolicyInput{PolicySourceArn: &session}))
		invalidInput(t, "Invalid Policy Source Arn: caller's account "+account+" does not have access to policies in account "+other)(
			ask(iam.SimulatePrincipalPolicyInput{PolicySourceArn: new("arn:aws:iam::" + other + ":user/ann")}))
		invalidInput(t, "Invalid caller - Caller must be an IAM user, role or group in this context.")(ask(iam.SimulatePrincipalPolicyInput{CallerArn: &session}))
		invalidInput(t, "Invalid caller - Caller must be an IAM user, role or group in this context.")(ask(iam.SimulatePrincipalPolicyInput{CallerArn: new("arn:aws:iam::" + account + ":root")}))
		invalidInput(t, "Invalid Resource Owner.")(ask(iam.SimulatePrincipalPolicyInput{ResourceOwner: new("arn:aws:iam::" + account + ":user/ann")}))
		invalidInput(t, "Invalid action name: s3:Get*.")(ask(iam.SimulatePrincipalPolicyInput{ActionNames: []string{"s3:Get*"}}))
		invalidInput(t, "ResourceNames are not in a valid ARN format: bucket.")(ask(iam.SimulatePrincipalPolicyInput{ResourceArns: []string{"bucket"}}))
		invalidInput(t, "PermissionsBoundaryPolicyInputList can contain only one policy.")(ask(iam.SimulatePrincipalPolicyInput{PermissionsBoundaryPolicyInputList: []string{anyone, anyone}}))
		invalidInput(t, "Invalid Content Specified: PolicyInputList.1: Syntax errors in policy. (line 1, column 2: unexpected end of the document)")(
			ask(iam.SimulatePrincipalPolicyInput{PolicyInputList: []string{" "}}))
		invalidInput(t, "-")(ask(iam.SimulatePrincipalPolicyInput{ResourcePolicy: &anyone, ResourceArns: []string{"arn:aws:s3:::b"}}))
		invalidInput(t, "Invalid Entity Arn: * does not clearly define entity type and name.")(ask(iam.SimulatePrincipalPolicyInput{ResourcePolicy: new(document(`"Principal":"*","Action":"s3:*","Resource":"*"`))}))
		invalidInput(t, "-")(ask(iam.SimulatePrincipalPolicyInput{ResourcePolicy: &trustEC2, ResourceArns: []string{iamARN("role", "app")}}))
		invalidInput(t, "Invalid resource handling option: EC2.")(ask(iam.SimulatePrincipalPolicyInput{ResourceHandlingOption: new("EC2")}))
		invalidInput(t, "Resource handling option EC2-VPC-EBS requires a resource of type instance.")(ask(iam.SimulatePrincipalPolicyInput{ResourceHandlingOption: new("EC2-VPC-EBS")}))
		invalidInput(t, "Context key s3:some-key has a value that is not of type numeric.")(ask(entry("numeric", "one")))
		invalidInput(t, "Context key s3:some-key of type string has more than one value.")(ask(entry("string", "a", "b")))
		for kind, good := range map[types.ContextKeyTypeEnum]string{
			"numericList": "1.5", "boolean": "True", "date": "2026-01-01T00:00:00Z", "dateList": "1372550400", "ip": "2001:db8::1", "binary": "AAEC", "stringList": "x",
		} {
			ok(t)(ask(entry(kind, good)))
			if kind != "stringList" {
				invalidInput(t, "-")(ask(entry(kind, "%")))
			}
		}
		if e := w.recorded(t, "SimulatePrincipalPolicy", "InvalidInput"); e.ErrorMessage == "" {
			t.Errorf("the record is %s", e.Raw)
		}
	})
	t.Run("Denied", func(t *testing.T) {
		bob := w.user("bob", `"Action":"iam:SimulatePrincipalPolicy","Resource":"`+iamARN("user", "bob")+`"`)
		ok(t)(bob.SimulatePrincipalPolicy(ctx, &iam.SimulatePrincipalPolicyInput{PolicySourceArn: new(iamARN("user", "bob")), ActionNames: []string{"s3:GetObject"}}))
		for _, name := range []string{annARN, iamARN("user", "none"), "arn:aws:iam::" + other + ":user/ann"} {
			denied(t)(bob.SimulatePrincipalPolicy(ctx, &iam.SimulatePrincipalPolicyInput{PolicySourceArn: &name, ActionNames: []string{"s3:GetObject"}}))
		}
		w.recorded(t, "SimulatePrincipalPolicy", "AccessDenied")
	})
}

func TestSimulateCustomPolicy(t *testing.T) {
	t.Parallel()
	w := start(t)
	kmsOnly := []string{document(`"Action":"kms:*","Resource":"*"`)}
	t.Run("OK", func(t *testing.T) {
		out := must(w.SimulateCustomPolicy(ctx, &iam.SimulateCustomPolicyInput{
			PolicyInputList: append(kmsOnly, document(`"Effect":"Deny","Action":"kms:Delete*","Resource":"*"`)),
			ActionNames:     []string{"kms:ListKeys", "kms:DeleteAlias", "s3:GetObject"},
		}))(t)
		same(t, "decisions", decisions(out.EvaluationResults), []string{"allowed", "explicitDeny", "implicitDeny"})
		if s := out.EvaluationResults[1].MatchedStatements; len(s) != 1 || *s[0].SourcePolicyId != "PolicyInputList.2" {
			t.Errorf("statements of a denial: %+v", s)
		}
		w.recorded(t, "SimulateCustomPolicy", "")
	})
	t.Run("ServiceControl", func(t *testing.T) {
		level := func(action string) types.OrderedOrganizationPolicyType {
			return types.OrderedOrganizationPolicyType{ServiceControlPolicyInputList: []string{document(`"Action":"` + action + `","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}`)}}
		}
		in := &iam.SimulateCustomPolicyInput{
			PolicyInputList: kmsOnly, ActionNames: []string{"kms:ListKeys"}, OrderedOrganizationPolicyInputList: []types.OrderedOrganizationPolicyType{level("*"), level("s3:*")},
		}
		r := must(w.SimulateCustomPolicy(ctx, in))(t).EvaluationResults[0]
		if r.EvalDecision != "implicitDeny" || r.OrganizationsDecisionDetail.AllowedByOrganizations || len(r.MatchedStatements) != 0 || len(r.MissingContextValues) != 0 {
			t.Errorf("a level that does not allow: %+v", r)
		}
		in.OrderedOrganizationPolicyInputList[1] = level("kms:List*")
		in.ContextEntries = []types.ContextEntry{{ContextKeyName: new("aws:SecureTransport"), ContextKeyType: "boolean", ContextKeyValues: []string{"false"}}}
		r = must(w.SimulateCustomPolicy(ctx, in))(t).EvaluationResults[0]
		if r.EvalDecision != "allowed" || !r.OrganizationsDecisionDetail.AllowedByOrganizations || len(r.MatchedStatements) != 1 {
			t.Errorf("levels that allow: %+v", r)
		}
	})
	t.Run("InvalidInput", func(t *testing.T) {
		invalidInput(t, "Invalid caller - Caller cannot be null or empty.")(w.SimulateCustomPolicy(ctx, &iam.SimulateCustomPolicyInput{
			PolicyInputList: kmsOnly, ActionNames: []string{"s3:GetObject"}, ResourceArns: []string{"arn:aws:s3:::b"}, ResourcePolicy: new(document(`"Principal":"*","Action":"s3:*","Resource":"*"`)),
		}))
		w.recorded(t, "SimulateCustomPolicy", "InvalidInput")
	})
	t.Run("NothingIsTold", func(t *testing.T) { // of people whom the caller may not ask about
		ok(t)(nil, w.PutUser(ctx, identity.User{Account: account, Name: "ann", Tags: map[string]string{"team": "red"}}))
		eve := w.user("eve", `"Action":"iam:SimulateCustomPolicy","Resource":"*"`)
		r := must(eve.SimulateCustomPolicy(ctx, &iam.SimulateCustomPolicyInput{
			PolicyInputList: []string{document(`"Action":"*","Resource":"*","Condition":{"StringLike":{"aws:PrincipalTag/team":"*"}}`)}, ActionNames: []string{"s3:GetObject"}, CallerArn: new(annARN),
		}))(t).EvaluationResults[0]
		if r.EvalDecision != "implicitDeny" {
			t.Errorf("ann's tags are found out: %+v", r)
		}
	})
	t.Run("Denied", func(t *testing.T) {
		denied(t)(w.user("eve").SimulateCustomPolicy(ctx, &iam.SimulateCustomPolicyInput{PolicyInputList: []string{"{"}, ActionNames: []string{"s3:GetObject"}}))
		w.recorded(t, "SimulateCustomPolicy", "AccessDenied")
	})
}

func TestContextKeys(t *testing.T) {
	t.Parallel()
	w := withAnn(t)
	more := []string{document(`"Action":"*","Resource":"*","Condition":{"StringEquals":{"AWS:UserName":"x","s3:prefix":"${aws:PrincipalTag/team}"}}`)}
	t.Run("OK", func(t *testing.T) {
		custom := must(w.GetContextKeysForCustomPolicy(ctx, &iam.GetContextKeysForCustomPolicyInput{PolicyInputList: more}))(t)
		same(t, "keys", custom.ContextKeyNames, []string{"AWS:UserName", "s3:prefix", "aws:PrincipalTag/team"})
		w.recorded(t, "GetContextKeysForCustomPolicy", "")
		principal := must(w.GetContextKeysForPrincipalPolicy(ctx, &iam.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: new(annARN), PolicyInputList: more}))(t)
		same(t, "ann's keys", principal.ContextKeyNames, []string{"aws:username", "s3:prefix", "aws:PrincipalTag/team"})
		w.recorded(t, "GetContextKeysForPrincipalPolicy", "")
	})
	t.Run("InvalidInput", func(t *testing.T) {
		invalidInput(t, "-")(w.GetContextKeysForCustomPolicy(ctx, &iam.GetContextKeysForCustomPolicyInput{PolicyInputList: []string{"x"}}))
		invalidInput(t, "-")(w.GetContextKeysForPrincipalPolicy(ctx, &iam.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: new(annARN), PolicyInputList: []string{"x"}}))
	})
	t.Run("NoSuchEntity", func(t *testing.T) {
		refused(t, "NoSuchEntity", "The user with name none cannot be found.")(
			w.GetContextKeysForPrincipalPolicy(ctx, &iam.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: new(iamARN("user", "none"))}))
	})
	t.Run("Denied", func(t *testing.T) {
		eve := w.user("eve", `"Action":"iam:GetContextKeys*","Resource":"`+iamARN("user", "eve")+`"`)
		denied(t)(eve.GetContextKeysForCustomPolicy(ctx, &iam.GetContextKeysForCustomPolicyInput{PolicyInputList: []string{"x"}}))
		denied(t)(eve.GetContextKeysForPrincipalPolicy(ctx, &iam.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: new(annARN)}))
		w.recorded(t, "GetContextKeysForPrincipalPolicy", "AccessDenied")
	})
}

// In an organization its SCPs decide with, and it is told what they come to.
func TestSimulationInAnOrganization(t *testing.T) {
	t.Parallel()
	w := start(t)
	orgs := organizations.NewFromConfig(w.Config())
	ok(t)(orgs.CreateOrganization(ctx, &organizations.CreateOrganizationInput{}))
	root := must(orgs.ListRoots(ctx, &organizations.ListRootsInput{}))(t).Roots[0].Id
	ok(t)(orgs.EnablePolicyType(ctx, &organizations.EnablePolicyTypeInput{RootId: root, PolicyType: "SERVICE_CONTROL_POLICY"}))
	made := must(orgs.CreateAccount(ctx, &organizations.CreateAccountInput{AccountName: new("m"), Email: new("m@example.com")}))(t).CreateAccountStatus
	member := *must(orgs.DescribeCreateAccountStatus(ctx, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: made.Id}))(t).CreateAccountStatus.AccountId
	p := must(orgs.CreatePolicy(ctx, &organizations.CreatePolicyInput{
		Name: new("no-lists"), Description: new(""), Type: "SERVICE_CONTROL_POLICY", Content: new(document(`"Effect":"Deny","Action":"kms:List*","Resource":"*"`)),
	}))(t).Policy.PolicySummary
	ok(t)(orgs.AttachPolicy(ctx, &organizations.AttachPolicyInput{PolicyId: p.Id, TargetId: &member}))
	ok(t)(nil, w.PutUser(ctx, identity.User{Account: member, Name: "ann", Permissions: identity.Permissions{Inline: map[string]string{"all": document(`"Action":"*","Resource":"*"`)}}}))
	c := w.User(member, "ann", document(`"Action":"*","Resource":"*"`))
	ask := func(exclude ...types.PolicyIdentifier) []types.EvaluationResult {
		t.Helper()
		return must(iam.NewFromConfig(c).SimulatePrincipalPolicy(ctx, &iam.SimulatePrincipalPolicyInput{
			PolicySourceArn: new("arn:aws:iam::" + member + ":user/ann"), ActionNames: []string{"kms:ListKeys", "kms:CreateKey"}, PolicyExclusionList: exclude,
		}))(t).EvaluationResults
	}
	results := ask()
	same(t, "decisions", decisions(results), []string{"explicitDeny", "allowed"})
	if results[0].OrganizationsDecisionDetail.AllowedByOrganizations || !results[1].OrganizationsDecisionDetail.AllowedByOrganizations || len(results[0].MatchedStatements) != 0 {
		t.Errorf("results: %+v", results)
	}
	_, err := kms.NewFromConfig(c).ListKeys(ctx, &kms.ListKeysInput{})
	refused(t, "AccessDeniedException", "-")(nil, err)
	ok(t)(kms.NewFromConfig(c).CreateKey(ctx, &kms.CreateKeyInput{}))
	same(t, "without SCPs", decisions(ask(&types.PolicyIdentifierMemberPolicyType{Value: "scp"})), []string{"allowed", "allowed"})

	ok(t)(nil, w.PutUser(ctx, identity.User{Account: account, Name: "bob", Permissions: identity.Permissions{Inline: map[string]string{"all": document(`"Action":"*","Resource":"*"`)}}}))
	r := w.simulate(t, &iam.SimulatePrincipalPolicyInput{PolicySourceArn: new(iamARN("user", "bob")), ActionNames: []string{"kms:ListKeys"}})[0]
	if r.EvalDecision != "allowed" || !r.OrganizationsDecisionDetail.AllowedByOrganizations {
		t.Errorf("in the management account: %+v", r)
	}
}
