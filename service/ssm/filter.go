package ssm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// The keys and the options of filters.
const (
	byName     = "Name"
	byType     = "Type"
	byKeyID    = "KeyId"
	byPath     = "Path"
	byLabel    = "Label"
	byTier     = "Tier"
	byDataType = "DataType"
	byTag      = "tag:"

	equals     = "Equals"
	beginsWith = "BeginsWith"
	contains   = "Contains"
	recursive  = "Recursive"
	oneLevel   = "OneLevel"
)

// filter is a filter that was checked.
type filter struct {
	Key, Option string
	Values      []string
}

// filters are held against a parameter all together.
type filters []filter

// parseFilters checks filters for an operation that knows some keys.
func parseFilters(given []ssm.ParameterStringFilter, known []string) (filters, error) {
	var out filters
	for _, g := range given {
		f := filter{*g.Key, optional.Value(g.Option), g.Values}
		tag := strings.HasPrefix(f.Key, byTag)
		switch {
		case !slices.Contains(known, f.Key) && !(tag && slices.Contains(known, byTag)):
			return nil, &ssm.InvalidFilterKey{Message: fmt.Sprintf("The following filter key is not valid: %s. Valid filter keys include: [%s].", f.Key, strings.Join(known, ", "))}
		case slices.ContainsFunc(out, func(o filter) bool { return o.Key == f.Key }):
			return nil, &ssm.InvalidFilterKey{Message: fmt.Sprintf(
				"The following filter is duplicated in the request: %s. A request can contain only one occurrence of a specific filter.", f.Key)}
		case len(f.Values) == 0 && !tag:
			return nil, &ssm.InvalidFilterValue{Message: fmt.Sprintf("The following filter values are missing : null for filter key %s.", f.Key)}
		}
		if err := f.check(); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// check checks option and values, and gives the option that is meant where none is named.
func (f *filter) check() error {
	options := []string{equals, beginsWith}
	var values []string
	switch f.Key {
	case byPath:
		options = []string{oneLevel, recursive}
	case byName:
		options = append(options, contains)
	case byLabel:
		options = options[:1]
	case byType:
		values = []string{string(ssm.ParameterTypeString), string(ssm.ParameterTypeStringList), string(ssm.ParameterTypeSecureString)}
	case byTier:
		values = []string{standard, advanced, intelligent}
	}
	if f.Option == "" {
		f.Option = options[0]
	}
	if !slices.Contains(options, f.Option) {
		return &ssm.InvalidFilterOption{Message: fmt.Sprintf("The following filter option is not valid: %s. Valid options include: [%s].", f.Option, strings.Join(options, ", "))}
	}
	for _, v := range f.Values {
		if values != nil && f.Option == equals && !slices.Contains(values, v) {
			return &ssm.InvalidFilterValue{Message: fmt.Sprintf("The following filter value is not valid: %s. Valid values include: [%s].", v, strings.Join(values, ", "))}
		}
		if f.Key == byPath {
			if err := checkPathFilter(v); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkPathFilter(v string) error {
	if reserved(v) && strings.HasPrefix(v, "/") {
		return invalid(`Filters for common parameters can't be prefixed with "aws" or "ssm" (case-insensitive). When using global parameters, please specify within a global namespace.`)
	}
	_, err := parsePath(v)
	return err
}

// keep reports whether a parameter passes all filters.
func (fs filters) keep(p *parameterRecord) bool {
	for i := range fs {
		if !fs[i].keeps(p) {
			return false
		}
	}
	return true
}

func (f *filter) keeps(p *parameterRecord) bool {
	v := &p.Current
	switch f.Key {
	case byName:
		if f.Option == contains {
			return slices.ContainsFunc(f.Values, func(part string) bool { return strings.Contains(p.Name, part) })
		}
		return f.matches(p.name().String(), rooted)
	case byPath:
		return slices.ContainsFunc(f.Values, func(path string) bool {
			dir := strings.TrimSuffix(path, "/")
			return p.Dir == dir || f.Option == recursive && strings.HasPrefix(p.Dir, dir+"/")
		})
	case byType:
		return f.matches(v.Type, nil)
	case byTier:
		return f.matches(v.Tier, nil)
	case byDataType:
		return f.matches(v.DataType, nil)
	case byKeyID:
		return v.KeyID != "" && f.matches(v.KeyID, nil)
	case byLabel:
		return f.label(p) != ""
	}
	value, ok := p.Tags[strings.TrimPrefix(f.Key, byTag)]
	return ok && (len(f.Values) == 0 || f.matches(value, nil))
}

// label is the first of the filter's labels that a parameter has.
func (f *filter) label(p *parameterRecord) string {
	for _, l := range f.Values {
		if p.Labels[l] != 0 {
			return l
		}
	}
	return ""
}

// matches holds a value against those of the filter, which are first written as the value is.
func (f *filter) matches(value string, written func(string) string) bool {
	return slices.ContainsFunc(f.Values, func(want string) bool {
		if written != nil {
			want = written(want)
		}
		if f.Option == beginsWith {
			return strings.HasPrefix(value, want)
		}
		return value == want
	})
}

// rooted is a name with the slash that may be left out.
func rooted(s string) string {
	if strings.HasPrefix(s, "/") {
		return s
	}
	return "/" + s
}

// get returns the filter of a key, or nil.
func (fs filters) get(key string) *filter {
	for i := range fs {
		if fs[i].Key == key {
			return &fs[i]
		}
	}
	return nil
}

// spans is where the parameters lie that may pass.
func (fs filters) spans() []span {
	var out []span
	if f := fs.get(byPath); f != nil {
		for _, v := range f.Values {
			dir := strings.TrimSuffix(v, "/")
			if out = append(out, level(dir)); f.Option == recursive {
				out = append(out, below(dir))
			}
		}
		return disjoint(out)
	}
	f := fs.get(byName)
	if f == nil || f.Option == contains {
		return everything()
	}
	for _, v := range f.Values {
		switch v = rooted(v); {
		case !nameCharacters(v): // which no name begins with
		case f.Option == beginsWith:
			out = append(out, beginning(v)...)
		default:
			out = append(out, only(splitName(v)))
		}
	}
	return disjoint(out)
}

// String tells the filters apart from others, for tokens.
func (fs filters) String() string {
	text, _ := json.Marshal(fs) // strings always can be
	return string(text)
}
