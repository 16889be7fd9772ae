package scheduler

import (
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// What is kept in the store, in the account and the region of each:
//
//	scheduler/ACCOUNT/REGION/group/NAME                  a group; the default one is there without a record, until it is tagged
//	scheduler/ACCOUNT/REGION/schedule/GROUP/NAME         a schedule
//	scheduler/ACCOUNT/REGION/gone/KIND/NAME/TOKEN        that a request with this client token deleted something; by the time until which it is kept: index "until"
//
// When a schedule is due next stands in its timer, of kind "fire": see fire.go. What it has fired and what is not delivered yet is in lanes of kind "target": see deliver.go.
var (
	groupTable    = store.NewTable("scheduler", "group", func(g *groupRecord) store.Key { return store.Key{g.Name} })
	scheduleTable = store.NewTable("scheduler", "schedule", func(r *scheduleRecord) store.Key { return store.Key{r.Group, r.Name} })
	goneTable     = store.NewTable("scheduler", "gone", func(g *goneRecord) store.Key { return store.Key{g.Kind, g.Name, g.Token} },
		store.Index[goneRecord]{Name: "until", Entries: func(g *goneRecord) []store.Key { return []store.Key{{g.Until}} }})
)

// groupRecord is a schedule group.
type groupRecord struct {
	Name              string
	Created, Modified time.Time
	Deleting          bool              `json:",omitempty"` // its schedules are being deleted, and then it is
	Tags              map[string]string `json:",omitempty"`
	Asked             asked             `json:",omitzero"`
}

func (g *groupRecord) arn(s call.Scope) string { return groupARN(s, g.Name) }

// scheduleRecord is a schedule.
type scheduleRecord struct {
	Group, Name       string
	Version           string // random, and another one after each update
	Created, Modified time.Time
	Description       string `json:",omitempty"`

	Expression string
	Zone       string
	Start, End *time.Time `json:",omitempty"`
	Anchor     time.Time  // of a rate: when it began
	Window     int32      `json:",omitempty"` // minutes, within which it fires; 0 is none
	Disabled   bool       `json:",omitempty"`
	Deletes    bool       `json:",omitempty"` // itself, when it has fired for the last time

	Target  targetRecord
	Key     string `json:",omitempty"` // the KMS key that was asked for
	DataKey []byte `json:",omitempty"` // which encrypts the target's input, encrypted by KMS
	Asked   asked  `json:",omitzero"`
}

func (r *scheduleRecord) arn(s call.Scope) string { return scheduleARN(s, r.Group, r.Name) }

// targetRecord is what a schedule invokes.
type targetRecord struct {
	ARN, Role                        string
	DeadLetters                      string `json:",omitempty"` // an ARN
	Source, DetailType, MessageGroup string `json:",omitempty"`
	Retries, Age                     int32  // MaximumRetryAttempts, MaximumEventAgeInSeconds
	Input                            []byte `json:",omitempty"` // sealed, or encrypted under the schedule's data key; nil is none
}

// asked is the request that made something, by its client token.
type asked struct {
	Token string
	Sum   []byte // of the request, sealed
}

// goneRecord says that something was deleted, for the client that asks again because it has got no answer.
type goneRecord struct {
	Kind  string // "group" or "schedule"
	Name  string // of the group, or group/schedule
	Token string
	Until time.Time
}

func groupARN(s call.Scope, name string) string { return s.ARN("scheduler", "schedule-group/"+name) }

func scheduleARN(s call.Scope, group, name string) string {
	return s.ARN("scheduler", "schedule/"+group+"/"+name)
}
