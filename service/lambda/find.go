package lambda

import (
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// byPolicy are the operations that a function's policy can permit, to other accounts, too: those that AWS lists, beside the invocations.
// https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
var byPolicy = map[string]bool{
	lambda.OpCreateAlias.Name: true, lambda.OpDeleteAlias.Name: true, lambda.OpDeleteFunction.Name: true, lambda.OpDeleteFunctionConcurrency.Name: true,
	lambda.OpDeleteFunctionEventInvokeConfig.Name: true, lambda.OpGetAlias.Name: true, lambda.OpGetFunction.Name: true, lambda.OpGetFunctionConcurrency.Name: true,
	lambda.OpGetFunctionConfiguration.Name: true, lambda.OpGetFunctionEventInvokeConfig.Name: true, lambda.OpGetPolicy.Name: true, lambda.OpListAliases.Name: true,
	lambda.OpListFunctionEventInvokeConfigs.Name: true, lambda.OpListTags.Name: true, lambda.OpListVersionsByFunction.Name: true, lambda.OpPublishVersion.Name: true,
	lambda.OpPutFunctionConcurrency.Name: true, lambda.OpPutFunctionEventInvokeConfig.Name: true, lambda.OpTagResource.Name: true, lambda.OpUntagResource.Name: true,
	lambda.OpUpdateAlias.Name: true, lambda.OpUpdateFunctionCode.Name: true, lambda.OpUpdateFunctionEventInvokeConfig.Name: true,
}

// located finds what a request names, which need not be there, as the resource that permission is asked on.
func (s *Service) located(c *call.Call, function, qualifier *string) (*target, *call.Resource, error) {
	n, err := parseName(c, optional.Value(function))
	if err != nil {
		return nil, nil, err
	}
	if n, err = n.qualified(optional.Value(qualifier)); err != nil {
		return nil, nil, err
	}
	t, err := s.look(c, n)
	if err != nil {
		return nil, nil, err
	}
	r, err := s.resource(c, t)
	return t, r, err
}

// named finds what a request names, and asks for the operation's own permission on it; more may add to what is asked. That there is no such function is told to those alone who may know;
// with that error, the target has what there is of it.
func (s *Service) named(c *call.Call, function, qualifier *string, more ...func(*target, *call.Resource) error) (*target, error) {
	t, r, err := s.located(c, function, qualifier)
	if err != nil {
		return nil, err
	}
	if !byPolicy[c.Op.Name] {
		r.Policy = nil
	}
	for _, add := range more {
		if err := add(t, r); err != nil {
			return nil, err
		}
	}
	if err := c.Authorize(r); err != nil {
		return nil, err
	}
	return t, t.there()
}

// unqualified is named for operations on a function as a whole.
func (s *Service) unqualified(c *call.Call, function *string, more ...func(*target, *call.Resource) error) (*target, error) {
	t, err := s.named(c, function, nil, more...)
	if err != nil {
		return nil, err
	}
	if t.qualifier != "" {
		return nil, invalid("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
	}
	return t, nil
}

// with adds a condition key of the service to what is asked. Keys are in lower case.
func with(key string, values ...string) func(*target, *call.Resource) error {
	return func(_ *target, r *call.Resource) error {
		set(r, key, values...)
		return nil
	}
}

func set(r *call.Resource, key string, values ...string) {
	conditions, ok := r.Conditions.(policy.Values)
	if !ok {
		conditions = make(policy.Values)
		r.Conditions = conditions
	}
	if len(values) > 0 && values[0] != "" {
		conditions.Set(key, values...)
	}
}
