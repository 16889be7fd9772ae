package secretsmanager

import (
	"maps"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
)

// TagResource sets tags of a secret.
func (s *Service) TagResource(c *call.Call, in *secretsmanager.TagResourceRequest) (*secretsmanager.TagResourceResponse, error) {
	set, err := newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	a := &access{tags: set}
	sec, err := s.live(c, in.SecretId, a)
	if err != nil {
		return nil, err
	}
	tags, err := newTags(sec.Tags, in.Tags)
	if err != nil {
		return nil, err
	}
	return &secretsmanager.TagResourceResponse{}, s.setTags(c, sec, a, tags)
}

// UntagResource removes tags of a secret; that there are none of these keys is no error.
func (s *Service) UntagResource(c *call.Call, in *secretsmanager.UntagResourceRequest) (*secretsmanager.UntagResourceResponse, error) {
	a := &access{tagKeys: in.TagKeys}
	sec, err := s.live(c, in.SecretId, a)
	if err != nil {
		return nil, err
	}
	tags := maps.Clone(sec.Tags)
	for _, k := range in.TagKeys {
		delete(tags, k)
	}
	return &secretsmanager.UntagResourceResponse{}, s.setTags(c, sec, a, tags)
}

// setTags gives the secret other tags, unless its caller would lose the right to do so by it.
func (s *Service) setTags(c *call.Call, sec *secret, a *access, tags map[string]string) error {
	if err := sec.primary(); err != nil {
		return err
	}
	sec.Tags = tags
	r := &call.Resource{ARN: sec.arn, Account: sec.Account, Policy: sec.policy, Tags: tags, RequestTags: a.tags, RequestTagKeys: a.tagKeys, Conditions: a}
	if !c.Would(c.Caller, c.Op.Action, r) {
		return c.Refuse(c.Op.Action, "on resource: "+sec.arn+" because the tags would take away this permission")
	}
	return s.changed(c, sec)
}
