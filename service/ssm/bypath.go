package ssm

import (
	"fmt"
	"strconv"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// pathLimit is how many parameters GetParametersByPath returns at most.
const pathLimit = 10

// GetParametersByPath returns the parameters in a hierarchy, or in all that is below it. Who may read a path may read all of it, as on AWS.
func (s *Service) GetParametersByPath(c *call.Call, in *ssm.GetParametersByPathRequest) (*ssm.GetParametersByPathResult, error) {
	dir, err := parsePath(*in.Path)
	if err != nil {
		return nil, err
	}
	scope, deep := c.Scope, optional.Value(in.Recursive)
	public := reservedSpace(dir+"/") != ""
	if public {
		scope.Account = ""
	}
	r := &call.Resource{ARN: scope.ARN("ssm", "parameter"+*in.Path), Type: parameterType}
	if err := authorize(c, r, &conditions{recursive: strconv.FormatBool(deep)}); err != nil {
		return nil, err
	}
	fs, err := parseFilters(in.ParameterFilters, []string{byType, byKeyID, byLabel})
	if err != nil {
		return nil, err
	}
	l := listing{name: fmt.Sprintf("GetParametersByPath %q %t %s", dir, deep, fs), spans: []span{level(dir)}, limit: limit(in.MaxResults, pathLimit), keep: fs.keep}
	if public {
		return s.publicPage(c, dir, deep, fs, &l, in.NextToken)
	}
	if deep {
		l.spans = append(l.spans, below(dir))
	}
	records, next, err := l.page(c, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &ssm.GetParametersByPathResult{Parameters: []ssm.Parameter{}, NextToken: next}
	for _, p := range records {
		shown, err := s.listed(c, p, fs.get(byLabel), optional.Value(in.WithDecryption))
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, *shown)
	}
	return out, nil
}

// listed is a parameter as it stands in a listing: its current version, or that with a label.
func (s *Service) listed(c *call.Call, p *parameterRecord, label *filter, decrypt bool) (*ssm.Parameter, error) {
	found := &parameter{parameterRecord: p, arn: p.name().in(c.Scope)}
	r := &reference{name: p.name(), account: c.Scope.Account}
	v := &p.Current
	if label != nil {
		r.selector = label.label(p)
		var err error
		if v, err = loadVersion(c, r.account, p, p.Labels[r.selector]); err != nil {
			return nil, err
		}
	}
	value, err := s.stored(found.arn, v)
	if err != nil {
		return nil, err
	}
	return s.answer(c, found, r, v, value, decrypt)
}
