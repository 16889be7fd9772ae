package kms

import (
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// maxTags is how many tags a key may have.
const maxTags = 50

// tagMap adds tags to those there are.
func tagMap(there map[string]string, add []kms.Tag) (map[string]string, error) {
	out := maps.Clone(there)
	if out == nil {
		out = make(map[string]string, len(add))
	}
	seen := make(map[string]bool, len(add))
	for _, t := range add {
		k := optional.Value(t.TagKey)
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return nil, &kms.TagException{Message: "Tags beginning with aws: are reserved"}
		}
		if seen[k] {
			return nil, &kms.TagException{Message: "Duplicate tag keys"}
		}
		seen[k] = true
		out[k] = optional.Value(t.TagValue)
	}
	if len(out) > maxTags {
		return nil, &kms.TagException{Message: "Too many tags"}
	}
	return out, nil
}

// TagResource sets tags of a key.
func (s *Service) TagResource(c *call.Call, in *kms.TagResourceRequest) (*kms.TagResourceResponse, error) {
	set, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	k, err := s.change(c, in.KeyId, func(u *use) error { u.tags = set; return nil }, notPendingDeletion...)
	if err != nil {
		return nil, err
	}
	if k.Tags, err = tagMap(k.Tags, in.Tags); err != nil {
		return nil, err
	}
	return &kms.TagResourceResponse{}, k.save(c.Tx())
}

// UntagResource removes tags of a key; those that are not there are no error.
func (s *Service) UntagResource(c *call.Call, in *kms.UntagResourceRequest) (*kms.UntagResourceResponse, error) {
	k, err := s.change(c, in.KeyId, func(u *use) error { u.tagKeys = in.TagKeys; return nil }, notPendingDeletion...)
	if err != nil {
		return nil, err
	}
	for _, name := range in.TagKeys {
		delete(k.Tags, name)
	}
	return &kms.UntagResourceResponse{}, k.save(c.Tx())
}

// ListResourceTags lists the tags of a key, in the order of their keys.
func (s *Service) ListResourceTags(c *call.Call, in *kms.ListResourceTagsRequest) (*kms.ListResourceTagsResponse, error) {
	k, err := s.forChange(c, in.KeyId, false)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k}); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(k.Tags))
	if in.Marker != nil {
		// A marker is the last key of the page before it.
		i, found := slices.BinarySearch(names, *in.Marker)
		if !found {
			return nil, &kms.InvalidMarkerException{Message: "Could not deserialize marker"}
		}
		names = names[i+1:]
	}
	n := min(len(names), limit(in.Limit, maxTags))
	out := &kms.ListResourceTagsResponse{Tags: make([]kms.Tag, 0, n), Truncated: new(n < len(names))}
	for _, name := range names[:n] {
		out.Tags = append(out.Tags, kms.Tag{TagKey: new(name), TagValue: new(k.Tags[name])})
	}
	if n < len(names) {
		out.NextMarker = &names[n-1]
	}
	return out, nil
}
