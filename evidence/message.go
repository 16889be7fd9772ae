package evidence

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/seal"
)

// Sealer is what encrypts messages: a *seal.Keyring.
type Sealer interface {
	Wrap(place seal.Place, plaintext []byte) ([]byte, error)
	Unwrap(place seal.Place, wrapped []byte) ([]byte, error)
}

// ErrMessage is returned for a message that was not made for the account, or was changed: sts:DecodeAuthorizationMessage calls it
// InvalidAuthorizationMessageException.
var ErrMessage = errors.New("not an authorization message of this account")

// Failure is a denial as its caller may see it.
type Failure struct {
	ID, Name, ARN string // of the principal
	Action        string
	Resource      string
	Explicit      bool
	Statement     *policy.Statement   // that denied, if it is of the principal's own policies
	Values        map[string][]string // that policies looked at
}

// The document of sts:DecodeAuthorizationMessage:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
type document struct {
	Allowed      bool            `json:"allowed"`
	ExplicitDeny bool            `json:"explicitDeny"`
	Matched      items[matched]  `json:"matchedStatements"`
	Failures     items[struct{}] `json:"failures"`
	Context      docContext      `json:"context"`
}

type items[T any] struct {
	Items []T `json:"items"`
}

type value struct {
	Value string `json:"value"`
}

type keyValues struct {
	Key    string       `json:"key"`
	Values items[value] `json:"values"`
}

type matched struct {
	StatementID     string           `json:"statementId"`
	Effect          string           `json:"effect"`
	Principals      items[value]     `json:"principals"`
	PrincipalGroups items[value]     `json:"principalGroups"`
	Actions         items[value]     `json:"actions"`
	Resources       items[value]     `json:"resources"`
	Conditions      items[keyValues] `json:"conditions"`
}

type docContext struct {
	Principal struct {
		ID   string `json:"id"`
		Name string `json:"name,omitempty"`
		ARN  string `json:"arn"`
	} `json:"principal"`
	Action     string           `json:"action"`
	Resource   string           `json:"resource"`
	Conditions items[keyValues] `json:"conditions"`
}

func list(texts ...string) items[value] {
	out := items[value]{Items: []value{}}
	for _, t := range texts {
		out.Items = append(out.Items, value{t})
	}
	return out
}

// document is what the caller reads after decoding.
func (f *Failure) document() *document {
	d := &document{ExplicitDeny: f.Explicit}
	d.Matched.Items, d.Failures.Items, d.Context.Conditions.Items = []matched{}, []struct{}{}, []keyValues{}
	p := &d.Context.Principal
	p.ID, p.Name, p.ARN = f.ID, f.Name, f.ARN
	d.Context.Action, d.Context.Resource = f.Action, f.Resource
	if s := f.Statement; s != nil {
		m := matched{
			StatementID: s.Sid, Effect: strings.ToUpper(s.Effect), Principals: list(f.ID), PrincipalGroups: list(), Actions: list(s.Actions...), Resources: list(s.Resources...),
			Conditions: items[keyValues]{Items: []keyValues{}},
		}
		for _, c := range s.Conditions {
			m.Conditions.Items = append(m.Conditions.Items, keyValues{c.Key, list(c.Values...)})
		}
		d.Matched.Items = append(d.Matched.Items, m)
	}
	for _, key := range slices.Sorted(maps.Keys(f.Values)) {
		if values := f.Values[key]; len(values) > 0 { // what was absent AWS leaves out
			d.Context.Conditions.Items = append(d.Context.Conditions.Items, keyValues{key, list(values...)})
		}
	}
	return d
}

// maxMessage is the length that an encoded message may have: it travels in a header.
const maxMessage = 6 << 10

// Encode returns the message of a denial, readable only through Decode for the same account: that of the caller. What makes it too long for a header is
// left out: the values first, then the statement.
func Encode(s Sealer, account string, f *Failure) (string, error) {
	d := f.document()
	for drop := 0; ; drop++ {
		switch drop {
		case 1:
			d.Context.Conditions.Items = []keyValues{}
		case 2:
			d.Matched.Items = []matched{}
		case 3:
			return "", fmt.Errorf("an authorization message of more than %d characters", maxMessage)
		}
		message, err := encode(s, account, d)
		if err != nil || len(message) <= maxMessage {
			return message, err
		}
	}
}

// Encode is the function Encode with the recorder's seal; without one the message is empty.
func (r *Recorder) Encode(account string, f *Failure) (string, error) {
	if r.cfg.Seal == nil {
		return "", nil
	}
	return Encode(r.cfg.Seal, account, f)
}

func encode(s Sealer, account string, d *document) (string, error) {
	plain, err := json.Marshal(d)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(plain); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	sealed, err := s.Wrap(messagePlace(account), b.Bytes())
	if err != nil {
		return "", fmt.Errorf("sealing an authorization message: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

func messagePlace(account string) seal.Place { return seal.At("evidence/message", account) }

// maxDocument bounds what a message is inflated to.
const maxDocument = 4 << 20

// Decode returns the document, JSON, in a message that Encode made for the account. Its error is ErrMessage.
func Decode(s Sealer, account, message string) (string, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(message, "="))
	if err != nil {
		return "", ErrMessage
	}
	deflated, err := s.Unwrap(messagePlace(account), sealed)
	if err != nil {
		return "", ErrMessage
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(deflated)), maxDocument))
	if err != nil || !json.Valid(plain) {
		return "", ErrMessage
	}
	return string(plain), nil
}
