package wire

// A ProtocolID names one of the AWS protocols.
type ProtocolID string

// The protocols, as the service models name them.
const (
	AWSJSON   ProtocolID = "json" // 1.0 and 1.1, see Service.JSONVersion
	RESTJSON  ProtocolID = "rest-json"
	RESTXML   ProtocolID = "rest-xml"
	Query     ProtocolID = "query"
	EC2Query  ProtocolID = "ec2"
	RPCv2CBOR ProtocolID = "smithy-rpc-v2-cbor"
	XKS       ProtocolID = "xks-json" // of AWS KMS external key store proxies; the name is ours, for there is no model
)

// Service is the part of a service model that is about the service as a whole.
type Service struct {
	Package    string // of the generated Go code and the folder of the model, e.g. "kms"
	ID         string // the SDKs' service id, e.g. "Secrets Manager"
	FullName   string
	APIVersion string

	EndpointPrefix string // first label of the AWS host name, e.g. "kms"
	SigningName    string // service in the credential scope
	ActionPrefix   string // of IAM actions, e.g. "kms"
	EventSource    string // in audit records, e.g. "kms.amazonaws.com"
	Global         bool   // one endpoint for all regions of a partition

	Protocols       []ProtocolID // as the model lists them; the first is the preferred one
	TargetPrefix    string       // awsJson: X-Amz-Target is TargetPrefix + "." + operation
	JSONVersion     string       // "1.0" or "1.1"
	XMLNamespace    string
	QueryCompatible bool // errors also carry the codes of the query protocol

	// Unbuilt are the operations of the model that the generated package has no types for: they are known,
	// and answered by name as not implemented.
	Unbuilt []Unbuilt
}

// Unbuilt is an operation that the model has and the generated package has not.
type Unbuilt struct {
	Name, Method, URI string
}

// AccessLevel is the sort of access an IAM action gives.
type AccessLevel string

// The access levels of the Service Authorization Reference.
const (
	AccessList        AccessLevel = "List"
	AccessRead        AccessLevel = "Read"
	AccessWrite       AccessLevel = "Write"
	AccessTagging     AccessLevel = "Tagging"
	AccessPermissions AccessLevel = "Permissions management"
)

// Operation is one operation of a service: how it travels, and how it is authorized and recorded.
type Operation struct {
	Service *Service
	Name    string

	Method       string
	URI          string // template, e.g. "/{Bucket}/{Key+}?acl"
	ResponseCode int    // on success; 0 means 200
	HostPrefix   string // e.g. "{AccountId}."

	NewInput  func() Shape // for an operation without input, an empty structure
	NewOutput func() Shape
	Errors    []*Schema // the errors that the model lists

	InputName      string // root element of a restXml request body where not the shape's name
	InputNamespace string
	ResultWrapper  string // query: element around the result

	NoAuth           bool // callable without a signature, e.g. sts:AssumeRoleWithWebIdentity
	UnsignedPayload  bool
	ChecksumRequired bool
	StreamingInput   bool
	StreamingOutput  bool
	BodyLimit        int64 // bytes; of a buffered request body

	// Action is the IAM action, "kms:Encrypt". Access, Resources (ARN templates with ${Partition} and so
	// on) and ConditionKeys come from the Service Authorization Reference; empty where it knows nothing.
	Action   string
	Access   AccessLevel
	ReadOnly bool // as the audit record tells it
	// RecordResponse: the audit record has the response although the operation is read-only, and so have the copies for the owners of its resources: it gives out
	// credentials of theirs.
	RecordResponse bool
	EventName      string // in audit records; mostly Name
	Resources      []ResourceType
	ConditionKeys  []string
}

// ResourceType is a kind of resource that an action is authorized on.
type ResourceType struct {
	Name     string // e.g. "key"
	ARN      string // e.g. "arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}"
	Required bool
}
