package kmsplugin

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/wire"
)

// failed is the error of a call of KMS as gRPC has it. No request or answer is quoted, only what KMS says.
func failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	return status.Errorf(codeOf(err), "%s: %v", doing, err)
}

func codeOf(err error) codes.Code {
	switch {
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		switch {
		case e.Code == "AccessDeniedException":
			return codes.PermissionDenied
		case e.Code == "ThrottlingException":
			return codes.ResourceExhausted
		case e.Fault || e.Status >= 500:
			return codes.Unavailable
		case e.Code == "ValidationException":
			return codes.InvalidArgument
		}
		return codes.Unauthenticated // what is left concerns the signature
	}
	modeled, ok := errors.AsType[wire.ModeledError](err)
	if !ok {
		return codes.Unavailable // there was no answer
	}
	switch modeled.(type) {
	case *kms.NotFoundException:
		return codes.NotFound
	case *kms.DisabledException, *kms.KMSInvalidStateException, *kms.InvalidKeyUsageException, *kms.UnsupportedOperationException:
		return codes.FailedPrecondition
	case *kms.InvalidCiphertextException, *kms.IncorrectKeyException:
		return codes.InvalidArgument
	}
	return codes.Unavailable // KMSInternal, KeyUnavailable, DependencyTimeout
}
