package sns

import (
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// invalid is SNS's error of a parameter: most of its refusals are.
func invalid(format string, args ...any) error {
	return &sns.InvalidParameterException{Message: "Invalid parameter: " + fmt.Sprintf(format, args...)}
}

func noTopic() error { return &sns.NotFoundException{Message: "Topic does not exist"} }

func noSubscription() error { return &sns.NotFoundException{Message: "Subscription does not exist"} }

// notBuilt names what is there in SNS and not here.
func notBuilt(what string) error { return wire.NotImplemented(sns.Service.ActionPrefix, what) }

// ofKMS is what SNS answers for an error of KMS.
func ofKMS(err error) error {
	if d, ok := errors.AsType[*call.Denied](err); ok {
		return &sns.KMSAccessDeniedException{Message: d.Message}
	}
	m, ok := errors.AsType[wire.ModeledError](err)
	if !ok {
		return err
	}
	message := wire.Message(m)
	switch m.Schema().Name {
	case "DisabledException":
		return &sns.KMSDisabledException{Message: message}
	case "KMSInvalidStateException":
		return &sns.KMSInvalidStateException{Message: message}
	case "NotFoundException":
		return &sns.KMSNotFoundException{Message: message}
	case "LimitExceededException":
		return &sns.KMSThrottlingException{Message: message}
	case "AccessDeniedException":
		return &sns.KMSAccessDeniedException{Message: message}
	}
	return err
}

// missing reports whether something is not there.
func missing(err error) bool { return errors.Is(err, store.ErrNotFound) }
