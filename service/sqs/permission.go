package sqs

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// policyDocument is a queue policy as AddPermission and RemovePermission change it. Statements that it did not make stay as they are.
type policyDocument struct {
	Version   string            `json:"Version,omitempty"`
	ID        string            `json:"Id,omitempty"`
	Statement []json.RawMessage `json:"Statement"`
}

// permission is the statement that AddPermission makes.
type permission struct {
	Sid       string `json:"Sid"`
	Effect    string `json:"Effect"`
	Principal struct {
		AWS any `json:"AWS"`
	} `json:"Principal"`
	Action   any    `json:"Action"`
	Resource string `json:"Resource"`
}

const maxStatements = 20 // that AddPermission lets a policy have

// shared are the operations that AddPermission gives: those that a policy can give another account.
var shared = []string{"*", "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes", "GetQueueUrl", "ListDeadLetterSourceQueues", "PurgeQueue"}

func (q *queue) document() (*policyDocument, error) {
	d := &policyDocument{Version: "2008-10-17", ID: q.arn() + "/SQSDefaultPolicy"}
	if q.Policy == "" {
		return d, nil
	}
	d.ID = ""
	var one struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(q.Policy), &one); err == nil && strings.HasPrefix(strings.TrimSpace(string(one.Statement)), "{") {
		var head struct{ Version, ID string }
		err = json.Unmarshal([]byte(q.Policy), &head)
		return &policyDocument{head.Version, head.ID, []json.RawMessage{one.Statement}}, err
	}
	return d, json.Unmarshal([]byte(q.Policy), d)
}

// sid is the label of a statement.
func sid(statement json.RawMessage) string {
	var s struct{ Sid string }
	_ = json.Unmarshal(statement, &s) // it was a policy when it was put
	return s.Sid
}

// oneOrAll is a list as policies write it: an element alone stands for itself.
func oneOrAll(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

// AddPermission adds a statement to a queue's policy.
func (s *Service) AddPermission(c *call.Call, in *sqs.AddPermissionRequest) (*sqs.AddPermissionResponse, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	label := optional.Value(in.Label)
	switch {
	case label == "":
		return nil, missing("Label")
	case !validEntryID(label):
		return nil, invalidValue(label, "Label", "Must be alphanumeric characters, hyphens and underscores, at most 80.")
	case len(in.AWSAccountIds) == 0:
		return nil, missing("AWSAccountId")
	case len(in.Actions) == 0:
		return nil, missing("ActionName")
	}
	p := permission{Sid: label, Effect: "Allow", Resource: q.arn()}
	var who, actions []string
	for _, id := range in.AWSAccountIds {
		if !identity.IsAccount(id) {
			return nil, invalidValue(id, "PrincipalId", "Unable to verify.")
		}
		who = append(who, "arn:"+c.Scope.Partition+":iam::"+id+":root")
	}
	for _, a := range in.Actions {
		if !slices.Contains(shared, a) {
			return nil, invalidValue("SQS:"+a, "ActionName", "Only the queue owner is allowed to invoke this action.")
		}
		actions = append(actions, "SQS:"+a)
	}
	p.Principal.AWS, p.Action = oneOrAll(who), oneOrAll(actions)
	d, err := q.document()
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(d.Statement, func(st json.RawMessage) bool { return sid(st) == label }) {
		return nil, invalidValue(label, "Label", "Already exists.")
	}
	if len(d.Statement) >= maxStatements {
		return nil, &sqs.OverLimit{Message: "The policy of a queue can have at most 20 statements."}
	}
	added, err := json.Marshal(&p)
	if err != nil {
		return nil, err
	}
	d.Statement = append(d.Statement, added)
	return &sqs.AddPermissionResponse{}, s.putDocument(q, d)
}

// RemovePermission takes a statement out of a queue's policy.
func (s *Service) RemovePermission(c *call.Call, in *sqs.RemovePermissionRequest) (*sqs.RemovePermissionResponse, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	label := optional.Value(in.Label)
	if label == "" {
		return nil, missing("Label")
	}
	d, err := q.document()
	if err != nil {
		return nil, err
	}
	n := len(d.Statement)
	d.Statement = slices.DeleteFunc(d.Statement, func(st json.RawMessage) bool { return sid(st) == label })
	if len(d.Statement) == n {
		return nil, invalidValue(label, "Label", "can't find label.")
	}
	return &sqs.RemovePermissionResponse{}, s.putDocument(q, d)
}

// putDocument writes a policy back. One without statements is none.
func (s *Service) putDocument(q *queue, d *policyDocument) error {
	text := ""
	if len(d.Statement) > 0 {
		b, err := json.Marshal(d)
		if err != nil {
			return err
		}
		text = string(b)
	}
	if err := s.setPolicy(q, text); err != nil {
		return err
	}
	return q.save()
}
