// Package apigen generates the packages under api/ from service models in botocore's layout and from the
// IAM reference data: types, schemas, errors, operation tables, handlers and clients. See the command in
// cmd/apigen.
//
// It reads a model (model.go), makes the few things regular that models write in several ways
// (normalize.go), chooses Go names (names.go), and prints one file a concern (emit*.go). What no rule
// covers stands in the table of special.go, with its reason.
package apigen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Model is one service-2.json. The fields carry the names of the format.
type Model struct {
	Folder  string `json:"-"` // of the service, e.g. "acm-pca"
	Version string `json:"-"` // of the API, the folder below, e.g. "2017-08-22"

	Metadata   Metadata              `json:"metadata"`
	Operations map[string]*Operation `json:"operations"`
	Shapes     map[string]*Shape     `json:"shapes"`
}

// Metadata is the part of a model about the service as a whole.
type Metadata struct {
	EndpointPrefix     string          `json:"endpointPrefix"`
	GlobalEndpoint     string          `json:"globalEndpoint"`
	JSONVersion        string          `json:"jsonVersion"`
	Protocol           string          `json:"protocol"`
	Protocols          []string        `json:"protocols"`
	ServiceFullName    string          `json:"serviceFullName"`
	ServiceID          string          `json:"serviceId"`
	SigningName        string          `json:"signingName"`
	TargetPrefix       string          `json:"targetPrefix"`
	XMLNamespace       string          `json:"xmlNamespace"`
	AWSQueryCompatible json.RawMessage `json:"awsQueryCompatible"`
}

// Operation is an operation of a model.
type Operation struct {
	HTTP struct {
		Method       string `json:"method"`
		RequestURI   string `json:"requestUri"`
		ResponseCode int    `json:"responseCode"`
	} `json:"http"`
	Input  *Ref  `json:"input"`
	Output *Ref  `json:"output"`
	Errors []Ref `json:"errors"`

	ReadOnly bool     `json:"readonly"`
	AuthType string   `json:"authtype"`
	Auth     []string `json:"auth"`
	Endpoint struct {
		HostPrefix string `json:"hostPrefix"`
	} `json:"endpoint"`
	UnsignedPayload      bool `json:"unsignedPayload"`
	HTTPChecksumRequired bool `json:"httpChecksumRequired"`
	HTTPChecksum         struct {
		RequestChecksumRequired bool `json:"requestChecksumRequired"`
	} `json:"httpChecksum"`
}

// Ref is a use of a shape, with the traits that stand at the use.
type Ref struct {
	Shape            string        `json:"shape"`
	Location         string        `json:"location"`
	LocationName     string        `json:"locationName"`
	QueryName        string        `json:"queryName"`
	ResultWrapper    string        `json:"resultWrapper"`
	XMLNamespace     *XMLNamespace `json:"xmlNamespace"`
	TimestampFormat  string        `json:"timestampFormat"`
	Enum             []string      `json:"enum"`
	XMLAttribute     bool          `json:"xmlAttribute"`
	Flattened        bool          `json:"flattened"`
	Streaming        bool          `json:"streaming"`
	HostLabel        bool          `json:"hostLabel"`
	IdempotencyToken bool          `json:"idempotencyToken"`
	Sensitive        bool          `json:"sensitive"`

	Required bool `json:"-"` // set from the structure's list
}

// XMLNamespace is the namespace of an element and the prefix it is declared with.
type XMLNamespace struct {
	Prefix string `json:"prefix"`
	URI    string `json:"uri"`
}

// Shape is a type of a model.
type Shape struct {
	Type string `json:"type"`

	Members  Members  `json:"members"`
	Required []string `json:"required"`
	Payload  string   `json:"payload"`
	Member   *Ref     `json:"member"`
	Key      *Ref     `json:"key"`
	Value    *Ref     `json:"value"`

	Enum    []string `json:"enum"`
	Min     *float64 `json:"min"`
	Max     *float64 `json:"max"`
	Pattern string   `json:"pattern"`

	LocationName    string        `json:"locationName"`
	XMLNamespace    *XMLNamespace `json:"xmlNamespace"`
	TimestampFormat string        `json:"timestampFormat"`
	Sensitive       bool          `json:"sensitive"`
	Flattened       bool          `json:"flattened"`
	Streaming       bool          `json:"streaming"`
	Union           bool          `json:"union"`
	Document        bool          `json:"document"`
	EventStream     bool          `json:"eventstream"`

	Exception bool        `json:"exception"`
	Fault     bool        `json:"fault"`
	Error     *ErrorTrait `json:"error"`

	Name string `json:"-"`

	inside float64 // see special
}

// ErrorTrait is what a model says about an error beyond its members.
type ErrorTrait struct {
	Code           string `json:"code"`
	HTTPStatusCode int    `json:"httpStatusCode"`
	Fault          bool   `json:"fault"`

	queryStatus int // see queryProtocol; 0 is HTTPStatusCode
}

// Member is a named use of a shape in a structure.
type Member struct {
	Name string
	Ref
}

// Members keeps the order of the model, which is the order on the wire.
type Members []Member

// UnmarshalJSON reads an object without losing its order.
func (m *Members) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		member := Member{Name: name.(string)}
		if err := d.Decode(&member.Ref); err != nil {
			return fmt.Errorf("member %s: %w", member.Name, err)
		}
		*m = append(*m, member)
	}
	return nil
}

// find returns the member of a structure with the given name, or nil.
func (m Members) find(name string) *Member {
	if i := slices.IndexFunc(m, func(x Member) bool { return x.Name == name }); i >= 0 {
		return &m[i]
	}
	return nil
}

// markSensitive marks a shape, or a member of a structure, as sensitive.
func (m *Model) markSensitive(name string) error {
	structure, member, isMember := strings.Cut(name, ".")
	s := m.Shapes[structure]
	switch {
	case s != nil && !isMember:
		s.Sensitive = true
		return nil
	case s != nil && s.Members.find(member) != nil:
		s.Members.find(member).Sensitive = true
		return nil
	}
	return fmt.Errorf("the model of %s has no %s", m.Folder, name)
}

// Folders lists the services in a folder of models, sorted.
func Folders(models string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(models, "*", "*", "service-2.json"))
	if err != nil {
		return nil, err
	}
	var folders []string
	for _, p := range paths {
		folders = append(folders, filepath.Base(filepath.Dir(filepath.Dir(p))))
	}
	slices.Sort(folders)
	return slices.Compact(folders), nil
}

// ReadModel reads the newest version of a service's model.
func ReadModel(models, folder string) (*Model, error) {
	paths, err := filepath.Glob(filepath.Join(models, folder, "*", "service-2.json"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no model of %q in %s", folder, models)
	}
	path := slices.Max(paths) // versions are dates
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &Model{Folder: folder, Version: filepath.Base(filepath.Dir(path))}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if err := m.normalize(); err != nil {
		return nil, fmt.Errorf("model of %s: %w", folder, err)
	}
	return m, nil
}
