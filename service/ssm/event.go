package ssm

import (
	"encoding/json"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/outbox"
)

// Events: https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-cwe.html

// changed is the detail of a "Parameter Store Change".
type changed struct {
	Operation   string `json:"operation"`
	Name        string `json:"name"`
	Type        string `json:"type"`
	Description string `json:"description,omitempty"`
	DataType    string `json:"dataType,omitempty"`
	Label       string `json:"label,omitempty"`
	Exception   string `json:"exception,omitempty"`
}

// acted is the detail of a "Parameter Store Policy Action".
type acted struct {
	Name    string `json:"parameter-name"`
	Type    string `json:"parameter-type"`
	Policy  string `json:"policy-type"`
	Content string `json:"policy-content"`
	Status  string `json:"action-status"`
	Reason  string `json:"action-reason,omitempty"`
}

// emitChange tells of what became of a parameter.
func emitChange(c *call.Call, p *parameterRecord, operation string) error {
	return emit(c, p.name(), "Parameter Store Change", changed{Operation: operation, Name: p.Name, Type: p.Current.Type, Description: p.Current.Description})
}

// emitLabel tells of a label that was put on a version or moved to it.
func emitLabel(c *call.Call, p *parameterRecord, label string) error {
	return emit(c, p.name(), "Parameter Store Change", changed{
		Operation: "LabelParameterVersion", Name: p.Name, Type: p.Current.Type, Description: p.Current.Description, Label: label,
	})
}

// emitUnfit tells of a value that was not put, because it names no machine image.
func emitUnfit(c *call.Call, n name, given string, v *version, there bool) error {
	operation := "Create"
	if there {
		operation = "Update"
	}
	return emit(c, n, "Parameter Store Change", changed{
		Operation: operation, Name: given, Type: v.Type, Description: v.Description, DataType: v.DataType, Exception: "Unable to Describe Resource",
	})
}

// emitPolicy tells of what a policy does.
func emitPolicy(c *call.Call, p *parameterRecord, r *policyRecord) error {
	return emit(c, p.name(), "Parameter Store Policy Action", acted{
		Name: p.Name, Type: p.Current.Type, Policy: r.Type, Content: r.Text, Status: "SUCCESS", Reason: reasons[r.Type],
	})
}

var reasons = map[string]string{
	expiration:             "The parameter has expired and was deleted.",
	expirationNotification: "The parameter is about to expire.",
	noChangeNotification:   "The parameter has not been changed.",
}

func emit(c *call.Call, n name, what string, detail any) error {
	text, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	return c.Emit(outbox.Event{
		DetailType: what, Source: "aws.ssm", Account: c.Scope.Account, Region: c.Scope.Region, Time: c.Time, Resources: []string{n.in(c.Scope)}, Detail: text,
	})
}
