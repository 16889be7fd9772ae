package cloudtrail

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	maxTags   = 50 // of a resource
	maxListed = 20 // resources whose tags are listed at once
)

// kind is a kind of CloudTrail's resources, as it stands in their ARNs.
type kind string

const (
	aTrail     kind = "trail"
	aStore     kind = "eventdatastore"
	aChannel   kind = "channel"
	aDashboard kind = "dashboard"
)

// audited is the kind as it stands in audit records.
func (k kind) audited() string {
	switch k {
	case aTrail:
		return trailType
	case aStore:
		return "AWS::CloudTrail::EventDataStore"
	case aChannel:
		return "AWS::CloudTrail::Channel"
	}
	return "AWS::CloudTrail::Dashboard"
}

// thing is a resource of CloudTrail as a request names it.
type thing struct {
	kind                kind
	account, region, id string
	arn                 string
}

// thing reads an ARN. ok tells that it is one of CloudTrail's; its kind may be one that there is not.
func (s *Service) thing(name string) (th thing, ok bool) {
	a, err := arn.Parse(name)
	k, id, found := strings.Cut(a.Resource, "/")
	if err != nil || !found || id == "" || a.Service != "cloudtrail" || a.Partition != s.cfg.Partition || a.Region == "" || a.Account == "" {
		return thing{}, false
	}
	return thing{kind(k), a.Account, a.Region, id, name}, true
}

// there reports whether a thing is there, for the caller to see.
func (th thing) there(c *call.Call) (bool, error) {
	switch th.kind {
	case aTrail:
		t, err := named{account: th.account, region: th.region, name: th.id}.read(c.Tx())
		if err != nil {
			return false, err
		}
		return t.shows(c)
	case aStore, aChannel:
		return lakeHolds(c, th)
	}
	return false, nil // dashboards are not built
}

// missing is what is said of a thing that is not there.
func (th thing) missing() error {
	switch th.kind {
	case aStore:
		return &cloudtrail.EventDataStoreNotFoundException{Message: "The event data store " + th.arn + " was not found."}
	case aChannel:
		return &cloudtrail.ChannelNotFoundException{Message: "The channel " + th.arn + " was not found."}
	}
	return &cloudtrail.ResourceNotFoundException{Message: "The resource " + th.arn + " was not found."}
}

// tagged finds a thing by its ARN after asking about its tags, and returns those it has.
func (s *Service) tagged(c *call.Call, id string, set map[string]string, keys []string) (th thing, tags map[string]string, err error) {
	th, ok := s.thing(id)
	if !ok {
		return th, nil, badARN(id)
	}
	switch th.kind {
	case aTrail:
		if err := checkName(th.id); err != nil {
			return th, nil, err
		}
	case aStore, aChannel, aDashboard:
	default:
		return th, nil, &cloudtrail.ResourceTypeNotSupportedException{Message: "Resources of the type " + string(th.kind) + " have no tags."}
	}
	there, err := th.there(c)
	if err != nil {
		return th, nil, err
	}
	if there {
		if tags, err = tagsOf(c.Tx(), th.account, th.region, id); err != nil {
			return th, nil, err
		}
	}
	if err := s.ask(c, th.kind.audited(), th.account, id, tags, set, keys); err != nil {
		return th, nil, err
	}
	if !there {
		return th, nil, th.missing()
	}
	return th, tags, nil
}

// AddTags sets tags of a resource.
func (s *Service) AddTags(c *call.Call, in *cloudtrail.AddTagsRequest) (*cloudtrail.AddTagsResponse, error) {
	set, err := tagMap(nil, in.TagsList)
	if err != nil {
		return nil, err
	}
	th, tags, err := s.tagged(c, optional.Value(in.ResourceId), set, nil)
	if err != nil {
		return nil, err
	}
	if err := th.changeable(c); err != nil {
		return nil, err
	}
	if tags, err = tagMap(tags, in.TagsList); err != nil {
		return nil, err
	}
	return &cloudtrail.AddTagsResponse{}, putTags(c.Tx(), th.account, th.region, th.arn, tags)
}

// RemoveTags removes tags of a resource by their keys; those that are not there are no error.
func (s *Service) RemoveTags(c *call.Call, in *cloudtrail.RemoveTagsRequest) (*cloudtrail.RemoveTagsResponse, error) {
	var keys []string
	for _, t := range in.TagsList {
		keys = append(keys, optional.Value(t.Key))
	}
	th, tags, err := s.tagged(c, optional.Value(in.ResourceId), nil, keys)
	if err != nil {
		return nil, err
	}
	if err := th.changeable(c); err != nil {
		return nil, err
	}
	maps.DeleteFunc(tags, func(k, _ string) bool { return slices.Contains(keys, k) })
	return &cloudtrail.RemoveTagsResponse{}, putTags(c.Tx(), th.account, th.region, th.arn, tags)
}

// changeable refuses the members of an organization whose thing it is.
func (th thing) changeable(c *call.Call) error {
	return (&trailRecord{Account: th.account}).changeable(c)
}

// ListTags lists the tags of resources, in the order of their keys.
func (s *Service) ListTags(c *call.Call, in *cloudtrail.ListTagsRequest) (*cloudtrail.ListTagsResponse, error) {
	if n := len(in.ResourceIdList); n == 0 || n > maxListed {
		if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
			return nil, err
		}
		return nil, badARN(strings.Join(in.ResourceIdList, ", "))
	}
	out := &cloudtrail.ListTagsResponse{ResourceTagList: make([]cloudtrail.ResourceTag, len(in.ResourceIdList))}
	for i, id := range in.ResourceIdList {
		_, tags, err := s.tagged(c, id, nil, nil)
		if _, ok := errors.AsType[*cloudtrail.ChannelNotFoundException](err); ok {
			err = &cloudtrail.ResourceNotFoundException{Message: "The resource " + id + " was not found."}
		}
		if err != nil {
			return nil, err
		}
		out.ResourceTagList[i] = cloudtrail.ResourceTag{ResourceId: new(id), TagsList: showTags(tags)}
	}
	return out, nil
}

func showTags(tags map[string]string) []cloudtrail.Tag {
	list := make([]cloudtrail.Tag, 0, len(tags))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, cloudtrail.Tag{Key: new(k), Value: new(tags[k])})
	}
	return list
}

// tagMap adds tags to those there are.
func tagMap(there map[string]string, add []cloudtrail.Tag) (map[string]string, error) {
	out := maps.Clone(there)
	if out == nil {
		out = make(map[string]string, len(add))
	}
	seen := make(map[string]bool, len(add))
	for _, t := range add {
		k := optional.Value(t.Key)
		switch {
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return nil, &cloudtrail.InvalidTagParameterException{Message: "The tag key " + k + " is not valid: keys that begin with aws: are reserved."}
		case seen[k]:
			return nil, &cloudtrail.InvalidTagParameterException{Message: "The tag key " + k + " is there more than once."}
		}
		seen[k] = true
		out[k] = optional.Value(t.Value)
	}
	if len(out) > maxTags {
		return nil, &cloudtrail.TagsLimitExceededException{Message: "A resource can have 50 tags at most."}
	}
	return out, nil
}

// tagsOf returns the tags of a resource by its ARN; nil for none.
func tagsOf(r store.Reader, account, region, arn string) (map[string]string, error) {
	t, err := tagsTable.In(account, region).Get(r, arn)
	if err != nil {
		return nil, store.IgnoreNotFound(err)
	}
	return t.Tags, nil
}

// putTags replaces the tags of a resource. Whoever deletes a resource leaves it none.
func putTags(tx store.Tx, account, region, arn string, tags map[string]string) error {
	if len(tags) == 0 {
		return store.IgnoreNotFound(tagsTable.In(account, region).Delete(tx, arn))
	}
	return tagsTable.In(account, region).Put(tx, &tagsRecord{arn, tags})
}
