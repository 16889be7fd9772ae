package organizations_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/google/go-cmp/cmp"
)

const (
	scp = types.PolicyTypeServiceControlPolicy
	rcp = types.PolicyTypeResourceControlPolicy
)

func TestCreatePolicy(t *testing.T) {
	w := organized(t)
	create := func(c *organizations.Client, kind types.PolicyType, name, content string) (*types.Policy, error) {
		out, err := c.CreatePolicy(bg, &organizations.CreatePolicyInput{Type: kind, Name: &name, Description: aws.String("d"), Content: &content})
		if err != nil {
			return nil, err
		}
		return out.Policy, nil
	}
	t.Run("OK", func(t *testing.T) {
		for kind, content := range map[types.PolicyType]string{
			scp: denyKMS, rcp: denyRCP,
			types.PolicyTypeTagPolicy:              `{"tags":{"env":{"tag_key":{"@@assign":"Env"}}}}`,
			types.PolicyTypeAiservicesOptOutPolicy: `{"services":{"default":{"opt_out_policy":{"@@assign":"optOut"}}}}`,
			types.PolicyTypeBackupPolicy:           `{"plans":{"p":{"regions":{"@@assign":["us-east-1"]}}}}`,
		} {
			p, err := create(w.Client, kind, "first", content)
			if err != nil {
				t.Errorf("%s: %v", kind, err)
				continue
			}
			like(t, "ID", p.PolicySummary.Id, "p-[a-z0-9]{10}")
			like(t, "ARN", p.PolicySummary.Arn, "arn:aws:organizations::111122223333:policy/o-[a-z0-9]{10}/"+strings.ToLower(string(kind))+"/"+*p.PolicySummary.Id)
			if *p.Content != content || p.PolicySummary.AwsManaged || p.PolicySummary.Type != kind || *p.PolicySummary.Description != "d" {
				t.Errorf("policy = %+v, %s", p.PolicySummary, *p.Content)
			}
		}
		w.audited("CreatePolicy")
	})
	t.Run("Malformed", func(t *testing.T) {
		rcpOf := func(rest string) string {
			return `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Resource":"*",` + rest + `}]}`
		}
		for i, c := range []struct {
			kind    types.PolicyType
			content string
		}{
			{scp, `{`}, {scp, `{}`}, {scp, `[]`}, {scp, `{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Action":"*","Resource":"*"}]}`},
			{scp, `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}`},
			{rcp, denyKMS}, // no principal
			{rcp, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`},
			{rcp, rcpOf(`"Action":"*"`)}, {rcp, rcpOf(`"NotAction":"kms:Decrypt"`)}, {rcp, rcpOf(`"Action":["kms:Decrypt","iam:CreateUser"]`)},
			{types.PolicyTypeTagPolicy, `{}`}, {types.PolicyTypeTagPolicy, `{"tags":{"env":{"tag_key":"Env"}}}`},
			{types.PolicyTypeTagPolicy, `{"tags":{"env":{"color":{"@@assign":"x"}}}}`}, {types.PolicyTypeTagPolicy, `{"tags":{"env":{},"ENV":{}}}`},
			{types.PolicyTypeTagPolicy, `{"tags":{"env":{"tag_key":{"@@become":"Env"}}}}`}, {types.PolicyTypeBackupPolicy, `{"plans":{"p":"q"}}`},
		} {
			_, err := create(w.Client, c.kind, fmt.Sprint("bad", i), c.content)
			if err == nil {
				t.Errorf("%s %s was accepted", c.kind, c.content)
				continue
			}
			fails(t, err, "MalformedPolicyDocumentException")
		}
	})
	t.Run("Size", func(t *testing.T) {
		pad := func(n int) string { return denyKMS[:1] + strings.Repeat(" ", n-len(denyKMS)) + denyKMS[1:] }
		if _, err := create(w.Client, scp, "large", pad(5120)); err != nil {
			t.Error(err)
		}
		_, err := create(w.Client, scp, "larger", pad(5121))
		fails(t, err, "ConstraintViolationException/POLICY_CONTENT_LIMIT_EXCEEDED")
	})
	t.Run("Duplicate", func(t *testing.T) {
		_, err := create(w.Client, scp, "first", denyKMS)
		fails(t, err, "DuplicatePolicyException")
		_, err = create(w.Client, scp, "FullAWSAccess", denyKMS)
		fails(t, err, "DuplicatePolicyException")
	})
	t.Run("Denied", func(t *testing.T) {
		_, err := create(w.as(management, "ann"), scp, "x", denyKMS)
		fails(t, err, "AccessDeniedException")
		bob := w.as(management, "bob", `"Action":"organizations:CreatePolicy","Resource":"*","Condition":{"StringEquals":{"organizations:PolicyType":"TAG_POLICY"}}`)
		_, err = create(bob, scp, "x", denyKMS)
		fails(t, err, "AccessDeniedException")
		if _, err := create(bob, types.PolicyTypeTagPolicy, "x", `{"tags":{}}`); err != nil {
			t.Error(err)
		}
	})
	t.Run("ConsolidatedBilling", func(t *testing.T) {
		w := start(t)
		must(w.CreateOrganization(bg, &organizations.CreateOrganizationInput{FeatureSet: types.OrganizationFeatureSetConsolidatedBilling}))(t)
		_, err := create(w.Client, scp, "x", denyKMS)
		fails(t, err, "PolicyTypeNotAvailableForOrganizationException")
		_, err = w.EnablePolicyType(bg, &organizations.EnablePolicyTypeInput{RootId: aws.String(w.root()), PolicyType: scp})
		fails(t, err, "PolicyTypeNotAvailableForOrganizationException")
		_, err = w.EnableAWSServiceAccess(bg, &organizations.EnableAWSServiceAccessInput{ServicePrincipal: aws.String(guardDuty)})
		fails(t, err, "ConstraintViolationException/ORGANIZATION_NOT_IN_ALL_FEATURES_MODE")
	})
}

func TestPolicy(t *testing.T) {
	w := organized(t)
	w.enable(scp)
	p, q := w.policy(scp, "p", denyKMS), w.policy(scp, "q", denyKMS)
	ann := w.as(management, "ann")
	update := func(c *organizations.Client, in organizations.UpdatePolicyInput) error {
		_, err := c.UpdatePolicy(bg, &in)
		return err
	}
	remove := func(c *organizations.Client, id string) error {
		_, err := c.DeletePolicy(bg, &organizations.DeletePolicyInput{PolicyId: &id})
		return err
	}
	t.Run("Describe", func(t *testing.T) {
		got := must(w.DescribePolicy(bg, &organizations.DescribePolicyInput{PolicyId: aws.String(fullAccess)}))(t).Policy
		if !got.PolicySummary.AwsManaged || *got.PolicySummary.Arn != "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess" {
			t.Errorf("policy = %+v", got.PolicySummary)
		}
		_, err := w.DescribePolicy(bg, &organizations.DescribePolicyInput{PolicyId: aws.String("p-12345678")})
		fails(t, err, "PolicyNotFoundException")
		_, err = ann.DescribePolicy(bg, &organizations.DescribePolicyInput{PolicyId: &p})
		fails(t, err, "AccessDeniedException")
	})
	t.Run("Update", func(t *testing.T) {
		fails(t, update(w.Client, organizations.UpdatePolicyInput{PolicyId: &p, Name: aws.String("q")}), "DuplicatePolicyException")
		fails(t, update(w.Client, organizations.UpdatePolicyInput{PolicyId: aws.String("p-12345678")}), "PolicyNotFoundException")
		fails(t, update(w.Client, organizations.UpdatePolicyInput{PolicyId: aws.String(fullAccess)}), "InvalidInputException/IMMUTABLE_POLICY")
		fails(t, update(w.Client, organizations.UpdatePolicyInput{PolicyId: &p, Content: aws.String("{}")}), "MalformedPolicyDocumentException")
		fails(t, update(ann, organizations.UpdatePolicyInput{PolicyId: &p}), "AccessDeniedException")
		if err := update(w.Client, organizations.UpdatePolicyInput{PolicyId: &p, Name: aws.String("P"), Description: aws.String("new")}); err != nil {
			t.Fatal(err)
		}
		got := must(w.DescribePolicy(bg, &organizations.DescribePolicyInput{PolicyId: &p}))(t).Policy
		if *got.PolicySummary.Name != "P" || *got.PolicySummary.Description != "new" || *got.Content != denyKMS {
			t.Errorf("policy = %+v", got.PolicySummary)
		}
		w.audited("UpdatePolicy")
	})
	t.Run("Delete", func(t *testing.T) {
		w.attach(p, w.root())
		fails(t, remove(w.Client, p), "PolicyInUseException")
		fails(t, remove(w.Client, "p-12345678"), "PolicyNotFoundException")
		fails(t, remove(w.Client, fullAccess), "InvalidInputException/IMMUTABLE_POLICY")
		fails(t, remove(ann, q), "AccessDeniedException")
		if err := remove(w.Client, q); err != nil {
			t.Error(err)
		}
		w.audited("DeletePolicy")
	})
	t.Run("List", func(t *testing.T) {
		var names []string
		for pages := organizations.NewListPoliciesPaginator(w.Client, &organizations.ListPoliciesInput{Filter: scp, MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
			for _, p := range must(pages.NextPage(bg))(t).Policies {
				names = append(names, *p.Name)
			}
		}
		if d := cmp.Diff([]string{"FullAWSAccess", "P"}, names); d != "" {
			t.Errorf("policies (-want +got):\n%s", d)
		}
		_, err := ann.ListPolicies(bg, &organizations.ListPoliciesInput{Filter: scp})
		fails(t, err, "AccessDeniedException")
	})
}

func TestPolicyTypes(t *testing.T) {
	w := organized(t)
	root := w.root()
	u, a := w.unit(root, "u"), w.account("a")
	policies := func(target string, kind types.PolicyType) (ids []string) {
		for _, p := range must(w.ListPoliciesForTarget(bg, &organizations.ListPoliciesForTargetInput{TargetId: &target, Filter: kind}))(t).Policies {
			ids = append(ids, *p.Id)
		}
		return ids
	}
	enable := func(c *organizations.Client, root string, kind types.PolicyType) error {
		_, err := c.EnablePolicyType(bg, &organizations.EnablePolicyTypeInput{RootId: &root, PolicyType: kind})
		return err
	}
	disable := func(c *organizations.Client, root string, kind types.PolicyType) error {
		_, err := c.DisablePolicyType(bg, &organizations.DisablePolicyTypeInput{RootId: &root, PolicyType: kind})
		return err
	}
	ann := w.as(management, "ann")
	fails(t, enable(w.Client, "r-none", scp), "RootNotFoundException")
	fails(t, disable(w.Client, "r-none", scp), "RootNotFoundException")
	fails(t, disable(w.Client, root, scp), "PolicyTypeNotEnabledException")
	fails(t, enable(ann, root, scp), "AccessDeniedException")
	w.enable(scp)
	w.enable(rcp)
	fails(t, enable(w.Client, root, scp), "PolicyTypeAlreadyEnabledException")
	fails(t, disable(ann, root, scp), "AccessDeniedException")
	got := must(w.ListRoots(bg, &organizations.ListRootsInput{}))(t).Roots[0].PolicyTypes
	if len(got) != 2 || got[0].Type != rcp || got[0].Status != types.PolicyTypeStatusEnabled {
		t.Errorf("types = %+v", got)
	}
	b := w.account("b") // afterwards
	for _, target := range []string{root, u, a, b, management} {
		if d := cmp.Diff([]string{fullAccess}, policies(target, scp)); d != "" {
			t.Errorf("SCPs of %s (-want +got):\n%s", target, d)
		}
		if d := cmp.Diff([]string{"p-RCPFullAWSAccess"}, policies(target, rcp)); d != "" {
			t.Errorf("RCPs of %s (-want +got):\n%s", target, d)
		}
	}
	w.attach(w.policy(scp, "no", denyKMS), a)
	if err := disable(w.Client, root, scp); err != nil {
		t.Fatal(err)
	}
	if got := policies(a, scp); len(got) != 0 {
		t.Errorf("SCPs after they were disabled: %v", got)
	}
	w.enable(scp)
	if d := cmp.Diff([]string{fullAccess}, policies(a, scp)); d != "" {
		t.Errorf("SCPs after they were enabled again (-want +got):\n%s", d)
	}
	w.audited("EnablePolicyType")
	w.audited("DisablePolicyType")
}

func TestAttachPolicy(t *testing.T) {
	w := organized(t)
	root := w.root()
	a := w.account("a")
	p := w.policy(scp, "p", denyKMS)
	attach := func(c *organizations.Client, policy, target string) error {
		_, err := c.AttachPolicy(bg, &organizations.AttachPolicyInput{PolicyId: &policy, TargetId: &target})
		return err
	}
	detach := func(c *organizations.Client, policy, target string) error {
		_, err := c.DetachPolicy(bg, &organizations.DetachPolicyInput{PolicyId: &policy, TargetId: &target})
		return err
	}
	fails(t, attach(w.Client, p, a), "PolicyTypeNotEnabledException")
	w.enable(scp)
	w.enable(rcp)
	fails(t, attach(w.Client, "p-12345678", a), "PolicyNotFoundException")
	fails(t, attach(w.Client, p, stranger), "TargetNotFoundException")
	fails(t, attach(w.Client, p, nowhere), "TargetNotFoundException")
	fails(t, attach(w.Client, p, "r-none"), "TargetNotFoundException")
	fails(t, detach(w.Client, p, a), "PolicyNotAttachedException")
	fails(t, detach(w.Client, "p-12345678", a), "PolicyNotFoundException")
	fails(t, detach(w.Client, p, stranger), "TargetNotFoundException")
	if err := attach(w.Client, p, a); err != nil {
		t.Fatal(err)
	}
	fails(t, attach(w.Client, p, a), "DuplicatePolicyAttachmentException")
	w.attach(p, root)
	var targets []string
	for pages := organizations.NewListTargetsForPolicyPaginator(w.Client, &organizations.ListTargetsForPolicyInput{PolicyId: &p, MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
		for _, target := range must(pages.NextPage(bg))(t).Targets {
			targets = append(targets, string(target.Type)+" "+*target.Name+" "+*target.TargetId)
		}
	}
	if d := cmp.Diff([]string{"ACCOUNT a " + a, "ROOT Root " + root}, targets); d != "" {
		t.Errorf("targets (-want +got):\n%s", d)
	}
	_, err := w.ListTargetsForPolicy(bg, &organizations.ListTargetsForPolicyInput{PolicyId: aws.String("p-12345678")})
	fails(t, err, "PolicyNotFoundException")
	_, err = w.ListPoliciesForTarget(bg, &organizations.ListPoliciesForTargetInput{TargetId: aws.String(nowhere), Filter: scp})
	fails(t, err, "TargetNotFoundException")

	t.Run("Quota", func(t *testing.T) {
		for i := range 3 {
			w.attach(w.policy(scp, fmt.Sprint("more", i), denyKMS), a)
		}
		fails(t, attach(w.Client, w.policy(scp, "sixth", denyKMS), a), "ConstraintViolationException/MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED")
	})
	t.Run("LastStays", func(t *testing.T) {
		u := w.unit(root, "u")
		fails(t, detach(w.Client, fullAccess, u), "ConstraintViolationException/MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED")
		w.attach(p, u)
		if err := detach(w.Client, fullAccess, u); err != nil {
			t.Error(err)
		}
		fails(t, detach(w.Client, p, u), "ConstraintViolationException/MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED")
		fails(t, detach(w.Client, "p-RCPFullAWSAccess", u), "InvalidInputException/NON_DETACHABLE_POLICY")
	})
	t.Run("LastStaysWhateverTheRace", func(t *testing.T) {
		u := w.unit(root, "race")
		w.attach(p, u)
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, id := range []string{p, fullAccess} {
			wg.Go(func() { errs[i] = detach(w.Client, id, u) })
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("detaching both at once: %v and %v, want one to fail", errs[0], errs[1])
		}
	})
	t.Run("Denied", func(t *testing.T) {
		o := must(w.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{}))(t).Organization
		arns := `"arn:aws:organizations::` + management + `:`
		policyOnly := w.as(management, "ann", `"Action":"organizations:*","Resource":`+arns+`policy/*"`)
		fails(t, attach(policyOnly, p, root), "AccessDeniedException")
		both := w.as(management, "bob", `"Action":"organizations:DetachPolicy","Resource":[`+arns+`policy/`+*o.Id+`/service_control_policy/`+p+`",`+arns+`root/*"]`)
		if err := detach(both, p, root); err != nil {
			t.Error(err)
		}
		fails(t, attach(w.rootOf(a), p, root), "AccessDeniedException")
		_, err := w.as(management, "cat").ListTargetsForPolicy(bg, &organizations.ListTargetsForPolicyInput{PolicyId: &p})
		fails(t, err, "AccessDeniedException")
	})
	w.audited("AttachPolicy")
	w.audited("DetachPolicy")
}

func TestDescribeEffectivePolicy(t *testing.T) {
	w := organized(t)
	root := w.root()
	u, a := w.unit(root, "u"), w.account("a")
	w.move(a, u)
	const tags = types.PolicyTypeTagPolicy
	describe := func(c *organizations.Client, target *string) (*types.EffectivePolicy, error) {
		out, err := c.DescribeEffectivePolicy(bg, &organizations.DescribeEffectivePolicyInput{PolicyType: types.EffectivePolicyTypeTagPolicy, TargetId: target})
		if err != nil {
			return nil, err
		}
		return out.EffectivePolicy, nil
	}
	_, err := describe(w.Client, &a)
	fails(t, err, "EffectivePolicyNotFoundException")
	w.enable(tags)
	_, err = describe(w.Client, &a)
	fails(t, err, "EffectivePolicyNotFoundException")
	_, err = describe(w.Client, aws.String(stranger))
	fails(t, err, "TargetNotFoundException")

	w.attach(w.policy(tags, "root", `{"tags":{"CostCenter":{
		"tag_key":{"@@assign":"CostCenter","@@operators_allowed_for_child_policies":["@@none"]},
		"tag_value":{"@@assign":["100","200"],"@@operators_allowed_for_child_policies":["@@append"]},
		"enforced_for":{"@@assign":["kms:key"]}}}}`), root)
	w.attach(w.policy(tags, "unit", `{"tags":{"costcenter":{"tag_key":{"@@assign":"COSTCENTER"},"tag_value":{"@@append":["300"],"@@remove":["100"]}},
		"Team":{"tag_value":{"@@assign":["red"]}}}}`), u)
	w.attach(w.policy(tags, "account", `{"tags":{"costcenter":{"tag_value":{"@@assign":["400"]}},"team":{"tag_value":{"@@append":["blue"]}}}}`), a)
	p, err := describe(w.Client, &a)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"tags":{"costcenter":{"tag_key":"CostCenter","tag_value":["100","200","300"],"enforced_for":["kms:key"]},
		"team":{"tag_key":"team","tag_value":["red","blue"]}}}`
	if d := cmp.Diff(decode(t, want), decode(t, *p.PolicyContent)); d != "" {
		t.Errorf("effective policy (-want +got):\n%s", d)
	}
	if *p.TargetId != a || p.LastUpdatedTimestamp == nil {
		t.Errorf("effective policy = %+v", p)
	}
	own, err := describe(w.rootOf(a), nil)
	if err != nil || *own.PolicyContent != *p.PolicyContent {
		t.Errorf("a member asks about itself: %+v, %v", own, err)
	}
	if _, err := describe(w.Client, nil); err != nil {
		t.Errorf("the management account asks about itself: %v", err)
	}
	_, err = describe(w.rootOf(a), aws.String(management))
	fails(t, err, "AccessDeniedException")
	_, err = describe(w.as(management, "ann"), &a)
	fails(t, err, "AccessDeniedException")
}
