package organization

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/arn"
)

// TagRules are what an account's effective tag policy enforces, by tag key in lower case. They are immutable.
type TagRules map[string]tagRule

// tagRule says how a tag is written on the types of resources that it is enforced for.
type tagRule struct {
	key     string
	values  []string // patterns; none means any value
	applies []string // kms:key, or kms:* and kms:ALL_SUPPORTED for all of a service
}

// compileTags takes an effective tag policy apart, and leaves out what is not enforced.
func compileTags(effective string) (TagRules, error) {
	var doc struct {
		Tags map[string]struct {
			Key     any `json:"tag_key"`
			Values  any `json:"tag_value"`
			Applies any `json:"enforced_for"`
		} `json:"tags"`
	}
	if err := json.Unmarshal([]byte(effective), &doc); err != nil {
		return nil, err
	}
	rules := make(TagRules)
	for low, tag := range doc.Tags {
		r := tagRule{values: texts(tag.Values), applies: texts(tag.Applies)}
		if key := texts(tag.Key); len(key) > 0 {
			r.key = key[0]
		}
		if len(r.applies) > 0 {
			rules[low] = r
		}
	}
	return rules, nil
}

// texts are the strings of a value or a list.
func texts(v any) (out []string) {
	for _, x := range asList(v) {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// TagViolation returns the key of a tag that the account's tag policies do not let anybody set on a resource, if there is one. An asterisk for a
// resource that has no name yet stands for any type of the service, which is given by the prefix of its actions.
func (m *Member) TagViolation(prefix, resource string, tags map[string]string) (key string, found bool) {
	if m == nil || len(m.Tags) == 0 {
		return "", false
	}
	for k, v := range tags {
		r, ok := m.Tags[strings.ToLower(k)]
		if !ok || !r.covers(prefix, resource) {
			continue
		}
		if k != r.key || len(r.values) > 0 && !slices.ContainsFunc(r.values, func(pattern string) bool { return matches(pattern, v) }) {
			if !found || k < key { // the first, so that a request is always refused alike
				key, found = k, true
			}
		}
	}
	return key, found
}

// covers reports whether a rule is enforced for a resource.
func (r *tagRule) covers(prefix, resource string) bool {
	kind := ""
	if a, err := arn.Parse(resource); err == nil {
		prefix = a.Service
		kind = a.Resource[:strings.IndexAny(a.Resource+"/", "/:")]
	}
	return slices.ContainsFunc(r.applies, func(t string) bool {
		service, of, _ := strings.Cut(t, ":")
		return service == prefix && (kind == "" || of == kind || of == "*" || of == "ALL_SUPPORTED")
	})
}

// matches reports whether a pattern, in which an asterisk stands for any text, covers all of s.
func matches(pattern, s string) bool {
	head, rest, starred := strings.Cut(pattern, "*")
	if !starred {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	for {
		var middle string
		if middle, rest, starred = strings.Cut(rest, "*"); !starred {
			return strings.HasSuffix(s, middle)
		}
		i := strings.Index(s, middle)
		if i < 0 {
			return false
		}
		s = s[i+len(middle):]
	}
}
