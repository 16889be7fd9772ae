package sqs

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

const maxAttributes = 10 // of a message

var (
	attributeName = regexp.MustCompile(`^[A-Za-z0-9_\-.]{1,256}$`)
	attributeType = regexp.MustCompile(`^(String|Number|Binary)(\..+)?$`)
)

// setAttributes reads the attributes that a message is sent with:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
func (m *outgoing) setAttributes(in map[string]sqs.MessageAttributeValue) error {
	if len(in) > maxAttributes {
		return invalid("Number of message attributes [%d] exceeds the allowed maximum [%d].", len(in), maxAttributes)
	}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		v := in[name]
		if err := checkAttributeName(name); err != nil {
			return err
		}
		a := attribute{Type: optional.Value(v.DataType), Text: optional.Value(v.StringValue), Binary: v.BinaryValue}
		if err := a.check("user", name, v.StringValue != nil, v.BinaryValue != nil, len(v.StringListValues)+len(v.BinaryListValues) > 0); err != nil {
			return err
		}
		if m.Attributes == nil {
			m.Attributes = make(map[string]attribute, len(in))
		}
		m.Attributes[name] = a
		m.bytes += len(name) + len(a.Type) + len(a.Text) + len(a.Binary)
	}
	return nil
}

func checkAttributeName(name string) error {
	lower := strings.ToLower(name)
	switch {
	case name == "":
		return invalid("Message (user) attribute name can't be empty.")
	case len(name) > 256:
		return invalid("Message (user) attribute name %s is too long. Maximum is 256 characters.", name)
	case !attributeName.MatchString(name), strings.HasPrefix(name, "."), strings.HasSuffix(name, "."), strings.Contains(name, ".."):
		return invalid("Invalid message (user) attribute name '%s'.", name)
	case strings.HasPrefix(lower, "aws."), strings.HasPrefix(lower, "amazon."):
		return invalid("Message (user) attribute name '%s' is reserved for use by AWS.", name)
	}
	return nil
}

// check holds an attribute against its type. kind is user or system.
func (a attribute) check(kind, name string, text, binary, list bool) error {
	switch {
	case list:
		return invalid("Message (%s) attribute '%s' list values in SendMessage operation are not supported.", kind, name)
	case a.Type == "":
		return invalid("The message (%s) attribute '%s' must contain a non-empty attribute type.", kind, name)
	case len(a.Type) > 256 || !attributeType.MatchString(a.Type):
		return invalid("The message (%s) attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", kind, name)
	case a.binary() && (text || len(a.Binary) == 0), !a.binary() && (binary || a.Text == ""):
		return invalid("Message (%s) attribute '%s' must contain a non-empty value of type '%s'.", kind, name, map[bool]string{true: "Binary", false: "String"}[a.binary()])
	case !a.binary() && !allowedText(a.Text):
		return &sqs.InvalidMessageContents{Message: "Invalid characters found in the value of message (" + kind + ") attribute '" + name + "'."}
	case strings.HasPrefix(a.Type, "Number") && !isNumber(a.Text):
		return invalid("Can't cast the value of message (%s) attribute '%s' to a number.", kind, name)
	}
	return nil
}

// isNumber reports whether a text is a number between -10^128 and 10^126.
func isNumber(s string) bool {
	f, err := strconv.ParseFloat(s, 64)
	return err == nil && f >= -1e128 && f <= 1e126 && !strings.ContainsAny(s, "xXpP_")
}

const traceHeader = string(sqs.MessageSystemAttributeNameForSendsAWSTraceHeader)

// setSystemAttributes reads the system attributes that a message is sent with, of which there is one. They do not count towards its size.
func (m *outgoing) setSystemAttributes(in map[sqs.MessageSystemAttributeNameForSends]sqs.MessageSystemAttributeValue) error {
	for name, v := range in {
		if string(name) != traceHeader {
			return invalid("Message system attribute name '%s' is invalid.", name)
		}
		a := attribute{Type: optional.Value(v.DataType), Text: optional.Value(v.StringValue), Binary: v.BinaryValue}
		if err := a.check("system", string(name), v.StringValue != nil, v.BinaryValue != nil, len(v.StringListValues)+len(v.BinaryListValues) > 0); err != nil {
			return err
		}
		if a.Type != "String" {
			return invalid("The message (system) attribute '%s' must be of the type String.", name)
		}
		m.Trace = a.Text
	}
	return nil
}

// system are the system attributes that a message was sent with.
func (c *content) system() map[string]attribute {
	if c.Trace == "" {
		return nil
	}
	return map[string]attribute{traceHeader: {Type: "String", Text: c.Trace}}
}

// chosen are the attributes that a receiver wants: all, by name, or by a prefix with .* behind it.
func (c *content) chosen(names []string) map[string]attribute {
	if len(names) == 0 || len(c.Attributes) == 0 {
		return nil
	}
	chosen := make(map[string]attribute)
	for name, a := range c.Attributes {
		for _, n := range names {
			prefix, all := strings.CutSuffix(n, "*")
			prefix = strings.TrimSuffix(prefix, ".")
			if n == "All" || n == name || all && strings.HasPrefix(name, prefix) {
				chosen[name] = a
				break
			}
		}
	}
	return chosen
}

func told(attributes map[string]attribute) map[string]sqs.MessageAttributeValue {
	if len(attributes) == 0 {
		return nil
	}
	out := make(map[string]sqs.MessageAttributeValue, len(attributes))
	for name, a := range attributes {
		v := sqs.MessageAttributeValue{DataType: new(a.Type)}
		if a.binary() {
			v.BinaryValue = a.Binary
		} else {
			v.StringValue = new(a.Text)
		}
		out[name] = v
	}
	return out
}
