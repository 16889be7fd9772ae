package logs

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	// maxPolicies is how many compiled policies are kept ready.
	maxPolicies = 1000
	// maxPolicy is the size of a resource policy in bytes, and maxAccount how many of them a region of an account has that are of no one group:
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
	maxPolicy  = 5120
	maxAccount = 10
)

// compilePolicy makes one policy of those that govern a group, which come as one JSON array. It does not change, so nothing has to be forgotten.
func compilePolicy(_ context.Context, texts string) (*policy.Policy, error) {
	var documents []string
	if err := json.Unmarshal([]byte(texts), &documents); err != nil {
		return nil, err
	}
	all := struct{ Version, Statement any }{"2012-10-17", nil}
	var statements []json.RawMessage
	for _, d := range documents {
		var p struct{ Statement json.RawMessage }
		if err := json.Unmarshal([]byte(d), &p); err != nil {
			return nil, err
		}
		var several []json.RawMessage
		if json.Unmarshal(p.Statement, &several) != nil {
			several = []json.RawMessage{p.Statement}
		}
		statements = append(statements, several...)
	}
	all.Statement = statements
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return policy.Parse(text, policy.Resource)
}

// governing returns what the resource policies say that govern a group, nil if there are none. It is for services only, so nobody whom they name besides is pinned to an ID.
func (s *Service) governing(g *group) (*policy.Policy, error) {
	var documents []string
	for p, err := range policyTable.In(g.scope.Account, g.scope.Region).Scan(g.c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		if p.Resource != "" && p.Resource != g.arn() {
			continue
		}
		documents = append(documents, p.Document)
	}
	if documents == nil {
		return nil, nil
	}
	text, err := json.Marshal(documents)
	if err != nil {
		return nil, err
	}
	return s.policies.Get(g.c.Context, string(text))
}

// PutResourcePolicy sets a resource policy, of the account or of one group.
func (s *Service) PutResourcePolicy(c *call.Call, in *logs.PutResourcePolicyRequest) (*logs.PutResourcePolicyResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	rows := policyTable.In(c.Scope.Account, c.Scope.Region)
	r := &policyRecord{Name: optional.Value(in.PolicyName), Document: optional.Value(in.PolicyDocument), Updated: c.Time}
	if in.ResourceArn != nil {
		g, err := identified(c, nil, in.ResourceArn)
		if err != nil {
			return nil, err
		}
		if !g.there {
			return nil, noGroup()
		}
		r.Name, r.Resource = g.arn(), g.arn()
	}
	if r.Name == "" {
		return nil, invalid("Policy name is required.")
	}
	there, err := rows.Get(c.Tx(), r.Name)
	if store.IgnoreNotFound(err) != nil {
		return nil, err
	}
	if err := checkRevision(r, there, in.ExpectedRevisionId); err != nil {
		return nil, err
	}
	p, err := parsePolicy(r.Document)
	if err != nil {
		return nil, err
	}
	if _, unknown, err := s.cfg.Principals.Pin(c.Tx(), p); err != nil {
		return nil, err
	} else if unknown != "" {
		return nil, invalid("Invalid principal in policy: " + unknown)
	}
	if r.Resource != "" {
		if r.Revision, err = randomID(c.Rand); err != nil {
			return nil, err
		}
	} else if there == nil {
		n := 0
		for p, err := range rows.Scan(c.Tx(), store.Query{}) {
			if err != nil {
				return nil, err
			}
			if p.Resource == "" {
				n++
			}
		}
		if n >= maxAccount {
			return nil, limitExceeded()
		}
	}
	return &logs.PutResourcePolicyResponse{ResourcePolicy: new(r.show()), RevisionId: optional.NonZero(r.Revision)}, rows.Put(c.Tx(), r)
}

// checkRevision refuses to replace a group's policy that is another one than the caller knows.
func checkRevision(r, there *policyRecord, expected *string) error {
	if r.Resource == "" || there == nil && expected == nil || there != nil && expected != nil && *expected == there.Revision {
		return nil
	}
	return &logs.OperationAbortedException{Message: "The expected revision ID does not match the revision ID of the resource policy."}
}

// parsePolicy compiles a resource policy.
func parsePolicy(text string) (*policy.Policy, error) {
	if len(text) > maxPolicy {
		return nil, &logs.LimitExceededException{Message: "Resource policy document exceeds the maximum size of 5120 bytes."}
	}
	p, err := policy.Parse([]byte(text), policy.Resource)
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		return nil, invalid("Invalid policy document: " + syntax.Error())
	}
	return p, err
}

func (p *policyRecord) show() logs.ResourcePolicy {
	out := logs.ResourcePolicy{PolicyName: &p.Name, PolicyDocument: &p.Document, LastUpdatedTime: new(p.Updated.UnixMilli()), PolicyScope: logs.PolicyScopeAccount}
	if p.Resource != "" {
		out.PolicyName, out.ResourceArn, out.RevisionId, out.PolicyScope = nil, &p.Resource, &p.Revision, logs.PolicyScopeResource
	}
	return out
}

// DeleteResourcePolicy removes a resource policy.
func (s *Service) DeleteResourcePolicy(c *call.Call, in *logs.DeleteResourcePolicyRequest) (*logs.DeleteResourcePolicyResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	rows := policyTable.In(c.Scope.Account, c.Scope.Region)
	name := optional.Value(in.PolicyName)
	if in.ResourceArn != nil {
		name = *in.ResourceArn
		if a, group, ok := groupOf(name); ok {
			name = groupARN(call.Scope{Partition: a.Partition, Account: a.Account, Region: a.Region}, group)
		}
	}
	there, err := rows.Get(c.Tx(), name)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && (there.Resource == "") != (in.ResourceArn == nil):
		return nil, &logs.ResourceNotFoundException{Message: "Policy with name [" + name + "] does not exist."}
	case err != nil:
		return nil, err
	}
	if err := checkRevision(there, there, in.ExpectedRevisionId); err != nil {
		return nil, err
	}
	return &logs.DeleteResourcePolicyResponse{}, rows.Delete(c.Tx(), name)
}

// DescribeResourcePolicies lists the account's resource policies by name, or those of groups.
func (s *Service) DescribeResourcePolicies(c *call.Call, in *logs.DescribeResourcePoliciesRequest) (*logs.DescribeResourcePoliciesResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	ofGroups := in.PolicyScope == logs.PolicyScopeResource || in.ResourceArn != nil
	records, next, err := policyTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), store.Query{Limit: limitOf(in.Limit, maxListed)}, optional.Value(in.NextToken),
		string(in.PolicyScope)+"\x00"+optional.Value(in.ResourceArn), func(p *policyRecord) bool {
			return (p.Resource != "") == ofGroups && (in.ResourceArn == nil || *in.ResourceArn == p.Resource || *in.ResourceArn == p.Resource+":*")
		})
	if err != nil {
		return nil, badToken(err)
	}
	out := &logs.DescribeResourcePoliciesResponse{ResourcePolicies: make([]logs.ResourcePolicy, len(records)), NextToken: optional.NonZero(next)}
	for i, p := range records {
		out.ResourcePolicies[i] = p.show()
	}
	return out, nil
}
