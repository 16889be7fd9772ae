package iam

import (
	"encoding/base64"
	"net/netip"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// contextEntries reads the condition keys that a simulation is given. A key without values is one that the request does not have, although it would follow from
// something else.
func contextEntries(entries []iam.ContextEntry) (policy.Values, error) {
	values := make(policy.Values, len(entries))
	for i := range entries {
		e := &entries[i]
		name := optional.Value(e.ContextKeyName)
		if vendor, key, ok := strings.Cut(name, ":"); !ok || vendor == "" || key == "" {
			return nil, invalid("Invalid context key name: %s.", name)
		}
		lower := strings.ToLower(name)
		if _, twice := values[lower]; twice {
			return nil, invalid("Duplicate context key: %s.", name)
		}
		kind, list := strings.CutSuffix(string(e.ContextKeyType), "List")
		if !list && e.ContextKeyType != "" && len(e.ContextKeyValues) > 1 {
			return nil, invalid("Context key %s of type %s has more than one value.", name, e.ContextKeyType)
		}
		for _, v := range e.ContextKeyValues {
			if !contextValue(kind, v) {
				return nil, invalid("Context key %s has a value that is not of type %s.", name, e.ContextKeyType)
			}
		}
		values[lower] = append([]string{}, e.ContextKeyValues...)
	}
	return values, nil
}

// contextValue reports whether a value is of a type: the reading of conditions takes it.
func contextValue(kind, v string) bool {
	switch kind {
	case "numeric":
		return policy.IsNumber(v)
	case "boolean":
		return strings.EqualFold(v, "true") || strings.EqualFold(v, "false")
	case "date":
		return policy.IsDate(v)
	case "ip":
		a, err := netip.ParseAddr(v)
		return err == nil && a.Zone() == ""
	case "binary":
		_, err := base64.StdEncoding.DecodeString(v)
		return err == nil
	}
	return true // string, and where no type is given
}
