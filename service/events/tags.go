package events

import (
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

const (
	maxTags   = 50 // of a resource
	tagAction = "events:TagResource"
)

func tagMap(tags []events.Tag) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[optional.Value(t.Key)] = optional.Value(t.Value)
	}
	return m
}

func tagList(tags map[string]string) []events.Tag {
	list := []events.Tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, events.Tag{Key: new(k), Value: new(tags[k])})
	}
	return list
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return limitExceeded()
	}
	for k := range tags {
		if len(k) >= 4 && strings.EqualFold(k[:4], "aws:") {
			return invalid("Tag keys that begin with aws: are reserved: " + k)
		}
	}
	return nil
}

// authorizeTagged asks for the operation's own action on what is to be made, and where it gets tags for that of tagging it.
func (s *Service) authorizeTagged(c *call.Call, r *call.Resource) error {
	if err := c.Authorize(r); err != nil {
		return err
	}
	if len(r.RequestTags) == 0 {
		return nil
	}
	return c.AuthorizeAction(tagAction, r)
}

// tagged is a resource with tags.
type tagged struct {
	tags *map[string]string
	save func() error
}

// tagged finds a bus or a rule by its ARN, after asking about its tags.
func (s *Service) tagged(c *call.Call, name string, set map[string]string, keys []string) (*tagged, error) {
	a, err := arn.Parse(name)
	kind, rest, ok := strings.Cut(a.Resource, "/")
	if err != nil || !ok || a.Service != "events" || a.Partition != c.Scope.Partition || kind != "event-bus" && kind != "rule" {
		return nil, invalid("Parameter " + name + " is not valid. Reason: Provided Arn is not in correct format.")
	}
	r := &call.Resource{ARN: name, Account: a.Account, Type: busType, RequestTags: set, RequestTagKeys: keys}
	found, gone := new(tagged), error(nil)
	if kind == "event-bus" {
		b, err := s.load(c, busKey{a.Account, a.Region, rest})
		if err != nil {
			return nil, err
		}
		r.Policy, r.Tags = b.policy, b.Tags
		found.tags, found.save = &b.Tags, func() error { return b.save(c) }
		if !b.there {
			gone = noBus(rest)
		}
	} else {
		busName, ruleName, custom := strings.Cut(rest, "/")
		if !custom {
			busName, ruleName = defaultBus, rest
		}
		b, err := s.load(c, busKey{a.Account, a.Region, busName})
		if err != nil {
			return nil, err
		}
		rule, err := ruleTable.In(a.Account, a.Region).Get(c.Tx(), busName, ruleName)
		if missing(err) {
			rule, gone = &ruleRecord{Bus: busName, Name: ruleName, Account: a.Account, Region: a.Region}, noRule(ruleName, busName)
		} else if err != nil {
			return nil, err
		}
		r.Type, r.Policy, r.Tags = ruleType, b.policy, rule.Tags
		r.Conditions = ruleConditions(rule)
		found.tags, found.save = &rule.Tags, func() error { return ruleTable.In(rule.Account, rule.Region).Put(c.Tx(), rule) }
	}
	if err := c.Authorize(r); err != nil {
		return nil, err
	}
	if gone == nil && a.Region != c.Scope.Region {
		gone = noBus(rest)
	}
	return found, gone
}

// TagResource sets tags of a bus or a rule.
func (s *Service) TagResource(c *call.Call, in *events.TagResourceRequest) (*events.TagResourceResponse, error) {
	set := tagMap(in.Tags)
	t, err := s.tagged(c, *in.ResourceARN, set, nil)
	if err != nil {
		return nil, err
	}
	if *t.tags == nil {
		*t.tags = make(map[string]string, len(set))
	}
	maps.Copy(*t.tags, set)
	if err := checkTags(*t.tags); err != nil {
		return nil, err
	}
	return &events.TagResourceResponse{}, t.save()
}

// UntagResource removes tags of a bus or a rule.
func (s *Service) UntagResource(c *call.Call, in *events.UntagResourceRequest) (*events.UntagResourceResponse, error) {
	t, err := s.tagged(c, *in.ResourceARN, nil, in.TagKeys)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(*t.tags, k)
	}
	return &events.UntagResourceResponse{}, t.save()
}

// ListTagsForResource lists the tags of a bus or a rule.
func (s *Service) ListTagsForResource(c *call.Call, in *events.ListTagsForResourceRequest) (*events.ListTagsForResourceResponse, error) {
	t, err := s.tagged(c, *in.ResourceARN, nil, nil)
	if err != nil {
		return nil, err
	}
	return &events.ListTagsForResourceResponse{Tags: tagList(*t.tags)}, nil
}
