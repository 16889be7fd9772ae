package sns

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// field is a member of a message's JSON form.
type field struct {
	name  string
	value string
}

// timeForm is how messages tell their time.
const timeForm = "2006-01-02T15:04:05.000Z"

// fields are the members that a message has in the order that SNS writes them in, but for the signature and the attributes.
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
func (s *Service) fields(m *message, topicARN, region, protocol string) []field {
	out := []field{{"Type", string(m.Kind)}, {"MessageId", m.ID}}
	if m.Sequence != "" {
		out = append(out, field{"SequenceNumber", m.Sequence})
	}
	if m.Token != "" {
		out = append(out, field{"Token", m.Token})
	}
	out = append(out, field{"TopicArn", topicARN})
	if m.Subject != "" {
		out = append(out, field{"Subject", m.Subject})
	}
	out = append(out, field{"Message", m.body(protocol)})
	if m.Token != "" {
		out = append(out, field{"SubscribeURL", s.subscribeURL(topicARN, region, m.Token)})
	}
	return append(out, field{"Timestamp", m.Time.UTC().Format(timeForm)})
}

// signedFields are the members that a signature covers, which is in this order: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
var signedFields = []string{"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}

// canonical is what is signed of a message: of each member that it has its name and its value, each on a line.
func canonical(fields []field) string {
	var b strings.Builder
	for _, name := range signedFields {
		for _, f := range fields {
			if f.name == name {
				b.WriteString(f.name + "\n" + f.value + "\n")
			}
		}
	}
	return b.String()
}

// wrapped is a message in its JSON form, as a subscription gets it: laid out as SNS does, for readers that are not as tolerant as they should be.
func (s *Service) wrapped(m *message, topicARN string, r *subscriptionRecord) ([]byte, error) {
	fields := s.fields(m, topicARN, r.Region, r.Protocol)
	if signature := m.Signed.of(r.Protocol); signature != "" {
		fields = append(fields, field{"SignatureVersion", m.Signed.Version}, field{"Signature", signature}, field{"SigningCertURL", s.certificateURL(r.Region, m.Signed.File)})
	}
	if m.Kind == notification {
		fields = append(fields, field{"UnsubscribeURL", s.unsubscribeURL(r.arn(s.cfg.Partition), r.Region)})
	}
	var b bytes.Buffer
	b.WriteString("{")
	for i, f := range fields {
		if i > 0 {
			b.WriteString(",")
		}
		value, err := encode(f.value)
		if err != nil {
			return nil, err
		}
		b.WriteString("\n  \"" + f.name + "\" : ")
		b.Write(value)
	}
	if len(m.Attributes) > 0 {
		b.WriteString(",\n  \"MessageAttributes\" : {")
		for i, a := range m.Attributes {
			if i > 0 {
				b.WriteString(",")
			}
			value, err := encode(a.shown())
			if err != nil {
				return nil, err
			}
			b.WriteString("\n    \"" + a.Name + "\" : ") // letters, digits and dots alone
			b.Write(value)
		}
		b.WriteString("\n  }")
	}
	b.WriteString("\n}")
	return b.Bytes(), nil
}

// shownAttribute is an attribute in a message's JSON form.
type shownAttribute struct{ Type, Value string }

func (a *attribute) shown() shownAttribute {
	if a.binary() {
		return shownAttribute{a.Type, base64.StdEncoding.EncodeToString(a.Value)}
	}
	return shownAttribute{a.Type, string(a.Value)}
}

// event is a message as a function gets it: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
func (s *Service) event(m *message, topicARN string, r *subscriptionRecord) ([]byte, error) {
	subscriptionARN := r.arn(s.cfg.Partition)
	attributes := make(map[string]shownAttribute, len(m.Attributes))
	for _, a := range m.Attributes {
		attributes[a.Name] = a.shown()
	}
	return encode(map[string]any{"Records": []any{map[string]any{
		"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": subscriptionARN,
		"Sns": map[string]any{
			"Type": m.Kind, "MessageId": m.ID, "TopicArn": topicARN, "Subject": optional.NonZero(m.Subject), "Message": m.body(r.Protocol), "Timestamp": m.Time.UTC().Format(timeForm),
			"SignatureVersion": m.Signed.Version, "Signature": m.Signed.of(r.Protocol), "SigningCertUrl": s.certificateURL(r.Region, m.Signed.File),
			"UnsubscribeUrl": s.unsubscribeURL(subscriptionARN, r.Region), "MessageAttributes": attributes,
		},
	}}})
}
