package policy

import "strings"

// Outcome is what a decision came to.
type Outcome uint8

const (
	ImplicitDeny Outcome = iota // nothing allowed it
	ExplicitDeny
	Allow
)

func (o Outcome) String() string {
	return [...]string{"implicitDeny", "explicitDeny", "allowed"}[o]
}

// Decision is the answer to a Request. Its zero value denies. It refers to the request,
// which must not change while Message is still to be asked.
type Decision struct {
	Allowed bool
	Outcome Outcome
	// Kind is the kind of policy that decided: the one that denied, the one that allowed,
	// or the one that lacks an allow.
	Kind Kind
	// Policy and Statement are the statement that denied or allowed. Policy is nil after
	// an implicit deny, and where no policy was needed: a grant, or the root user.
	Policy    *Policy
	Statement int
	Grant     *Grant // the grant that allowed
	request   *Request
}

// Message is AWS's sentence for a denial, and empty for an allow.
func (d Decision) Message() string {
	if d.Allowed {
		return ""
	}
	var b strings.Builder
	b.WriteString("User: ")
	action := ""
	if r := d.request; r != nil {
		action = r.Action
		b.WriteString(r.Principal.name())
		b.WriteString(" is not authorized to perform: ")
		b.WriteString(action)
		if r.Resource != "" {
			b.WriteString(" on resource: ")
			b.WriteString(r.Resource)
		}
	}
	if d.Outcome == ExplicitDeny {
		b.WriteString(" with an explicit deny in ")
		switch d.Kind {
		case Identity:
			b.WriteString("an ")
		case Trust:
			b.WriteString("the ")
		default:
			b.WriteString("a ")
		}
		b.WriteString(d.Kind.String())
		return b.String()
	}
	b.WriteString(" because no ")
	b.WriteString(d.Kind.String())
	b.WriteString(" allows the ")
	b.WriteString(action)
	b.WriteString(" action")
	return b.String()
}
