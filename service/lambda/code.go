package lambda

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// source is where an archive comes from: FunctionCode and LayerVersionContentInput have these.
type source struct {
	zip                  []byte
	bucket, key, version *string
	mode                 lambda.S3ObjectStorageMode
}

// read returns the archive, after it was checked, and how many bytes are in it. An object of S3 is read with the caller's rights.
func (s *Service) read(c *call.Call, from source) (archive []byte, unzipped int64, err error) {
	if from.mode != "" && from.mode != lambda.S3ObjectStorageModeCopy {
		return nil, 0, notBuilt(c, "S3ObjectStorageMode "+string(from.mode))
	}
	switch {
	case from.zip != nil && (from.bucket != nil || from.key != nil || from.version != nil):
		return nil, 0, invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
	case from.zip != nil:
		if archive = from.zip; len(archive) > maxZipped {
			return nil, 0, tooLargeZip(maxZipped)
		}
	case from.bucket == nil || from.key == nil:
		return nil, 0, invalid("Please provide a source for function code.")
	default:
		if archive, err = s.fetch(c, from); err != nil {
			return nil, 0, err
		}
	}
	unzipped, err = checkZip(archive)
	return archive, unzipped, err
}

// fetch reads an archive from S3.
func (s *Service) fetch(c *call.Call, from source) ([]byte, error) {
	out, err := s.cfg.S3.GetObject(c, &s3.GetObjectRequest{Bucket: from.bucket, Key: from.key, VersionId: from.version})
	if err != nil {
		code, message := "", ""
		if e, ok := errors.AsType[wire.ModeledError](err); ok && !e.Schema().Error.Fault {
			code, message = e.Schema().Name, wire.Message(e)
		} else if e, ok := errors.AsType[*wire.Error](err); ok && !e.Fault {
			code, message = e.Code, e.Message
		}
		if code == "" {
			return nil, err // a refusal, too
		}
		return nil, invalid("Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s", code, message)
	}
	defer out.Body.Close()
	if optional.Value(out.ContentLength) > maxUnzipped {
		return nil, tooLargeZip(maxUnzipped)
	}
	archive, err := io.ReadAll(io.LimitReader(out.Body, maxUnzipped+1))
	if err != nil {
		return nil, fmt.Errorf("reading code from S3: %w", err)
	}
	if len(archive) > maxUnzipped {
		return nil, tooLargeZip(maxUnzipped)
	}
	return archive, nil
}

// keep puts an archive into the blob store. The caller takes it away again if nothing comes of it: see drop.
func (s *Service) keep(c *call.Call, archive []byte, unzipped int64) (codeRecord, error) {
	r := codeRecord{Blob: newBlob(), Sum: sumOf(archive), Size: int64(len(archive)), Unzipped: unzipped}
	_, err := s.cfg.Blob.Put(c.Context, r.Blob, bytes.NewReader(archive))
	return r, err
}

// drop removes an archive that no record came to name. If this fails, or a conflict has the handler run again, it is found later: see Unnamed.
func (s *Service) drop(c *call.Call, code codeRecord) {
	if code.Blob != "" {
		_ = s.cfg.Blob.Delete(context.WithoutCancel(c.Context), code.Blob)
	}
}

// notBuilt is the error of a parameter that Holdfast does not implement.
func notBuilt(c *call.Call, what string) error {
	return wire.NotImplemented(lambda.Service.Package, c.Op.Name+" with "+what)
}
