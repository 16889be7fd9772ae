package cloudwatch

import (
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxTags is how many tags an alarm has.
const maxTags = 50

// tagged finds the alarm that an ARN names, after asking for permission.
func (s *Service) tagged(c *call.Call, name *string, set map[string]string, keys []string) (h home, tags map[string]string, err error) {
	text := optional.Value(name)
	a, err := arn.Parse(text)
	alarm, ok := strings.CutPrefix(a.Resource, "alarm:")
	if err != nil || !ok || alarm == "" || a.Service != "cloudwatch" || a.Partition != c.Scope.Partition || a.Account == "" {
		if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
			return h, nil, err
		}
		return h, nil, badValue("The value %s for parameter ResourceARN is invalid.", text)
	}
	h = home{a.Account, c.Scope.Region}
	if tags, err = tagsOf(c.Tx(), h, text); err != nil {
		return h, nil, err
	}
	if err := c.Authorize(&call.Resource{ARN: text, Account: a.Account, Type: alarmType, Tags: tags, RequestTags: set, RequestTagKeys: keys}); err != nil {
		return h, nil, err
	}
	_, err = alarmTable.In(h.account, h.region).Get(c.Tx(), alarm)
	if store.IgnoreNotFound(err) != nil {
		return h, nil, err
	}
	if err != nil || a.Region != c.Scope.Region {
		return h, nil, &cloudwatch.ResourceNotFoundException{ResourceType: new("alarm"), ResourceId: name, Message: "Unknown resource: " + text}
	}
	return h, tags, nil
}

// TagResource sets tags of an alarm.
func (s *Service) TagResource(c *call.Call, in *cloudwatch.TagResourceInput) (*cloudwatch.TagResourceOutput, error) {
	set, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, c.Reject(err)
	}
	h, tags, err := s.tagged(c, in.ResourceARN, set, nil)
	if err != nil {
		return nil, err
	}
	if tags, err = tagMap(tags, in.Tags); err != nil {
		return nil, err
	}
	return &cloudwatch.TagResourceOutput{}, putTags(c.Tx(), h, optional.Value(in.ResourceARN), tags)
}

// UntagResource removes tags of an alarm; those that are not there are no error.
func (s *Service) UntagResource(c *call.Call, in *cloudwatch.UntagResourceInput) (*cloudwatch.UntagResourceOutput, error) {
	h, tags, err := s.tagged(c, in.ResourceARN, nil, in.TagKeys)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(tags, func(k, _ string) bool { return slices.Contains(in.TagKeys, k) })
	return &cloudwatch.UntagResourceOutput{}, putTags(c.Tx(), h, optional.Value(in.ResourceARN), tags)
}

// ListTagsForResource lists the tags of an alarm, in the order of their keys.
func (s *Service) ListTagsForResource(c *call.Call, in *cloudwatch.ListTagsForResourceInput) (*cloudwatch.ListTagsForResourceOutput, error) {
	_, tags, err := s.tagged(c, in.ResourceARN, nil, nil)
	if err != nil {
		return nil, err
	}
	out := &cloudwatch.ListTagsForResourceOutput{Tags: []cloudwatch.Tag{}}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out.Tags = append(out.Tags, cloudwatch.Tag{Key: new(k), Value: new(tags[k])})
	}
	return out, nil
}

// tagMap adds tags to those there are.
func tagMap(there map[string]string, add []cloudwatch.Tag) (map[string]string, error) {
	out := maps.Clone(there)
	if out == nil {
		out = make(map[string]string, len(add))
	}
	seen := make(map[string]bool, len(add))
	for _, t := range add {
		k := optional.Value(t.Key)
		switch {
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return nil, badValue("The tag key %s is not valid: keys that begin with aws: are reserved.", k)
		case seen[k]:
			return nil, badValue("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[k] = true
		out[k] = optional.Value(t.Value)
	}
	if len(out) > maxTags {
		return nil, badValue("A resource can have %d tags at most.", maxTags)
	}
	return out, nil
}

// tagsOf returns the tags of an alarm by its ARN; nil for none.
func tagsOf(r store.Reader, h home, arn string) (map[string]string, error) {
	t, err := tagsTable.In(h.account, h.region).Get(r, arn)
	if err != nil {
		return nil, store.IgnoreNotFound(err)
	}
	return t.Tags, nil
}

// putTags replaces the tags of an alarm. Whoever deletes it leaves it none.
func putTags(tx store.Tx, h home, arn string, tags map[string]string) error {
	if len(tags) == 0 {
		return store.IgnoreNotFound(tagsTable.In(h.account, h.region).Delete(tx, arn))
	}
	return tagsTable.In(h.account, h.region).Put(tx, &tagsRecord{arn, tags})
}
