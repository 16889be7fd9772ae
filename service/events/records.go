package events

import (
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// Stored as (see store.Table):
//
//	events / account / region / bus / NAME                     the bus; the default one has a record once something about it was set
//	events / account / region / rule / BUS / NAME              the rule
//	events /  /  / rule.api / account / region / BUS / NAME    those that API calls can come to
//	events / account / region / target / BUS / RULE / ID       the target
//	events / account / region / target.arn / ARN / BUS / RULE  which rules have a target
//
// BUS is the name of a bus. What belongs to archives, replays, connections and API destinations stands in their own files.
var (
	busTable  = store.NewTable("events", "bus", func(b *busRecord) store.Key { return store.Key{b.Name} })
	ruleTable = store.NewTable("events", "rule", func(r *ruleRecord) store.Key { return store.Key{r.Bus, r.Name} },
		store.Index[ruleRecord]{Name: "api", Global: true, Entries: func(r *ruleRecord) []store.Key {
			if !r.hearsAPI() {
				return nil
			}
			return []store.Key{{}}
		}})
	targetTable = store.NewTable("events", "target", func(t *targetRecord) store.Key { return store.Key{t.Bus, t.Rule, t.ID} },
		store.Index[targetRecord]{Name: "arn", Entries: func(t *targetRecord) []store.Key { return []store.Key{{t.ARN, t.Bus, t.Rule}} }})
)

// defaultBus is the name of the bus that every account has in every region.
const defaultBus = "default"

// busKey names a bus.
type busKey struct{ Account, Region, Name string }

func (k busKey) arn(partition string) string {
	return busARN(call.Scope{Partition: partition, Account: k.Account, Region: k.Region}, k.Name)
}

// busARN names a bus of a scope.
func busARN(s call.Scope, name string) string { return s.ARN("events", "event-bus/"+name) }

// busRecord is an event bus.
type busRecord struct {
	Name, Account, Region string
	Created, Modified     time.Time
	Description           string            `json:",omitempty"`
	KMSKey                string            `json:",omitempty"` // as it was given
	DeadLetter            string            `json:",omitempty"` // ARN of a queue
	EventSource           string            `json:",omitempty"` // the partner event source that it gets its events from
	Policy                string            `json:",omitempty"` // as it was put, or made of permissions
	Pins                  identity.Pins     `json:",omitempty"` // whom Policy names
	Tags                  map[string]string `json:",omitempty"`
	LogLevel, LogDetail   string            `json:",omitempty"` // see LogConfig
}

func (b *busRecord) key() busKey { return busKey{b.Account, b.Region, b.Name} }

func (b *busRecord) arn(partition string) string { return b.key().arn(partition) }

// ruleRecord is a rule.
type ruleRecord struct {
	Bus, Name, Account, Region string
	Created                    time.Time
	CreatedBy                  string            // the account that made it
	State                      string            // see events.RuleState
	Pattern                    string            `json:",omitempty"`
	Schedule                   string            `json:",omitempty"` // expression
	Since                      time.Time         `json:",omitzero"`  // when the schedule began: what a rate counts from
	Description                string            `json:",omitempty"`
	Role                       string            `json:",omitempty"` // ARN
	ManagedBy                  string            `json:",omitempty"` // the principal of the service that the rule belongs to
	Tags                       map[string]string `json:",omitempty"`
}

// hearsAPI reports whether API calls can come to the rule: they come to default buses.
func (r *ruleRecord) hearsAPI() bool {
	return r.Bus == defaultBus && r.Pattern != "" && r.State != string(events.RuleStateDisabled)
}

func (r *ruleRecord) bus() busKey { return busKey{r.Account, r.Region, r.Bus} }

func (r *ruleRecord) arn(partition string) string {
	return ruleARN(call.Scope{Partition: partition, Account: r.Account, Region: r.Region}, r.Bus, r.Name)
}

// ruleARN names a rule of a bus.
func ruleARN(s call.Scope, bus, name string) string {
	if bus != defaultBus {
		name = bus + "/" + name
	}
	return s.ARN("events", "rule/"+name)
}

// targetRecord is a target of a rule.
type targetRecord struct {
	Bus, Rule, ID, Account, Region string
	ARN                            string
	Lane                           string          // tells its lane from those of targets that had the ID before it
	Role                           string          `json:",omitempty"`
	Input                          string          `json:",omitempty"` // at most one of Input, InputPath and Transformer is set
	InputPath                      string          `json:",omitempty"`
	Transformer                    *transformer    `json:",omitempty"`
	MessageGroup                   string          `json:",omitempty"` // of a FIFO queue
	DeadLetter                     string          `json:",omitempty"` // ARN of a queue
	MaxRetries                     *int32          `json:",omitempty"`
	MaxAge                         *int32          `json:",omitempty"` // in seconds
	HTTP                           *httpParameters `json:",omitempty"`
}

// transformer makes the input of a target.
type transformer struct {
	Paths    map[string]string `json:",omitempty"`
	Template string
}

// httpParameters are what requests to an API destination get beside what the connection gives.
type httpParameters struct {
	Path   []string          `json:",omitempty"` // values of the wildcards in the endpoint's path
	Header map[string]string `json:",omitempty"`
	Query  map[string]string `json:",omitempty"`
}

func (t *targetRecord) bus() busKey { return busKey{t.Account, t.Region, t.Bus} }

// ruleARN names the rule that the target belongs to.
func (t *targetRecord) ruleARN(partition string) string {
	return ruleARN(call.Scope{Partition: partition, Account: t.Account, Region: t.Region}, t.Bus, t.Rule)
}
