package organizations_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
)

const nowhere = "ou-none-12345678"

func TestCreateOrganizationalUnit(t *testing.T) {
	w := organized(t)
	root := w.root()
	create := func(c *organizations.Client, parent, name string) (*types.OrganizationalUnit, error) {
		out, err := c.CreateOrganizationalUnit(bg, &organizations.CreateOrganizationalUnitInput{
			ParentId: &parent, Name: &name, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}},
		})
		if err != nil {
			return nil, err
		}
		return out.OrganizationalUnit, nil
	}
	u, err := create(w.Client, root, "Prod")
	if err != nil {
		t.Fatal(err)
	}
	like(t, "ID", u.Id, "ou-"+root[2:]+"-[a-z0-9]{8}")
	like(t, "ARN", u.Arn, "arn:aws:organizations::111122223333:ou/o-[a-z0-9]{10}/"+*u.Id)
	like(t, "path", u.Path, "o-[a-z0-9]{10}/"+root+"/"+*u.Id+"/")
	if tags := must(w.ListTagsForResource(bg, &organizations.ListTagsForResourceInput{ResourceId: u.Id}))(t).Tags; len(tags) != 1 {
		t.Errorf("tags = %+v", tags)
	}
	_, err = create(w.Client, root, "Prod")
	fails(t, err, "DuplicateOrganizationalUnitException")
	_, err = create(w.Client, nowhere, "x")
	fails(t, err, "ParentNotFoundException")
	_, err = create(w.Client, "r-none", "x")
	fails(t, err, "ParentNotFoundException")
	_, err = create(w.as(management, "ann"), root, "x")
	fails(t, err, "AccessDeniedException")
	_, err = create(w.rootOf(w.account("a")), root, "x")
	fails(t, err, "AccessDeniedException")
	in := *u.Id
	for depth := 2; depth <= 5; depth++ {
		u, err = create(w.Client, in, "Prod") // the same name elsewhere
		if err != nil {
			t.Fatalf("at depth %d: %v", depth, err)
		}
		in = *u.Id
	}
	_, err = create(w.Client, in, "Prod")
	fails(t, err, "ConstraintViolationException/OU_DEPTH_LIMIT_EXCEEDED")
	w.audited("CreateOrganizationalUnit")
}

func TestOrganizationalUnit(t *testing.T) {
	w := organized(t)
	root := w.root()
	a, b := w.unit(root, "a"), w.unit(root, "b")
	describe := func(c *organizations.Client, id string) (*types.OrganizationalUnit, error) {
		out, err := c.DescribeOrganizationalUnit(bg, &organizations.DescribeOrganizationalUnitInput{OrganizationalUnitId: &id})
		if err != nil {
			return nil, err
		}
		return out.OrganizationalUnit, nil
	}
	rename := func(c *organizations.Client, id, name string) error {
		_, err := c.UpdateOrganizationalUnit(bg, &organizations.UpdateOrganizationalUnitInput{OrganizationalUnitId: &id, Name: &name})
		return err
	}
	remove := func(c *organizations.Client, id string) error {
		_, err := c.DeleteOrganizationalUnit(bg, &organizations.DeleteOrganizationalUnitInput{OrganizationalUnitId: &id})
		return err
	}
	ann := w.as(management, "ann")
	t.Run("Describe", func(t *testing.T) {
		if u, err := describe(w.Client, a); err != nil || *u.Name != "a" {
			t.Errorf("describe = %+v, %v", u, err)
		}
		_, err := describe(w.Client, nowhere)
		fails(t, err, "OrganizationalUnitNotFoundException")
		_, err = describe(ann, a)
		fails(t, err, "AccessDeniedException")
	})
	t.Run("Update", func(t *testing.T) {
		fails(t, rename(w.Client, nowhere, "x"), "OrganizationalUnitNotFoundException")
		fails(t, rename(w.Client, a, "b"), "DuplicateOrganizationalUnitException")
		fails(t, rename(ann, a, "x"), "AccessDeniedException")
		for range 2 { // to the name that it has
			if err := rename(w.Client, a, "A"); err != nil {
				t.Error(err)
			}
		}
		if err := rename(w.Client, b, "a"); err != nil { // the name is free again
			t.Error(err)
		}
		w.audited("UpdateOrganizationalUnit")
	})
	t.Run("Delete", func(t *testing.T) {
		fails(t, remove(w.Client, nowhere), "OrganizationalUnitNotFoundException")
		fails(t, remove(ann, a), "AccessDeniedException")
		within := w.unit(a, "within")
		fails(t, remove(w.Client, a), "OrganizationalUnitNotEmptyException")
		account := w.account("account")
		w.move(account, within)
		fails(t, remove(w.Client, within), "OrganizationalUnitNotEmptyException")
		must(w.MoveAccount(bg, &organizations.MoveAccountInput{AccountId: &account, SourceParentId: &within, DestinationParentId: &root}))(t)
		for _, id := range []string{within, a} {
			if err := remove(w.Client, id); err != nil {
				t.Error(err)
			}
		}
		w.audited("DeleteOrganizationalUnit")
	})
}

func TestListChildren(t *testing.T) {
	w := organized(t)
	root := w.root()
	for i := range 5 {
		w.unit(root, fmt.Sprint("unit", i))
		w.account(fmt.Sprint("account", i))
	}
	count := func(kind types.ChildType) (n int) {
		for p := organizations.NewListChildrenPaginator(w.Client, &organizations.ListChildrenInput{ParentId: &root, ChildType: kind, MaxResults: aws.Int32(2)}); p.HasMorePages(); {
			for _, c := range must(p.NextPage(bg))(t).Children {
				if c.Type != kind {
					t.Errorf("child = %+v", c)
				}
				n++
			}
		}
		return n
	}
	if units, accounts := count(types.ChildTypeOrganizationalUnit), count(types.ChildTypeAccount); units != 5 || accounts != 6 {
		t.Errorf("%d units and %d accounts, want 5 and 6", units, accounts)
	}
	n := 0
	for p := organizations.NewListOrganizationalUnitsForParentPaginator(w.Client, &organizations.ListOrganizationalUnitsForParentInput{ParentId: &root, MaxResults: aws.Int32(2)}); p.HasMorePages(); {
		n += len(must(p.NextPage(bg))(t).OrganizationalUnits)
	}
	if n != 5 {
		t.Errorf("ListOrganizationalUnitsForParent: %d, want 5", n)
	}
	_, err := w.ListChildren(bg, &organizations.ListChildrenInput{ParentId: aws.String(nowhere), ChildType: types.ChildTypeAccount})
	fails(t, err, "ParentNotFoundException")
	_, err = w.ListOrganizationalUnitsForParent(bg, &organizations.ListOrganizationalUnitsForParentInput{ParentId: aws.String(nowhere)})
	fails(t, err, "ParentNotFoundException")
	_, err = w.ListAccountsForParent(bg, &organizations.ListAccountsForParentInput{ParentId: aws.String(nowhere)})
	fails(t, err, "ParentNotFoundException")
	_, err = w.ListParents(bg, &organizations.ListParentsInput{ChildId: aws.String(stranger)})
	fails(t, err, "ChildNotFoundException")
	ann := w.as(management, "ann")
	_, err = ann.ListChildren(bg, &organizations.ListChildrenInput{ParentId: &root, ChildType: types.ChildTypeAccount})
	fails(t, err, "AccessDeniedException")
	_, err = ann.ListParents(bg, &organizations.ListParentsInput{ChildId: aws.String(management)})
	fails(t, err, "AccessDeniedException")
}

func TestTags(t *testing.T) {
	w := organized(t)
	tag := func(c *organizations.Client, id string, tags ...string) error {
		in := &organizations.TagResourceInput{ResourceId: &id}
		for _, k := range tags {
			in.Tags = append(in.Tags, types.Tag{Key: aws.String(k), Value: aws.String("v")})
		}
		_, err := c.TagResource(bg, in)
		return err
	}
	list := func(id string) (keys []string) {
		for _, tag := range must(w.ListTagsForResource(bg, &organizations.ListTagsForResourceInput{ResourceId: &id}))(t).Tags {
			keys = append(keys, *tag.Key)
		}
		return keys
	}
	root := w.root()
	for _, id := range []string{root, w.unit(root, "u"), w.account("a"), w.policy(types.PolicyTypeServiceControlPolicy, "p", denyKMS)} {
		if err := tag(w.Client, id, "b", "a"); err != nil {
			t.Fatal(err)
		}
		must(w.UntagResource(bg, &organizations.UntagResourceInput{ResourceId: &id, TagKeys: []string{"b", "none"}}))(t)
		if got := list(id); len(got) != 1 || got[0] != "a" {
			t.Errorf("tags of %s = %v, want a", id, got)
		}
	}
	fails(t, tag(w.Client, root, "x", "x"), "InvalidInputException/DUPLICATE_TAG_KEY")
	fails(t, tag(w.Client, root, "aws:x"), "InvalidInputException/INVALID_SYSTEM_TAGS_PARAMETER")
	for _, id := range []string{nowhere, stranger, "r-none", "p-12345678", "rp-12345678", fullAccess} {
		fails(t, tag(w.Client, id, "x"), "TargetNotFoundException")
	}
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprint("k", i))
	}
	fails(t, tag(w.Client, root, many...), "ConstraintViolationException/MAX_TAG_LIMIT_EXCEEDED")
	ann := w.as(management, "ann", `"Action":"organizations:TagResource","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`)
	fails(t, tag(ann, root, "z"), "AccessDeniedException")
	if err := tag(ann, root, "a"); err != nil {
		t.Error(err)
	}
	_, err := ann.ListTagsForResource(bg, &organizations.ListTagsForResourceInput{ResourceId: &root})
	fails(t, err, "AccessDeniedException")
	_, err = w.UntagResource(bg, &organizations.UntagResourceInput{ResourceId: aws.String(nowhere), TagKeys: []string{"a"}})
	fails(t, err, "TargetNotFoundException")
	w.audited("TagResource")
	w.audited("UntagResource")
}
