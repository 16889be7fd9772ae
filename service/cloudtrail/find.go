package cloudtrail

import (
	"errors"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

const trailType = "AWS::CloudTrail::Trail" // in audit records

// ask asks for permission to do the operation on something that has an ARN. It is asked of the caller's own account alone: what an organization has belongs to its
// management account, and shows in those of its members, who may look at it as at their own.
func (s *Service) ask(c *call.Call, kind, owner, arn string, tags, set map[string]string, keys []string) error {
	c.Touch(audit.Resource{Account: owner, Type: kind, ARN: arn})
	err := c.Authorize(&call.Resource{ARN: arn, Tags: tags, RequestTags: set, RequestTagKeys: keys})
	if e, ok := errors.AsType[*wire.Error](err); ok && e.Code == call.TagPolicyViolation {
		return &cloudtrail.InvalidTagParameterException{Message: e.Message}
	}
	return err
}

func unknownTrail(c *call.Call, arn string) error {
	return &cloudtrail.TrailNotFoundException{Message: "Unknown trail: " + arn + " for the user: " + c.Scope.Account}
}

// read returns the trail that has a name, if there is one.
func (n named) read(r store.Reader) (*trailRecord, error) {
	t, err := trailTable.In(n.account, n.region).Get(r, n.name)
	return t, store.IgnoreNotFound(err)
}

// look finds a trail after asking about it: one of the caller's account, or one of its organization.
func (s *Service) look(c *call.Call, id *string) (*trailRecord, error) {
	n, err := s.named(c, optional.Value(id))
	if err != nil {
		return nil, err
	}
	return s.lookAt(c, n)
}

func (s *Service) lookAt(c *call.Call, n named) (*trailRecord, error) {
	name := n.arn(s.cfg.Partition)
	t, err := n.read(c.Tx())
	if err != nil {
		return nil, err
	}
	shows, err := t.shows(c)
	if err != nil {
		return nil, err
	}
	var tags map[string]string
	if shows {
		if tags, err = tagsOf(c.Tx(), n.account, n.region, name); err != nil {
			return nil, err
		}
	}
	if err := s.ask(c, trailType, n.account, name, tags, nil, nil); err != nil {
		return nil, err
	}
	if !shows {
		return nil, unknownTrail(c, name)
	}
	return t, nil
}

// shows reports whether there is a trail, and it can be seen in the caller's account.
func (t *trailRecord) shows(c *call.Call) (bool, error) {
	if t == nil {
		return false, nil
	}
	if t.Account == c.Scope.Account {
		return true, nil
	}
	if t.Organization == "" {
		return false, nil
	}
	o, err := membership(c)
	return o != nil && o.ID == t.Organization, err
}

// change finds a trail that the call is about to change, after asking about it. That is done in its home region, and for an organization's trail by its management
// account or its delegated administrator.
func (s *Service) change(c *call.Call, id *string) (*trailRecord, error) {
	n, err := s.named(c, optional.Value(id))
	if err != nil {
		return nil, err
	}
	t, err := s.lookAt(c, n)
	if _, none := errors.AsType[*cloudtrail.TrailNotFoundException](err); none && !n.byARN {
		if shadow, err := s.shadow(c, n.name); err != nil || shadow != nil {
			return nil, errors.Join(err, notHome(shadow, s.cfg.Partition))
		}
	}
	if err != nil {
		return nil, err
	}
	if err := t.changeable(c); err != nil {
		return nil, err
	}
	if t.Region != c.Scope.Region {
		return nil, notHome(t, s.cfg.Partition)
	}
	return t, nil
}

// changeable refuses the members of an organization whose trail it is.
func (t *trailRecord) changeable(c *call.Call) error {
	if t.Account == c.Scope.Account {
		return nil
	}
	o, err := membership(c)
	if err != nil {
		return err
	}
	return o.mayManage(c)
}

func notHome(t *trailRecord, partition string) error {
	if t == nil {
		return nil
	}
	return &cloudtrail.InvalidHomeRegionException{
		Message: "The operation can only be called in the home region of the trail " + t.arn(partition) + ", which is " + t.Region + ".",
	}
}

// shadow returns the trail of a name that has its home in another region and shows in the one called, or nil.
func (s *Service) shadow(c *call.Call, name string) (*trailRecord, error) {
	all, err := visible(c)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if t.Name == name && t.Account == c.Scope.Account && t.Region != c.Scope.Region && t.MultiRegion {
			return t, nil
		}
	}
	return nil, nil
}

// visible returns the trails that show in the caller's account, of all regions: its own and its organization's.
func visible(c *call.Call) ([]*trailRecord, error) { return visibleTo(c, c.Scope.Account) }

// visibleTo is visible for the caller's account or for the management account of its organization.
func visibleTo(c *call.Call, account string) ([]*trailRecord, error) {
	all, err := trails(c.Tx(), store.Query{Index: "account", Prefix: store.Key{account}})
	if err != nil {
		return nil, err
	}
	o, err := membership(c)
	if err != nil || o == nil {
		return all, err
	}
	shared, err := trails(c.Tx(), store.Query{Index: "organization", Prefix: store.Key{o.ID}})
	if err != nil {
		return nil, err
	}
	for _, t := range shared {
		if t.Account != account {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *trailRecord) int {
		return strings.Compare(a.Region+"/"+a.Account+"/"+a.Name, b.Region+"/"+b.Account+"/"+b.Name)
	})
	return all, nil
}
