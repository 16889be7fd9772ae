package sns

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/engine/eventpattern"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// maxMessage is how large a message may be with its attributes, and all of a batch together, in bytes: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
const maxMessage = 256 << 10

// kind is what a message is, as it says itself.
type kind string

const (
	notification             kind = "Notification"
	subscriptionConfirmation kind = "SubscriptionConfirmation"
	unsubscribeConfirmation  kind = "UnsubscribeConfirmation"
)

// message is a message on its way to subscribers. It lies sealed in parcels.
type message struct {
	Kind       kind
	ID         string
	Time       time.Time
	Token      string            `json:",omitempty"` // of a confirmation
	Subject    string            `json:",omitempty"`
	Body       []byte            `json:",omitempty"` // bytes, as these grow less in JSON than text can
	Bodies     map[string][]byte `json:",omitempty"` // by protocol, where it is another one than Body
	Attributes []attribute       `json:",omitempty"` // by name

	Group         string `json:",omitempty"`
	Deduplication string `json:",omitempty"`
	Sequence      string `json:",omitempty"`

	Signed signatures `json:",omitzero"`
}

// attribute is an attribute of a message. Its value is text unless the type is Binary.
type attribute struct {
	Name, Type string
	Value      []byte
}

func (a *attribute) binary() bool { return a.base() == "Binary" }

// base is the type without the label of one's own that it may have.
func (a *attribute) base() string {
	base, _, _ := strings.Cut(a.Type, ".")
	return base
}

// body is what subscribers of a protocol get.
func (m *message) body(protocol string) string {
	if b, ok := m.Bodies[protocol]; ok {
		return string(b)
	}
	return string(m.Body)
}

// size is what counts against the limit.
func (m *message) size(published string) int {
	n := len(published)
	for _, a := range m.Attributes {
		n += len(a.Name) + len(a.Type) + len(a.Value)
	}
	return n
}

// filterAttributes are the attributes as filter policies look at them.
func (m *message) filterAttributes() []eventpattern.Attribute {
	out := make([]eventpattern.Attribute, len(m.Attributes))
	for i, a := range m.Attributes {
		out[i] = eventpattern.Attribute{Name: a.Name, Type: a.Type, Value: string(a.Value)}
	}
	return out
}

// draft is a message as it is published.
type draft struct {
	text, structure, subject *string
	group, deduplication     *string
	attributes               map[string]sns.MessageAttributeValue
}

// message makes the message of a draft, of which everything is checked but its size.
func (d *draft) message(t *topic) (*message, error) {
	m := &message{Kind: notification, Subject: optional.Value(d.subject), Group: optional.Value(d.group), Deduplication: optional.Value(d.deduplication)}
	text := optional.Value(d.text)
	switch {
	case text == "":
		return nil, invalid("Empty message")
	case !utf8.ValidString(text):
		return nil, invalid("Message Reason: it is not valid UTF-8")
	case d.subject != nil && !validSubject(*d.subject):
		return nil, invalid("Subject")
	}
	if err := d.checkOrder(t); err != nil {
		return nil, err
	}
	var err error
	if t.fifo() && m.Deduplication == "" {
		m.Deduplication = hash(text) // all that was published: parts for protocols too
	}
	if m.Attributes, err = checkAttributes(d.attributes); err != nil {
		return nil, err
	}
	switch structure := optional.Value(d.structure); structure {
	case "":
		m.Body = []byte(text)
	case "json":
		if err := m.structured(text); err != nil {
			return nil, err
		}
	default:
		return nil, invalid("MessageStructure Reason: Invalid value [%s]. Must be json.", structure)
	}
	return m, nil
}

// structured takes apart a message that says for each protocol what it is.
func (m *message) structured(text string) error {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &parts); err != nil {
		return invalid("Message Structure - JSON message body failed to parse")
	}
	var whole *string
	for protocol, raw := range parts {
		var part *string
		if json.Unmarshal(raw, &part) != nil || part == nil {
			continue // what is no text is nothing
		}
		if protocol == "default" {
			whole = part
			continue
		}
		if m.Bodies == nil {
			m.Bodies = make(map[string][]byte)
		}
		m.Bodies[protocol] = []byte(*part)
	}
	if whole == nil {
		return invalid("Message Structure - No default entry in JSON message body")
	}
	m.Body = []byte(*whole)
	return nil
}

// validSubject reports whether a message can have a subject: it becomes a header of an e-mail.
func validSubject(s string) bool {
	return s != "" && utf8.RuneCountInString(s) <= 100 && !hasControls(s)
}

// checkOrder checks what FIFO topics need and other topics do not take.
func (d *draft) checkOrder(t *topic) error {
	switch group, id := optional.Value(d.group), optional.Value(d.deduplication); {
	case d.group != nil && !orderly(group):
		return invalid("MessageGroupId Reason: The request includes MessageGroupId parameter that is not valid")
	case d.deduplication != nil && !t.fifo():
		return invalid("MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type")
	case d.deduplication != nil && !orderly(id):
		return invalid("MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid")
	case t.fifo() && group == "":
		return invalid("The MessageGroupId parameter is required for FIFO topics")
	case t.fifo() && id == "" && t.Attributes["ContentBasedDeduplication"] != "true":
		return invalid("The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	}
	return nil
}

// orderly reports whether something can be the ID of a group or of a message: 1 to 128 letters, digits and punctuation.
func orderly(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

var (
	attributeType = regexp.MustCompile(`^(String|Number|Binary)(\..+)?$`)
	number        = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)
)

func badAttribute(format string, args ...any) error {
	return &sns.InvalidParameterValueException{Message: fmt.Sprintf(format, args...)}
}

// checkAttributes returns the attributes of a message, by name.
func checkAttributes(given map[string]sns.MessageAttributeValue) (out []attribute, err error) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if err := checkAttributeName(name); err != nil {
			return nil, err
		}
		v := given[name]
		a := attribute{Name: name, Type: optional.Value(v.DataType), Value: []byte(optional.Value(v.StringValue))}
		if !attributeType.MatchString(a.Type) || len(a.Type) > 256 {
			return nil, badAttribute("The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name)
		}
		field, other := "String", v.BinaryValue != nil
		if a.binary() {
			field, other, a.Value = "Binary", v.StringValue != nil, v.BinaryValue
		}
		value := string(a.Value)
		switch {
		case other && value == "":
			return nil, badAttribute("The message attribute '%s' with type '%s' must use field '%s'.", name, a.Type, field)
		case value == "":
			return nil, badAttribute("The message attribute '%s' must contain non-empty message attribute value for message attribute type '%s'.", name, a.Type)
		case a.base() == "Number" && (!number.MatchString(value) || !finite(value)):
			return nil, badAttribute("Could not cast message attribute '%s' value to number.", name)
		case !a.binary() && !utf8.ValidString(value):
			return nil, badAttribute("The message attribute '%s' is not valid UTF-8.", name)
		}
		out = append(out, a)
	}
	return out, nil
}

func finite(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

func checkAttributeName(name string) error {
	switch {
	case len(name) > 256:
		return badAttribute("Length of message attribute name must be less than 256 bytes.")
	case strings.HasPrefix(name, "."):
		return badAttribute("Invalid message attribute name starting with character '.' was found.")
	case strings.HasSuffix(name, "."):
		return badAttribute("Invalid message attribute name ending with character '.' was found.")
	case strings.Contains(name, ".."):
		return badAttribute("Message attribute name can not have successive '.' character.")
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.' {
			return badAttribute("Invalid non-alphanumeric character '#x%X' was found in the message attribute name. "+
				"Can only include alphanumeric characters, hyphens, underscores, or dots.", r)
		}
	}
	return nil
}
