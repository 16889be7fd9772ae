package cloudwatch

import (
	"crypto/sha256"

	"github.com/google/uuid"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/call"
)

// configuration is an alarm as events and lambda functions are told of it. In events about states it has only the first members.
type configuration struct {
	Description *string      `json:"description,omitempty"`
	Metrics     []metricJSON `json:"metrics,omitempty"`
	AlarmRule   string       `json:"alarmRule,omitempty"`
	Suppressor  string       `json:"actionsSuppressor,omitempty"`
	Wait        int32        `json:"actionsSuppressorWaitPeriod,omitempty"`
	Extension   int32        `json:"actionsSuppressorExtensionPeriod,omitempty"`

	*settings
}

// settings is what only events about configurations tell.
type settings struct {
	EvaluationPeriods int32                         `json:"evaluationPeriods,omitempty"`
	Datapoints        int32                         `json:"datapointsToAlarm,omitempty"`
	Threshold         *float                        `json:"threshold,omitempty"`
	Comparison        cloudwatch.ComparisonOperator `json:"comparisonOperator,omitempty"`
	Missing           string                        `json:"treatMissingData,omitempty"`
	LowSamples        string                        `json:"evaluateLowSampleCountPercentile,omitempty"`
	AlarmName         string                        `json:"alarmName"`
	ActionsEnabled    bool                          `json:"actionsEnabled"`
	Timestamp         string                        `json:"timestamp"`
	OKActions         []string                      `json:"okActions"`
	AlarmActions      []string                      `json:"alarmActions"`
	InsufficientData  []string                      `json:"insufficientDataActions"`
}

type metricJSON struct {
	ID         string          `json:"id"`
	Expression string          `json:"expression,omitempty"`
	Label      *string         `json:"label,omitempty"`
	Stat       *metricStatJSON `json:"metricStat,omitempty"`
	ReturnData bool            `json:"returnData"`
}

type metricStatJSON struct {
	Metric struct {
		Namespace  string            `json:"namespace"`
		Name       string            `json:"name"`
		Dimensions map[string]string `json:"dimensions"`
	} `json:"metric"`
	Period int32  `json:"period"`
	Stat   string `json:"stat"`
	Unit   string `json:"unit,omitempty"`
}

func (a *alarmRecord) configuration(c *call.Call) configuration {
	conf := configuration{Description: a.Description}
	if k := a.Composite; k != nil {
		conf.AlarmRule = k.Rule
		if k.Suppressor != "" {
			conf.Suppressor, conf.Wait, conf.Extension = alarmARN(c, k.Suppressor), k.Wait, k.Extension
		}
		return conf
	}
	for i := range a.Watch.Queries {
		q := &a.Watch.Queries[i]
		m := metricJSON{ID: q.ID, Expression: q.Expression, Label: q.Label, ReturnData: q.returns()}
		if !a.Watch.Math {
			// CloudWatch gives the one metric of an alarm a UUID. This one is of version 8, as those of SHA-1 are nothing that FIPS mode makes.
			m.ID = uuid.NewHash(sha256.New(), uuid.NameSpaceOID, []byte(alarmARN(c, a.Name)), 8).String()
		}
		if q.Name != "" {
			m.Stat = &metricStatJSON{Period: q.Period, Stat: q.Stat, Unit: q.Unit}
			m.Stat.Metric.Namespace, m.Stat.Metric.Name, m.Stat.Metric.Dimensions = q.Namespace, q.Name, make(map[string]string)
			for _, d := range q.Dimensions {
				m.Stat.Metric.Dimensions[d.Name] = d.Value
			}
		}
		conf.Metrics = append(conf.Metrics, m)
	}
	return conf
}

// full is the configuration with all its settings.
func (a *alarmRecord) full(c *call.Call) configuration {
	conf := a.configuration(c)
	conf.settings = &settings{
		AlarmName: a.Name, ActionsEnabled: !a.Disabled, Timestamp: stamp(a.Configured), OKActions: list(a.OKActions), AlarmActions: list(a.AlarmActions), InsufficientData: list(a.InsufficientDataActions),
	}
	if w := a.Watch; w != nil {
		conf.EvaluationPeriods, conf.Datapoints, conf.Threshold, conf.Comparison = w.EvaluationPeriods, w.DatapointsToAlarm, new(float(w.Threshold)), w.Comparison
		conf.Missing, conf.LowSamples = w.Missing, w.LowSamples
	}
	return conf
}

// list is a list that is not null in JSON.
func list(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

type stateJSON struct {
	Value      cloudwatch.StateValue          `json:"value"`
	Reason     string                         `json:"reason"`
	ReasonData string                         `json:"reasonData,omitempty"`
	Timestamp  string                         `json:"timestamp"`
	By         cloudwatch.ActionsSuppressedBy `json:"actionsSuppressedBy,omitempty"`
	Suppressed string                         `json:"actionsSuppressedReason,omitempty"`
}

func (st State) json() stateJSON {
	return stateJSON{Value: st.Value, Reason: st.Reason, ReasonData: st.Data, Timestamp: stamp(st.Since)}
}

// alarmData is what events about states and lambda functions are told.
type alarmData struct {
	AlarmName     string        `json:"alarmName"`
	State         stateJSON     `json:"state"`
	Previous      stateJSON     `json:"previousState"`
	Configuration configuration `json:"configuration"`
}

func (a *alarmRecord) data(c *call.Call) alarmData {
	d := alarmData{a.Name, a.State.json(), a.Previous.json(), a.configuration(c)}
	if k := a.Composite; k != nil {
		d.State.By, d.State.Suppressed = k.By, k.Reason
	}
	return d
}

func (s *Service) stateEvent(c *call.Call, a *alarmRecord) error {
	return emit(c, a, "CloudWatch Alarm State Change", a.data(c))
}

// configured tells of an alarm that was created, updated or deleted: in its history and in an event.
func (s *Service) configured(c *call.Call, a, old *alarmRecord, operation string) error {
	detail := struct {
		AlarmName     string         `json:"alarmName"`
		Operation     string         `json:"operation"`
		State         stateJSON      `json:"state"`
		Configuration configuration  `json:"configuration"`
		Previous      *configuration `json:"previousConfiguration,omitempty"`
	}{AlarmName: a.Name, Operation: operation, State: a.State.json(), Configuration: a.full(c)}
	if old != nil {
		detail.Previous = new(old.full(c))
	}
	if err := emit(c, a, "CloudWatch Alarm Configuration Change", detail); err != nil {
		return err
	}
	return s.configurationHistory(c, a, operation)
}
