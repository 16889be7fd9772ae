package door

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/wire"
)

// ended is how a call ended: its zero value is success.
type ended struct{ code, message string }

func endedWith(err error, rt *route) ended {
	if err == nil {
		return ended{}
	}
	visible, _ := answerable(err, rt)
	code, message := told(visible)
	if code == "AccessDeniedException" {
		code = "AccessDenied" // as CloudTrail has it for every protocol
	}
	return ended{code, message}
}

// recording is the room in which the records of a call are made.
type recording struct {
	own        audit.Record
	list       [1]*audit.Record // most calls have no other
	parameters []byte
}

// recordings are used again once the records were written, which copies them.
var recordings = sync.Pool{New: func() any { return &recording{parameters: make([]byte, 0, parametersRoom)} }}

// parametersRoom is enough for the parameters of most calls, and maxParametersRoom for those whose room is kept.
const (
	parametersRoom    = 256
	maxParametersRoom = 4 << 10
)

func (s *recording) free() {
	s.own, s.list = audit.Record{}, [1]*audit.Record{}
	if cap(s.parameters) <= maxParametersRoom {
		recordings.Put(s)
	}
}

// records makes the audit records of a call, or of a timer if e is nil: those of the calls that the handler made, the call's own, and the event of the
// service that it raised. Each is made for the caller's account, and again for each other account that owns a resource of the call, with one shared
// event ID. They are in s, which is not used for anything else before they are done with.
func (d *Door) records(s *recording, c *call.Call, e *call.Endpoint, in, out wire.Shape, end ended) []*audit.Record {
	o := c.Outcome()
	records := o.Pending
	room := d.rooms[c.Service()]
	failed := end != ended{}
	if failed {
		records = takenBack(records)
	}
	if records == nil {
		records = s.list[:0]
	}
	r := audit.Record{
		Time: c.Time, Identity: userIdentity(c), Region: d.recordedIn(room, c.Scope), UserAgent: c.Source.UserAgent, RequestID: c.RequestID, EventID: c.EventID,
		Resources: o.Resources, Type: audit.APICall, Management: true, Recipient: c.Scope.Account, TLS: c.Source.TLS,
	}
	if c.Source.VPCEndpoint != "" {
		r.VPCEndpoint, r.VPCEndpointAccount = c.Source.VPCEndpoint, d.cfg.Account
	}
	copies := func() []byte { return copied(c) }
	switch {
	case c.Source.Service != "":
		r.SourceIP, r.UserAgent = c.Source.Service, c.Source.Service
	case c.Source.IP.IsValid():
		r.SourceIP = c.Source.IP.String()
	}
	trace := c.Trace().JSON()
	if e != nil {
		own, op := &s.own, e.Op
		*own = r
		own.Trace = trace
		own.ErrorCode, own.ErrorMessage = end.code, end.message
		own.Source, own.Name, own.ReadOnly = op.Service.EventSource, op.EventName, op.ReadOnly
		own.Management, own.AdditionalData = !room.DataEvents[op.Name], o.Additional
		if in != nil {
			s.parameters = audit.AppendNamed(s.parameters[:0], in, room.Recorded)
			own.RequestParameters = nonEmpty(s.parameters)
		}
		if out != nil && (!op.ReadOnly || op.RecordResponse) {
			own.ResponseElements = nonEmpty(audit.AppendNamed(nil, out, room.Recorded))
		}
		records = share(records, own, copies, op.RecordResponse)
		if o.Denied != nil {
			// Another account's resource is in its owner's record alone: whom it is kept from must not read in their own trail that it is there, or
			// which key an alias names.
			own.SharedEventID = ""
			own.Resources = slices.DeleteFunc(slices.Clone(own.Resources), func(r audit.Resource) bool { return r.Account != own.Recipient })
		}
	}
	if failed {
		return records
	}
	for _, there := range o.Elsewhere {
		// What the operation did in another region. Its parameters stand in the call's own record.
		elsewhere, op := r, there.Op
		elsewhere.Region, elsewhere.Resources, elsewhere.EventID = there.Scope.Region, there.Outcome().Resources, newID()
		elsewhere.Source, elsewhere.Name, elsewhere.ReadOnly = op.Service.EventSource, op.EventName, op.ReadOnly
		records = share(records, &elsewhere, copies, false)
	}
	for _, x := range o.Events {
		host := room.Service.EventSource
		event := r
		event.Identity, event.SourceIP, event.UserAgent, event.TLS = identity.Service(host).UserIdentity(), host, host, nil
		event.VPCEndpoint, event.VPCEndpointAccount = "", ""
		event.Type, event.Source, event.Name, event.ServiceDetails = audit.ServiceEvent, host, x.Name, x.Details
		event.AdditionalData, event.ErrorMessage = x.Additional, x.ErrorMessage
		event.EventID = newID()
		if x.RequestID != "" {
			event.RequestID = x.RequestID
		}
		if e == nil {
			event.Trace, trace = trace, nil // the only record of a timer
		}
		records = share(records, &event, func() []byte { return event.Identity }, false)
	}
	return records
}

// takenBack is what the records of a call's inner calls become when the call fails, and what they changed is taken back with the transaction: what services told
// to have done did not happen, and calls that succeeded say what became of it.
func takenBack(records []*audit.Record) (out []*audit.Record) {
	for _, r := range records {
		if r.Type == audit.ServiceEvent {
			continue
		}
		if !r.ReadOnly && r.ErrorCode == "" {
			undone := *r
			undone.ErrorCode, undone.ErrorMessage = "TransactionCanceled", "The call that this one was a part of failed, and the change was taken back."
			undone.ResponseElements = nil
			r = &undone
		}
		out = append(out, r)
	}
	return out
}

// recordedIn is the region that a call is on record in: of a global service, the partition's first, whichever region signed it. Where another process serves that one, and has a
// trail of its own, it stays here.
func (d *Door) recordedIn(room *Room, s call.Scope) string {
	if first := call.GlobalRegion(s.Partition); room.Service.Global && d.serves(first, false) {
		return first
	}
	return s.Region
}

// userIdentity is who calls, and which service passed the call on.
func userIdentity(c *call.Call) []byte { return invokedBy(c, c.Caller.UserIdentity()) }

// copied is userIdentity in the records of other accounts.
func copied(c *call.Call) []byte { return invokedBy(c, c.Caller.UserIdentityElsewhere()) }

func invokedBy(c *call.Call, id []byte) []byte {
	var by string
	switch {
	case len(c.Via) > 0:
		by = c.Via[len(c.Via)-1]
	case c.Source.Service != "" && c.Caller.Kind != policy.Service: // a session that the service has
		by = c.Source.Service
	default:
		return id
	}
	// The record is an object that is not empty: it has a type.
	return fmt.Appendf(nil, `%s,"invokedBy":%q}`, id[:len(id)-1], by)
}

// nonEmpty is nil for a JSON object without members, which CloudTrail writes as null.
func nonEmpty(object []byte) []byte {
	if string(object) == "{}" {
		return nil
	}
	return object
}

// share appends a record, and copies of it for the other accounts that it concerns. What another account's caller was answered is not their business, unless
// the answer is something of theirs, nor is who that is in the caller's account, beyond what id tells.
func share(records []*audit.Record, r *audit.Record, id func() []byte, theirs bool) []*audit.Record {
	first := len(records)
	records = append(records, r)
	for _, res := range r.Resources {
		if !identity.IsAccount(res.Account) || slices.ContainsFunc(records[first:], func(have *audit.Record) bool { return have.Recipient == res.Account }) {
			continue
		}
		if r.SharedEventID == "" {
			r.SharedEventID = newID()
		}
		copied := *r
		copied.EventID, copied.Recipient, copied.Identity = newID(), res.Account, id()
		if !theirs {
			copied.ResponseElements = nil
		}
		records = append(records, &copied)
	}
	return records
}

// tlsVersion is CloudTrail's spelling, e.g. TLSv1.3.
func tlsVersion(v uint16) string { return strings.Replace(tls.VersionName(v), "TLS ", "TLSv", 1) }

func cipherName(id uint16) string { return tls.CipherSuiteName(id) }
