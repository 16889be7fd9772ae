// Package cloudwatch is Amazon CloudWatch's metrics and alarms: it keeps the numbers that customers and the other services publish, computes statistics and metric math of them,
// and watches them.
package cloudwatch

import (
	"errors"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// SNS is what alarms ask of SNS; sns.Client has it.
type SNS interface {
	Publish(*call.Call, *sns.PublishInput) (*sns.PublishResponse, error)
}

// Lambda is what alarms ask of Lambda; lambda.Client has it.
type Lambda interface {
	Invoke(*call.Call, *lambda.InvocationRequest) (*lambda.InvocationResponse, error)
}

// Config is what the service is made of. All of it is needed but Meter and Report.
type Config struct {
	Store  store.Store
	Seal   *seal.Keyring
	Clock  clock.Clock
	SNS    SNS
	Lambda Lambda

	// Meter is where the other services count what they publish.
	Meter *meter.Meter

	// Report is told of what went wrong in the background.
	Report func(error)
}

// Service is Amazon CloudWatch. But for what the meter holds, it keeps all it knows in the store.
type Service struct {
	cfg    Config
	alarms *store.Decoded[alarmRecord] // those that are evaluated

	mu   sync.Mutex    // guards what follows, and is held while metrics of services are stored
	left []meter.Point // those that could not be stored yet
	read time.Time     // the minute in which gauges were read last
}

// New returns the service.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Seal == nil || cfg.Clock == nil || cfg.SNS == nil || cfg.Lambda == nil {
		return nil, errors.New("cloudwatch: Config needs everything in it but Meter and Report")
	}
	if cfg.Report == nil {
		cfg.Report = func(error) {}
	}
	return &Service{cfg: cfg, alarms: store.NewDecoded[alarmRecord](maxDecoded)}, nil
}

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service: cloudwatch.Service, Endpoints: cloudwatch.Endpoints(s),
		// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/logging_cw_api_calls.html#CloudWatch-data-plane-events
		DataEvents: map[string]bool{
			cloudwatch.OpPutMetricData.Name: true, cloudwatch.OpGetMetricData.Name: true, cloudwatch.OpGetMetricStatistics.Name: true, cloudwatch.OpListMetrics.Name: true,
		},
		Timers:   map[string]door.TimerHandler{rollTimer: s.roll, evaluateTimer: s.evaluate, suppressTimer: s.suppressed, historyTimer: s.forgetHistory},
		Carriers: map[string]door.Carrier{actionLane: carrier{s}},
	}
}
