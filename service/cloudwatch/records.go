package cloudwatch

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/timer"
)

// What is kept in the store, below cloudwatch/ACCOUNT/REGION/:
//
//	metric/NAMESPACE/NAME/METRIC          a metric, by METRIC, too
//	data/METRIC/UNIT/RESOLUTION/START     the numbers of a metric in a unit, of some time from START on
//	roll/DUE/METRIC/UNIT/RESOLUTION/START when that is rolled up
//	alarm/NAME                            an alarm and its state, by the metrics and the alarms that it watches, too
//	awake/INTERVAL/NAME                   the alarms that are evaluated each INTERVAL
//	history/ALARM/TIME/ID                 what happened to an alarm, by time, too
//	tags/ARN                              the tags of an alarm
//
// METRIC is 16 bytes of the SHA-256 of namespace, name and dimensions. RESOLUTION is in seconds, see tiers. What a row of data holds is drawn at its type.
var (
	metricTable = store.NewTable("cloudwatch", "metric", func(m *metricRecord) store.Key { return store.Key{m.Namespace, m.Name, m.id().bytes()} },
		store.Index[metricRecord]{Name: "id", Entries: func(m *metricRecord) []store.Key { return []store.Key{{m.id().bytes()}} }})
	dataTable = store.NewTable("cloudwatch", "data", func(d *dataRecord) store.Key { return d.key() })
	rollTable = store.NewTable("cloudwatch", "roll", func(r *rollRecord) store.Key { return append(store.Key{r.Due}, r.place.key()...) })

	alarmTable = store.NewTable("cloudwatch", "alarm", func(a *alarmRecord) store.Key { return store.Key{a.Name} },
		store.Index[alarmRecord]{Name: "metric", Entries: (*alarmRecord).watchedMetrics},
		store.Index[alarmRecord]{Name: "child", Entries: (*alarmRecord).watchedAlarms})
	awakeTable   = store.NewTable("cloudwatch", "awake", func(a *awakeRecord) store.Key { return store.Key{a.Interval, a.Name} })
	historyTable = store.NewTable("cloudwatch", "history", func(h *historyRecord) store.Key { return store.Key{h.Alarm, h.Time, h.ID} },
		store.Index[historyRecord]{Name: "time", Entries: func(h *historyRecord) []store.Key { return []store.Key{{h.Time}} }})
	tagsTable = store.NewTable("cloudwatch", "tags", func(t *tagsRecord) store.Key { return store.Key{t.ARN} })
)

// home is an account and a region, in which all records of a call lie.
type home struct{ account, region string }

// metricID stands for a metric among all of an account and region.
type metricID [16]byte

func (id metricID) bytes() []byte { return id[:] }

// metric names a metric. Its dimensions are in the order of their names.
type metric struct {
	namespace, name string
	dimensions      []dimension
}

type dimension struct{ Name, Value string }

func newMetric(namespace, name string, dimensions []cloudwatch.Dimension) metric {
	m := metric{namespace: namespace, name: name}
	for _, d := range dimensions {
		m.dimensions = append(m.dimensions, dimension{optional.Value(d.Name), optional.Value(d.Value)})
	}
	m.sort()
	return m
}

func (m *metric) sort() {
	slices.SortFunc(m.dimensions, func(a, b dimension) int { return strings.Compare(a.Name, b.Name) })
}

func (m metric) id() (id metricID) {
	h := sha256.New()
	part := func(s string) {
		h.Write([]byte{byte(len(s) >> 8), byte(len(s))}) // a name is of 1,024 bytes at most
		h.Write([]byte(s))
	}
	part(m.namespace)
	part(m.name)
	for _, d := range m.dimensions {
		part(d.Name)
		part(d.Value)
	}
	copy(id[:], h.Sum(nil))
	return id
}

// metricRecord is a metric that something was published of.
type metricRecord struct {
	Namespace, Name string
	Dimensions      []dimension `json:",omitempty"`
	Units           []string    // in alphabetical order
	Fine            bool        `json:",omitempty"` // some of it with a resolution of a second
	Last            time.Time   // when something was published last, to within seenWithin
	Woken           time.Time   // until then all alarms that watch it are awake
}

func (m *metricRecord) metric() metric {
	return metric{namespace: m.Namespace, name: m.Name, dimensions: m.Dimensions}
}
func (m *metricRecord) id() metricID { return m.metric().id() }

// place is where numbers lie.
type place struct {
	Metric     []byte
	Unit       string
	Resolution int64 // in seconds
	Start      time.Time
}

func (p place) key() store.Key { return store.Key{p.Metric, p.Unit, p.Resolution, p.Start} }

// dataRecord holds the numbers of a metric in a unit, of a stretch of time that is tier.span long. Points holds, one after another, how many times Resolution a point begins
// after Start as a uvarint, and its histogram.
type dataRecord struct {
	place
	Points []byte
}

// rollRecord says when the numbers at a place are due to become coarser, or to go.
type rollRecord struct {
	Due time.Time
	place
}

// awakeRecord is an alarm that is evaluated.
type awakeRecord struct {
	Interval int64 // in seconds
	Name     string
	Until    time.Time // there are numbers up to here: until then it stays awake
}

// tagsRecord are the tags of an alarm.
type tagsRecord struct {
	ARN  string
	Tags map[string]string
}

// set sets a timer of the service.
func set(tx store.Tx, h home, kind, subject string, due time.Time, payload []byte) error {
	return timer.Set(tx, timer.ID{Service: cloudwatch.Service.Package, Account: h.account, Region: h.region, Kind: kind, Subject: subject}, due, payload)
}
