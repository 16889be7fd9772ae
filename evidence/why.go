package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/store"
)

// Explanation is why one recorded call was allowed or denied.
type Explanation struct {
	Time         string   `json:"time"`
	Event        string   `json:"eventID"`
	Request      string   `json:"requestID"`
	Account      string   `json:"account"` // that the record is for
	Region       string   `json:"region"`
	Call         string   `json:"call"` // e.g. kms.amazonaws.com Encrypt
	Who          string   `json:"who"`
	Kind         string   `json:"kind"` // of who, as CloudTrail has it
	InvokedBy    string   `json:"invokedBy,omitempty"`
	ErrorCode    string   `json:"errorCode,omitempty"`
	ErrorMessage string   `json:"errorMessage,omitempty"`
	Asked        []Answer `json:"asked"`
	Omitted      int      `json:"omitted,omitempty"` // questions of which only their number is known
}

// Answer is why one question was answered as it was.
type Answer struct {
	Action   string       `json:"action,omitempty"`
	Resource string       `json:"resource,omitempty"`
	As       string       `json:"as,omitempty"` // who asked, if not the caller
	Outcome  string       `json:"outcome"`      // see Question.Outcome
	Sentence string       `json:"sentence"`
	Decided  *Decided     `json:"decided,omitempty"` // nil where no statement did
	Grant    string       `json:"grant,omitempty"`
	Policies []Considered `json:"policies"`
	Values   []Value      `json:"values"`
}

// Decided is the statement that decided.
type Decided struct {
	Kind      string          `json:"kind"`
	Policy    string          `json:"policy"`
	Index     int             `json:"index"` // of the statement, from 0
	Line      int             `json:"line,omitempty"`
	Statement json.RawMessage `json:"statement,omitempty"`
}

// What a policy says.
const (
	Allows  = "allows"
	Denies  = "denies"
	Nothing = "says nothing"
	NotKept = "is not kept"
)

// Considered is a policy that bore on a question.
type Considered struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Says       string `json:"says"`
	Index      int    `json:"index,omitempty"` // of the statement by which it says so, from 0
	Line       int    `json:"line,omitempty"`
	Text       string `json:"text,omitempty"`
	Incomplete bool   `json:"incomplete,omitempty"` // it reads values that nobody had asked for when the decision stood
}

// Value is what policies saw when they looked up a condition key: no values if it was absent.
type Value struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

// recorded is what is read of an audit record.
type recorded struct {
	EventTime, EventSource, EventName, AWSRegion, EventID, RequestID, RecipientAccountID, ErrorCode, ErrorMessage string
	UserIdentity                                                                                                  who
}

// who is the userIdentity of an audit record.
type who struct {
	Type, PrincipalID, ARN, AccountID, UserName, IdentityProvider, InvokedBy string
	SessionContext                                                           struct {
		SessionIssuer       struct{ ARN, PrincipalID string }
		WebIDFederationData struct{ FederatedProvider string }
	}
}

// principal is whom policies saw.
func (w *who) principal() policy.Principal {
	p := policy.Principal{Account: w.AccountID, ARN: w.ARN, ID: w.PrincipalID, Issuer: w.SessionContext.SessionIssuer.ARN}
	id, session, _ := strings.Cut(w.PrincipalID, ":")
	switch w.Type {
	case "Root":
		p.Kind = policy.Root
	case "IAMUser":
		p.Kind, p.UserName = policy.User, w.UserName
	case "AssumedRole":
		p.Kind, p.ID, p.SessionName = policy.Role, id, session
		p.Provider = w.SessionContext.WebIDFederationData.FederatedProvider
	case "FederatedUser":
		p.Kind, p.ID, p.SessionName = policy.FederatedUser, w.SessionContext.SessionIssuer.PrincipalID, session
	case "AWSService":
		p.Kind, p.ServiceName = policy.Service, w.InvokedBy
	case "WebIdentityUser", "SAMLUser":
		p.Kind, p.SessionName, p.Provider = policy.Federated, w.UserName, w.IdentityProvider
	}
	return p
}

func (w *who) name() string {
	switch {
	case w.ARN != "":
		return w.ARN
	case w.Type == "AWSService":
		return w.InvokedBy
	case w.PrincipalID != "":
		return w.PrincipalID
	}
	return "somebody without a name"
}

// Why explains a record by the trace beside it and the policies that were kept.
func (r *Recorder) Why(ctx context.Context, record, trace []byte) (*Explanation, error) {
	var rec recorded
	if err := json.Unmarshal(record, &rec); err != nil {
		return nil, fmt.Errorf("reading an audit record: %w", err)
	}
	asked, err := Parse(trace)
	if err != nil {
		return nil, err
	}
	w := &rec.UserIdentity
	x := &Explanation{
		Time: rec.EventTime, Event: rec.EventID, Request: rec.RequestID, Account: rec.RecipientAccountID, Region: rec.AWSRegion, Call: rec.EventSource + " " + rec.EventName,
		Who: w.name(), Kind: w.Type, ErrorCode: rec.ErrorCode, ErrorMessage: rec.ErrorMessage, Asked: []Answer{}, Omitted: asked.Omitted,
	}
	if w.Type != "AWSService" {
		x.InvokedBy = w.InvokedBy
	}
	principal := w.principal()
	err = r.cfg.Store.View(ctx, func(rd store.Reader) error {
		x.Asked = x.Asked[:0]
		for i := range asked.Asked {
			q, by := &asked.Asked[i], &principal
			if q.As != nil {
				by = q.As
			}
			a, err := explain(rd, by, q)
			if err != nil {
				return fmt.Errorf("explaining %s: %w", q.Action, err)
			}
			x.Asked = append(x.Asked, *a)
		}
		return nil
	})
	return x, err
}

// replay gives policies the values that they saw, and knows whether one is asked for that they did not.
type replay struct {
	values map[string][]string
	beyond bool
}

// Lookup implements policy.Context.
func (r *replay) Lookup(key string) ([]string, bool) {
	values, seen := r.values[key]
	r.beyond = r.beyond || !seen
	return values, len(values) > 0
}

func explain(rd store.Reader, principal *policy.Principal, q *Question) (*Answer, error) {
	a := &Answer{Action: q.Action, Resource: q.Resource, Outcome: q.Outcome, Grant: q.Grant, As: as(q), Policies: []Considered{}, Values: []Value{}}
	for _, key := range slices.Sorted(maps.Keys(q.Values)) {
		a.Values = append(a.Values, Value{key, q.Values[key]})
	}
	fences := q.Kind == policy.RCP || q.Kind == policy.SCP || q.Kind == policy.Endpoint
	for _, id := range []string{q.Fences, q.Principal} {
		if id == "" {
			continue
		}
		s, err := sets.In("", "").Get(rd, id)
		if errors.Is(err, store.ErrNotFound) {
			a.Policies = append(a.Policies, Considered{Kind: "policies", Name: id, Says: NotKept})
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := range s.Parts {
			decided := q.Part != nil && *q.Part == i && (id == q.Fences) == fences
			if err := a.consider(rd, principal, q, &s.Parts[i], decided); err != nil {
				return nil, err
			}
		}
	}
	if q.ResourcePolicy != "" {
		name := q.ResourcePolicyName
		if name == "" {
			name = q.Resource
		}
		p := part{Kind: policy.Resource, Name: name, Policy: q.ResourcePolicy}
		if err := a.consider(rd, principal, q, &p, q.Statement != nil && q.Part == nil); err != nil {
			return nil, err
		}
	}
	a.Sentence = a.sentence(principal, q)
	return a, nil
}

func as(q *Question) string {
	switch {
	case q.As == nil:
		return ""
	case q.As.ARN != "":
		return q.As.ARN
	}
	return q.As.ServiceName
}

// consider asks one policy again.
func (a *Answer) consider(rd store.Reader, principal *policy.Principal, q *Question, p *part, decided bool) error {
	c := Considered{Kind: p.Kind.String(), Name: p.Name, Says: Nothing}
	row, err := texts.In("", "").Get(rd, p.Policy)
	if errors.Is(err, store.ErrNotFound) {
		c.Says = NotKept
		a.Policies = append(a.Policies, c)
		if decided {
			a.Decided = &Decided{Kind: c.Kind, Policy: c.Name, Index: *q.Statement}
		}
		return nil
	}
	if err != nil {
		return err
	}
	c.Text, c.Kind = row.Text, row.Kind.String()
	if p.Group {
		c.Kind += " of a group"
	}
	compiled, err := policy.Parse([]byte(row.Text), row.Kind)
	if err != nil {
		return fmt.Errorf("compiling a policy that was kept: %w", err)
	}
	seen := &replay{values: q.Values}
	req := policy.Request{Principal: *principal, Action: q.Action, Resource: q.Resource, ResourceAccount: q.Owner, Context: seen}
	switch row.Kind {
	case policy.Resource, policy.Trust:
		req.ResourcePolicy = compiled
	case policy.RCP:
		req.RCP = [][]*policy.Policy{{compiled}}
	case policy.SCP:
		req.SCP = [][]*policy.Policy{{compiled}}
	case policy.Endpoint:
		req.Endpoint = compiled
	case policy.Boundary:
		req.Boundary = compiled
	case policy.Session:
		req.Session = []*policy.Policy{compiled}
	default:
		req.Identity = []*policy.Policy{compiled}
	}
	statement := policy.Statement{Index: -1}
	for _, m := range policy.Explain(&req).Matched {
		if says := Denies; m.Statement.Effect == "Deny" || c.Says == Nothing {
			if m.Statement.Effect != "Deny" {
				says = Allows
			}
			c.Says, statement = says, m.Statement
		}
		if c.Says == Denies {
			break
		}
	}
	c.Incomplete = seen.beyond
	if decided {
		// What stood in the record counts, whatever is found today.
		for s := range compiled.Statements() {
			if s.Index == *q.Statement {
				statement, c.Incomplete = s, false
				c.Says = Allows
				if s.Effect == "Deny" {
					c.Says = Denies
				}
			}
		}
	}
	if statement.Index >= 0 {
		c.Index = statement.Index
		c.Line, _ = compiled.Position(statement.Start)
	}
	if decided {
		a.Decided = &Decided{Kind: c.Kind, Policy: c.Name, Index: *q.Statement, Line: c.Line}
		if statement.Index == *q.Statement {
			a.Decided.Statement = json.RawMessage(row.Text[statement.Start:statement.End])
		}
	}
	a.Policies = append(a.Policies, c)
	return nil
}

// sentence tells the outcome: AWS's words for what was denied.
func (a *Answer) sentence(p *policy.Principal, q *Question) string {
	switch {
	case q.Message != "" && q.Outcome != "open":
		return q.Message
	case q.Outcome == "open":
		return "No permission is needed: " + q.Message
	case q.Grant != "":
		return "Allowed by the grant " + q.Grant + "."
	case a.Decided != nil:
		return fmt.Sprintf("Allowed by the %s %s.", a.Decided.Kind, a.Decided.Policy)
	case p.Kind == policy.Root:
		return "Allowed: the root user of an account needs no policy of its own."
	}
	return "Allowed."
}

// WriteText writes the explanation for people.
func (x *Explanation) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells ...string) {
		for i, c := range cells {
			cells[i] = printable(c)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	line("event", x.Event)
	line("request", x.Request)
	line("time", x.Time)
	line("call", x.Call+" in "+x.Region)
	who := x.Who + " (" + x.Kind + ")"
	if x.InvokedBy != "" {
		who += " through " + x.InvokedBy
	}
	line("who", who)
	switch {
	case x.ErrorCode != "":
		line("answer", strings.TrimSuffix(x.ErrorCode+": "+x.ErrorMessage, ": "))
	default:
		line("answer", "success")
	}
	if len(x.Asked) == 0 {
		line("asked", "nothing: the call ended before permission was asked for, or is from before decisions were kept")
	}
	for i := range x.Asked {
		x.Asked[i].write(line)
	}
	if x.Omitted > 0 {
		line("")
		line("asked", fmt.Sprintf("%d times more, which had no room in the record", x.Omitted))
	}
	return t.Flush()
}

func (a *Answer) write(line func(...string)) {
	line("")
	if a.Action != "" {
		asked := a.Action
		if a.Resource != "" {
			asked += " on " + a.Resource
		}
		if a.As != "" {
			asked += " by " + a.As
		}
		line("asked", asked)
	}
	line("outcome", a.Outcome)
	line("", a.Sentence)
	if d := a.Decided; d != nil {
		line("decided", fmt.Sprintf("statement %d of the %s %s, line %d", d.Index+1, d.Kind, d.Policy, d.Line))
		for text := range strings.Lines(string(d.Statement)) {
			line("", strings.TrimSuffix(text, "\n"))
		}
	}
	name := "policies"
	for _, c := range a.Policies {
		says := c.Says
		if c.Says == Allows || c.Says == Denies {
			says += fmt.Sprintf(", statement %d, line %d", c.Index+1, c.Line)
		}
		if c.Incomplete {
			says += ", as far as its conditions were asked"
		}
		line(name, c.Kind+" "+c.Name+": "+says)
		name = ""
	}
	name = "values"
	for _, v := range a.Values {
		if len(v.Values) == 0 {
			line(name, v.Key+" is absent")
		} else {
			line(name, v.Key+" = "+strings.Join(v.Values, ", "))
		}
		name = ""
	}
}

// printable keeps what callers sent from steering a terminal, and from being cells of a table.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c >= 0x7f && c < 0xa0 {
			return '\uFFFD'
		}
		if c == '\t' {
			return ' '
		}
		return c
	}, s)
}

// PrincipalOf reports whether an audit record tells of a call of the principal: of a user or the root user by its ARN, of a role in any of its sessions, of a federated
// user by its ARN.
func PrincipalOf(record []byte, principal string) bool {
	var rec struct{ UserIdentity who }
	if json.Unmarshal(record, &rec) != nil {
		return false
	}
	w := &rec.UserIdentity
	if w.Type != "AssumedRole" {
		return w.ARN == principal
	}
	if issuer := w.SessionContext.SessionIssuer.ARN; issuer != "" {
		return issuer == principal || w.ARN == principal
	}
	// The name of a role is unique in its account, whatever its path.
	role, err := arn.Parse(principal)
	name := role.Resource[strings.LastIndexByte(role.Resource, '/')+1:]
	return err == nil && w.ARN == principal || strings.HasPrefix(role.Resource, "role/") &&
		strings.HasPrefix(w.ARN, "arn:"+role.Partition+":sts::"+role.Account+":assumed-role/"+name+"/")
}
