package events

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/engine/eventinput"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxTargets is how many targets a rule may have: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
const maxTargets = 5

// PutTargets adds targets to a rule, or replaces those with the same ID.
func (s *Service) PutTargets(c *call.Call, in *events.PutTargetsRequest) (*events.PutTargetsResponse, error) {
	with := policy.Values{}
	for _, t := range in.Targets {
		with["events:targetarn"] = append(with["events:targetarn"], optional.Value(t.Arn))
	}
	r, err := s.change(c, in.EventBusName, in.Rule, nil, with)
	if err != nil {
		return nil, err
	}
	have := make(map[string]*targetRecord)
	for t, err := range r.targets(c.Tx()) {
		if err != nil {
			return nil, err
		}
		have[t.ID] = t
	}
	var put []*targetRecord
	for i := range in.Targets {
		t, err := s.target(c, r, &in.Targets[i])
		if err != nil {
			return nil, err
		}
		was := have[t.ID]
		if t.Lane = c.EventID; was != nil {
			t.Lane = was.Lane // what waits for it goes where the target is now
		}
		if t.Role != "" && (was == nil || was.Role != t.Role) {
			if err := s.passRole(c, t.Role, r.arn(c.Scope.Partition)); err != nil {
				return nil, err
			}
		}
		have[t.ID] = t
		put = append(put, t)
	}
	if len(have) > maxTargets {
		return nil, limitExceeded()
	}
	for _, t := range put {
		if err := targetTable.In(t.Account, t.Region).Put(c.Tx(), t); err != nil {
			return nil, err
		}
	}
	return &events.PutTargetsResponse{FailedEntryCount: new(int32(0)), FailedEntries: []events.PutTargetsResultEntry{}}, nil
}

// targets iterates over the targets of a rule.
func (r *ruleRecord) targets(rd store.Reader) func(func(*targetRecord, error) bool) {
	return targetTable.In(r.Account, r.Region).Scan(rd, store.Query{Prefix: store.Key{r.Bus, r.Name}})
}

// passRole asks whether the caller may pass a role to EventBridge, and whether the role lets EventBridge in for a resource.
func (s *Service) passRole(c *call.Call, role, resourceARN string) error {
	err := c.PassRole(role, events.Service.EventSource)
	if err == nil {
		_, err = c.AsRole(role, resourceARN)
	}
	if errors.Is(err, call.ErrRole) {
		return invalid("Provided role '" + role + "' cannot be assumed by principal '" + events.Service.EventSource + "'.")
	}
	return err
}

// target makes the record of a target of a request, or says what is wrong with it.
func (s *Service) target(c *call.Call, r *rule, in *events.Target) (*targetRecord, error) {
	t := &targetRecord{
		Bus: r.Bus, Rule: r.Name, ID: *in.Id, Account: r.Account, Region: r.Region, ARN: *in.Arn, Role: optional.Value(in.RoleArn), Input: optional.Value(in.Input), InputPath: optional.Value(in.InputPath),
	}
	if p := in.SqsParameters; p != nil {
		t.MessageGroup = optional.Value(p.MessageGroupId)
	}
	if p := in.InputTransformer; p != nil {
		t.Transformer = &transformer{p.InputPathsMap, optional.Value(p.InputTemplate)}
	}
	if p := in.HttpParameters; p != nil {
		t.HTTP = &httpParameters{p.PathParameterValues, p.HeaderParameters, p.QueryStringParameters}
	}
	if p := in.RetryPolicy; p != nil {
		t.MaxRetries, t.MaxAge = p.MaximumRetryAttempts, p.MaximumEventAgeInSeconds
	}
	if p := in.DeadLetterConfig; p != nil {
		t.DeadLetter = optional.Value(p.Arn)
		if err := checkQueue(t.DeadLetter); err != nil {
			return nil, err
		}
	}
	if err := t.checkInput(); err != nil {
		return nil, err
	}
	return t, s.checkReceiver(c, t)
}

// checkInput refuses a target that says more than one thing about its input, or something that makes no sense.
func (t *targetRecord) checkInput() error {
	n := 0
	for _, given := range []bool{t.Input != "", t.InputPath != "", t.Transformer != nil} {
		if given {
			n++
		}
	}
	if n > 1 {
		return invalid("Only one of Input, InputPath, or InputTransformer must be provided for target " + t.ID + ".")
	}
	switch {
	case t.Input != "" && !json.Valid([]byte(t.Input)):
		return invalid("JSON syntax error in input for target " + t.ID + " : The input is not valid JSON.")
	case t.InputPath != "":
		if _, err := eventinput.ParsePath(t.InputPath); err != nil {
			return invalid("Invalid InputPath for target " + t.ID + ".")
		}
	case t.Transformer != nil:
		if _, err := eventinput.NewTransformer(t.ID, t.Transformer.Paths, t.Transformer.Template); err != nil {
			return invalid(err.Error())
		}
	}
	return nil
}

// undelivered are the services that EventBridge has targets in and that are not delivered to here, by their name in ARNs.
var undelivered = map[string]string{
	"kinesis": "targets of Kinesis", "firehose": "targets of Firehose", "states": "targets of Step Functions", "ecs": "targets of ECS", "batch": "targets of Batch",
	"codebuild": "targets of CodeBuild", "codepipeline": "targets of CodePipeline", "ssm": "targets of Systems Manager", "redshift": "targets of Redshift",
	"redshift-serverless": "targets of Redshift Serverless", "sagemaker": "targets of SageMaker", "glue": "targets of Glue", "execute-api": "targets of API Gateway",
	"appsync": "targets of AppSync", "inspector": "targets of Inspector", "ssm-incidents": "targets of Incident Manager", "ec2": "targets of EC2", "automation": "targets of EC2",
}

// checkReceiver refuses what events cannot be delivered to.
func (s *Service) checkReceiver(c *call.Call, t *targetRecord) error {
	a, err := arn.Parse(t.ARN)
	if err != nil {
		return badTarget(t)
	}
	local := a.Region == t.Region
	switch a.Service {
	case "sqs":
		if fifo := strings.HasSuffix(a.Resource, ".fifo"); fifo && t.MessageGroup == "" {
			return invalid("Parameter(s) SqsParameters must be specified for target: " + t.ID + ".")
		}
	case "sns", "lambda":
	case "logs":
		if !strings.HasPrefix(a.Resource, "log-group:") || a.Account != t.Account {
			return badTarget(t)
		}
	case "events":
		kind, _, _ := strings.Cut(a.Resource, "/")
		switch {
		case kind == "api-destination":
			if t.Role == "" {
				return invalid("RoleArn is required for target " + t.ARN + ".")
			}
			return s.checkDestination(c, t.ARN)
		case kind != "event-bus":
			return badTarget(t)
		case a.Account == t.Account && a.Region == t.Region && strings.TrimPrefix(a.Resource, "event-bus/") == t.Bus:
			return invalid("Target " + t.ID + " is the event bus of its own rule.")
		case t.Role == "" && !local:
			return invalid("RoleArn is required for target " + t.ARN + ".")
		}
		return nil
	default:
		if what, known := undelivered[a.Service]; known {
			return notDelivered(what)
		}
		return invalid(a.Service + " is not a supported service for a target.")
	}
	if !local {
		return invalid("Parameter " + t.ARN + " is not valid. Reason: Target must be in the region of the rule.")
	}
	return nil
}

func badTarget(t *targetRecord) error {
	return invalid("Parameter " + t.ARN + " is not valid. Reason: Provided Arn is not in correct format.")
}

// RemoveTargets takes targets from a rule. What waits for them is not delivered any more.
func (s *Service) RemoveTargets(c *call.Call, in *events.RemoveTargetsRequest) (*events.RemoveTargetsResponse, error) {
	r, err := s.change(c, in.EventBusName, in.Rule, in.Force, nil)
	if err != nil {
		return nil, err
	}
	out := &events.RemoveTargetsResponse{FailedEntries: []events.RemoveTargetsResultEntry{}}
	for _, id := range in.Ids {
		t, err := targetTable.In(r.Account, r.Region).Get(c.Tx(), r.Bus, r.Name, id)
		if missing(err) {
			out.FailedEntries = append(out.FailedEntries, events.RemoveTargetsResultEntry{
				TargetId: new(id), ErrorCode: new("ResourceNotFoundException"), ErrorMessage: new("Rule " + r.Name + " does not have target(s): " + id + "."),
			})
			continue
		}
		if err == nil {
			err = targetTable.In(r.Account, r.Region).Delete(c.Tx(), r.Bus, r.Name, id)
		}
		if err == nil {
			_, err = delivery.Drop(c.Tx(), t.lane(), maxDropped)
		}
		if err != nil {
			return nil, err
		}
	}
	out.FailedEntryCount = new(int32(len(out.FailedEntries)))
	return out, nil
}

// maxDropped is how many parcels go with their target at once. The others find it gone when their turn comes.
const maxDropped = 100

// ListTargetsByRule lists the targets of a rule by their IDs.
func (s *Service) ListTargetsByRule(c *call.Call, in *events.ListTargetsByRuleRequest) (*events.ListTargetsByRuleResponse, error) {
	r, err := s.find(c, in.EventBusName, in.Rule, nil)
	if err != nil {
		return nil, err
	}
	q := byName(nil, in.Limit)
	q.Prefix = store.Key{r.Bus, r.Name}
	found, next, err := targetTable.In(r.Account, r.Region).Page(c.Tx(), q, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, badToken(err)
	}
	out := &events.ListTargetsByRuleResponse{Targets: []events.Target{}, NextToken: optional.NonZero(next)}
	for _, t := range found {
		out.Targets = append(out.Targets, t.shown())
	}
	return out, nil
}

// shown is a target as it was put.
func (t *targetRecord) shown() events.Target {
	out := events.Target{Id: &t.ID, Arn: &t.ARN, RoleArn: optional.NonZero(t.Role), Input: optional.NonZero(t.Input), InputPath: optional.NonZero(t.InputPath)}
	if t.Transformer != nil {
		out.InputTransformer = &events.InputTransformer{InputPathsMap: t.Transformer.Paths, InputTemplate: &t.Transformer.Template}
	}
	if t.MessageGroup != "" {
		out.SqsParameters = &events.SqsParameters{MessageGroupId: &t.MessageGroup}
	}
	if p := t.HTTP; p != nil {
		out.HttpParameters = &events.HttpParameters{PathParameterValues: p.Path, HeaderParameters: p.Header, QueryStringParameters: p.Query}
	}
	if t.DeadLetter != "" {
		out.DeadLetterConfig = &events.DeadLetterConfig{Arn: &t.DeadLetter}
	}
	if t.MaxRetries != nil || t.MaxAge != nil {
		out.RetryPolicy = &events.RetryPolicy{MaximumRetryAttempts: t.MaxRetries, MaximumEventAgeInSeconds: t.MaxAge}
	}
	return out
}
