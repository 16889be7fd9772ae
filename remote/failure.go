package remote

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/holdfast-cloud/holdfast/wire"
)

// Failure is an error of a call as its caller can judge it.
type Failure struct {
	Code    string // the service's, or ConnectionError, TimeoutError; "" for what never left this process
	Message string // the service's
	Status  int    // HTTP status; 0 for what never left this process
	Passing bool   // the same call may succeed later, with nothing changed
}

// Judge tells what an error of [Transport.Invoke] means.
func Judge(err error) Failure {
	var f Failure
	if m, ok := errors.AsType[wire.ModeledError](err); ok && m.Schema().Error != nil {
		t := m.Schema().Error
		f = Failure{Code: t.Code, Message: wire.Message(m), Status: t.Status}
		if f.Code == "" {
			f.Code = m.Schema().Name
		}
		if f.Status == 0 {
			f.Status = http.StatusBadRequest
			if t.Fault {
				f.Status = http.StatusInternalServerError
			}
		}
	} else if e, ok := errors.AsType[*wire.Error](err); ok {
		f = Failure{Code: e.Code, Message: e.Message, Status: e.Status}
	} else if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return Failure{Code: "TimeoutError", Message: "Timeout", Status: http.StatusGatewayTimeout, Passing: true}
	} else if ok { // url.Error is a net.Error: what was sent, or could not be
		return Failure{Code: "ConnectionError", Message: "Read Error", Status: http.StatusBadGateway, Passing: true}
	} else {
		return Failure{Passing: true}
	}
	f.Passing = f.Status >= 500 && f.Status != http.StatusNotImplemented || f.Status == http.StatusTooManyRequests || throttled(f.Code)
	return f
}

func throttled(code string) bool {
	switch code {
	case "Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown", "TransactionInProgressException":
		return true
	}
	return false
}
