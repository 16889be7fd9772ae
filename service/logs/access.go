package logs

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	groupType  = "AWS::Logs::LogGroup"
	streamType = "AWS::Logs::LogStream"
)

// group is a log group that a call is about. It may not be there; then its record has a name alone.
type group struct {
	*groupRecord
	c     *call.Call
	scope call.Scope // of the group
	there bool
}

// home is where the log groups are that a call names: in the caller's account. A service that calls with rights of its own has no groups, and
// means those of the account on whose behalf it calls.
func home(c *call.Call) call.Scope {
	s := c.Scope
	if s.Account == call.OwnAccount {
		if a, err := arn.Parse(c.Source.ARN); err == nil && a.Account != "" {
			s.Account = a.Account
		}
	}
	return s
}

// look reads a log group by its name.
func look(c *call.Call, name string) (*group, error) {
	g := &group{c: c, scope: home(c)}
	r, err := groupTable.In(g.scope.Account, g.scope.Region).Get(c.Tx(), name)
	if store.IgnoreNotFound(err) != nil {
		return nil, err
	}
	if g.groupRecord, g.there = r, err == nil; !g.there {
		g.groupRecord = &groupRecord{Name: name}
	}
	return g, nil
}

// identified reads a log group by its name or its ARN, of which a request has one.
func identified(c *call.Call, name, identifier *string) (*group, error) {
	switch {
	case name != nil && identifier != nil:
		return nil, &logs.ValidationException{Message: "LogGroup name and LogGroup ARN are mutually exclusive parameters."}
	case name == nil && identifier == nil:
		return nil, &logs.ValidationException{Message: "Either LogGroup name or LogGroup ARN must be specified."}
	case name != nil:
		return look(c, *name)
	case !arn.Is(*identifier):
		return look(c, *identifier)
	}
	a, n, ok := groupOf(*identifier)
	if !ok {
		return nil, invalid("Invalid log group identifier: " + *identifier)
	}
	if s := home(c); a.Account != s.Account || a.Region != s.Region || a.Partition != s.Partition {
		// Sinks and links of other accounts are not built: none lets the caller see its groups.
		return &group{c: c, scope: call.Scope{Partition: a.Partition, Account: a.Account, Region: a.Region}, groupRecord: &groupRecord{Name: n}}, nil
	}
	return look(c, n)
}

func (g *group) arn() string { return groupARN(g.scope, g.Name) }

// ask asks for the operation's own action on the group. IAM knows a group as all its streams here:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
func (s *Service) ask(g *group) error {
	return s.authorize(g, g.c.Op.Action, &call.Resource{ARN: g.arn() + ":log-stream:"}, "")
}

// find is ask for a group that has to be there.
func (s *Service) find(g *group, err error) (*group, error) {
	if err != nil {
		return nil, err
	}
	if err := s.ask(g); err != nil {
		return nil, err
	}
	if !g.there {
		return nil, noGroup()
	}
	return g, nil
}

// authorize asks for an action on a resource that belongs to the group.
func (s *Service) authorize(g *group, action string, r *call.Resource, stream string) error {
	r.Account, r.Tags = g.scope.Account, g.Tags
	if g.c.Caller.Kind == policy.Service {
		// Resource policies say what services may do, and nobody else.
		p, err := s.governing(g)
		if err != nil {
			return err
		}
		r.Policy = p
	}
	g.c.Touch(audit.Resource{Account: g.scope.Account, Type: groupType, ARN: g.arn()})
	if stream != "" {
		g.c.Touch(audit.Resource{Account: g.scope.Account, Type: streamType, ARN: streamARN(g.scope, g.Name, stream)})
	}
	return g.c.AuthorizeAction(action, r)
}

// askStream asks for the operation's own action on a stream of the group, and reads it. It is nil if there is none.
func (s *Service) askStream(g *group, err error, name string) (*group, *streamRecord, error) {
	if err != nil {
		return nil, nil, err
	}
	if err := s.authorize(g, g.c.Op.Action, &call.Resource{ARN: streamARN(g.scope, g.Name, name)}, name); err != nil {
		return nil, nil, err
	}
	if !g.there {
		return nil, nil, noGroup()
	}
	st, err := g.streams().Get(g.c.Tx(), g.ID, name)
	if errors.Is(err, store.ErrNotFound) {
		return g, nil, nil
	}
	return g, st, err
}

// findStream is askStream for a stream that has to be there.
func (s *Service) findStream(g *group, err error, name string) (*group, *streamRecord, error) {
	g, st, err := s.askStream(g, err, name)
	if err == nil && st == nil {
		err = noStream()
	}
	return g, st, err
}

func (g *group) streams() store.Rows[streamRecord] {
	return streamTable.In(g.scope.Account, g.scope.Region)
}

func (g *group) save() error {
	return groupTable.In(g.scope.Account, g.scope.Region).Put(g.c.Tx(), g.groupRecord)
}

// askAll asks for the operation's own action where it is about all groups.
func askAll(c *call.Call) error {
	return c.Authorize(&call.Resource{ARN: groupARN(c.Scope, "") + ":log-stream:"})
}
