package lambda

import (
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// invocationQualifier is under which qualifier it is kept how a target is invoked asynchronously.
func (t *target) invocationQualifier() string {
	if t.qualifier == "" {
		return latest
	}
	return t.qualifier
}

// shape tells how a target is invoked asynchronously.
func (i *invocationRecord) shape(c *call.Call, t *target) *lambda.FunctionEventInvokeConfig {
	out := &lambda.FunctionEventInvokeConfig{
		LastModified: &i.Modified, FunctionArn: new(functionARN(t.scope(c), i.Function, i.Qualifier)), MaximumRetryAttempts: i.Retries, MaximumEventAgeInSeconds: i.Age,
		DestinationConfig: &lambda.DestinationConfig{OnSuccess: &lambda.OnSuccess{}, OnFailure: &lambda.OnFailure{}},
	}
	out.DestinationConfig.OnSuccess.Destination = optional.NonZero(i.OnSuccess)
	out.DestinationConfig.OnFailure.Destination = optional.NonZero(i.OnFailure)
	return out
}

// invoked finds a target for an operation on how it is invoked asynchronously, and what is kept of that.
func (s *Service) invoked(c *call.Call, function, qualifier *string) (*target, *invocationRecord, error) {
	t, err := s.named(c, function, qualifier)
	if isNotFound(err) {
		return nil, nil, notFound("The function doesn't exist.")
	}
	if err != nil {
		return nil, nil, err
	}
	i, err := get(c, invocationTable, t.name, t.function.Name, t.invocationQualifier())
	return t, i, err
}

// configured is invoked for what has to be there.
func (s *Service) configured(c *call.Call, function, qualifier *string) (*target, *invocationRecord, error) {
	t, err := s.named(c, function, qualifier)
	if err != nil && !isNotFound(err) {
		return nil, nil, err
	}
	missing := func() error {
		return notFound("The function %s doesn't have an EventInvokeConfig", functionARN(t.scope(c), t.name.function, t.invocationQualifier()))
	}
	if err != nil {
		if t == nil {
			return nil, nil, err
		}
		return nil, nil, missing()
	}
	i, err := get(c, invocationTable, t.name, t.function.Name, t.invocationQualifier())
	if err == nil && i == nil {
		err = missing()
	}
	return t, i, err
}

// destinations sets where the results of asynchronous invocations go.
func (s *Service) destinations(c *call.Call, t *target, i *invocationRecord, in *lambda.DestinationConfig) error {
	if in == nil {
		return nil
	}
	i.OnSuccess, i.OnFailure = "", ""
	if in.OnSuccess != nil {
		i.OnSuccess = optional.Value(in.OnSuccess.Destination)
	}
	if in.OnFailure != nil {
		i.OnFailure = optional.Value(in.OnFailure.Destination)
	}
	role, err := s.actingRole(c, functionARN(t.scope(c), t.function.Name, ""), t.version, nil)
	if err != nil {
		return err
	}
	for _, d := range []string{i.OnSuccess, i.OnFailure} {
		if d == "" {
			continue
		}
		if err := s.checkDestination(c, t, role, i, d); err != nil {
			return err
		}
	}
	return nil
}

// checkDestination refuses a destination that is none, and one that the function's role may not send to.
func (s *Service) checkDestination(c *call.Call, t *target, role *call.Call, i *invocationRecord, d string) error {
	a, err := arn.Parse(d)
	action, verb, resource := "", "", d
	if err == nil {
		switch a.Service {
		case "sqs":
			action, verb = "sqs:SendMessage", "SendMessage"
		case "sns":
			action, verb = "sns:Publish", "Publish"
		case "events":
			action, verb = "events:PutEvents", "PutEvents"
		case "s3":
			if d != i.OnSuccess { // which cannot be one
				action, verb, resource = "s3:PutObject", "PutObject", d+"/*"
			}
		case "lambda":
			action, verb = lambda.OpInvoke.Action, "Invoke"
			if n, err := parseName(c, d); err != nil || n.account == t.account && n.function == t.function.Name {
				return invalid("You can't specify the function as a destination for itself.")
			}
		}
	}
	if action == "" {
		return invalid("The provided destination config DestinationConfig(onSuccess=%s, onFailure=%s) is invalid.", told("OnSuccess", i.OnSuccess), told("OnFailure", i.OnFailure))
	}
	if role == nil || !role.Would(role.Caller, action, &call.Resource{ARN: resource, Account: role.Scope.Account}) {
		return invalid("The function's execution role does not have permissions to call %s on %s", verb, d)
	}
	return nil
}

func told(what, destination string) string {
	if destination == "" {
		return "null"
	}
	return fmt.Sprintf("%s(destination=%s)", what, destination)
}

func nothingToConfigure() error {
	return invalid("You must specify at least one of error handling or destination setting.")
}

// PutFunctionEventInvokeConfig says how a function is invoked asynchronously, in place of what was said before.
func (s *Service) PutFunctionEventInvokeConfig(c *call.Call, in *lambda.PutFunctionEventInvokeConfigRequest) (*lambda.FunctionEventInvokeConfig, error) {
	t, _, err := s.invoked(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if in.MaximumEventAgeInSeconds == nil && in.MaximumRetryAttempts == nil && in.DestinationConfig == nil {
		return nil, nothingToConfigure()
	}
	i := &invocationRecord{
		Function: t.function.Name, Qualifier: t.invocationQualifier(), Modified: c.Time, Retries: in.MaximumRetryAttempts, Age: in.MaximumEventAgeInSeconds,
	}
	if err := s.destinations(c, t, i, in.DestinationConfig); err != nil {
		return nil, err
	}
	return i.shape(c, t), invocationTable.In(t.account, t.region).Put(c.Tx(), i)
}

// UpdateFunctionEventInvokeConfig changes how a function is invoked asynchronously. What the request leaves out stays.
func (s *Service) UpdateFunctionEventInvokeConfig(c *call.Call, in *lambda.UpdateFunctionEventInvokeConfigRequest) (*lambda.FunctionEventInvokeConfig, error) {
	t, i, err := s.configured(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if in.MaximumEventAgeInSeconds == nil && in.MaximumRetryAttempts == nil && in.DestinationConfig == nil {
		return nil, nothingToConfigure()
	}
	if in.MaximumRetryAttempts != nil {
		i.Retries = in.MaximumRetryAttempts
	}
	if in.MaximumEventAgeInSeconds != nil {
		i.Age = in.MaximumEventAgeInSeconds
	}
	i.Modified = c.Time
	if err := s.destinations(c, t, i, in.DestinationConfig); err != nil {
		return nil, err
	}
	return i.shape(c, t), invocationTable.In(t.account, t.region).Put(c.Tx(), i)
}

// GetFunctionEventInvokeConfig tells how a function is invoked asynchronously, if that was said.
func (s *Service) GetFunctionEventInvokeConfig(c *call.Call, in *lambda.GetFunctionEventInvokeConfigRequest) (*lambda.FunctionEventInvokeConfig, error) {
	t, i, err := s.configured(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return i.shape(c, t), nil
}

// DeleteFunctionEventInvokeConfig forgets how a function is invoked asynchronously.
func (s *Service) DeleteFunctionEventInvokeConfig(c *call.Call, in *lambda.DeleteFunctionEventInvokeConfigRequest) (*lambda.DeleteFunctionEventInvokeConfigResponse, error) {
	t, i, err := s.configured(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteFunctionEventInvokeConfigResponse{}, invocationTable.In(t.account, t.region).Delete(c.Tx(), i.Function, i.Qualifier)
}

// ListFunctionEventInvokeConfigs lists how a function, its versions and its aliases are invoked asynchronously, by their qualifiers.
func (s *Service) ListFunctionEventInvokeConfigs(c *call.Call, in *lambda.ListFunctionEventInvokeConfigsRequest) (*lambda.ListFunctionEventInvokeConfigsResponse, error) {
	t, err := s.unqualified(c, in.FunctionName)
	if isNotFound(err) {
		err = notFound("The function doesn't exist.")
	}
	if err != nil {
		return nil, err
	}
	records, next, err := page(c, invocationTable, t.name, store.Query{Prefix: store.Key{t.function.Name}}, in.Marker, in.MaxItems, "", nil)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionEventInvokeConfigsResponse{FunctionEventInvokeConfigs: []lambda.FunctionEventInvokeConfig{}, NextMarker: next}
	for _, i := range records {
		out.FunctionEventInvokeConfigs = append(out.FunctionEventInvokeConfigs, *i.shape(c, t))
	}
	return out, nil
}
