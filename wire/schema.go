// Package wire speaks the AWS protocols: it turns HTTP requests into typed Go shapes and typed shapes
// into HTTP responses, and does the same from the client's side.
//
// Each shape of a service model is a generated Go type that can write its members to a [Writer] and read
// them from a [Reader], and names the [Schema] that says how each member travels. A protocol (awsJson,
// restJson, restXml, query, ec2Query, Smithy RPC v2 CBOR) is a pair of such a Writer and Reader. So is
// everything else that walks a shape: [Validate] is a Writer that checks constraints, and the audit trail
// is a Writer that hides sensitive members. Generated code therefore exists once per shape, not once per
// shape and protocol.
package wire

import "sync/atomic"

// Kind is the sort of value that a schema describes.
type Kind uint8

// The kinds of the Smithy model that AWS services use.
const (
	Struct Kind = iota + 1
	Union
	List
	Map
	String
	Enum
	Blob
	Boolean
	Integer // 32 bits
	Long    // 64 bits
	Float   // 32 bits
	Double  // 64 bits
	Timestamp
	Document
)

// Location says in which part of an HTTP message a member of a REST operation travels. The other
// protocols put everything into the body.
type Location uint8

const (
	InBody Location = iota
	InHeader
	InHeaders // a map of headers with a common prefix, Member.LocationName
	InQuery
	InQueryMap // a map of query parameters
	InURI
	InStatus // the response status code
)

// TimestampFormat is the form in which a timestamp is written; zero means the protocol's default for the
// place the timestamp stands in.
type TimestampFormat uint8

const (
	DefaultTime TimestampFormat = iota
	EpochSeconds
	DateTime // RFC 3339, in UTC
	HTTPDate // RFC 9110, section 5.6.7
)

// Schema describes a shape of a service model. Schemas are generated, and are not changed after
// package initialization.
type Schema struct {
	Name string
	Kind Kind

	Members []Member // Struct and Union, in the order of the model; Member.Index is the place in it
	Key     *Member  // Map
	Elem    *Member  // List element or Map value

	Constraint *Constraint // nil when the model states none
	Error      *ErrorTrait // not nil for a modelled error

	Sensitive       bool
	Sparse          bool // List or Map that may hold nulls
	Flattened       bool // List or Map without a wrapping element (restXml, query)
	Streaming       bool // Blob that is not buffered
	TimestampFormat TimestampFormat

	// Payload is the member whose value alone is the HTTP body of a REST message, or nil.
	Payload *Member

	// LocationName and XMLNamespace override the element name and namespace where the shape is an XML root.
	LocationName string
	XMLNamespace string
}

// Constraint is what the model demands of a value. Min and Max are lengths of strings (in UTF-16 code
// units, as the service counts them), blobs, lists and maps, and values of numbers.
type Constraint struct {
	Min, Max       float64
	HasMin, HasMax bool
	Inside         float64  // the maximum for what one service of the cloud hands another, see ValidateInside; 0 for the same
	Pattern        string   // a regular expression that the whole value has to match, or ""
	Enum           []string // in the order of the model

	compiled atomic.Pointer[func(string) bool] // Pattern, when it was first needed
}

// ErrorTrait says how a modelled error is rendered.
type ErrorTrait struct {
	Code   string // on the wire; mostly the shape's name
	Status int    // HTTP status
	Fault  bool   // the server's fault, not the sender's
	// QueryCode and QueryStatus are used towards clients that still expect the query protocol
	// (awsQueryCompatible); QueryCode is "" when it is the same as Code.
	QueryCode   string
	QueryStatus int

	New func() Shape // an empty error of the generated type, for a client to decode into
}

// Member is a use of a shape: a member of a structure, a list's element, a map's key or value.
type Member struct {
	Name   string // AWS's spelling, e.g. "KeyId"
	Index  int    // place in Schema.Members
	Target *Schema

	Required         bool
	Sensitive        bool // of the member or of its target
	IdempotencyToken bool
	HostLabel        bool
	Flattened        bool
	XMLAttribute     bool

	Location     Location
	LocationName string // the name on the wire where it differs from Name, else ""
	QueryName    string // in the query protocols, where the name is another one there: of any member in ec2Query, and of a map without a wrapping element in query
	XMLNamespace string
	XMLPrefix    string

	TimestampFormat TimestampFormat
}

// WireName is the name the member has in a JSON, CBOR or XML body.
func (m *Member) WireName() string {
	if m.LocationName != "" {
		return m.LocationName
	}
	return m.Name
}

// Member returns the member of a structure by its wire name, or nil.
func (s *Schema) Member(wireName string) *Member {
	for i := range s.Members {
		if m := &s.Members[i]; m.WireName() == wireName {
			return m
		}
	}
	return nil
}
