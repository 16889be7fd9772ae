package lambda

import (
	"maps"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
)

// Functions have tags. Their versions and aliases have those of the function, and layers have none.

// maxTags is how many tags a function may have.
const maxTags = 50

// checkTags refuses tags that a function which has those there cannot have as well.
func checkTags(there, given map[string]string) error {
	n := len(there)
	for k := range given {
		if len(k) >= 4 && strings.EqualFold(k[:4], "aws:") {
			return invalid("Tag keys that begin with aws: are reserved: %s", k)
		}
		if _, ok := there[k]; !ok {
			n++
		}
	}
	if n > maxTags {
		return invalid("Number of tags exceeds resource tag limit.")
	}
	return nil
}

// tagged finds a function by its ARN and asks about its tags.
func (s *Service) tagged(c *call.Call, resource string, more func(*call.Resource)) (*target, error) {
	if !strings.Contains(resource, ":function:") {
		return nil, notBuilt(c, "a resource that is no function")
	}
	t, err := s.named(c, &resource, nil, func(_ *target, r *call.Resource) error {
		more(r)
		return nil
	})
	if err == nil && t.qualifier != "" {
		err = invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	return t, err
}

// ListTags returns the tags of a function.
func (s *Service) ListTags(c *call.Call, in *lambda.ListTagsRequest) (*lambda.ListTagsResponse, error) {
	t, err := s.tagged(c, *in.Resource, func(*call.Resource) {})
	if err != nil {
		return nil, err
	}
	tags := t.function.Tags
	if tags == nil {
		tags = make(map[string]string)
	}
	return &lambda.ListTagsResponse{Tags: tags}, nil
}

// TagResource sets tags of a function.
func (s *Service) TagResource(c *call.Call, in *lambda.TagResourceRequest) (*lambda.TagResourceResponse, error) {
	t, err := s.tagged(c, *in.Resource, func(r *call.Resource) { r.RequestTags = in.Tags })
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, invalid("An error occurred and the request cannot be processed.")
	}
	if err := checkTags(t.function.Tags, in.Tags); err != nil {
		return nil, err
	}
	if t.function.Tags == nil {
		t.function.Tags = make(map[string]string)
	}
	maps.Copy(t.function.Tags, in.Tags)
	t.version.Revision = c.UUID()
	return &lambda.TagResourceResponse{}, t.function.saveAll(c, t.version)
}

// UntagResource removes tags of a function; that there are none of these keys is no error.
func (s *Service) UntagResource(c *call.Call, in *lambda.UntagResourceRequest) (*lambda.UntagResourceResponse, error) {
	t, err := s.tagged(c, *in.Resource, func(r *call.Resource) { r.RequestTagKeys = in.TagKeys })
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(t.function.Tags, k)
	}
	t.version.Revision = c.UUID()
	return &lambda.UntagResourceResponse{}, t.function.saveAll(c, t.version)
}
