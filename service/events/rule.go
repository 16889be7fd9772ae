package events

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventpattern"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/engine/schedule"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	ruleType = "AWS::Events::Rule"
	// maxRules is how many rules a bus may have. AWS's quota is 300 unless it is raised.
	maxRules = 10000
)

func noRule(name, bus string) error {
	return &events.ResourceNotFoundException{Message: "Rule " + name + " does not exist on EventBus " + bus + "."}
}

// rule is a rule that a call is about.
type rule struct {
	*ruleRecord
	on    *bus
	there bool
}

// ruleConditions are the condition keys of a rule that is there.
func ruleConditions(r *ruleRecord) policy.Values {
	v := policy.Values{}
	if r.CreatedBy != "" {
		v.Set("events:creatorAccount", r.CreatedBy)
	}
	if r.ManagedBy != "" {
		v.Set("events:ManagedBy", r.ManagedBy)
	}
	return v
}

// resource is the rule as permission is asked for it.
func (r *rule) resource(c *call.Call) *call.Resource {
	return &call.Resource{
		ARN: ruleARN(r.on.scope(c), r.on.Name, r.Name), Account: r.Account, Type: ruleType, Policy: r.on.policy, Tags: r.Tags,
	}
}

// rule finds a rule that a request names; nobody has been asked yet.
func (s *Service) rule(c *call.Call, busName, name *string) (*rule, error) {
	b, err := s.named(c, busName)
	if err != nil {
		return nil, err
	}
	r, err := ruleTable.In(b.Account, b.Region).Get(c.Tx(), b.Name, *name)
	if missing(err) {
		return &rule{&ruleRecord{Bus: b.Name, Name: *name, Account: b.Account, Region: b.Region}, b, false}, nil
	}
	if err != nil {
		return nil, err
	}
	return &rule{r, b, true}, nil
}

// reachable checks that a rule's bus is in reach, and is there.
func (r *rule) reachable(c *call.Call) error {
	if !r.on.there || r.on.Region != c.Scope.Region {
		return noBus(r.on.Name)
	}
	return nil
}

// asked finds a rule, which may not be there, after asking for the operation's own action on it.
func (s *Service) asked(c *call.Call, busName, name *string, with policy.Values) (*rule, error) {
	r, err := s.rule(c, busName, name)
	if err != nil {
		return nil, err
	}
	resource := r.resource(c)
	keys := ruleConditions(r.ruleRecord)
	maps.Copy(keys, with)
	resource.Conditions = keys
	if err := c.Authorize(resource); err != nil {
		return nil, err
	}
	return r, r.reachable(c)
}

// find is asked for a rule that has to be there.
func (s *Service) find(c *call.Call, busName, name *string, with policy.Values) (*rule, error) {
	r, err := s.asked(c, busName, name, with)
	if err == nil && !r.there {
		err = noRule(r.Name, r.Bus)
	}
	return r, err
}

// change is find for who changes the rule.
func (s *Service) change(c *call.Call, busName, name *string, force *bool, with policy.Values) (*rule, error) {
	r, err := s.find(c, busName, name, with)
	if err != nil {
		return nil, err
	}
	return r, r.changeable(c, optional.Value(force))
}

// changeable refuses callers who change a rule of a service without force: it is not the customer's.
func (r *rule) changeable(c *call.Call, force bool) error {
	if r.ManagedBy == "" || force || c.Source.Service != "" {
		return nil
	}
	return &events.ManagedRuleException{Message: "Rule " + r.Name + " is managed by " + r.ManagedBy + " and can not be modified."}
}

// PutRule makes a rule, or replaces it. Its targets and tags stay.
func (s *Service) PutRule(c *call.Call, in *events.PutRuleRequest) (*events.PutRuleResponse, error) {
	r, err := s.rule(c, in.EventBusName, in.Name)
	if err != nil {
		return nil, err
	}
	was := *r.ruleRecord
	tags := tagMap(in.Tags)
	resource, keys := r.resource(c), ruleConditions(r.ruleRecord)
	if !r.there {
		resource.RequestTags = tags
		keys.Set("events:creatorAccount", c.Scope.Account)
	}
	patternConditions(keys, optional.Value(in.EventPattern))
	resource.Conditions = keys
	if err := s.authorizeTagged(c, resource); err != nil {
		return nil, err
	}
	if err := r.reachable(c); err != nil {
		return nil, err
	}
	if err := r.changeable(c, false); err != nil {
		return nil, err
	}
	r.Pattern, r.Schedule, r.Description, r.Role = optional.Value(in.EventPattern), optional.Value(in.ScheduleExpression), optional.Value(in.Description), optional.Value(in.RoleArn)
	if r.State = string(in.State); r.State == "" {
		r.State = string(events.RuleStateEnabled)
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if !r.there {
		r.Created, r.CreatedBy, r.Tags = c.Time.UTC(), c.Scope.Account, tags
		if err := checkTags(tags); err != nil {
			return nil, err
		}
		n, err := ruleTable.In(r.Account, r.Region).Count(c.Tx(), store.Query{Prefix: store.Key{r.Bus}, Limit: maxRules})
		if err != nil {
			return nil, err
		}
		if n >= maxRules {
			return nil, limitExceeded()
		}
	}
	if r.Role != "" && r.Role != was.Role {
		if err := s.passRole(c, r.Role, r.arn(c.Scope.Partition)); err != nil {
			return nil, err
		}
	}
	if err := s.reschedule(c, &was, r.ruleRecord); err != nil {
		return nil, err
	}
	if r.hearsAPI() {
		if err := s.listen(c); err != nil {
			return nil, err
		}
	}
	return &events.PutRuleResponse{RuleArn: new(r.arn(c.Scope.Partition))}, ruleTable.In(r.Account, r.Region).Put(c.Tx(), r.ruleRecord)
}

// check refuses what cannot be a rule.
func (r *rule) check() error {
	switch {
	case r.Pattern == "" && r.Schedule == "":
		return invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
	case r.Schedule != "" && r.Bus != defaultBus:
		return invalid("ScheduleExpression is supported only on the default event bus.")
	}
	if r.Schedule != "" {
		if _, err := schedule.ParseRule(r.Schedule); err != nil {
			return invalid("Parameter ScheduleExpression is not valid.")
		}
	}
	if r.Pattern != "" {
		if _, err := eventpattern.Compile(r.Pattern); err != nil {
			return &events.InvalidEventPatternException{Message: err.Error()}
		}
	}
	return nil
}

// patternConditions gives the condition keys of what a pattern names literally: events:source, events:detail-type, and three of the detail.
func patternConditions(v policy.Values, pattern string) {
	var p struct {
		Source     []any `json:"source"`
		DetailType []any `json:"detail-type"`
		Detail     struct {
			Service      []any `json:"service"`
			TypeCode     []any `json:"eventTypeCode"`
			UserIdentity struct {
				Principal []any `json:"principalId"`
			} `json:"userIdentity"`
		} `json:"detail"`
	}
	_ = json.Unmarshal([]byte(pattern), &p) // what does not fit is not named literally
	for key, list := range map[string][]any{
		"events:source": p.Source, "events:detail-type": p.DetailType, "events:detail.service": p.Detail.Service, "events:detail.eventtypecode": p.Detail.TypeCode,
		"events:detail.useridentity.principalid": p.Detail.UserIdentity.Principal,
	} {
		var named []string
		for _, one := range list {
			if text, ok := one.(string); ok {
				named = append(named, text)
			}
		}
		if len(named) > 0 {
			v[key] = named
		}
	}
}

// DescribeRule tells of a rule.
func (s *Service) DescribeRule(c *call.Call, in *events.DescribeRuleRequest) (*events.DescribeRuleResponse, error) {
	r, err := s.find(c, in.EventBusName, in.Name, nil)
	if err != nil {
		return nil, err
	}
	return &events.DescribeRuleResponse{
		Name: &r.Name, Arn: new(r.arn(c.Scope.Partition)), EventPattern: optional.NonZero(r.Pattern), ScheduleExpression: optional.NonZero(r.Schedule), State: events.RuleState(r.State),
		Description: optional.NonZero(r.Description), RoleArn: optional.NonZero(r.Role), ManagedBy: optional.NonZero(r.ManagedBy), EventBusName: &r.Bus, CreatedBy: &r.CreatedBy,
	}, nil
}

// EnableRule has a rule get events again.
func (s *Service) EnableRule(c *call.Call, in *events.EnableRuleRequest) (*events.EnableRuleResponse, error) {
	return &events.EnableRuleResponse{}, s.setState(c, in.EventBusName, in.Name, events.RuleStateEnabled)
}

// DisableRule has a rule get no events.
func (s *Service) DisableRule(c *call.Call, in *events.DisableRuleRequest) (*events.DisableRuleResponse, error) {
	return &events.DisableRuleResponse{}, s.setState(c, in.EventBusName, in.Name, events.RuleStateDisabled)
}

func (s *Service) setState(c *call.Call, busName, name *string, state events.RuleState) error {
	r, err := s.change(c, busName, name, nil, nil)
	if err != nil {
		return err
	}
	was := *r.ruleRecord
	if r.State = string(state); r.State == was.State {
		return nil
	}
	if err := s.reschedule(c, &was, r.ruleRecord); err != nil {
		return err
	}
	if r.hearsAPI() {
		if err := s.listen(c); err != nil {
			return err
		}
	}
	return ruleTable.In(r.Account, r.Region).Put(c.Tx(), r.ruleRecord)
}

// DeleteRule deletes a rule without targets. That there is none is no error.
func (s *Service) DeleteRule(c *call.Call, in *events.DeleteRuleRequest) (*events.DeleteRuleResponse, error) {
	r, err := s.asked(c, in.EventBusName, in.Name, nil)
	if err != nil {
		return nil, err
	}
	if !r.there {
		return &events.DeleteRuleResponse{}, nil
	}
	if err := r.changeable(c, optional.Value(in.Force)); err != nil {
		return nil, err
	}
	n, err := targetTable.In(r.Account, r.Region).Count(c.Tx(), store.Query{Prefix: store.Key{r.Bus, r.Name}, Limit: 1})
	if err != nil {
		return nil, err
	}
	if n > 0 {
		return nil, invalid("Rule can't be deleted since it has targets.")
	}
	if err := s.unschedule(c, r.ruleRecord); err != nil {
		return nil, err
	}
	return &events.DeleteRuleResponse{}, ruleTable.In(r.Account, r.Region).Delete(c.Tx(), r.Bus, r.Name)
}

// ListRules lists the rules of a bus by name.
func (s *Service) ListRules(c *call.Call, in *events.ListRulesRequest) (*events.ListRulesResponse, error) {
	b, err := s.listing(c, in.EventBusName, "*")
	if err != nil {
		return nil, err
	}
	q := byName(in.NamePrefix, in.Limit)
	q.Prefix = append(store.Key{b.Name}, q.Prefix...)
	found, next, err := ruleTable.In(b.Account, b.Region).Page(c.Tx(), q, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, badToken(err)
	}
	out := &events.ListRulesResponse{Rules: []events.Rule{}, NextToken: optional.NonZero(next)}
	for _, r := range found {
		out.Rules = append(out.Rules, events.Rule{
			Name: &r.Name, Arn: new(r.arn(c.Scope.Partition)), EventPattern: optional.NonZero(r.Pattern), State: events.RuleState(r.State), Description: optional.NonZero(r.Description),
			ScheduleExpression: optional.NonZero(r.Schedule), RoleArn: optional.NonZero(r.Role), ManagedBy: optional.NonZero(r.ManagedBy), EventBusName: &r.Bus,
		})
	}
	return out, nil
}

// listing finds the bus whose rules are listed, after asking for them all.
func (s *Service) listing(c *call.Call, name *string, pattern string) (*bus, error) {
	b, err := s.named(c, name)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize(&call.Resource{ARN: ruleARN(b.scope(c), b.Name, pattern), Account: b.Account, Policy: b.policy}); err != nil {
		return nil, err
	}
	if !b.there || b.Region != c.Scope.Region {
		return nil, noBus(b.Name)
	}
	return b, nil
}

// ListRuleNamesByTarget lists the rules of a bus that have a target.
func (s *Service) ListRuleNamesByTarget(c *call.Call, in *events.ListRuleNamesByTargetRequest) (*events.ListRuleNamesByTargetResponse, error) {
	b, err := s.listing(c, in.EventBusName, "*")
	if err != nil {
		return nil, err
	}
	q := byName(nil, in.Limit)
	q.Index, q.Prefix = "arn", store.Key{*in.TargetArn, b.Name}
	found, next, err := targetTable.In(b.Account, b.Region).Page(c.Tx(), q, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, badToken(err)
	}
	out := &events.ListRuleNamesByTargetResponse{RuleNames: []string{}, NextToken: optional.NonZero(next)}
	for _, t := range found {
		if !slices.Contains(out.RuleNames, t.Rule) { // it may have the target twice
			out.RuleNames = append(out.RuleNames, t.Rule)
		}
	}
	return out, nil
}

// TestEventPattern tells whether a pattern matches an event.
func (s *Service) TestEventPattern(c *call.Call, in *events.TestEventPatternRequest) (*events.TestEventPatternResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	p, err := eventpattern.Compile(*in.EventPattern)
	if err != nil {
		return nil, &events.InvalidEventPatternException{Message: err.Error()}
	}
	if err := checkEvent(*in.Event); err != nil {
		return nil, err
	}
	return &events.TestEventPatternResponse{Result: new(p.Match([]byte(*in.Event)))}, nil
}

// checkEvent refuses what is no event: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TestEventPattern.html
func checkEvent(text string) error {
	var e map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &e); err != nil || eventpattern.Check([]byte(text)) != nil {
		return invalid("Parameter Event is not valid. Reason: Event is not a JSON object.")
	}
	var absent []string
	for _, name := range []string{"id", "account", "source", "time", "region", "resources", "detail-type"} {
		if e[name] == nil {
			absent = append(absent, name)
		}
	}
	if len(absent) > 0 {
		return invalid("Parameter Event is not valid. Reason: Event lacks the field(s) " + strings.Join(absent, ", ") + ".")
	}
	return nil
}
