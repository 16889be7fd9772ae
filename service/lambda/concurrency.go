package lambda

import (
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// accountCode is how many bytes of code an account is told it may have in a region: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const accountCode = 75 << 30

// PutFunctionConcurrency gives a function a part of the account's concurrency for itself, which is also the most that it has. 0 stops it.
func (s *Service) PutFunctionConcurrency(c *call.Call, in *lambda.PutFunctionConcurrencyRequest) (*lambda.Concurrency, error) {
	t, err := s.unqualified(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	free := accountConcurrency - int(*in.ReservedConcurrentExecutions)
	for f, err := range functionTable.In(t.account, t.region).Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		if f.Name != t.function.Name {
			free -= int(optional.Value(f.Reserved))
		}
	}
	if free < leastUnreserved {
		return nil, invalid("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", leastUnreserved)
	}
	t.function.Reserved = in.ReservedConcurrentExecutions
	return &lambda.Concurrency{ReservedConcurrentExecutions: t.function.Reserved}, functionTable.In(t.account, t.region).Put(c.Tx(), t.function)
}

// GetFunctionConcurrency tells what a function has reserved, if it has.
func (s *Service) GetFunctionConcurrency(c *call.Call, in *lambda.GetFunctionConcurrencyRequest) (*lambda.GetFunctionConcurrencyResponse, error) {
	t, err := s.unqualified(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	return &lambda.GetFunctionConcurrencyResponse{ReservedConcurrentExecutions: t.function.Reserved}, nil
}

// DeleteFunctionConcurrency gives back what a function has reserved.
func (s *Service) DeleteFunctionConcurrency(c *call.Call, in *lambda.DeleteFunctionConcurrencyRequest) (*lambda.DeleteFunctionConcurrencyResponse, error) {
	t, err := s.unqualified(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	t.function.Reserved = nil
	return &lambda.DeleteFunctionConcurrencyResponse{}, functionTable.In(t.account, t.region).Put(c.Tx(), t.function)
}

// GetAccountSettings tells what an account may have in a region, and has.
func (s *Service) GetAccountSettings(c *call.Call, _ *lambda.GetAccountSettingsRequest) (*lambda.GetAccountSettingsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	var size, functions int64
	free := int32(accountConcurrency)
	for f, err := range functionTable.In(c.Scope.Account, c.Scope.Region).Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		functions++
		free -= optional.Value(f.Reserved)
	}
	for v, err := range versionTable.In(c.Scope.Account, c.Scope.Region).Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		size += v.Code.Size
	}
	for l, err := range layerVersionTable.In(c.Scope.Account, c.Scope.Region).Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		size += l.Code.Size
	}
	return &lambda.GetAccountSettingsResponse{
		AccountLimit: &lambda.AccountLimit{
			TotalCodeSize: new(int64(accountCode)), CodeSizeUnzipped: new(int64(maxUnzipped)), CodeSizeZipped: new(int64(maxZipped)),
			ConcurrentExecutions: new(int32(accountConcurrency)), UnreservedConcurrentExecutions: &free,
		},
		AccountUsage: &lambda.AccountUsage{TotalCodeSize: &size, FunctionCount: &functions},
	}, nil
}
