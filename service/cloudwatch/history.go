package cloudwatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// historyRecord is something that happened to an alarm. It stays when the alarm is deleted.
type historyRecord struct {
	Alarm   string
	Kind    cloudwatch.AlarmType
	Time    time.Time
	ID      string
	Type    cloudwatch.HistoryItemType
	Summary string
	Data    string // JSON
}

// historyFor is how long history is kept.
const historyFor = 30 * 24 * time.Hour

const (
	historyTimer = "history" // forgets what happened long ago

	// forgottenAtOnce is how many items of history one transaction forgets.
	forgottenAtOnce = 500
)

// remember puts something into an alarm's history.
func remember(c *call.Call, name string, kind cloudwatch.AlarmType, t cloudwatch.HistoryItemType, summary string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("writing history: %w", err)
	}
	h := homeOf(c)
	rows := historyTable.In(h.account, h.region)
	n, err := rows.Count(c.Tx(), store.Query{Index: "time", Limit: 1})
	if err != nil {
		return fmt.Errorf("looking for history: %w", err)
	}
	if n == 0 {
		if err := set(c.Tx(), h, historyTimer, "", c.Time.Add(historyFor), nil); err != nil {
			return err
		}
	}
	return rows.Put(c.Tx(), &historyRecord{name, kind, c.Time, c.UUID(), t, summary, string(b)})
}

// forgetHistory forgets what happened long ago, some at a time. As long as there is history its timer is set: an hour later than it has to be, so that what happened shortly after goes with it.
func (s *Service) forgetHistory(c *call.Call, _ string, _ []byte) error {
	h := homeOf(c)
	rows := historyTable.In(h.account, h.region)
	var old []*historyRecord
	for r, err := range rows.Scan(c.Tx(), store.Query{Index: "time", Limit: forgottenAtOnce + 1}) {
		if err != nil {
			return fmt.Errorf("looking for old history: %w", err)
		}
		due := r.Time.Add(historyFor)
		if due.After(c.Time) || len(old) == forgottenAtOnce {
			next := c.Time
			if due.After(c.Time) {
				next = due.Add(time.Hour)
			}
			if err := set(c.Tx(), h, historyTimer, "", next, nil); err != nil {
				return err
			}
			break
		}
		old = append(old, r)
	}
	for _, r := range old {
		if err := rows.Delete(c.Tx(), r.Alarm, r.Time, r.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) stateHistory(c *call.Call, a *alarmRecord) error {
	type state struct {
		Value  cloudwatch.StateValue `json:"stateValue"`
		Reason string                `json:"stateReason"`
		Data   json.RawMessage       `json:"stateReasonData,omitempty"`
	}
	of := func(st State) state {
		out := state{Value: st.Value, Reason: st.Reason}
		if json.Valid([]byte(st.Data)) {
			out.Data = json.RawMessage(st.Data)
		}
		return out
	}
	data := struct {
		Version string `json:"version"`
		Old     state  `json:"oldState"`
		New     state  `json:"newState"`
	}{"1.0", of(a.Previous), of(a.State)}
	summary := fmt.Sprintf("Alarm updated from %s to %s", a.Previous.Value, a.State.Value)
	return remember(c, a.Name, a.kind(), cloudwatch.HistoryItemTypeStateUpdate, summary, data)
}

func (s *Service) configurationHistory(c *call.Call, a *alarmRecord, operation string) error {
	words := map[string]string{"create": "created", "update": "updated", "delete": "deleted"}
	types := map[string]string{"create": "Create", "update": "Update", "delete": "Delete"}
	data := map[string]any{"version": "1.0", "type": types[operation], words[operation] + "Alarm": a.full(c)}
	return remember(c, a.Name, a.kind(), cloudwatch.HistoryItemTypeConfigurationUpdate, fmt.Sprintf("Alarm %q %s", a.Name, words[operation]), data)
}

// maxRecords is how many alarms, or items of their history, an answer has.
const maxRecords = 100

// DescribeAlarmHistory lists what happened to an alarm, or to all.
func (s *Service) DescribeAlarmHistory(c *call.Call, in *cloudwatch.DescribeAlarmHistoryInput) (*cloudwatch.DescribeAlarmHistoryOutput, error) {
	name := "*"
	if in.AlarmName != nil {
		name = *in.AlarmName
	}
	if slices.ContainsFunc(in.AlarmTypes, func(t cloudwatch.AlarmType) bool { return t == cloudwatch.AlarmTypeCompositeAlarm }) {
		name = "*" // composite alarms are for those only who may see all
	}
	if err := c.Authorize(&call.Resource{ARN: alarmARN(c, name)}); err != nil {
		return nil, err
	}
	if in.StartDate != nil && in.EndDate != nil && in.EndDate.Before(*in.StartDate) {
		return nil, validation("The parameter StartDate must be less than or equal to the parameter EndDate.")
	}
	q := store.Query{Limit: maxRecords, Reverse: in.ScanBy != cloudwatch.ScanByTimestampAscending, Index: "time"}
	if in.MaxRecords != nil {
		q.Limit = int(*in.MaxRecords)
	}
	if in.AlarmName != nil {
		q.Index, q.Prefix = "", store.Key{*in.AlarmName}
	}
	if in.StartDate != nil {
		q.From = store.Key{in.StartDate.UTC()}
	}
	if in.EndDate != nil {
		q.To = store.Key{in.EndDate.UTC()}
	}
	types := in.AlarmTypes
	if len(types) == 0 {
		types = []cloudwatch.AlarmType{cloudwatch.AlarmTypeMetricAlarm}
	}
	keep := func(h *historyRecord) bool {
		return (in.HistoryItemType == "" || h.Type == in.HistoryItemType) && slices.Contains(types, h.Kind)
	}
	items, next, err := historyTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), q, optional.Value(in.NextToken), fmt.Sprintf("%q %q", in.HistoryItemType, types), keep)
	if errors.Is(err, store.ErrBadToken) {
		return nil, badToken()
	}
	if err != nil {
		return nil, err
	}
	out := &cloudwatch.DescribeAlarmHistoryOutput{AlarmHistoryItems: []cloudwatch.AlarmHistoryItem{}}
	for _, h := range items {
		out.AlarmHistoryItems = append(out.AlarmHistoryItems, cloudwatch.AlarmHistoryItem{
			AlarmName: &h.Alarm, AlarmType: h.Kind, Timestamp: &h.Time, HistoryItemType: h.Type, HistorySummary: &h.Summary, HistoryData: &h.Data,
		})
	}
	if next != "" {
		out.NextToken = &next
	}
	return out, nil
}
