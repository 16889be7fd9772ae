package ssm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
)

// Parameter policies: https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-policies.html
const (
	expiration             = "Expiration"
	expirationNotification = "ExpirationNotification"
	noChangeNotification   = "NoChangeNotification"

	maxPolicies = 10
)

// The statuses of parameter policies.
const (
	pending  = "Pending"
	finished = "Finished"
)

// parameterPolicy is a parameter policy as it is written.
type parameterPolicy struct {
	Type       string
	Version    string
	Attributes map[string]any

	text string
	at   time.Time     // Expiration
	span time.Duration // of the notifications: before it expires, or after the last change
}

// noPolicies reports whether a list of policies says that there are to be none.
func noPolicies(text string) bool {
	list, err := parsePolicies(text)
	return err == nil && len(list) == 0
}

// parsePolicies reads a list of policies. An empty object is none.
func parsePolicies(text string) ([]parameterPolicy, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, invalid("Invalid policies input: %s must be a JSON array of policies.", "Policies")
	}
	if len(raw) > maxPolicies {
		return nil, &ssm.PoliciesLimitExceededException{Message: fmt.Sprintf(
			"You specified more than the maximum number of allowed policies for the parameter. The maximum is %d.", maxPolicies)}
	}
	var list []parameterPolicy
	expires := 0
	for _, r := range raw {
		p, err := parsePolicy(r)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		if p.Type == expiration {
			expires++
		}
		list = append(list, *p)
	}
	notifies := slices.ContainsFunc(list, func(p parameterPolicy) bool { return p.Type == expirationNotification })
	switch {
	case expires > 1:
		return nil, &ssm.IncompatiblePolicyException{Message: "There is a conflict in the policies specified for this parameter: there can be one Expiration policy."}
	case notifies && expires == 0:
		return nil, &ssm.IncompatiblePolicyException{Message: "There is a conflict in the policies specified for this parameter: an ExpirationNotification policy needs an Expiration policy."}
	}
	return list, nil
}

// parsePolicy reads a policy; nil is an empty object.
func parsePolicy(text []byte) (*parameterPolicy, error) {
	var p parameterPolicy
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, invalid("Invalid policies input: a policy must be a JSON object with Type, Version and Attributes.")
	}
	if p.Type == "" && p.Version == "" && p.Attributes == nil {
		return nil, nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, invalid("Invalid policies input: a policy must be a JSON object with Type, Version and Attributes.")
	}
	p.text = compact.String()
	var err error
	switch p.Type {
	case expiration:
		p.at, err = p.timestamp()
	case expirationNotification:
		p.span, err = p.duration("Before")
	case noChangeNotification:
		p.span, err = p.duration("After")
	default:
		return nil, &ssm.InvalidPolicyTypeException{Message: "The policy type isn't supported. Parameter Store supports the following policy types: Expiration, " +
			"ExpirationNotification, and NoChangeNotification."}
	}
	if err == nil && p.Version != "1.0" {
		err = wrongAttribute("the Version of a policy of the type %s must be 1.0.", p.Type)
	}
	return &p, err
}

func wrongAttribute(format string, args ...any) error {
	return &ssm.InvalidPolicyAttributeException{Message: "A policy attribute or its value is invalid: " + fmt.Sprintf(format, args...)}
}

// attribute is an attribute as text: AWS writes numbers as strings.
func (p *parameterPolicy) attribute(name string) string {
	switch v := p.Attributes[name].(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// timestamp reads the moment of an expiration: an ISO_INSTANT or an ISO_OFFSET_DATE_TIME.
func (p *parameterPolicy) timestamp() (time.Time, error) {
	text := p.attribute("Timestamp")
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00:00", "2006-01-02T15:04Z07:00:00"} {
		if at, err := time.Parse(layout, text); err == nil && at.Year() > 0 && at.Year() <= 9999 {
			return at.UTC(), nil
		}
	}
	return time.Time{}, wrongAttribute("the Timestamp of an Expiration policy must be a date and a time with an offset, such as 2027-01-31T18:00:00.000Z.")
}

// maxDays bounds the notifications, so that the times come nowhere near the end of what can be told.
const maxDays = 36_500

func (p *parameterPolicy) duration(name string) (time.Duration, error) {
	n, err := strconv.Atoi(p.attribute(name))
	unit := time.Hour
	switch strings.ToLower(p.attribute("Unit")) {
	case "days":
		unit = 24 * time.Hour
	case "hours":
	default:
		return 0, wrongAttribute("the Unit of a policy of the type %s must be Days or Hours.", p.Type)
	}
	if err != nil || n < 1 || n > maxDays {
		return 0, wrongAttribute("%s of a policy of the type %s must be a whole number from 1.", name, p.Type)
	}
	return time.Duration(n) * unit, nil
}

// choosePolicies gives a version the policies of a request, or keeps those that it has. That nothing has changed counts from now.
func choosePolicies(c *call.Call, given *string, v *version) error {
	if given == nil {
		v.Policies = slices.Clone(v.Policies)
		for i := range v.Policies {
			r := &v.Policies[i]
			if r.Type != noChangeNotification {
				continue
			}
			p, err := parsePolicy([]byte(r.Text))
			if err != nil {
				return fmt.Errorf("reading a stored policy: %w", err)
			}
			r.Status, r.Due = pending, c.Time.Add(p.span)
		}
		return nil
	}
	list, err := parsePolicies(*given)
	if err != nil {
		return err
	}
	v.Policies = nil
	var expires time.Time
	for _, p := range list {
		if p.Type == expiration {
			expires = p.at
		}
	}
	if !expires.IsZero() && !expires.After(c.Time) {
		return wrongAttribute("the Timestamp of an Expiration policy must lie in the future.")
	}
	for _, p := range list {
		r := policyRecord{Type: p.Type, Text: p.text, Status: pending}
		switch p.Type {
		case expiration:
			r.Due = p.at
		case expirationNotification:
			r.Due = expires.Add(-p.span)
		case noChangeNotification:
			r.Due = c.Time.Add(p.span)
		}
		v.Policies = append(v.Policies, r)
	}
	return nil
}

// shownPolicies are policies as they are answered.
func shownPolicies(records []policyRecord) []ssm.ParameterInlinePolicy {
	out := []ssm.ParameterInlinePolicy{}
	for i := range records {
		r := &records[i]
		out = append(out, ssm.ParameterInlinePolicy{PolicyText: &r.Text, PolicyType: &r.Type, PolicyStatus: &r.Status})
	}
	return out
}
