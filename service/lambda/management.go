package lambda

import (
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
)

// GetRuntimeManagementConfig tells when a function gets another version of its runtime: whenever the host does.
func (s *Service) GetRuntimeManagementConfig(c *call.Call, in *lambda.GetRuntimeManagementConfigRequest) (*lambda.GetRuntimeManagementConfigResponse, error) {
	t, err := s.named(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return &lambda.GetRuntimeManagementConfigResponse{UpdateRuntimeOn: lambda.UpdateRuntimeOnAuto, FunctionArn: &t.asked}, nil
}

// PutRuntimeManagementConfig takes what holds for every function here.
func (s *Service) PutRuntimeManagementConfig(c *call.Call, in *lambda.PutRuntimeManagementConfigRequest) (*lambda.PutRuntimeManagementConfigResponse, error) {
	t, err := s.named(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if in.UpdateRuntimeOn != lambda.UpdateRuntimeOnAuto {
		return nil, notBuilt(c, "UpdateRuntimeOn "+string(in.UpdateRuntimeOn))
	}
	if in.RuntimeVersionArn != nil {
		return nil, invalid("RuntimeVersionArn must not be set when UpdateRuntimeOn is Auto.")
	}
	return &lambda.PutRuntimeManagementConfigResponse{UpdateRuntimeOn: in.UpdateRuntimeOn, FunctionArn: &t.asked}, nil
}

// GetFunctionCodeSigningConfig tells that a function's code need not be signed, as that of none here.
func (s *Service) GetFunctionCodeSigningConfig(c *call.Call, in *lambda.GetFunctionCodeSigningConfigRequest) (*lambda.GetFunctionCodeSigningConfigResponse, error) {
	if _, err := s.unqualified(c, in.FunctionName); err != nil {
		return nil, err
	}
	return &lambda.GetFunctionCodeSigningConfigResponse{}, nil
}

// GetFunctionRecursionConfig tells what becomes of a function that invokes itself over and over, through others: it goes on, as every function here does.
func (s *Service) GetFunctionRecursionConfig(c *call.Call, in *lambda.GetFunctionRecursionConfigRequest) (*lambda.GetFunctionRecursionConfigResponse, error) {
	if _, err := s.unqualified(c, in.FunctionName); err != nil {
		return nil, err
	}
	return &lambda.GetFunctionRecursionConfigResponse{RecursiveLoop: lambda.RecursiveLoopAllow}, nil
}
