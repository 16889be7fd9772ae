package kmsplugin

import (
	"context"
	"errors"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/wire"
)

// failed is the error of a call of KMS as gRPC has it. No request or answer is quoted, only what KMS says.
func failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	return problem(kmsCode(err), "%s: %v", doing, err)
}

func kmsCode(err error) code {
	switch {
	case errors.Is(err, context.Canceled):
		return cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return deadlineExceeded
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		switch {
		case e.Code == "AccessDeniedException":
			return permissionDenied
		case e.Code == "ThrottlingException":
			return resourceExhausted
		case e.Fault || e.Status >= 500:
			return unavailable
		case e.Code == "ValidationException":
			return invalidArgument
		}
		return unauthenticated // what is left concerns the signature
	}
	modeled, ok := errors.AsType[wire.ModeledError](err)
	if !ok {
		return unavailable // there was no answer
	}
	switch modeled.(type) {
	case *kms.NotFoundException:
		return notFound
	case *kms.DisabledException, *kms.KMSInvalidStateException, *kms.InvalidKeyUsageException, *kms.UnsupportedOperationException:
		return failedPrecondition
	case *kms.InvalidCiphertextException, *kms.IncorrectKeyException:
		return invalidArgument
	}
	return unavailable // KMSInternal, KeyUnavailable, DependencyTimeout
}
