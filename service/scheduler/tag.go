package scheduler

import (
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/scheduler"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
)

// Groups have tags, and schedules have not.

// maxTags is how many tags a group may have.
const maxTags = 50

// tagMap is the tags given on top of those there are.
func tagMap(there map[string]string, given []scheduler.Tag) (map[string]string, error) {
	seen := make(map[string]bool, len(given))
	tags := maps.Clone(there)
	if tags == nil {
		tags = make(map[string]string, len(given))
	}
	for _, t := range given {
		switch {
		case len(*t.Key) >= 4 && strings.EqualFold((*t.Key)[:4], "aws:"):
			return nil, invalid("Tag keys that begin with aws: are reserved: %s", *t.Key)
		case seen[*t.Key]:
			return nil, invalid("The tag key %s is given more than once.", *t.Key)
		}
		seen[*t.Key] = true
		tags[*t.Key] = *t.Value
	}
	if len(tags) > maxTags {
		return nil, invalid("A schedule group has at most %d tags.", maxTags)
	}
	return tags, nil
}

// tagged finds a group by its ARN and asks about its tags.
func (s *Service) tagged(c *call.Call, name string, set map[string]string, keys []string) (*groupRecord, error) {
	a, err := arn.Parse(name)
	group, ok := strings.CutPrefix(a.Resource, "schedule-group/")
	if err != nil || !ok || a.Service != "scheduler" || a.Partition != c.Scope.Partition {
		return nil, invalid("Provided Arn is not in correct format.")
	}
	var g *groupRecord
	here := a.Account == c.Scope.Account && a.Region == c.Scope.Region // elsewhere, nobody is told what there is
	if here {
		if g, err = findGroup(c, group); err != nil {
			return nil, err
		}
	}
	r := groupResource(name, g)
	r.Account, r.RequestTags, r.RequestTagKeys = a.Account, set, keys
	if err := c.Authorize(r); err != nil {
		return nil, err
	}
	if g == nil {
		return nil, noGroup(group)
	}
	return g, nil
}

// ListTagsForResource lists the tags of a group by their keys.
func (s *Service) ListTagsForResource(c *call.Call, in *scheduler.ListTagsForResourceInput) (*scheduler.ListTagsForResourceOutput, error) {
	g, err := s.tagged(c, *in.ResourceArn, nil, nil)
	if err != nil {
		return nil, err
	}
	out := &scheduler.ListTagsForResourceOutput{Tags: []scheduler.Tag{}}
	for _, k := range slices.Sorted(maps.Keys(g.Tags)) {
		out.Tags = append(out.Tags, scheduler.Tag{Key: new(k), Value: new(g.Tags[k])})
	}
	return out, nil
}

// TagResource sets tags of a group.
func (s *Service) TagResource(c *call.Call, in *scheduler.TagResourceInput) (*scheduler.TagResourceOutput, error) {
	set, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	g, err := s.tagged(c, *in.ResourceArn, set, nil)
	if err != nil {
		return nil, err
	}
	if g.Tags, err = tagMap(g.Tags, in.Tags); err != nil {
		return nil, err
	}
	return &scheduler.TagResourceOutput{}, groupTable.In(c.Scope.Account, c.Scope.Region).Put(c.Tx(), g)
}

// UntagResource removes tags of a group; that there are none of these keys is no error.
func (s *Service) UntagResource(c *call.Call, in *scheduler.UntagResourceInput) (*scheduler.UntagResourceOutput, error) {
	g, err := s.tagged(c, *in.ResourceArn, nil, in.TagKeys)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(g.Tags, k)
	}
	return &scheduler.UntagResourceOutput{}, groupTable.In(c.Scope.Account, c.Scope.Region).Put(c.Tx(), g)
}
