package cloudtrail_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	otypes "github.com/aws/aws-sdk-go-v2/service/organizations/types"
)

func TestOrganizationTrail(t *testing.T) {
	w := start(t)
	w.organize()
	branch, admin := w.member("branch"), w.member("admin")
	w.trail("all", shared, multiRegion)
	w.trail("own")
	arn := w.arn("all")
	if got := must(w.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: aws.String("all")}))(t).Trail; !*got.IsOrganizationTrail {
		t.Errorf("the trail is %+v", got)
	}
	member := w.root(branch)
	seen := func(c *cloudtrail.Client) (names []string) {
		t.Helper()
		for _, x := range must(c.DescribeTrails(t.Context(), nil))(t).TrailList {
			names = append(names, *x.TrailARN)
		}
		return names
	}
	shape(t, seen(member), []string{arn})
	shape(t, seen(in(w.Root(branch), elsewhere)), []string{arn})
	if out := must(member.DescribeTrails(t.Context(), &cloudtrail.DescribeTrailsInput{IncludeShadowTrails: aws.Bool(false)}))(t); len(out.TrailList) != 0 {
		t.Errorf("without shadows a member sees %d trails", len(out.TrailList))
	}
	if out := must(member.ListTrails(t.Context(), nil))(t); len(out.Trails) != 1 || *out.Trails[0].TrailARN != arn {
		t.Errorf("a member lists %v", out.Trails)
	}
	must(member.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: &arn}))(t)
	must(member.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: &arn}))(t)
	must(member.GetEventSelectors(t.Context(), &cloudtrail.GetEventSelectorsInput{TrailName: &arn}))(t)
	must(member.ListTags(t.Context(), &cloudtrail.ListTagsInput{ResourceIdList: []string{arn}}))(t)
	_, err := member.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: aws.String("all")})
	fails(t, err, "TrailNotFoundException", "")
	_, err = member.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: aws.String(w.arn("own"))})
	fails(t, err, "TrailNotFoundException", "")

	changes := map[string]func(*cloudtrail.Client) error{
		"StopLogging": func(c *cloudtrail.Client) error {
			_, err := c.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: &arn})
			return err
		},
		"StartLogging": func(c *cloudtrail.Client) error {
			_, err := c.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: &arn})
			return err
		},
		"UpdateTrail": func(c *cloudtrail.Client) error {
			_, err := c.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{Name: &arn, EnableLogFileValidation: aws.Bool(true)})
			return err
		},
		"PutEventSelectors": func(c *cloudtrail.Client) error {
			_, err := c.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: &arn, EventSelectors: []types.EventSelector{{}}})
			return err
		},
		"AddTags": func(c *cloudtrail.Client) error {
			_, err := c.AddTags(t.Context(), &cloudtrail.AddTagsInput{ResourceId: &arn, TagsList: []types.Tag{tag("a", "b")}})
			return err
		},
		"RemoveTags": func(c *cloudtrail.Client) error {
			_, err := c.RemoveTags(t.Context(), &cloudtrail.RemoveTagsInput{ResourceId: &arn, TagsList: []types.Tag{tag("a", "b")}})
			return err
		},
		"DeleteTrail": func(c *cloudtrail.Client) error {
			_, err := c.DeleteTrail(t.Context(), &cloudtrail.DeleteTrailInput{Name: &arn})
			return err
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			fails(t, change(member), "NotOrganizationMasterAccountException", "")
		})
	}
	_, err = member.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("mine"), S3BucketName: aws.String(logs), IsOrganizationTrail: aws.Bool(true)})
	fails(t, err, "NotOrganizationMasterAccountException", "")

	t.Run("DelegatedAdministrator", func(t *testing.T) {
		must(w.RegisterOrganizationDelegatedAdmin(t.Context(), &cloudtrail.RegisterOrganizationDelegatedAdminInput{MemberAccountId: &admin}))(t)
		c := w.root(admin)
		for _, name := range []string{"StartLogging", "StopLogging", "UpdateTrail", "PutEventSelectors", "AddTags", "RemoveTags"} {
			if err := changes[name](c); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		out := must(c.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("delegated"), S3BucketName: aws.String(logs), IsOrganizationTrail: aws.Bool(true)}))(t)
		if *out.TrailARN != w.arn("delegated") {
			t.Errorf("its trail is %s", *out.TrailARN)
		}
		_, err := c.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{Name: out.TrailARN, IsOrganizationTrail: aws.Bool(false)})
		fails(t, err, "NotOrganizationMasterAccountException", "")
		must(c.DeleteTrail(t.Context(), &cloudtrail.DeleteTrailInput{Name: out.TrailARN}))(t)
		must(w.DeregisterOrganizationDelegatedAdmin(t.Context(), &cloudtrail.DeregisterOrganizationDelegatedAdminInput{DelegatedAdminAccountId: &admin}))(t)
		fails(t, changes["StopLogging"](c), "NotOrganizationMasterAccountException", "")
	})
	t.Run("JoinAndLeave", func(t *testing.T) {
		o := organizations.NewFromConfig(w.Config())
		shape(t, seen(w.root(other)), []string(nil))
		h := must(o.InviteAccountToOrganization(t.Context(), &organizations.InviteAccountToOrganizationInput{Target: &otypes.HandshakeParty{Id: aws.String(other), Type: otypes.HandshakePartyTypeAccount}}))(t)
		guest := organizations.NewFromConfig(w.Root(other))
		must(guest.AcceptHandshake(t.Context(), &organizations.AcceptHandshakeInput{HandshakeId: h.Handshake.Id}))(t)
		shape(t, seen(w.root(other)), []string{arn})
		must(o.RemoveAccountFromOrganization(t.Context(), &organizations.RemoveAccountFromOrganizationInput{AccountId: aws.String(other)}))(t)
		shape(t, seen(w.root(other)), []string(nil))
	})
	t.Run("Convert", func(t *testing.T) {
		must(w.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{Name: &arn, IsOrganizationTrail: aws.Bool(false)}))(t)
		shape(t, seen(member), []string(nil))
		must(w.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{Name: &arn, IsOrganizationTrail: aws.Bool(true)}))(t)
		shape(t, seen(member), []string{arn})
	})
	if err := changes["DeleteTrail"](w.Client); err != nil {
		t.Error(err)
	}
}

func TestOrganizationRefuses(t *testing.T) {
	w := start(t)
	create := func() error {
		_, err := w.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("all"), S3BucketName: aws.String(logs), IsOrganizationTrail: aws.Bool(true)})
		return err
	}
	register := func(c *cloudtrail.Client, account string) error {
		_, err := c.RegisterOrganizationDelegatedAdmin(t.Context(), &cloudtrail.RegisterOrganizationDelegatedAdminInput{MemberAccountId: &account})
		return err
	}
	deregister := func(c *cloudtrail.Client, account string) error {
		_, err := c.DeregisterOrganizationDelegatedAdmin(t.Context(), &cloudtrail.DeregisterOrganizationDelegatedAdminInput{DelegatedAdminAccountId: &account})
		return err
	}
	o := organizations.NewFromConfig(w.Config())
	fails(t, create(), "OrganizationsNotInUseException", "")
	fails(t, register(w.Client, other), "OrganizationsNotInUseException", "")
	must(o.CreateOrganization(t.Context(), &organizations.CreateOrganizationInput{FeatureSet: otypes.OrganizationFeatureSetConsolidatedBilling}))(t)
	fails(t, create(), "OrganizationNotInAllFeaturesModeException", "")
	must(o.DeleteOrganization(t.Context(), nil))(t)
	must(o.CreateOrganization(t.Context(), &organizations.CreateOrganizationInput{}))(t)
	fails(t, create(), "CloudTrailAccessNotEnabledException", "")
	fails(t, register(w.Client, other), "CloudTrailAccessNotEnabledException", "")
	must(o.EnableAWSServiceAccess(t.Context(), &organizations.EnableAWSServiceAccessInput{ServicePrincipal: aws.String("cloudtrail.amazonaws.com")}))(t)
	if err := create(); err != nil {
		t.Error(err)
	}
	var members [4]string
	for i := range members {
		members[i] = w.member(string(rune('a' + i)))
	}
	fails(t, register(w.root(members[0]), members[1]), "NotOrganizationManagementAccountException", "")
	fails(t, register(w.Client, w.Account), "CannotDelegateManagementAccountException", "")
	fails(t, register(w.Client, other), "AccountNotFoundException", "")
	fails(t, deregister(w.Client, members[0]), "AccountNotRegisteredException", "")
	for _, m := range members[:3] {
		if err := register(w.Client, m); err != nil {
			t.Fatal(err)
		}
	}
	fails(t, register(w.Client, members[0]), "AccountRegisteredException", "")
	fails(t, register(w.Client, members[3]), "DelegatedAdminAccountLimitExceededException", "")
	ann := cloudtrail.NewFromConfig(w.User(w.Account, "ann", allow(`"cloudtrail:*"`)))
	fails(t, deregister(ann, members[0]), "InsufficientDependencyServiceAccessPermissionException", "")
	if err := deregister(w.Client, members[0]); err != nil {
		t.Error(err)
	}
}
