package s3

import (
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/wire"
)

// The errors that S3's model does not list, or without the details that S3 tells, with the texts of
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList and those that S3 is known to answer with.

func fault(code string, status int, message string, details ...wire.Detail) error {
	return &wire.Error{Code: code, Status: status, Message: message, Details: details}
}

func noBucket(name string) error {
	return fault("NoSuchBucket", 404, "The specified bucket does not exist", detail("BucketName", name))
}

func noKey(key string) error {
	return fault("NoSuchKey", 404, "The specified key does not exist.", detail("Key", key))
}

func accessDenied() error { return fault("AccessDenied", 403, "Access Denied") }

func badArgument(name, value, message string) error {
	return fault("InvalidArgument", 400, message, wire.Detail{Name: "ArgumentName", Value: name}, wire.Detail{Name: "ArgumentValue", Value: value})
}

func badRequest(message string) error { return &s3.InvalidRequest{Message: message} }

func notImplemented(header string) error {
	return fault("NotImplemented", 501, "A header you provided implies functionality that is not implemented", wire.Detail{Name: "Header", Value: header})
}

func malformedPolicy(format string, args ...any) error {
	return fault("MalformedPolicy", 400, fmt.Sprintf(format, args...))
}
