package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Attribute is what events are looked up by, as CloudTrail names it.
type Attribute string

// The attributes of LookupEvents. The empty one stands for all events.
const (
	EventID      Attribute = "EventId"
	EventName    Attribute = "EventName"
	ReadOnly     Attribute = "ReadOnly"
	Username     Attribute = "Username"
	ResourceType Attribute = "ResourceType"
	ResourceName Attribute = "ResourceName"
	EventSource  Attribute = "EventSource"
	AccessKeyID  Attribute = "AccessKeyId"
)

// facts are what the trail is searched by, of one record.
type facts struct {
	at                     int64 // Unix nanoseconds; whole seconds in records of a version that kept no more
	event, request, shared string
	account, region        string
	name, source           string
	user, accessKey        string
	readOnly, management   bool
	resources              []Resource
}

// shown is the time that the record tells, which is in whole seconds.
func (f *facts) shown() int64 { return f.at - f.at%int64(time.Second) }

// has reports whether an attribute has a value in the record.
func (f *facts) has(a Attribute, value string) bool {
	switch a {
	case "":
		return true
	case EventID:
		return f.event == value
	case EventName:
		return f.name == value
	case ReadOnly:
		return truth(f.readOnly) == value
	case Username:
		return f.user == value && value != ""
	case EventSource:
		return f.source == value
	case AccessKeyID:
		return f.accessKey == value && value != ""
	case ResourceType, ResourceName:
		for _, r := range f.resources {
			if a == ResourceType && r.Type == value || a == ResourceName && r.Name() == value {
				return true
			}
		}
	}
	return false
}

func truth(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// Name is what CloudTrail's event history calls the resource: the ARN, or in IAM, whose names are known without one, the name.
func (r *Resource) Name() string {
	if _, rest, ok := strings.Cut(r.ARN, ":iam::"); ok {
		if _, name, ok := strings.Cut(rest, "/"); ok {
			return name[strings.LastIndexByte(name, '/')+1:]
		}
	}
	return r.ARN
}

func (r *Record) facts(n *names) facts {
	user, accessKey := n.who(r.Identity)
	return facts{
		at: r.Time.UnixNano(), event: r.EventID, request: r.RequestID, shared: r.SharedEventID, account: r.Recipient, region: r.Region,
		name: r.Name, source: r.Source, user: user, accessKey: accessKey, readOnly: r.ReadOnly, management: r.Management, resources: r.Resources,
	}
}

// identityJSON is what userIdentity tells of who it is.
type identityJSON struct {
	Type        string `json:"type"`
	UserName    string `json:"userName"`
	ARN         string `json:"arn"`
	AccessKeyID string `json:"accessKeyId"`
}

// username is the name of a user, "root", or the name of a session.
func (i *identityJSON) username() string {
	switch {
	case i.UserName != "":
		return i.UserName
	case i.Type == "Root":
		return "root"
	case i.Type == "AssumedRole" || i.Type == "FederatedUser":
		return i.ARN[strings.LastIndexByte(i.ARN, '/')+1:]
	}
	return ""
}

// who tells the user name and the access key ID of a userIdentity.
func who(identity []byte) (user, accessKey string) {
	var i identityJSON
	if json.Unmarshal(identity, &i) != nil {
		return "", ""
	}
	return i.username(), i.AccessKeyID
}

// names remembers what who tells: the same callers call again and again.
type names struct {
	mu    sync.RWMutex // guards known
	known map[string]named
}

type named struct{ user, accessKey string }

const maxNames = 4096

func (n *names) who(identity []byte) (user, accessKey string) {
	n.mu.RLock()
	x, ok := n.known[string(identity)]
	n.mu.RUnlock()
	if ok {
		return x.user, x.accessKey
	}
	x.user, x.accessKey = who(identity)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.known) >= maxNames || n.known == nil {
		n.known = make(map[string]named)
	}
	n.known[string(identity)] = x
	return x.user, x.accessKey
}

// recordJSON is how facts stand in a record.
type recordJSON struct {
	Event      string       `json:"eventID"`
	Request    string       `json:"requestID"`
	Shared     string       `json:"sharedEventID"`
	Account    string       `json:"recipientAccountId"`
	Region     string       `json:"awsRegion"`
	Name       string       `json:"eventName"`
	Source     string       `json:"eventSource"`
	Time       time.Time    `json:"eventTime"`
	ReadOnly   bool         `json:"readOnly"`
	Management bool         `json:"managementEvent"`
	Identity   identityJSON `json:"userIdentity"`
	Resources  []struct {
		Account string `json:"accountId"`
		Type    string `json:"type"`
		ARN     string `json:"ARN"`
	} `json:"resources"`
}

// factsOf reads the facts of a stored record.
func factsOf(stored []byte) (facts, error) {
	rec, _, nanos := splitStored(stored)
	var r recordJSON
	if err := json.Unmarshal(rec, &r); err != nil {
		return facts{}, fmt.Errorf("reading an audit record: %w", err)
	}
	f := facts{
		at: r.Time.UnixNano() + int64(nanos), event: r.Event, request: r.Request, shared: r.Shared, account: r.Account, region: r.Region,
		name: r.Name, source: r.Source, user: r.Identity.username(), accessKey: r.Identity.AccessKeyID, readOnly: r.ReadOnly, management: r.Management,
	}
	for _, x := range r.Resources {
		f.resources = append(f.resources, Resource{Account: x.Account, Type: x.Type, ARN: x.ARN})
	}
	return f, nil
}

// term is what an index knows of a value: a hash. Two values may have one, so what an index leads to is compared.
type term uint32

// terms are those of one record. The unique ones come first: they are in no other record of the segment, or in few.
type terms struct {
	all    []term
	unique int
}

// idTerm is the term of an ID, of an event or a request, wherever it was recorded.
func idTerm(id string) term { return term(xxhash.Sum64String(id) >> 32) }

// valueTerm is the term of a value in an account and a region: a hash of
//
//	account | 0 | region | 0 | attribute | 0 | value
func valueTerm(account, region string, a Attribute, value string) term {
	return hashed(appendValue(appendScope(make([]byte, 0, termRoom), account, region), a, value))
}

// termRoom is enough to hash most values.
const termRoom = 256

func appendScope(b []byte, account, region string) []byte {
	return append(append(append(append(b, account...), 0), region...), 0)
}

func appendValue(b []byte, a Attribute, value string) []byte {
	return append(append(append(b, a...), 0), value...)
}

func hashed(b []byte) term { return term(xxhash.Sum64(b) >> 32) }

// termsRoom is enough for the terms of most records.
const termsRoom = 12

// appendTerms appends the terms of a record to t, and returns it, too.
func (f *facts) appendTerms(t []term) ([]term, terms) {
	start := len(t)
	for _, id := range []string{f.event, f.request, f.shared} {
		if id != "" {
			t = append(t, idTerm(id))
		}
	}
	unique := len(t) - start
	b := appendScope(make([]byte, 0, termRoom), f.account, f.region)
	scope := len(b)
	add := func(a Attribute, value string) {
		b = appendValue(b[:scope], a, value)
		t = append(t, hashed(b))
	}
	add("", "")
	add(EventName, f.name)
	add(ReadOnly, truth(f.readOnly))
	add(EventSource, f.source)
	if f.user != "" {
		add(Username, f.user)
	}
	if f.accessKey != "" {
		add(AccessKeyID, f.accessKey)
	}
	for i := range f.resources {
		add(ResourceType, f.resources[i].Type)
		add(ResourceName, f.resources[i].Name())
	}
	return t, terms{t[start:], unique}
}
