package cloudtrail

import (
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// trailRecord is a trail. It lives in the account that owns it, in its home region. An organization's trails are the management account's, whoever made them.
type trailRecord struct {
	Account, Region string // where it lives
	Name            string
	Created         time.Time

	Bucket string
	Prefix string `json:",omitempty"` // of the log files' names: what lies before "/AWSLogs"
	Key    string `json:",omitempty"` // ARN of the KMS key under which log files are encrypted

	Topic             string `json:",omitempty"` // ARN of the SNS topic that is told of log files
	LogGroup, LogRole string `json:",omitempty"` // ARNs of the log group that gets the events, with ":*", and of the role that sends them there

	MultiRegion  bool   `json:",omitempty"`
	GlobalEvents bool   `json:",omitempty"` // has the events of global services, such as IAM
	Validation   bool   `json:",omitempty"` // digest files are delivered
	Organization string `json:",omitempty"` // ID of the organization whose trail it is, or empty

	// At most one of Basic and Advanced is there. With neither, the trail has all management events.
	Basic    []eventselect.BasicSelector `json:",omitempty"`
	Advanced []eventselect.Selector      `json:",omitempty"`
	Insights []insightSelector           `json:",omitempty"`

	Logging bool
	Started time.Time `json:",omitzero"` // when it last began to log
	Stopped time.Time `json:",omitzero"` // when it last ended
}

// insightSelector is a kind of Insights events that a trail has, and what it is watched in.
type insightSelector struct {
	Type       cloudtrail.InsightType
	Categories []cloudtrail.SourceEventCategory `json:",omitempty"`
}

// statusRecord tells how the delivery of a trail does. Delivery alone writes it.
type statusRecord struct {
	Name string // of the trail

	Attempt   time.Time `json:",omitzero"`  // the last try to deliver a log file
	Succeeded time.Time `json:",omitzero"`  // the last try that succeeded
	Delivered time.Time `json:",omitzero"`  // when a log file was last delivered
	Error     string    `json:",omitempty"` // what S3 said to the last try, e.g. NoSuchBucket

	DigestDelivered time.Time `json:",omitzero"`
	DigestError     string    `json:",omitempty"`

	Notified    time.Time `json:",omitzero"` // when the topic was last told of a file
	NotifyError string    `json:",omitempty"`
	Logged      time.Time `json:",omitzero"` // when the log group last got events
	LogError    string    `json:",omitempty"`
}

// tagsRecord has the tags of a trail, a channel or an event data store.
type tagsRecord struct {
	ARN  string
	Tags map[string]string
}

// policyRecord is the resource policy of a channel or an event data store.
type policyRecord struct {
	ARN      string
	Document string        // as it was given, byte for byte
	Pins     identity.Pins `json:",omitempty"` // of Document
}

// Stored as (see store.Table), all in the account and home region of what they are about:
//
//	cloudtrail / account / region / trail / name   → trailRecord   (indexes, global: trail.account: account; trail.organization: its ID; trail.logging)
//	cloudtrail / account / region / status / name  → statusRecord
//	cloudtrail / account / region / tags / ARN     → tagsRecord
//	cloudtrail / account / region / policy / ARN   → policyRecord
var (
	trailTable = store.NewTable("cloudtrail", "trail", func(r *trailRecord) store.Key { return store.Key{r.Name} },
		store.Index[trailRecord]{Name: "account", Global: true, Entries: func(r *trailRecord) []store.Key { return []store.Key{{r.Account}} }},
		store.Index[trailRecord]{Name: "organization", Global: true, Entries: func(r *trailRecord) []store.Key {
			if r.Organization == "" {
				return nil
			}
			return []store.Key{{r.Organization}}
		}},
		store.Index[trailRecord]{Name: "logging", Global: true, Entries: func(r *trailRecord) []store.Key {
			if !r.Logging {
				return nil
			}
			return []store.Key{{}}
		}})
	statusTable = store.NewTable("cloudtrail", "status", func(r *statusRecord) store.Key { return store.Key{r.Name} })
	tagsTable   = store.NewTable("cloudtrail", "tags", func(r *tagsRecord) store.Key { return store.Key{r.ARN} })
	policyTable = store.NewTable("cloudtrail", "policy", func(r *policyRecord) store.Key { return store.Key{r.ARN} })
)

// arn names the trail.
func (t *trailRecord) arn(partition string) string {
	return call.Scope{Partition: partition, Account: t.Account, Region: t.Region}.ARN("cloudtrail", "trail/"+t.Name)
}

// covers reports whether an account's events of a region are the trail's to keep, as far as its selectors let them. The account is in the organization org, if any.
// Those of global services lie in one region, and a trail may leave them out.
func (t *trailRecord) covers(account, org, region string, global bool) bool {
	if account != t.Account && (t.Organization == "" || org != t.Organization) {
		return false
	}
	return (t.MultiRegion || region == t.Region) && (t.GlobalEvents || !global)
}

// matcher is what the selectors let through.
func (t *trailRecord) matcher() (*eventselect.Matcher, error) {
	if t.Advanced != nil {
		return eventselect.Compile(t.Advanced)
	}
	return eventselect.Compile(eventselect.Basic(t.basic()))
}

// basic are the basic selectors: those of a trail that has none of its own, where it needs them.
func (t *trailRecord) basic() []eventselect.BasicSelector {
	if t.Basic == nil {
		return []eventselect.BasicSelector{{ReadWrite: eventselect.All, Management: true}}
	}
	return t.Basic
}

// logging returns all trails that log, of all accounts and regions. It costs what there are of them.
func logging(r store.Reader) ([]*trailRecord, error) {
	return trails(r, store.Query{Index: "logging"})
}

// trails returns the trails that a global index finds.
func trails(r store.Reader, q store.Query) (found []*trailRecord, err error) {
	for t, err := range trailTable.In("", "").Scan(r, q) {
		if err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	return found, nil
}
