package lambda

import (
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// latestOnly refuses to change what is published.
func (t *target) latestOnly() error {
	if t.qualifier != "" && t.qualifier != latest {
		return invalid("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
	}
	return nil
}

// UpdateFunctionConfiguration changes $LATEST. What the request leaves out stays.
func (s *Service) UpdateFunctionConfiguration(c *call.Call, in *lambda.UpdateFunctionConfigurationRequest) (*lambda.FunctionConfiguration, error) {
	t, err := s.named(c, in.FunctionName, nil, askLayers(in.Layers))
	if err != nil {
		return nil, err
	}
	if err := t.latestOnly(); err != nil {
		return nil, err
	}
	if err := s.isolated(c); err != nil {
		return nil, err
	}
	v := t.version
	if err := checkRevision(in.RevisionId, v.Revision, readRevision); err != nil {
		return nil, err
	}
	old := *v
	if err := s.configure(c, t.function.Name, v, in); err != nil {
		return nil, err
	}
	if err := v.fits(); err != nil {
		return nil, err
	}
	v.changed(c)
	e := shown(in.Environment)
	if in.Environment == nil {
		if e, err = s.shownEnvironment(c, t.function, v); err != nil {
			return nil, err
		}
	}
	if err := t.function.save(c, v); err != nil {
		return nil, err
	}
	return s.configuration(t.function, v, functionARN(t.scope(c), t.function.Name, ""), e), s.retire(c, t, &old)
}

// UpdateFunctionCode gives $LATEST other code, and publishes it if asked. A dry run only checks.
func (s *Service) UpdateFunctionCode(c *call.Call, in *lambda.UpdateFunctionCodeRequest) (out *lambda.FunctionConfiguration, err error) {
	t, err := s.named(c, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if err := t.latestOnly(); err != nil {
		return nil, err
	}
	if err := s.isolated(c); err != nil {
		return nil, err
	}
	switch {
	case in.ImageUri != nil:
		return nil, invalid("Please don't provide ImageUri when updating a function with packageType Zip.")
	case in.PublishTo != "":
		return nil, notBuilt(c, "PublishTo")
	case in.SourceKMSKeyArn != nil:
		return nil, notBuilt(c, "SourceKMSKeyArn")
	}
	v := t.version
	if err := checkRevision(in.RevisionId, v.Revision, readRevision); err != nil {
		return nil, err
	}
	archive, unzipped, err := s.read(c, source{in.ZipFile, in.S3Bucket, in.S3Key, in.S3ObjectVersion, in.S3ObjectStorageMode})
	if err != nil {
		return nil, err
	}
	old := *v
	v.Code = codeRecord{Blob: old.Code.Blob, Sum: sumOf(archive), Size: int64(len(archive)), Unzipped: unzipped}
	if len(in.Architectures) > 0 {
		v.Architecture = string(in.Architectures[0])
		if err := s.checkRuntime(c, lambda.Runtime(v.Runtime), v.Architecture); err != nil {
			return nil, err
		}
	}
	if err := v.fits(); err != nil {
		return nil, err
	}
	e, err := s.shownEnvironment(c, t.function, v)
	if err != nil {
		return nil, err
	}
	self := functionARN(t.scope(c), t.function.Name, "")
	if optional.Value(in.DryRun) {
		return s.configuration(t.function, v, self, e), nil
	}
	if v.Code.Sum != old.Code.Sum {
		if v.Code, err = s.keep(c, archive, unzipped); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				s.drop(c, v.Code)
			}
		}()
	}
	v.changed(c)
	if v.Code == old.Code && v.Architecture == old.Architecture {
		v.Change = old.Change // so that publishing it makes no other version
	}
	told, arn := v, self
	if optional.Value(in.Publish) {
		if told, err = s.publish(c, t.function, v, nil); err != nil {
			return nil, err
		}
		arn += ":" + told.qualifier()
	}
	if err := t.function.saveAll(c, v); err != nil {
		return nil, err
	}
	out = s.configuration(t.function, told, arn, e)
	if v.Code.Blob != old.Code.Blob {
		return out, s.free(c, old.Code.Blob)
	}
	return out, nil
}
