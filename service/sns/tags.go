package sns

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// maxTags is how many tags a topic can have: https://docs.aws.amazon.com/sns/latest/dg/sns-tags.html
const maxTags = 50

// tagMap is a list of tags as a map.
func tagMap(list []sns.Tag) (map[string]string, error) {
	tags := make(map[string]string, len(list))
	for _, t := range list {
		k := optional.Value(t.Key)
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return nil, invalid("Tag keys that begin with aws: are reserved")
		}
		if _, twice := tags[k]; twice {
			return nil, invalid("Duplicated keys are not allowed.")
		}
		tags[k] = optional.Value(t.Value)
	}
	if len(tags) > maxTags {
		return nil, tooManyTags()
	}
	return tags, nil
}

func tooManyTags() error {
	return &sns.TagLimitExceededException{Message: "Could not complete request: tag quota of per resource exceeded"}
}

// tagPolicy is SNS's error of tags that tag policies forbid.
func tagPolicy(err error) error {
	if e, ok := errors.AsType[*wire.Error](err); ok && e.Code == call.TagPolicyViolation {
		return &sns.TagPolicyException{Message: e.Message}
	}
	return err
}

// tagged finds a topic whose tags a request is about, after asking with those that it sets or names.
func (s *Service) tagged(c *call.Call, arn *string, set map[string]string, keys []string) (*topic, error) {
	a, err := parseTopic(c, "ResourceArn", optional.Value(arn))
	if err != nil {
		return nil, err
	}
	t, err := s.load(c, a)
	if err != nil {
		return nil, err
	}
	r := t.resource()
	r.RequestTags, r.RequestTagKeys = set, keys
	err = t.authorize(r)
	if _, ok := errors.AsType[*sns.NotFoundException](err); ok {
		return nil, &sns.ResourceNotFoundException{Message: "Resource does not exist"}
	}
	return t, err
}

// TagResource sets tags of a topic.
func (s *Service) TagResource(c *call.Call, in *sns.TagResourceRequest) (*sns.TagResourceResponse, error) {
	set, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	t, err := s.tagged(c, in.ResourceArn, set, nil)
	if err != nil {
		return nil, err
	}
	t.Tags = own(t.Tags)
	maps.Copy(t.Tags, set)
	if len(t.Tags) > maxTags {
		return nil, tooManyTags()
	}
	return &sns.TagResourceResponse{}, t.save()
}

// UntagResource removes tags of a topic; those that are not there are no error.
func (s *Service) UntagResource(c *call.Call, in *sns.UntagResourceRequest) (*sns.UntagResourceResponse, error) {
	t, err := s.tagged(c, in.ResourceArn, nil, in.TagKeys)
	if err != nil {
		return nil, err
	}
	t.Tags = own(t.Tags)
	maps.DeleteFunc(t.Tags, func(k, _ string) bool { return slices.Contains(in.TagKeys, k) })
	return &sns.UntagResourceResponse{}, t.save()
}

// ListTagsForResource lists the tags of a topic.
func (s *Service) ListTagsForResource(c *call.Call, in *sns.ListTagsForResourceRequest) (*sns.ListTagsForResourceResponse, error) {
	t, err := s.tagged(c, in.ResourceArn, nil, nil)
	if err != nil {
		return nil, err
	}
	out := &sns.ListTagsForResourceResponse{Tags: []sns.Tag{}}
	for _, k := range slices.Sorted(maps.Keys(t.Tags)) {
		out.Tags = append(out.Tags, sns.Tag{Key: new(k), Value: new(t.Tags[k])})
	}
	return out, nil
}
