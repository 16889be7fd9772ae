package organizations

import (
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxTags is how many tags something may have.
const maxTags = 50

// tagMap adds tags to those there are.
func tagMap(there map[string]string, add []organizations.Tag) (map[string]string, error) {
	if len(add) == 0 {
		return there, nil
	}
	out := maps.Clone(there)
	if out == nil {
		out = make(map[string]string, len(add))
	}
	seen := make(map[string]bool, len(add))
	for _, t := range add {
		k := optional.Value(t.Key)
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return nil, invalid(organizations.InvalidInputExceptionReasonInvalidSystemTagsParameter, "You specified a tag key that is a system tag. You can't add, edit, or delete system tag keys because they're reserved for AWS use.")
		}
		if seen[k] {
			return nil, invalid(organizations.InvalidInputExceptionReasonDuplicateTagKey, "Tag keys must be unique among the tags attached to the same entity.")
		}
		seen[k] = true
		out[k] = optional.Value(t.Value)
	}
	if len(out) > maxTags {
		return nil, constraint(organizations.ConstraintViolationExceptionReasonMaxTagLimitExceeded, "You have exceeded the number of tags allowed on this resource.")
	}
	return out, nil
}

// taggable is something that has tags.
type taggable struct {
	resource *call.Resource
	tags     map[string]string
	save     func(map[string]string) error // nil if its tags cannot be changed
}

// tagged finds what has tags by its ID; an empty resource in it means that there is no such thing.
func (o *org) tagged(id string) (t taggable, found bool, err error) {
	tx, p := o.c.Tx(), o.s.cfg.Partition
	switch {
	case strings.HasPrefix(id, "p-"):
		if t.resource, err = o.ofPolicy(id); err != nil {
			return t, false, err
		}
		r, err := organization.Find(tx, o.Organization, id)
		if err != nil {
			return t, false, store.IgnoreNotFound(err)
		}
		t.tags = r.Tags
		if organization.Managed(id) == nil {
			t.save = func(tags map[string]string) error {
				r.Tags = tags
				return organization.Policies.In(o.Management, "").Put(tx, r)
			}
		}
		return t, true, nil
	case strings.HasPrefix(id, "rp-"):
		t.resource = &call.Resource{ARN: o.ResourcePolicyARN(p, id)}
		r, err := organization.ResourcePolicies.In(o.Management, "").Get(tx, id)
		if err != nil {
			return t, false, store.IgnoreNotFound(err)
		}
		t.tags, t.resource.Tags = r.Tags, r.Tags
		t.save = func(tags map[string]string) error {
			r.Tags = tags
			return organization.ResourcePolicies.In(o.Management, "").Put(tx, r)
		}
		return t, true, nil
	}
	if t.resource, err = o.ofTarget(id); err != nil {
		return t, false, err
	}
	switch {
	case id == o.Root:
		t.tags = o.RootTags
		t.save = func(tags map[string]string) error { o.RootTags = tags; return o.put() }
		return t, true, nil
	case strings.HasPrefix(id, "ou-"):
		u, err := o.unit(id)
		if err != nil {
			return t, false, store.IgnoreNotFound(err)
		}
		t.tags = u.Tags
		t.save = func(tags map[string]string) error {
			u.Tags = tags
			return organization.Units.In(o.Management, "").Put(tx, u)
		}
		return t, true, nil
	}
	a, err := o.account(id)
	if err != nil {
		return t, false, store.IgnoreNotFound(err)
	}
	t.tags = a.Tags
	t.save = func(tags map[string]string) error {
		a.Tags = tags
		return organization.Accounts.In(o.Management, "").Put(tx, a)
	}
	return t, true, nil
}

// TagResource sets tags of an account, a unit, the root or a policy.
func (s *Service) TagResource(c *call.Call, in *organizations.TagResourceRequest) (*organizations.TagResourceResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	t, found, err := o.tagged(optional.Value(in.ResourceId))
	if err != nil {
		return nil, err
	}
	if t.resource.RequestTags, err = tagMap(nil, in.Tags); err != nil {
		return nil, err
	}
	if err := o.ask(delegable, t.resource); err != nil {
		return nil, err
	}
	if !found || t.save == nil {
		return nil, noTarget()
	}
	tags, err := tagMap(t.tags, in.Tags)
	if err != nil {
		return nil, err
	}
	return &organizations.TagResourceResponse{}, t.save(tags)
}

// UntagResource removes tags; those that are not there are no error.
func (s *Service) UntagResource(c *call.Call, in *organizations.UntagResourceRequest) (*organizations.UntagResourceResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	t, found, err := o.tagged(optional.Value(in.ResourceId))
	if err != nil {
		return nil, err
	}
	t.resource.RequestTagKeys = in.TagKeys
	if err := o.ask(delegable, t.resource); err != nil {
		return nil, err
	}
	if !found || t.save == nil {
		return nil, noTarget()
	}
	tags := maps.Clone(t.tags)
	for _, k := range in.TagKeys {
		delete(tags, k)
	}
	return &organizations.UntagResourceResponse{}, t.save(tags)
}

// ListTagsForResource lists the tags of something, in the order of their keys. They fit on one page.
func (s *Service) ListTagsForResource(c *call.Call, in *organizations.ListTagsForResourceRequest) (*organizations.ListTagsForResourceResponse, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	t, found, err := o.tagged(optional.Value(in.ResourceId))
	if err != nil {
		return nil, err
	}
	if err := o.ask(readable, t.resource); err != nil {
		return nil, err
	}
	if !found {
		return nil, noTarget()
	}
	if in.NextToken != nil {
		return nil, invalid(organizations.InvalidInputExceptionReasonInvalidNextToken, "You provided an invalid NextToken. You must get the value from the response to a previous call.")
	}
	out := &organizations.ListTagsForResourceResponse{Tags: make([]organizations.Tag, 0, len(t.tags))}
	for _, k := range slices.Sorted(maps.Keys(t.tags)) {
		out.Tags = append(out.Tags, organizations.Tag{Key: new(k), Value: new(t.tags[k])})
	}
	return out, nil
}
