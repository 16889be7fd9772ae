package oidc

import (
	"slices"
	"strings"
)

// The claims that shape the session. Tags come as one object,
//
//	"https://aws.amazon.com/tags": {"principal_tags": {"Team": ["red"]}, "transitive_tag_keys": ["Team"]}
//
// or flat, for providers that cannot make objects:
//
//	"https://aws.amazon.com/tags/principal_tags/Team": ["red"], "https://aws.amazon.com/tags/transitive_tag_keys": ["Team"]
//
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_adding-assume-role-idp
const (
	claimTags           = "https://aws.amazon.com/tags"
	principalTags       = "principal_tags"
	transitiveTags      = "transitive_tag_keys"
	claimSourceIdentity = "https://aws.amazon.com/source_identity"
)

func badTags(name string) error { return invalid(nil, "Invalid claim: %s", name) }

// session reads the claims that shape the session. It checks their form; whether keys and values are allowed is not for a token to say.
func (c claimSet) session() (Session, error) {
	var s Session
	if c[claimSourceIdentity] != nil {
		var err error
		if s.SourceIdentity, err = c.text(claimSourceIdentity); err != nil {
			return s, err
		}
	}
	tags := make(map[string]string)
	add := func(key string, value any) error {
		values, ok := stringsOf(value)
		if _, twice := tags[key]; !ok || len(values) != 1 || key == "" || twice {
			return badTags(claimTags)
		}
		tags[key] = values[0]
		return nil
	}
	if value := c[claimTags]; value != nil {
		object, ok := value.(map[string]any)
		if !ok {
			return s, badTags(claimTags)
		}
		if value := object[principalTags]; value != nil {
			pairs, ok := value.(map[string]any)
			if !ok {
				return s, badTags(claimTags)
			}
			for key, value := range pairs {
				if err := add(key, value); err != nil {
					return s, err
				}
			}
		}
		if s.TransitiveTags, ok = stringsOf(object[transitiveTags]); !ok {
			return s, badTags(claimTags)
		}
	}
	for name, value := range c {
		rest, ok := strings.CutPrefix(name, claimTags+"/")
		if !ok {
			continue
		}
		if key, ok := strings.CutPrefix(rest, principalTags+"/"); ok {
			if err := add(key, value); err != nil {
				return s, err
			}
		} else if rest == transitiveTags {
			keys, ok := stringsOf(value)
			if !ok {
				return s, badTags(name)
			}
			s.TransitiveTags = append(s.TransitiveTags, keys...)
		}
	}
	slices.Sort(s.TransitiveTags)
	s.TransitiveTags = slices.Compact(s.TransitiveTags)
	if len(tags) > 0 {
		s.Tags = tags
	}
	return s, nil
}
