package ssm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
)

// maxTags is how many tags a parameter may have.
const maxTags = 50

// tagMap is the tags given on top of those there are.
func tagMap(there map[string]string, given []ssm.Tag) (map[string]string, error) {
	tags := maps.Clone(there)
	if tags == nil {
		tags = make(map[string]string, len(given))
	}
	seen := make(map[string]bool, len(given))
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
		return nil, &ssm.TooManyTagsError{Message: fmt.Sprintf("A parameter has at most %d tags.", maxTags)}
	}
	return tags, nil
}

// tagged finds and authorizes the parameter whose tags are asked for. Nothing else that Systems Manager tags is there.
func (s *Service) tagged(c *call.Call, kind ssm.ResourceTypeForTagging, id string, set map[string]string, keys []string) (*parameterRecord, error) {
	if kind != ssm.ResourceTypeForTaggingParameter {
		if err := c.Authorize(&call.Resource{ARN: c.ARN("*")}); err != nil {
			return nil, err
		}
		return nil, wrongResource()
	}
	n, err := parseName(strings.TrimSpace(id))
	if err != nil {
		return nil, wrongResource()
	}
	p, err := s.change(c, n, func(r *call.Resource, _ *conditions) { r.RequestTags, r.RequestTagKeys = set, keys })
	if err == nil && p == nil {
		err = wrongResource()
	}
	return p, err
}

func wrongResource() error {
	return &ssm.InvalidResourceId{Message: "The resource ID isn't valid. Verify that you entered the correct ID and try again."}
}

// AddTagsToResource sets tags of a parameter.
func (s *Service) AddTagsToResource(c *call.Call, in *ssm.AddTagsToResourceRequest) (*ssm.AddTagsToResourceResult, error) {
	set, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	p, err := s.tagged(c, in.ResourceType, *in.ResourceId, set, nil)
	if err != nil {
		return nil, err
	}
	if p.Tags, err = tagMap(p.Tags, in.Tags); err != nil {
		return nil, err
	}
	return &ssm.AddTagsToResourceResult{}, parameterTable.In(c.Scope.Account, c.Scope.Region).Put(c.Tx(), p)
}

// RemoveTagsFromResource removes tags of a parameter; that there are none of these keys is no error.
func (s *Service) RemoveTagsFromResource(c *call.Call, in *ssm.RemoveTagsFromResourceRequest) (*ssm.RemoveTagsFromResourceResult, error) {
	p, err := s.tagged(c, in.ResourceType, *in.ResourceId, nil, in.TagKeys)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(p.Tags, k)
	}
	return &ssm.RemoveTagsFromResourceResult{}, parameterTable.In(c.Scope.Account, c.Scope.Region).Put(c.Tx(), p)
}

// ListTagsForResource lists the tags of a parameter by their keys.
func (s *Service) ListTagsForResource(c *call.Call, in *ssm.ListTagsForResourceRequest) (*ssm.ListTagsForResourceResult, error) {
	p, err := s.tagged(c, in.ResourceType, *in.ResourceId, nil, nil)
	if err != nil {
		return nil, err
	}
	out := &ssm.ListTagsForResourceResult{TagList: []ssm.Tag{}}
	for _, k := range slices.Sorted(maps.Keys(p.Tags)) {
		out.TagList = append(out.TagList, ssm.Tag{Key: new(k), Value: new(p.Tags[k])})
	}
	return out, nil
}
