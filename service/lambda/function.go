package lambda

import (
	"fmt"
	"runtime"
	"time"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// maxName is how long the name of a function may be.
const maxName = 64

// CreateFunction makes a function.
func (s *Service) CreateFunction(c *call.Call, in *lambda.CreateFunctionRequest) (out *lambda.FunctionConfiguration, err error) {
	t, err := s.newName(c, in)
	if err != nil {
		return nil, err
	}
	if err := checkCreate(c, in); err != nil {
		return nil, err
	}
	if err := s.isolated(c); err != nil {
		return nil, err
	}
	if t.function != nil {
		return nil, conflict("Function already exist: %s", t.name.function)
	}
	if err := checkTags(nil, in.Tags); err != nil {
		return nil, err
	}
	f := &functionRecord{Name: t.name.function, Account: c.Scope.Account, Region: c.Scope.Region, Created: c.Time, Tags: in.Tags}
	v := &versionRecord{
		Function: f.Name, Timeout: 3, Memory: 128, Ephemeral: 512, Architecture: hostArchitecture(),
		Tracing: string(lambda.TracingModePassThrough), Logging: loggingRecord{Format: string(lambda.LogFormatText)},
	}
	if len(in.Architectures) > 0 {
		v.Architecture = string(in.Architectures[0])
	}
	if err := s.configure(c, f.Name, v, asUpdate(in)); err != nil {
		return nil, err
	}
	archive, unzipped, err := s.read(c, source{in.Code.ZipFile, in.Code.S3Bucket, in.Code.S3Key, in.Code.S3ObjectVersion, in.Code.S3ObjectStorageMode})
	if err != nil {
		return nil, err
	}
	if v.Code, err = s.keep(c, archive, unzipped); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.drop(c, v.Code)
		}
	}()
	if err := v.fits(); err != nil {
		return nil, err
	}
	v.changed(c)
	told := v
	if optional.Value(in.Publish) {
		if told, err = s.publish(c, f, v, nil); err != nil {
			return nil, err
		}
	}
	if err := f.saveAll(c, v); err != nil {
		return nil, err
	}
	return s.configuration(f, told, functionARN(c.Scope, f.Name, ""), shown(in.Environment)), nil
}

// hostArchitecture is what functions are for that do not say: what runs here.
func hostArchitecture() string {
	if runtime.GOARCH == "arm64" {
		return string(lambda.ArchitectureArm64)
	}
	return string(lambda.ArchitectureX8664)
}

// newName finds and authorizes the name of a function that is to be made.
func (s *Service) newName(c *call.Call, in *lambda.CreateFunctionRequest) (*target, error) {
	n, err := parseName(c, *in.FunctionName)
	switch {
	case err != nil:
		return nil, err
	case n.qualifier != "":
		return nil, invalid("%s is not the name of a function: it has a qualifier.", *in.FunctionName)
	case len(n.function) > maxName:
		return nil, invalid("1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to %d", n.function, maxName)
	}
	t := &target{name: n, asked: n.arn(c)}
	r := &call.Resource{ARN: t.asked, Account: n.account, Type: resourceType, RequestTags: in.Tags}
	set(r, "lambda:layer", in.Layers...)
	if err := c.Authorize(r); err != nil {
		return nil, err
	}
	if n.account != c.Scope.Account {
		return nil, c.Refuse(c.Op.Action, fmt.Sprintf("on resource: %q because functions are made in one's own account", t.asked))
	}
	t.function, err = get(c, functionTable, n, n.function)
	return t, err
}

// checkCreate refuses what no function here can be made with.
func checkCreate(c *call.Call, in *lambda.CreateFunctionRequest) error {
	switch {
	case in.PackageType == lambda.PackageTypeImage || in.Code.ImageUri != nil:
		return notBuilt(c, "PackageType Image")
	case in.Runtime == "" || in.Handler == nil:
		return invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	case in.CodeSigningConfigArn != nil:
		return notBuilt(c, "CodeSigningConfigArn")
	case in.TenancyConfig != nil:
		return notBuilt(c, "TenancyConfig")
	case in.PublishTo != "":
		return notBuilt(c, "PublishTo")
	case in.Code.SourceKMSKeyArn != nil:
		return notBuilt(c, "SourceKMSKeyArn")
	}
	return nil
}

// isolated refuses to make functions on a host that cannot keep them from itself.
func (s *Service) isolated(c *call.Call) error {
	if err := s.cfg.Isolated(); err != nil {
		return wire.NotImplemented(lambda.Service.Package, c.Op.Name+" on this host: "+err.Error())
	}
	return nil
}

// asUpdate is the configuration that a new function is to have.
func asUpdate(in *lambda.CreateFunctionRequest) *lambda.UpdateFunctionConfigurationRequest {
	return &lambda.UpdateFunctionConfigurationRequest{
		Role: in.Role, Handler: in.Handler, Description: in.Description, Timeout: in.Timeout, MemorySize: in.MemorySize, VpcConfig: in.VpcConfig, Environment: in.Environment,
		Runtime: in.Runtime, DeadLetterConfig: in.DeadLetterConfig, KMSKeyArn: in.KMSKeyArn, TracingConfig: in.TracingConfig, Layers: in.Layers,
		FileSystemConfigs: in.FileSystemConfigs, ImageConfig: in.ImageConfig, EphemeralStorage: in.EphemeralStorage, SnapStart: in.SnapStart,
		LoggingConfig: in.LoggingConfig, CapacityProviderConfig: in.CapacityProviderConfig, DurableConfig: in.DurableConfig,
	}
}

// changed gives a version a new revision, after a change of its code or configuration.
func (v *versionRecord) changed(c *call.Call) {
	v.Modified, v.Revision, v.Change = c.Time, c.UUID(), c.UUID()
}

// save writes a version of the function.
func (f *functionRecord) save(c *call.Call, v *versionRecord) error {
	return versionTable.In(f.Account, f.Region).Put(c.Tx(), v)
}

// saveAll writes the function itself, too.
func (f *functionRecord) saveAll(c *call.Call, v *versionRecord) error {
	if err := functionTable.In(f.Account, f.Region).Put(c.Tx(), f); err != nil {
		return err
	}
	return f.save(c, v)
}

// checkRevision is the precondition of changes.
func checkRevision(asked *string, there, operation string) error {
	if asked == nil || *asked == there {
		return nil
	}
	return &lambda.PreconditionFailedException{Type: new("User"), Message: "The Revision Id provided does not match the latest Revision Id. Call the " + operation +
		" API to retrieve the latest Revision Id"}
}

// readRevision are the operations that tell the revisions of functions and aliases.
const readRevision = "GetFunction/GetAlias"

// shown is an environment as the request has it that sets it.
func shown(e *lambda.Environment) *lambda.EnvironmentResponse {
	if e == nil || len(e.Variables) == 0 {
		return nil
	}
	return &lambda.EnvironmentResponse{Variables: e.Variables}
}

// stamp is a time as Lambda shows it.
func stamp(t time.Time) *string { return new(t.UTC().Format("2006-01-02T15:04:05.000-0700")) }

// configuration tells of a version by the ARN that it is asked for.
func (s *Service) configuration(f *functionRecord, v *versionRecord, arn string, e *lambda.EnvironmentResponse) *lambda.FunctionConfiguration {
	out := &lambda.FunctionConfiguration{
		FunctionName: &f.Name, FunctionArn: &arn, Runtime: lambda.Runtime(v.Runtime), Role: &v.Role, Handler: &v.Handler, CodeSize: &v.Code.Size, CodeSha256: &v.Code.Sum,
		Description: &v.Description, Timeout: &v.Timeout, MemorySize: &v.Memory, LastModified: stamp(v.Modified), Version: new(v.qualifier()), Environment: e,
		KMSKeyArn: optional.NonZero(v.Key), TracingConfig: &lambda.TracingConfigResponse{Mode: lambda.TracingMode(v.Tracing)}, RevisionId: &v.Revision,
		State: lambda.StateActive, LastUpdateStatus: lambda.LastUpdateStatusSuccessful, PackageType: lambda.PackageTypeZip,
		Architectures: []lambda.Architecture{lambda.Architecture(v.Architecture)}, EphemeralStorage: &lambda.EphemeralStorage{Size: &v.Ephemeral},
		SnapStart:     &lambda.SnapStartResponse{ApplyOn: lambda.SnapStartApplyOnNone, OptimizationStatus: lambda.SnapStartOptimizationStatusOff},
		LoggingConfig: v.loggingConfig(),
	}
	if v.DeadLetters != "" {
		out.DeadLetterConfig = &lambda.DeadLetterConfig{TargetArn: &v.DeadLetters}
	}
	for _, l := range v.Layers {
		out.Layers = append(out.Layers, lambda.Layer{Arn: &l.ARN, CodeSize: &l.Size})
	}
	return out
}

// logGroup is where a version logs.
func (v *versionRecord) logGroup() string {
	if v.Logging.Group != "" {
		return v.Logging.Group
	}
	return "/aws/lambda/" + v.Function
}

func (v *versionRecord) loggingConfig() *lambda.LoggingConfig {
	return &lambda.LoggingConfig{
		LogFormat: lambda.LogFormat(v.Logging.Format), LogGroup: new(v.logGroup()),
		ApplicationLogLevel: lambda.ApplicationLogLevel(v.Logging.Application), SystemLogLevel: lambda.SystemLogLevel(v.Logging.System),
	}
}

// GetFunctionConfiguration tells of a version of a function.
func (s *Service) GetFunctionConfiguration(c *call.Call, in *lambda.GetFunctionConfigurationRequest) (*lambda.FunctionConfiguration, error) {
	t, err := s.named(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return s.shownConfiguration(c, t)
}

// shownConfiguration is a target's configuration as its reader sees it.
func (s *Service) shownConfiguration(c *call.Call, t *target) (*lambda.FunctionConfiguration, error) {
	e, err := s.shownEnvironment(c, t.function, t.version)
	if err != nil {
		return nil, err
	}
	return s.configuration(t.function, t.version, t.asked, e), nil
}

// GetFunction tells of a version of a function, with where its code is, and of what its versions share.
func (s *Service) GetFunction(c *call.Call, in *lambda.GetFunctionRequest) (*lambda.GetFunctionResponse, error) {
	t, err := s.named(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	configuration, err := s.shownConfiguration(c, t)
	if err != nil {
		return nil, err
	}
	location, err := s.location(c, t.version.Code.Blob)
	if err != nil {
		return nil, err
	}
	out := &lambda.GetFunctionResponse{
		Configuration: configuration, Tags: t.function.Tags, Code: &lambda.FunctionCodeLocation{RepositoryType: new("S3"), Location: &location},
	}
	if t.function.Reserved != nil {
		out.Concurrency = &lambda.Concurrency{ReservedConcurrentExecutions: t.function.Reserved}
	}
	return out, nil
}

// ListFunctions lists the functions of an account in a region by their names; with all versions if asked.
func (s *Service) ListFunctions(c *call.Call, in *lambda.ListFunctionsRequest) (*lambda.ListFunctionsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionsResponse{Functions: []lambda.FunctionConfiguration{}}
	here := name{account: c.Scope.Account, region: c.Scope.Region}
	if in.FunctionVersion == lambda.FunctionVersionAll {
		versions, next, err := page(c, versionTable, here, store.Query{}, in.Marker, in.MaxItems, "all", nil)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			if err := s.list(c, &out.Functions, here, v, v.qualifier()); err != nil {
				return nil, err
			}
		}
		out.NextMarker = next
		return out, nil
	}
	functions, next, err := page(c, functionTable, here, store.Query{}, in.Marker, in.MaxItems, "", nil)
	if err != nil {
		return nil, err
	}
	for _, f := range functions {
		v, err := get(c, versionTable, here, f.Name, uint64(0))
		if err != nil {
			return nil, err
		}
		if err := s.list(c, &out.Functions, here, v, ""); err != nil {
			return nil, err
		}
	}
	out.NextMarker = next
	return out, nil
}

// list adds a version to a listing, which tells no states.
func (s *Service) list(c *call.Call, to *[]lambda.FunctionConfiguration, at name, v *versionRecord, qualifier string) error {
	f := &functionRecord{Name: v.Function, Account: at.account, Region: at.region}
	e, err := s.shownEnvironment(c, f, v)
	if err != nil {
		return err
	}
	listed := s.configuration(f, v, functionARN(f.scope(s.cfg.Partition), f.Name, qualifier), e)
	listed.State, listed.LastUpdateStatus = "", ""
	*to = append(*to, *listed)
	return nil
}
