package iam_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/organizations"

	"github.com/holdfast-cloud/holdfast/identity"
)

// report makes a report and returns its services by namespace.
func report(t *testing.T, c *iam.Client, name string) (string, map[string]types.ServiceLastAccessed) {
	t.Helper()
	id := *must(c.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{Arn: &name}))(t).JobId
	services := make(map[string]types.ServiceLastAccessed)
	in := &iam.GetServiceLastAccessedDetailsInput{JobId: &id, MaxItems: new(int32(200))}
	for {
		out := must(c.GetServiceLastAccessedDetails(ctx, in))(t)
		if out.JobStatus != "COMPLETED" || out.JobType != "SERVICE_LEVEL" || out.JobCompletionDate == nil {
			t.Fatalf("the report is %+v", out)
		}
		for _, s := range out.ServicesLastAccessed {
			services[*s.ServiceNamespace] = s
		}
		if in.Marker = out.Marker; !out.IsTruncated {
			return id, services
		}
	}
}

func TestLastAccessed(t *testing.T) {
	t.Parallel()
	w := start(t)
	mine := *must(w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("mine"), PolicyDocument: new(document(`"Action":["kms:List*","sqs:*"],"Resource":"*"`))}))(t).Policy.Arn
	inline := document(`"Action":"s3:GetObject","Resource":"*"`, `"Action":"sns:*","Resource":"*"`, `"Effect":"Deny","Action":"sns:*","Resource":"*"`)
	put := func(name string) {
		ok(t)(nil, w.PutUser(ctx, identity.User{Account: account, Name: name, Permissions: identity.Permissions{Inline: map[string]string{"in": inline}, Attached: []string{mine}}}))
	}
	put("ann")
	cfg := w.User(account, "ann", inline) // a key; the policies are put back
	put("ann")
	put("bob")
	ok(t)(kms.NewFromConfig(cfg).ListKeys(ctx, &kms.ListKeysInput{}))

	t.Run("OK", func(t *testing.T) {
		_, services := report(t, w.Client, annARN)
		var names []string
		for name := range services {
			names = append(names, name)
		}
		slices.Sort(names)
		same(t, "services", names, []string{"kms", "s3", "sqs"}) // all of sns is denied
		k := services["kms"]
		if k.LastAuthenticated == nil || *k.LastAuthenticatedEntity != annARN || *k.LastAuthenticatedRegion != "us-east-1" || *k.TotalAuthenticatedEntities != 1 ||
			*k.ServiceName != "AWS Key Management Service" {
			t.Errorf("kms: %+v", k)
		}
		if s := services["s3"]; s.LastAuthenticated != nil || s.LastAuthenticatedEntity != nil || s.TotalAuthenticatedEntities != nil {
			t.Errorf("s3: %+v", s)
		}
		for _, operation := range []string{"GenerateServiceLastAccessedDetails", "GetServiceLastAccessedDetails"} {
			w.recorded(t, operation, "")
		}
	})
	t.Run("Policy", func(t *testing.T) {
		id, services := report(t, w.Client, mine)
		if len(services) != 2 || *services["kms"].LastAuthenticatedEntity != annARN {
			t.Errorf("services: %+v", services)
		}
		out := must(w.GetServiceLastAccessedDetailsWithEntities(ctx, &iam.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: &id, ServiceNamespace: new("kms")}))(t)
		if e := out.EntityDetailsList; len(e) != 2 || *e[0].EntityInfo.Name != "ann" || e[0].LastAuthenticated == nil || *e[1].EntityInfo.Name != "bob" || e[1].LastAuthenticated != nil ||
			e[0].EntityInfo.Type != "USER" || *e[0].EntityInfo.Path != "/" {
			t.Errorf("entities: %+v", e)
		}
		w.recorded(t, "GetServiceLastAccessedDetailsWithEntities", "")
		first := must(w.GetServiceLastAccessedDetailsWithEntities(ctx, &iam.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: &id, ServiceNamespace: new("kms"), MaxItems: new(int32(1))}))(t)
		rest := must(w.GetServiceLastAccessedDetailsWithEntities(ctx, &iam.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: &id, ServiceNamespace: new("kms"), Marker: first.Marker}))(t)
		if !first.IsTruncated || len(first.EntityDetailsList) != 1 || rest.IsTruncated || len(rest.EntityDetailsList) != 1 || *rest.EntityDetailsList[0].EntityInfo.Name != "bob" {
			t.Errorf("pages: %+v, %+v", first, rest)
		}
	})
	t.Run("Everything", func(t *testing.T) { // AWS's policy, which nobody has; in pages
		if _, services := report(t, w.Client, "arn:aws:iam::aws:policy/AdministratorAccess"); len(services) < 400 {
			t.Errorf("%d services", len(services))
		}
	})
	t.Run("ActionLevel", func(t *testing.T) {
		id := must(w.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{Arn: new(annARN), Granularity: "ACTION_LEVEL"}))(t).JobId
		if out := must(w.GetServiceLastAccessedDetails(ctx, &iam.GetServiceLastAccessedDetailsInput{JobId: id}))(t); out.JobType != "ACTION_LEVEL" {
			t.Errorf("the report is %+v", out)
		}
	})
	t.Run("NoSuchEntity", func(t *testing.T) {
		none := "00000000-0000-4000-8000-000000000000"
		refused(t, "NoSuchEntity", "The user with name none cannot be found.")(w.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{Arn: new(iamARN("user", "none"))}))
		refused(t, "NoSuchEntity", "-")(w.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{Arn: new(iamARN("policy", "none"))}))
		refused(t, "NoSuchEntity", "-")(w.GetServiceLastAccessedDetails(ctx, &iam.GetServiceLastAccessedDetailsInput{JobId: &none}))
		refused(t, "NoSuchEntity", "-")(w.GetServiceLastAccessedDetailsWithEntities(ctx, &iam.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: &none, ServiceNamespace: new("kms")}))
		w.recorded(t, "GetServiceLastAccessedDetails", "NoSuchEntity")
	})
	t.Run("SomebodyElses", func(t *testing.T) {
		id, _ := report(t, w.Client, annARN)
		eve := w.user("eve", `"Action":"iam:*","Resource":"*"`)
		refused(t, "NoSuchEntity", "-")(eve.GetServiceLastAccessedDetails(ctx, &iam.GetServiceLastAccessedDetailsInput{JobId: &id}))
		report(t, eve, annARN)
	})
	t.Run("InvalidInput", func(t *testing.T) {
		id, _ := report(t, w.Client, annARN)
		invalidInput(t, "-")(w.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{Arn: new("arn:aws:s3:::bucket-of-mine")}))
		invalidInput(t, "Invalid service namespace: nothing.")(w.GetServiceLastAccessedDetailsWithEntities(ctx, &iam.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: &id, ServiceNamespace: new("nothing")}))
		refused(t, "ValidationError", "Invalid Marker.")(w.GetServiceLastAccessedDetails(ctx, &iam.GetServiceLastAccessedDetailsInput{JobId: &id, Marker: new("x")}))
	})
	t.Run("Denied", func(t *testing.T) {
		none := "00000000-0000-4000-8000-000000000000"
		eve := w.user("eve", `"Action":"iam:*","Resource":"`+iamARN("user", "eve")+`"`)
		denied(t)(eve.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{Arn: new(annARN)}))
		denied(t)(eve.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{Arn: &mine}))
		denied(t)(eve.GetServiceLastAccessedDetails(ctx, &iam.GetServiceLastAccessedDetailsInput{JobId: &none}))
		denied(t)(eve.GetServiceLastAccessedDetailsWithEntities(ctx, &iam.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: &none, ServiceNamespace: new("kms")}))
		w.recorded(t, "GenerateServiceLastAccessedDetails", "AccessDenied")
	})
	t.Run("Expired", func(t *testing.T) {
		id, _ := report(t, w.Client, annARN)
		w.Advance(25 * time.Hour)
		refused(t, "NoSuchEntity", "-")(w.GetServiceLastAccessedDetails(ctx, &iam.GetServiceLastAccessedDetailsInput{JobId: &id}))
		report(t, w.Client, annARN) // drops it
		w.Advance(400 * 24 * time.Hour)
		if _, services := report(t, w.Client, annARN); services["kms"].LastAuthenticated != nil {
			t.Errorf("long ago: %+v", services["kms"])
		}
	})
}

func TestListPoliciesGrantingServiceAccess(t *testing.T) {
	t.Parallel()
	w := withAnn(t)
	list := func(name string, services ...string) (any, error) {
		return w.ListPoliciesGrantingServiceAccess(ctx, &iam.ListPoliciesGrantingServiceAccessInput{Arn: &name, ServiceNamespaces: services})
	}
	t.Run("OK", func(t *testing.T) {
		out := must(w.ListPoliciesGrantingServiceAccess(ctx, &iam.ListPoliciesGrantingServiceAccessInput{Arn: new(annARN), ServiceNamespaces: []string{"s3", "kms", "sqs"}}))(t)
		var got []string
		for _, e := range out.PoliciesGrantingServiceAccess {
			for _, p := range e.Policies {
				line := *e.ServiceNamespace + " " + *p.PolicyName + " " + string(p.PolicyType)
				if p.EntityName != nil {
					line += " " + string(p.EntityType) + " " + *p.EntityName
				}
				got = append(got, line)
			}
		}
		same(t, "policies", got, []string{"kms AWSKeyManagementServicePowerUser MANAGED", "s3 in INLINE USER ann", "s3 mine MANAGED"})
		if len(out.PoliciesGrantingServiceAccess) != 3 || out.IsTruncated {
			t.Errorf("the answer is %+v", out)
		}
		w.recorded(t, "ListPoliciesGrantingServiceAccess", "")
	})
	t.Run("NoSuchEntity", func(t *testing.T) {
		refused(t, "NoSuchEntity", "The user with name none cannot be found.")(list(iamARN("user", "none"), "s3"))
	})
	t.Run("InvalidInput", func(t *testing.T) {
		invalidInput(t, "Invalid service namespace: nothing.")(list(annARN, "nothing"))
	})
	t.Run("Denied", func(t *testing.T) {
		eve := w.user("eve", `"Action":"iam:*","Resource":"`+iamARN("user", "eve")+`"`)
		denied(t)(eve.ListPoliciesGrantingServiceAccess(ctx, &iam.ListPoliciesGrantingServiceAccessInput{Arn: new(annARN), ServiceNamespaces: []string{"s3"}}))
		w.recorded(t, "ListPoliciesGrantingServiceAccess", "AccessDenied")
	})
}

func TestOrganizationsAccessReport(t *testing.T) {
	t.Parallel()
	w := start(t)
	generate := func(c *iam.Client, path string, policy *string) (any, error) {
		return c.GenerateOrganizationsAccessReport(ctx, &iam.GenerateOrganizationsAccessReportInput{EntityPath: &path, OrganizationsPolicyId: policy})
	}
	refused(t, "OrganizationNotFoundException", "-")(generate(w.Client, "o-aaaaaaaaaa/r-aaaa/", nil))
	orgs := organizations.NewFromConfig(w.Config())
	o := must(orgs.CreateOrganization(ctx, &organizations.CreateOrganizationInput{}))(t).Organization
	root := must(orgs.ListRoots(ctx, &organizations.ListRootsInput{}))(t).Roots[0].Id
	unit := must(orgs.CreateOrganizationalUnit(ctx, &organizations.CreateOrganizationalUnitInput{ParentId: root, Name: new("u")}))(t).OrganizationalUnit.Id
	made := must(orgs.CreateAccount(ctx, &organizations.CreateAccountInput{AccountName: new("m"), Email: new("m@example.com")}))(t).CreateAccountStatus
	member := *must(orgs.DescribeCreateAccountStatus(ctx, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: made.Id}))(t).CreateAccountStatus.AccountId
	made = must(orgs.CreateAccount(ctx, &organizations.CreateAccountInput{AccountName: new("f"), Email: new("f@example.com")}))(t).CreateAccountStatus
	free := *must(orgs.DescribeCreateAccountStatus(ctx, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: made.Id}))(t).CreateAccountStatus.AccountId
	ok(t)(orgs.MoveAccount(ctx, &organizations.MoveAccountInput{AccountId: &member, SourceParentId: root, DestinationParentId: unit}))
	rootPath := *o.Id + "/" + *root
	path := rootPath + "/" + *unit + "/" + member
	invalidInput(t, "Service control policies are not enabled for the organization's root.")(generate(w.Client, path, nil))
	ok(t)(orgs.EnablePolicyType(ctx, &organizations.EnablePolicyTypeInput{RootId: root, PolicyType: "SERVICE_CONTROL_POLICY"}))
	p := must(orgs.CreatePolicy(ctx, &organizations.CreatePolicyInput{
		Name: new("some"), Description: new(""), Type: "SERVICE_CONTROL_POLICY", Content: new(document(`"Action":["kms:*","s3:*","iam:*"],"Resource":"*"`)),
	}))(t).Policy.PolicySummary.Id
	ok(t)(orgs.AttachPolicy(ctx, &organizations.AttachPolicyInput{PolicyId: p, TargetId: unit}))
	ok(t)(orgs.DetachPolicy(ctx, &organizations.DetachPolicyInput{PolicyId: new("p-FullAWSAccess"), TargetId: unit}))
	ok(t)(kms.NewFromConfig(w.User(member, "ann", document(`"Action":"*","Resource":"*"`))).ListKeys(ctx, &kms.ListKeysInput{}))
	get := func(path string, policy *string, sort types.SortKeyType) *iam.GetOrganizationsAccessReportOutput {
		t.Helper()
		id := must(w.GenerateOrganizationsAccessReport(ctx, &iam.GenerateOrganizationsAccessReportInput{EntityPath: &path, OrganizationsPolicyId: policy}))(t).JobId
		return must(w.GetOrganizationsAccessReport(ctx, &iam.GetOrganizationsAccessReportInput{JobId: id, SortKey: sort, MaxItems: new(int32(1000))}))(t)
	}
	t.Run("Account", func(t *testing.T) {
		out := get(path, nil, "")
		var names []string
		for _, d := range out.AccessDetails {
			names = append(names, *d.ServiceNamespace)
		}
		same(t, "services", names, []string{"iam", "kms", "s3"})
		if *out.NumberOfServicesAccessible != 3 || *out.NumberOfServicesNotAccessed != 2 || out.JobStatus != "COMPLETED" {
			t.Errorf("the report is %+v", out)
		}
		if k := out.AccessDetails[1]; k.LastAuthenticatedTime == nil || *k.EntityPath != path || *k.TotalAuthenticatedEntities != 1 || *k.Region != "us-east-1" {
			t.Errorf("kms: %+v", k)
		}
		w.recorded(t, "GenerateOrganizationsAccessReport", "")
		w.recorded(t, "GetOrganizationsAccessReport", "")
	})
	t.Run("RootByPolicy", func(t *testing.T) {
		out := get(rootPath, p, types.SortKeyTypeLastAuthenticatedTimeDescending)
		if d := out.AccessDetails; len(d) != 3 || *d[0].ServiceNamespace != "kms" || *d[0].TotalAuthenticatedEntities != 1 {
			t.Errorf("the report is %+v", d)
		}
		if out := get(rootPath, nil, types.SortKeyTypeServiceNamespaceDescending); len(out.AccessDetails) < 400 || *out.AccessDetails[0].ServiceNamespace < *out.AccessDetails[1].ServiceNamespace {
			t.Errorf("of the root: %d services", len(out.AccessDetails))
		}
	})
	t.Run("Management", func(t *testing.T) {
		out := get(rootPath+"/"+account, nil, "")
		i := slices.IndexFunc(out.AccessDetails, func(d types.AccessDetail) bool { return *d.ServiceNamespace == "organizations" })
		if i < 0 || out.AccessDetails[i].LastAuthenticatedTime == nil || *out.AccessDetails[i].EntityPath != rootPath+"/"+account {
			t.Errorf("the root user's calls are not in the report: %d", i)
		}
	})
	t.Run("Refused", func(t *testing.T) {
		for _, wrong := range []string{*o.Id + "/r-zzzz/" + member, rootPath + "/" + member, path + "/" + member, rootPath + "/ou-aaaa-bbbbbbbb"} {
			invalidInput(t, "-")(generate(w.Client, wrong, nil))
		}
		invalidInput(t, "-")(generate(w.Client, path, new("p-zzzzzzzz")))
		refused(t, "CallerIsNotManagementAccountException", "-")(generate(iam.NewFromConfig(w.Root(free)), path, nil))
		refused(t, "NoSuchEntity", "-")(w.GetOrganizationsAccessReport(ctx, &iam.GetOrganizationsAccessReportInput{JobId: new("00000000-0000-4000-8000-000000000000")}))
	})
	t.Run("Denied", func(t *testing.T) {
		on := `"Action":"iam:GenerateOrganizationsAccessReport","Resource":"arn:aws:iam::` + account + `:access-report/` + path + `"`
		reads := `"Action":["organizations:Describe*","organizations:List*"],"Resource":"*"`
		ok(t)(generate(w.user("ann", on, reads), path, nil))
		denied(t)(generate(w.user("bob", on), path, nil))
		denied(t)(generate(w.user("carl", on, reads), rootPath, nil))
		denied(t)(generate(w.user("dan", on+`,"Condition":{"StringEquals":{"iam:OrganizationsPolicyId":"p-other"}}`, reads), path, p))
		denied(t)(w.user("eve").GetOrganizationsAccessReport(ctx, &iam.GetOrganizationsAccessReportInput{JobId: new("00000000-0000-4000-8000-000000000000")}))
		w.recorded(t, "GenerateOrganizationsAccessReport", "AccessDenied")
	})
	t.Run("ReportGenerationLimitExceeded", func(t *testing.T) {
		for range 101 {
			if _, err := generate(w.Client, path, nil); err != nil {
				refused(t, "ReportGenerationLimitExceeded", "-")(nil, err)
				return
			}
		}
		t.Error("there is no limit")
	})
}
