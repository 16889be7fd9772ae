package iam

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store/pagetoken"
)

// maxTags is how many tags a resource may have.
const maxTags = 50

// tagMap checks the tags of a request. IAM's tag keys keep their case and are unique without it.
func tagMap(tags []iam.Tag) (map[string]string, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		k := optional.Value(t.Key)
		if prefix, _, ok := strings.Cut(k, ":"); ok && strings.EqualFold(prefix, "aws") {
			return nil, invalid("Tag keys starting with 'aws:' are reserved for system use.")
		}
		// As conditions on tags find them: there are letters, such as the long s, which EqualFold takes for another and ToLower does not.
		for other := range out {
			if strings.EqualFold(other, k) {
				return nil, invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
			}
		}
		out[k] = optional.Value(t.Value)
	}
	return out, nil
}

// addTags puts tags over those there are: a key takes the place of one that differs in case alone.
func addTags(there, add map[string]string) (map[string]string, error) {
	out := removeTags(there, slices.Collect(maps.Keys(add)))
	if out == nil {
		out = make(map[string]string, len(add))
	}
	maps.Copy(out, add)
	if len(out) > maxTags {
		return nil, &iam.LimitExceededException{Message: "The number of tags has reached the maximum limit."}
	}
	return out, nil
}

// removeTags drops tags by their keys, whatever their case. Those that are not there are no error.
func removeTags(there map[string]string, keys []string) map[string]string {
	out := maps.Clone(there)
	maps.DeleteFunc(out, func(k, _ string) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return strings.EqualFold(k, key) })
	})
	return out
}

// tagList is a resource's tags as answers have them, in the order of their keys.
func tagList(tags map[string]string) []iam.Tag {
	out := make([]iam.Tag, 0, len(tags))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, iam.Tag{Key: &k, Value: new(tags[k])})
	}
	return out
}

// tagPage is a page of a resource's tags.
func tagPage(tags map[string]string, marker *string, items *int32) (list []iam.Tag, next *string, truncated bool, err error) {
	all := tagList(tags)
	from := 0
	if marker != nil {
		// The key itself would not do for a marker, whose pattern has no letters beyond Latin-1, and is too long for one in others.
		position, err := pagetoken.Decode(tagListing, *marker)
		if err != nil {
			return nil, nil, false, badMarker()
		}
		from = slices.IndexFunc(all, func(t iam.Tag) bool { return tagPlace(*t.Key) == string(position) }) + 1
		if from == 0 {
			return nil, nil, false, badMarker()
		}
	}
	limit := defaultItems
	if items != nil {
		limit = int(*items)
	}
	list = all[from:]
	if len(list) <= limit {
		return list, nil, false, nil
	}
	return list[:limit], new(pagetoken.Encode(tagListing, []byte(tagPlace(*list[limit-1].Key)))), true, nil
}

const tagListing = "tags"

// tagPlace stands for a key in a marker.
func tagPlace(key string) string {
	sum := sha256.Sum256([]byte(key))
	return string(sum[:16])
}

// requesting has a resource asked for with the tags that the request sets.
func requesting(tags map[string]string) func(*call.Resource) {
	return func(r *call.Resource) { r.RequestTags = tags }
}

// requestingKeys has a resource asked for with the tag keys that the request names.
func requestingKeys(keys []string) func(*call.Resource) {
	return func(r *call.Resource) { r.RequestTagKeys = keys }
}
