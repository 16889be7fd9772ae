package lambda

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

const (
	maxMemory  = 10240 // MiB; and
	maxTimeout = 900   // seconds: the model allows more than functions of this kind have
	maxLayers  = 5
)

// runnable are the runtimes that Lambda takes new code for, and that there is something for here which runs them.
var runnable = []string{
	"provided.al2023", "provided.al2", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14",
	"nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x",
}

// unbuilt are those that are AWS's alone.
var unbuilt = []string{"java8.al2", "java11", "java17", "java21", "java25", "dotnet6", "dotnet8", "dotnet10", "ruby3.2", "ruby3.3", "ruby3.4"}

// checkRuntime refuses what does not run here: anywhere, or on this host.
func (s *Service) checkRuntime(c *call.Call, runtime lambda.Runtime, architecture string) error {
	switch r := string(runtime); {
	case slices.Contains(runnable, r):
		if err := s.cfg.Supports(r, architecture); err != nil {
			return notBuilt(c, "Runtime "+r+" on this host: "+err.Error())
		}
		return nil
	case slices.Contains(unbuilt, r):
		return notBuilt(c, "Runtime "+r)
	default:
		return invalid("The runtime parameter of %s is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.", r)
	}
}

// configure changes a version as a request asks for, which is an update, or the creation of a function put as one. What the request leaves out stays. c may be refused.
func (s *Service) configure(c *call.Call, function string, v *versionRecord, in *lambda.UpdateFunctionConfigurationRequest) error {
	if err := checkUnbuilt(c, in); err != nil {
		return err
	}
	if in.Runtime != "" {
		if err := s.checkRuntime(c, in.Runtime, v.Architecture); err != nil {
			return err
		}
	}
	if err := v.configurePlain(c, in); err != nil {
		return err
	}
	if in.Layers != nil {
		layers, err := s.layersOf(c, in.Layers)
		if err != nil {
			return err
		}
		v.Layers = layers
	}
	self := functionARN(c.Scope, function, "")
	role, err := s.actingRole(c, self, v, in.Role)
	if err != nil {
		return err
	}
	if in.DeadLetterConfig != nil {
		v.DeadLetters = optional.Value(in.DeadLetterConfig.TargetArn)
		if err := mayDeadLetter(c, role, v.DeadLetters); err != nil {
			return err
		}
	}
	return s.configureEnvironment(c, self, v, in)
}

// configurePlain changes what needs nobody's permission.
func (v *versionRecord) configurePlain(c *call.Call, in *lambda.UpdateFunctionConfigurationRequest) error {
	if in.Runtime != "" {
		v.Runtime = string(in.Runtime)
	}
	change(&v.Handler, in.Handler)
	change(&v.Description, in.Description)
	change(&v.Timeout, in.Timeout)
	change(&v.Memory, in.MemorySize)
	if in.EphemeralStorage != nil {
		change(&v.Ephemeral, in.EphemeralStorage.Size)
	}
	switch {
	case v.Timeout > maxTimeout:
		return tooHigh("timeout", v.Timeout, maxTimeout)
	case v.Memory > maxMemory:
		return tooHigh("memorySize", v.Memory, maxMemory)
	}
	if in.TracingConfig != nil && in.TracingConfig.Mode != "" {
		v.Tracing = string(in.TracingConfig.Mode)
	}
	if s := in.SnapStart; s != nil && s.ApplyOn == lambda.SnapStartApplyOnPublishedVersions {
		if !slices.Contains([]string{"python3.12", "python3.13", "python3.14"}, v.Runtime) {
			return invalid("%s is not supported for SnapStart enabled functions.", v.Runtime)
		}
		return notBuilt(c, "SnapStart")
	}
	return v.Logging.change(in.LoggingConfig)
}

func change[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// tooHigh is in the words of the model's constraints.
func tooHigh(member string, value, limit int32) error {
	return &lambda.InvalidParameterValueException{Type: new("User"), Message: fmt.Sprintf(
		"1 validation error detected: Value '%d' at '%s' failed to satisfy constraint: Member must have value less than or equal to %d", value, member, limit)}
}

// change changes where a function logs. With JSON, there are levels, which are INFO if nothing else is said.
func (l *loggingRecord) change(in *lambda.LoggingConfig) error {
	if in == nil {
		return nil
	}
	if in.LogFormat != "" {
		l.Format = string(in.LogFormat)
	}
	change(&l.Group, in.LogGroup)
	if l.Format != string(lambda.LogFormatJson) {
		if in.ApplicationLogLevel != "" || in.SystemLogLevel != "" {
			return invalid("To set ApplicationLogLevel or SystemLogLevel, the LogFormat must be JSON.")
		}
		l.Application, l.System = "", ""
		return nil
	}
	level := func(to *string, given string) {
		if given != "" {
			*to = given
		} else if *to == "" {
			*to = string(lambda.ApplicationLogLevelInfo)
		}
	}
	level(&l.Application, string(in.ApplicationLogLevel))
	level(&l.System, string(in.SystemLogLevel))
	return nil
}

// checkUnbuilt refuses by name what functions here cannot have.
func checkUnbuilt(c *call.Call, in *lambda.UpdateFunctionConfigurationRequest) error {
	switch {
	case in.VpcConfig != nil && (len(in.VpcConfig.SubnetIds) > 0 || len(in.VpcConfig.SecurityGroupIds) > 0):
		return notBuilt(c, "VpcConfig")
	case len(in.FileSystemConfigs) > 0:
		return notBuilt(c, "FileSystemConfigs")
	case in.ImageConfig != nil:
		return notBuilt(c, "ImageConfig")
	case in.CapacityProviderConfig != nil:
		return notBuilt(c, "CapacityProviderConfig")
	case in.DurableConfig != nil:
		return notBuilt(c, "DurableConfig")
	}
	return nil
}

// actingRole is the function as its role acts, after the caller was asked whether it may pass the role, if the request names one.
func (s *Service) actingRole(c *call.Call, self string, v *versionRecord, asked *string) (*call.Call, error) {
	var err error
	if asked != nil {
		v.Role = *asked
		err = c.PassRole(v.Role, lambda.Service.EventSource)
	}
	var role *call.Call
	if err == nil {
		role, err = c.AsRole(v.Role, self)
	}
	if errors.Is(err, call.ErrRole) {
		if asked == nil {
			return nil, nil // it was there once, and is not needed for what was asked
		}
		return nil, invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	return role, err
}

// mayDeadLetter refuses what a function's role may not send to.
func mayDeadLetter(c *call.Call, role *call.Call, target string) error {
	if target == "" {
		return nil
	}
	a, err := arn.Parse(target)
	if err != nil || a.Service != "sqs" && a.Service != "sns" || a.Region != c.Scope.Region {
		return invalid("Invalid DeadLetterConfig TargetArn: %s. Only the ARN of an SQS queue or an SNS topic of the region is supported.", target)
	}
	action, verb, service := "sqs:SendMessage", "SendMessage", "SQS"
	if a.Service == "sns" {
		action, verb, service = "sns:Publish", "Publish", "SNS"
	}
	if role == nil || !role.Would(role.Caller, action, &call.Resource{ARN: target, Account: role.Scope.Account}) {
		return invalid("The provided execution role does not have permissions to call %s on %s", verb, service)
	}
	return nil
}

// configureEnvironment encrypts the variables, if they, the key or the role are others now.
func (s *Service) configureEnvironment(c *call.Call, self string, v *versionRecord, in *lambda.UpdateFunctionConfigurationRequest) error {
	key := v.Key
	change(&key, in.KMSKeyArn)
	var variables map[string]string
	switch {
	case in.Environment != nil:
		if err := checkEnvironment(in.Environment.Variables); err != nil {
			return err
		}
		variables = in.Environment.Variables
	case v.Environment != nil && (key != v.Key || in.Role != nil):
		var err error
		f := &functionRecord{Name: v.Function, Account: c.Scope.Account, Region: c.Scope.Region}
		if variables, err = s.environment(c, f, v); err != nil {
			return ofKMS(err)
		}
	default:
		v.Key = key
		return nil
	}
	v.Key = key
	if len(variables) == 0 {
		v.Environment = nil
		return nil
	}
	return s.conceal(c, self, v, variables)
}

// layersOf finds the versions of layers that a function asks for, which the caller has to be allowed.
func (s *Service) layersOf(c *call.Call, arns []string) ([]layerUse, error) {
	if len(arns) > maxLayers {
		return nil, invalid("Cannot reference more than %d layers.", maxLayers)
	}
	var uses []layerUse
	seen := make(map[string]string)
	for _, a := range arns {
		n, ok := parseLayerARN(a)
		if !ok || n.number == 0 {
			return nil, notBuilt(c, "a layer of AWS's own")
		}
		if n.region != c.Scope.Region {
			return nil, invalid("Layers are not in the same region as the function. Layers are expected to be in region %s.", c.Scope.Region)
		}
		l, err := s.layerVersion(c, n, "lambda:GetLayerVersion")
		if err != nil {
			return nil, err
		}
		if l == nil {
			return nil, invalid("Layer version %s does not exist.", a)
		}
		layer := a[:strings.LastIndexByte(a, ':')]
		if other := seen[layer]; other != "" {
			return nil, invalid("Two different versions of the same layer are not allowed to be referenced in the same function. %s and %s are versions of the same layer.", other, a)
		}
		seen[layer] = a
		uses = append(uses, layerUse{ARN: a, Blob: l.Code.Blob, Size: l.Code.Size, Unzipped: l.Code.Unzipped})
	}
	return uses, nil
}

// fits refuses code that is too large together with its layers.
func (v *versionRecord) fits() error {
	n := v.Code.Unzipped
	for _, l := range v.Layers {
		n += l.Unzipped
	}
	if n > maxUnzipped {
		return invalid("Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.", maxUnzipped, n)
	}
	return nil
}

// askLayers adds the layers of a request to what is asked.
func askLayers(arns []string) func(*target, *call.Resource) error {
	return with("lambda:layer", arns...)
}
