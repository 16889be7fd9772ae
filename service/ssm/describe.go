package ssm

import (
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// describeLimit is how many parameters DescribeParameters returns unless it is told.
const describeLimit = 10

// DescribeParameters tells of parameters without their values.
func (s *Service) DescribeParameters(c *call.Call, in *ssm.DescribeParametersRequest) (*ssm.DescribeParametersResult, error) {
	if err := c.Authorize(&call.Resource{ARN: c.ARN("*")}); err != nil {
		return nil, err
	}
	if len(in.Filters) > 0 && len(in.ParameterFilters) > 0 {
		return nil, invalid("You can use either Filters or ParameterFilters in a single request.")
	}
	fs, err := parseFilters(in.ParameterFilters, []string{byPath, byName, byType, byKeyID, byTier, byDataType, byTag})
	if err != nil {
		return nil, err
	}
	for _, f := range in.Filters {
		option := equals
		if f.Key == ssm.ParametersFilterKeyName {
			option = beginsWith
		}
		fs = append(fs, filter{string(f.Key), option, f.Values})
	}
	if optional.Value(in.Shared) {
		return s.describeShared(c, in, fs)
	}
	l := listing{name: "DescribeParameters " + fs.String(), spans: fs.spans(), limit: limit(in.MaxResults, describeLimit), keep: fs.keep}
	records, next, err := l.page(c, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &ssm.DescribeParametersResult{Parameters: []ssm.ParameterMetadata{}, NextToken: next}
	for _, p := range records {
		out.Parameters = append(out.Parameters, described(p, p.name().in(c.Scope)))
	}
	return out, nil
}

func described(p *parameterRecord, arn string) ssm.ParameterMetadata {
	v := &p.Current
	return ssm.ParameterMetadata{
		Name: &p.Name, ARN: &arn, Type: ssm.ParameterType(v.Type), KeyId: optional.NonZero(v.KeyID), LastModifiedDate: &v.Modified, LastModifiedUser: &v.By,
		Description: optional.NonZero(v.Description), AllowedPattern: optional.NonZero(v.Pattern), Version: &v.Version, Tier: ssm.ParameterTier(v.Tier), Policies: shownPolicies(v.Policies), DataType: &v.DataType,
	}
}

// describeShared tells of the parameters of other accounts that resource policies let the caller see.
func (s *Service) describeShared(c *call.Call, in *ssm.DescribeParametersRequest, fs filters) (*ssm.DescribeParametersResult, error) {
	out := &ssm.DescribeParametersResult{Parameters: []ssm.ParameterMetadata{}}
	q := store.Query{Index: "shared", Prefix: store.Key{c.Scope.Region, c.Scope.Account}, Limit: limit(in.MaxResults, describeLimit)}
	var failed error
	records, next, err := parameterTable.In("", "").Page(c.Tx(), q, optional.Value(in.NextToken), fs.String(), func(p *parameterRecord) bool {
		if !fs.keep(p) || failed != nil {
			return false
		}
		seen, err := s.sees(c, p)
		failed = errors.Join(failed, err)
		return seen
	})
	if errors.Is(err, store.ErrBadToken) {
		return nil, badToken()
	}
	if err := errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("listing shared parameters: %w", err)
	}
	out.NextToken = optional.NonZero(next)
	for _, p := range records {
		d := described(p, p.sharedARN(c.Scope))
		d.Name = d.ARN
		out.Parameters = append(out.Parameters, d)
	}
	return out, nil
}

// sees reports whether the caller may see another account's parameter.
func (s *Service) sees(c *call.Call, p *parameterRecord) (bool, error) {
	policy, err := s.policies.Get(c.Context, p.Sharing.Text, p.Sharing.Pins)
	if err != nil {
		return false, fmt.Errorf("compiling the policy of %s: %w", p.Name, err)
	}
	r := &call.Resource{ARN: p.sharedARN(c.Scope), Account: p.Sharing.Owner, Policy: policy, Tags: p.Tags, Conditions: &conditions{tags: p.Tags}}
	return c.Would(c.Caller, c.Op.Action, r), nil
}

// sharedARN is the ARN of a parameter that is shared.
func (p *parameterRecord) sharedARN(s call.Scope) string {
	s.Account, s.Region = p.Sharing.Owner, p.Sharing.Region
	return p.name().in(s)
}
