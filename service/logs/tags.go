package logs

import (
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// maxTags is how many tags a group has.
const maxTags = 50

// tagged finds the group of an ARN whose tags a call is about. IAM knows it by its plain ARN then.
func (s *Service) tagged(c *call.Call, resource *string, set map[string]string, keys []string) (*group, error) {
	if !arn.Is(optional.Value(resource)) {
		return nil, c.Reject(&logs.ValidationException{Message: "The resource ARN " + optional.Value(resource) + " is not valid."})
	}
	if _, _, ok := groupOf(*resource); !ok {
		if err := c.Authorize(&call.Resource{ARN: *resource, RequestTags: set, RequestTagKeys: keys}); err != nil {
			return nil, err
		}
		return nil, &logs.ResourceNotFoundException{Message: "The specified resource does not exist."}
	}
	g, err := identified(c, nil, resource)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(g, c.Op.Action, &call.Resource{ARN: g.arn(), RequestTags: set, RequestTagKeys: keys}, ""); err != nil {
		return nil, err
	}
	if !g.there {
		return nil, &logs.ResourceNotFoundException{Message: "The specified resource does not exist."}
	}
	return g, nil
}

// taggedGroup is tagged for the older operations, which name groups.
func (s *Service) taggedGroup(c *call.Call, name *string, set map[string]string, keys []string) (*group, error) {
	g, err := look(c, optional.Value(name))
	if err != nil {
		return nil, err
	}
	if err := s.authorize(g, c.Op.Action, &call.Resource{ARN: g.arn() + ":log-stream:", RequestTags: set, RequestTagKeys: keys}, ""); err != nil {
		return nil, err
	}
	if !g.there {
		return nil, noGroup()
	}
	return g, nil
}

// TagResource sets tags of a group.
func (s *Service) TagResource(c *call.Call, in *logs.TagResourceRequest) (*logs.TagResourceResponse, error) {
	g, err := s.tagged(c, in.ResourceArn, in.Tags, nil)
	if err != nil {
		return nil, err
	}
	return &logs.TagResourceResponse{}, g.tag(in.Tags)
}

// TagLogGroup sets tags of a group.
func (s *Service) TagLogGroup(c *call.Call, in *logs.TagLogGroupRequest) (*logs.TagLogGroupResponse, error) {
	g, err := s.taggedGroup(c, in.LogGroupName, in.Tags, nil)
	if err != nil {
		return nil, err
	}
	return &logs.TagLogGroupResponse{}, g.tag(in.Tags)
}

// UntagResource removes tags of a group.
func (s *Service) UntagResource(c *call.Call, in *logs.UntagResourceRequest) (*logs.UntagResourceResponse, error) {
	g, err := s.tagged(c, in.ResourceArn, nil, in.TagKeys)
	if err != nil {
		return nil, err
	}
	return &logs.UntagResourceResponse{}, g.untag(in.TagKeys)
}

// UntagLogGroup removes tags of a group.
func (s *Service) UntagLogGroup(c *call.Call, in *logs.UntagLogGroupRequest) (*logs.UntagLogGroupResponse, error) {
	g, err := s.taggedGroup(c, in.LogGroupName, nil, in.Tags)
	if err != nil {
		return nil, err
	}
	return &logs.UntagLogGroupResponse{}, g.untag(in.Tags)
}

// ListTagsForResource lists the tags of a group.
func (s *Service) ListTagsForResource(c *call.Call, in *logs.ListTagsForResourceRequest) (*logs.ListTagsForResourceResponse, error) {
	g, err := s.tagged(c, in.ResourceArn, nil, nil)
	if err != nil {
		return nil, err
	}
	return &logs.ListTagsForResourceResponse{Tags: g.shownTags()}, nil
}

// ListTagsLogGroup lists the tags of a group.
func (s *Service) ListTagsLogGroup(c *call.Call, in *logs.ListTagsLogGroupRequest) (*logs.ListTagsLogGroupResponse, error) {
	g, err := s.taggedGroup(c, in.LogGroupName, nil, nil)
	if err != nil {
		return nil, err
	}
	return &logs.ListTagsLogGroupResponse{Tags: g.shownTags()}, nil
}

func (g *group) shownTags() map[string]string {
	if g.Tags == nil {
		return map[string]string{}
	}
	return g.Tags
}

func (g *group) tag(set map[string]string) error {
	if err := checkTags(set); err != nil {
		return err
	}
	tags := maps.Clone(g.shownTags())
	maps.Copy(tags, set)
	if len(tags) > maxTags {
		return &logs.TooManyTagsException{Message: "A log group can have 50 tags at most.", ResourceName: &g.Name}
	}
	g.Tags = tags
	return g.save()
}

func (g *group) untag(keys []string) error {
	tags := maps.Clone(g.Tags)
	maps.DeleteFunc(tags, func(k, _ string) bool { return slices.Contains(keys, k) })
	g.Tags = tags
	return g.save()
}

func checkTags(tags map[string]string) error {
	for k := range tags {
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalid("Tag keys that begin with aws: are reserved.")
		}
	}
	return nil
}
