package logs

import (
	"strings"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// maxSummaries is how many groups a page of ListLogGroups has at most.
const maxSummaries = 1000

// ListLogGroups lists groups by name, those whose names match a pattern and that have some tags.
func (s *Service) ListLogGroups(c *call.Call, in *logs.ListLogGroupsRequest) (*logs.ListLogGroupsResponse, error) {
	if err := askAll(c); err != nil {
		return nil, err
	}
	if err := unlinked(c, in.IncludeLinkedAccounts, in.AccountIdentifiers); err != nil {
		return nil, err
	}
	if in.DataSources != nil || in.FieldIndexNames != nil {
		return nil, wire.NotImplemented(logs.Service.Package, c.Op.Name+" with dataSources or fieldIndexNames")
	}
	limit := maxListed
	if in.Limit != nil {
		limit = limitOf(in.Limit, maxSummaries)
	}
	filters := optional.Value(in.LogGroupNamePattern) + "\x00" + string(in.LogGroupClass)
	for _, t := range in.LogGroupTags {
		filters += "\x00" + *t.Key + "=" + strings.Join(t.Values, ",")
	}
	records, next, err := groupTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), store.Query{Limit: limit}, optional.Value(in.NextToken), filters, func(g *groupRecord) bool {
		return named(g.Name, in.LogGroupNamePattern) && (in.LogGroupClass == "" || in.LogGroupClass == g.Class) && hasTags(g.Tags, in.LogGroupTags)
	})
	if err != nil {
		return nil, badToken(err)
	}
	out := &logs.ListLogGroupsResponse{LogGroups: make([]logs.LogGroupSummary, len(records)), NextToken: optional.NonZero(next)}
	for i, g := range records {
		out.LogGroups[i] = logs.LogGroupSummary{LogGroupName: &g.Name, LogGroupArn: new(groupARN(c.Scope, g.Name)), LogGroupClass: g.Class}
	}
	return out, nil
}

// named reports whether a name matches one of the patterns with | between: it has the pattern in it, or begins with what is behind ^.
func named(name string, pattern *string) bool {
	if pattern == nil {
		return true
	}
	for p := range strings.SplitSeq(*pattern, "|") {
		if prefix, anchored := strings.CutPrefix(p, "^"); anchored && strings.HasPrefix(name, prefix) || !anchored && strings.Contains(name, p) {
			return true
		}
	}
	return false
}

// hasTags reports whether tags meet all filters: each names a key, and values one of which it has, with * for any characters and ! before what it must not be.
func hasTags(tags map[string]string, filters []logs.TagFilter) bool {
	for _, f := range filters {
		value, there := tags[*f.Key]
		if !there {
			return false
		}
		met := len(f.Values) == 0
		for _, v := range f.Values {
			pattern, not := strings.CutPrefix(v, "!")
			met = met || glob(value, pattern) != not
		}
		if !met {
			return false
		}
	}
	return true
}

// glob reports whether a text matches a pattern with * for any characters.
func glob(text, pattern string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}
