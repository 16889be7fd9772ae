package organizations_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/smithy-go"
)

// refused checks that a call was denied with words in its message.
func refused(t *testing.T, err error, words string) {
	t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != "AccessDeniedException" || !strings.Contains(api.ErrorMessage(), words) {
		t.Errorf("error = %v, want AccessDeniedException with %q", err, words)
	}
}

func allowed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("refused: %v", err)
	}
}

const allKMS = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`

// members has an organization with a member in a unit.
type members struct {
	*world
	root, ou, member string
}

func withMember(t *testing.T) *members {
	w := organized(t)
	m := &members{world: w, root: w.root(), member: w.account("member")}
	m.ou = w.unit(m.root, "unit")
	w.move(m.member, m.ou)
	return m
}

func TestSCPBinds(t *testing.T) {
	m := withMember(t)
	m.enable(scp)
	no := m.policy(scp, "no", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"kms:CreateKey","Resource":"*"}]}`)
	ann, root := kms.NewFromConfig(m.User(m.member, "ann", allKMS)), kms.NewFromConfig(m.Root(m.member))
	boss := kms.NewFromConfig(m.User(management, "boss", allKMS))
	create := func(c *kms.Client) error {
		_, err := c.CreateKey(bg, &kms.CreateKeyInput{})
		return err
	}
	allowed(t, create(ann))
	for _, target := range []string{m.member, m.ou, m.root} {
		m.attach(no, target)
		refused(t, create(ann), "with an explicit deny in a service control policy")
		refused(t, create(root), "with an explicit deny in a service control policy")
		allowed(t, create(boss)) // the management account is bound by none
		must(m.DetachPolicy(bg, &organizations.DetachPolicyInput{PolicyId: &no, TargetId: &target}))(t)
		allowed(t, create(ann))
	}
	// Every level has to allow: an SCP that allows something else instead of everything is a fence.
	only := m.policy(scp, "only", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	m.attach(only, m.ou)
	allowed(t, create(ann))
	must(m.DetachPolicy(bg, &organizations.DetachPolicyInput{PolicyId: aws.String(fullAccess), TargetId: &m.ou}))(t)
	refused(t, create(ann), "because no service control policy allows the kms:CreateKey action")
	refused(t, create(root), "because no service control policy allows the kms:CreateKey action")
	// A changed policy, and a moved account, count from the next call on.
	must(m.UpdatePolicy(bg, &organizations.UpdatePolicyInput{PolicyId: &only, Content: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`)}))(t)
	allowed(t, create(ann))
	must(m.UpdatePolicy(bg, &organizations.UpdatePolicyInput{PolicyId: &only, Content: aws.String(denyKMS)}))(t)
	refused(t, create(ann), "because no service control policy allows")
	must(m.MoveAccount(bg, &organizations.MoveAccountInput{AccountId: &m.member, SourceParentId: &m.ou, DestinationParentId: &m.root}))(t)
	allowed(t, create(ann))
	// So does the end of it all.
	m.attach(no, m.member)
	refused(t, create(ann), "service control policy")
	must(m.DisablePolicyType(bg, &organizations.DisablePolicyTypeInput{RootId: &m.root, PolicyType: scp}))(t)
	allowed(t, create(ann))
	m.enable(scp)
	m.attach(no, m.member)
	refused(t, create(ann), "service control policy")
	must(m.RemoveAccountFromOrganization(bg, &organizations.RemoveAccountFromOrganizationInput{AccountId: &m.member}))(t)
	allowed(t, create(ann))
}

func TestRCPBinds(t *testing.T) {
	m := withMember(t)
	m.enable(rcp)
	owner := kms.NewFromConfig(m.User(m.member, "owner", allKMS))
	outside := kms.NewFromConfig(m.User(stranger, "ann", allKMS))
	key := *must(owner.CreateKey(bg, &kms.CreateKeyInput{Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + m.member + `:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + stranger + `:root"},"Action":"kms:Encrypt","Resource":"*"}]}`)}))(t).KeyMetadata.Arn
	encrypt := func(c *kms.Client) error {
		_, err := c.Encrypt(bg, &kms.EncryptInput{KeyId: &key, Plaintext: []byte("x")})
		return err
	}
	allowed(t, encrypt(outside))
	// A fence around the organization: whoever comes from elsewhere is denied whatever a key policy says.
	o := must(m.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{}))(t).Organization
	m.attach(m.policy(rcp, "fence", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*",
		"Condition":{"StringNotEqualsIfExists":{"aws:PrincipalOrgID":"`+*o.Id+`"}}}]}`), m.root)
	refused(t, encrypt(outside), "") // KMS does not tell strangers why
	allowed(t, encrypt(owner))
	// The management account's resources are bound by none.
	boss := kms.NewFromConfig(m.Config())
	theirs := *must(boss.CreateKey(bg, &kms.CreateKeyInput{Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + management + `:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + stranger + `:root"},"Action":"kms:Encrypt","Resource":"*"}]}`)}))(t).KeyMetadata.Arn
	_, err := outside.Encrypt(bg, &kms.EncryptInput{KeyId: &theirs, Plaintext: []byte("x")})
	allowed(t, err)
	// A deny of the action itself binds the owner's root user too.
	m.attach(m.policy(rcp, "never", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"kms:ScheduleKeyDeletion","Resource":"*"}]}`), m.member)
	_, err = kms.NewFromConfig(m.Root(m.member)).ScheduleKeyDeletion(bg, &kms.ScheduleKeyDeletionInput{KeyId: &key})
	refused(t, err, "with an explicit deny in a resource control policy")
}

// The condition keys of organizations let a key policy name an organization, or a part of its tree.
func TestConditionKeys(t *testing.T) {
	m := withMember(t)
	o := must(m.DescribeOrganization(bg, &organizations.DescribeOrganizationInput{}))(t).Organization
	boss := kms.NewFromConfig(m.Config())
	key := func(condition string) string {
		return *must(boss.CreateKey(bg, &kms.CreateKeyInput{Policy: aws.String(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + management + `:root"},"Action":"kms:*","Resource":"*"},
			{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:Encrypt","Resource":"*","Condition":` + condition + `}]}`)}))(t).KeyMetadata.Arn
	}
	ann, outside := kms.NewFromConfig(m.User(m.member, "ann", allKMS)), kms.NewFromConfig(m.User(stranger, "ann", allKMS))
	for name, condition := range map[string]string{
		"OrgID":    `{"StringEquals":{"aws:PrincipalOrgID":"` + *o.Id + `"}}`,
		"OrgPaths": `{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"` + *o.Id + `/` + m.root + `/` + m.ou + `/*"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			k := key(condition)
			_, err := ann.Encrypt(bg, &kms.EncryptInput{KeyId: &k, Plaintext: []byte("x")})
			allowed(t, err)
			_, err = outside.Encrypt(bg, &kms.EncryptInput{KeyId: &k, Plaintext: []byte("x")})
			refused(t, err, "")
		})
	}
}

// What a tag policy enforces, it enforces on everybody's tags, the management account's too.
func TestTagPolicyBinds(t *testing.T) {
	m := withMember(t)
	m.enable(types.PolicyTypeTagPolicy)
	m.attach(m.policy(types.PolicyTypeTagPolicy, "env", `{"tags":{"env":{"tag_key":{"@@assign":"Env"},"tag_value":{"@@assign":["prod","dev"]},
		"enforced_for":{"@@assign":["kms:key","organizations:account"]}}}}`), m.root)
	for _, c := range []*kms.Client{kms.NewFromConfig(m.Root(m.member)), kms.NewFromConfig(m.Config())} {
		create := func(key, value string) (string, error) {
			out, err := c.CreateKey(bg, &kms.CreateKeyInput{Tags: []kmstypes.Tag{{TagKey: &key, TagValue: &value}}})
			if err != nil {
				return "", err
			}
			return *out.KeyMetadata.KeyId, nil
		}
		for _, tag := range [][2]string{{"Env", "test"}, {"env", "prod"}} {
			_, err := create(tag[0], tag[1])
			fails(t, err, "TagPolicyViolation")
		}
		id, err := create("Env", "dev")
		if err != nil {
			t.Fatal(err)
		}
		tag := func(key, value string) error {
			_, err := c.TagResource(bg, &kms.TagResourceInput{KeyId: &id, Tags: []kmstypes.Tag{{TagKey: &key, TagValue: &value}}})
			return err
		}
		fails(t, tag("Env", "test"), "TagPolicyViolation")
		allowed(t, tag("Env", "prod"))
		allowed(t, tag("Team", "anything"))
	}
	_, err := m.TagResource(bg, &organizations.TagResourceInput{ResourceId: &m.member, Tags: []types.Tag{{Key: aws.String("Env"), Value: aws.String("test")}}})
	fails(t, err, "ConstraintViolationException/TAG_POLICY_VIOLATION")
	_, err = m.TagResource(bg, &organizations.TagResourceInput{ResourceId: &m.ou, Tags: []types.Tag{{Key: aws.String("Env"), Value: aws.String("test")}}})
	allowed(t, err) // not enforced for units
}
