// Package audit keeps the record of every call: who did what, from where, to which resources, and how it
// ended, in the form that CloudTrail gives its events.
//
// The record of a call that changed something commits in the call's own transaction ([Trail.Commit]), so
// there is no change without its record and no record without its change. The records of all other calls
// (reads, cryptographic operations, refusals) go to an append-only log beside the store ([Trail.Append]).
// A record is handed to the operating system before its call is answered, so killing the process loses
// none; it is fsynced in groups, within [Config].Sync, so losing power loses at most that much.
//
// Records of changes move into the log soon after ([Trail.Run]), so that the log is the one ordered stream of
// all records ([Trail.Read]), and complete segments of it into a blob store ([Config].Archive).
package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/wire"
)

// Event types of CloudTrail.
const (
	APICall      = "AwsApiCall"
	ServiceEvent = "AwsServiceEvent"
)

// Record is one event. Its JSON form is CloudTrail's record, version 1.11:
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
type Record struct {
	Time     time.Time
	Identity []byte // userIdentity, as JSON

	Source    string // e.g. kms.amazonaws.com
	Name      string // e.g. Encrypt
	Region    string
	SourceIP  string
	UserAgent string

	ErrorCode    string // empty when the call succeeded
	ErrorMessage string // of what failed; events of services have one without a code

	RequestParameters []byte // JSON, or nil for null
	ResponseElements  []byte // JSON, or nil for null
	AdditionalData    []byte // additionalEventData, JSON, or nil to leave it out
	ServiceDetails    []byte // serviceEventDetails, JSON, or nil to leave it out

	RequestID     string
	EventID       string
	SharedEventID string // the same in the records of one event in several accounts; "" in one account

	ReadOnly   bool
	Resources  []Resource
	Type       string // APICall or ServiceEvent
	Management bool   // a management event; a data event otherwise
	Recipient  string // account that the record is for

	VPCEndpoint, VPCEndpointAccount string // that the call came through, or empty

	TLS *TLS // nil off TLS

	// Trace is why the call was allowed or denied, as JSON in one line, or nil. It is kept beside the record, and no account sees it.
	Trace []byte
}

// Resource is a resource that a call touched.
type Resource struct {
	Account string
	Type    string // e.g. AWS::KMS::Key
	ARN     string
}

// TLS tells how the caller's connection was protected.
type TLS struct {
	Version string // TLSv1.3
	Cipher  string // TLS_AES_128_GCM_SHA256
	Host    string // the name the client asked for
}

// timeFormat is CloudTrail's: UTC, in seconds. Package time writes it without looking at the layout.
const timeFormat = time.RFC3339

// AppendJSON appends the record as one line of JSON without a line break.
func (r *Record) AppendJSON(b []byte) []byte {
	b = append(b, `{"eventVersion":"1.11","userIdentity":`...)
	b = appendRaw(b, r.Identity)
	b = append(b, `,"eventTime":"`...)
	b = r.Time.UTC().AppendFormat(b, timeFormat)
	b = append(b, `","eventSource":`...)
	b = wire.AppendJSONString(b, r.Source)
	b = append(b, `,"eventName":`...)
	b = wire.AppendJSONString(b, r.Name)
	b = append(b, `,"awsRegion":`...)
	b = wire.AppendJSONString(b, r.Region)
	b = append(b, `,"sourceIPAddress":`...)
	b = wire.AppendJSONString(b, r.SourceIP)
	b = append(b, `,"userAgent":`...)
	b = wire.AppendJSONString(b, cut(r.UserAgent))
	if r.ErrorCode != "" {
		b = append(b, `,"errorCode":`...)
		b = wire.AppendJSONString(b, r.ErrorCode)
	}
	if r.ErrorMessage != "" {
		b = append(b, `,"errorMessage":`...)
		b = wire.AppendJSONString(b, cut(r.ErrorMessage))
	}
	b = append(b, `,"requestParameters":`...)
	b = appendRaw(b, r.RequestParameters)
	b = append(b, `,"responseElements":`...)
	b = appendRaw(b, r.ResponseElements)
	if r.AdditionalData != nil {
		b = append(b, `,"additionalEventData":`...)
		b = appendRaw(b, r.AdditionalData)
	}
	if r.ServiceDetails != nil {
		b = append(b, `,"serviceEventDetails":`...)
		b = appendRaw(b, r.ServiceDetails)
	}
	b = append(b, `,"requestID":`...)
	b = wire.AppendJSONString(b, r.RequestID)
	b = append(b, `,"eventID":`...)
	b = wire.AppendJSONString(b, r.EventID)
	b = append(b, `,"readOnly":`...)
	b = strconv.AppendBool(b, r.ReadOnly)
	if len(r.Resources) > 0 {
		b = append(b, `,"resources":[`...)
		start := len(b)
		for i, x := range r.Resources {
			if len(b)-start > maxParameters {
				break
			}
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"accountId":`...)
			b = wire.AppendJSONString(b, x.Account)
			if x.Type != "" {
				b = append(b, `,"type":`...)
				b = wire.AppendJSONString(b, x.Type)
			}
			b = append(b, `,"ARN":`...)
			b = wire.AppendJSONString(b, x.ARN)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	b = append(b, `,"eventType":`...)
	b = wire.AppendJSONString(b, r.Type)
	b = append(b, `,"managementEvent":`...)
	b = strconv.AppendBool(b, r.Management)
	b = append(b, `,"recipientAccountId":`...)
	b = wire.AppendJSONString(b, r.Recipient)
	if r.SharedEventID != "" {
		b = append(b, `,"sharedEventID":`...)
		b = wire.AppendJSONString(b, r.SharedEventID)
	}
	if r.VPCEndpoint != "" {
		b = append(b, `,"vpcEndpointId":`...)
		b = wire.AppendJSONString(b, r.VPCEndpoint)
		b = append(b, `,"vpcEndpointAccountId":`...)
		b = wire.AppendJSONString(b, r.VPCEndpointAccount)
	}
	if r.Management {
		b = append(b, `,"eventCategory":"Management"`...)
	} else {
		b = append(b, `,"eventCategory":"Data"`...)
	}
	if t := r.TLS; t != nil {
		b = append(b, `,"tlsDetails":{"tlsVersion":`...)
		b = wire.AppendJSONString(b, t.Version)
		b = append(b, `,"cipherSuite":`...)
		b = wire.AppendJSONString(b, t.Cipher)
		b = append(b, `,"clientProvidedHostHeader":`...)
		b = wire.AppendJSONString(b, cut(t.Host))
		b = append(b, '}')
	}
	return append(b, '}')
}

// appendStored appends the record as it is kept: the line of AppendJSON, the trace in a line of its own behind it, which may be empty, and what the record's
// time has beyond its seconds.
//
//	record, JSON | \n | trace, JSON | \n | nanoseconds, decimal
//	record, JSON | \n | trace, JSON            by earlier versions
//	record, JSON                              by earlier versions
//
// In JSON without line breaks of its own nothing that a caller sends can look like the end of a line, so readers cut there without looking at what they cut.
func (r *Record) appendStored(b []byte) []byte {
	start := len(b)
	b = r.AppendJSON(b)
	if bytes.IndexByte(b[start:], '\n') >= 0 { // somebody's ServiceDetails were made for people
		b = oneLine(b, start)
	}
	b = append(b, '\n')
	if len(b)-start+len(r.Trace) <= maxRecord-16 {
		b = append(b, r.Trace...)
	}
	return strconv.AppendInt(append(b, '\n'), int64(r.Time.Nanosecond()), 10)
}

// oneLine takes the line breaks out of the JSON at the end of b. In what is no JSON they become spaces.
func oneLine(b []byte, start int) []byte {
	var line bytes.Buffer
	if json.Compact(&line, b[start:]) == nil {
		return append(b[:start], line.Bytes()...)
	}
	for i := start; i < len(b); i++ {
		if b[i] == '\n' {
			b[i] = ' '
		}
	}
	return b
}

// splitStored takes apart what appendStored put together.
func splitStored(stored []byte) (record, trace []byte, nanos int) {
	record, rest, _ := bytes.Cut(stored, []byte{'\n'})
	trace, digits, _ := bytes.Cut(rest, []byte{'\n'})
	nanos, err := strconv.Atoi(string(digits))
	if err != nil || nanos < 0 || nanos >= int(time.Second) {
		nanos = 0
	}
	return record, trace, nanos
}

// Limits of CloudTrail's, so that no caller can make a record that is too large to be kept: texts are cut, parameters left out, and of many resources the
// first ones named.
const (
	maxText       = 1 << 10
	maxParameters = 100 << 10
)

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "")
}

func appendRaw(b, raw []byte) []byte {
	if raw == nil || len(raw) > maxParameters {
		return append(b, "null"...)
	}
	return append(b, raw...)
}
