package eventselect

import (
	"encoding/json"
	"errors"
	"strings"
)

// Event is what selectors look at in a record, and what tells where the record belongs.
type Event struct {
	ID, Account, Region string // eventID, recipientAccountId, awsRegion

	Category    string // eventCategory: Management, Data, ...
	Name        string // eventName
	Source      string // eventSource
	Type        string // eventType
	ReadOnly    bool
	Console     bool // sessionCredentialFromConsole
	ErrorCode   string
	UserARN     string // userIdentity.arn
	VPCEndpoint string // vpcEndpointId
	Resources   []Resource
}

// Resource is a resource that a record names.
type Resource struct{ Type, ARN string }

// ErrMalformed is the error of EventOf: the record is no JSON object that a record could be.
var ErrMalformed = errors.New("eventselect: the record is malformed")

// EventOf reads a record, which is the JSON of CloudTrail. It looks only at what an Event holds: parts of the record that it passes over may be malformed. The event
// does not keep record.
func EventOf(record []byte) (Event, error) {
	var e Event
	p := parser{s: string(record)} // the one copy: what the event holds are parts of it
	p.object(func(key string) {
		switch key {
		case "eventID":
			e.ID = p.text()
		case "recipientAccountId":
			e.Account = p.text()
		case "awsRegion":
			e.Region = p.text()
		case "eventCategory":
			e.Category = p.text()
		case "eventName":
			e.Name = p.text()
		case "eventSource":
			e.Source = p.text()
		case "eventType":
			e.Type = p.text()
		case "readOnly":
			e.ReadOnly = p.truth()
		case "sessionCredentialFromConsole":
			e.Console = p.truth()
		case "errorCode":
			e.ErrorCode = p.text()
		case "vpcEndpointId":
			e.VPCEndpoint = p.text()
		case "userIdentity":
			e.UserARN = ""
			p.object(func(key string) {
				if key == "arn" {
					e.UserARN = p.text()
				} else {
					p.skip()
				}
			})
		case "resources":
			e.Resources = p.resources()
		default:
			p.skip()
		}
	})
	p.space()
	if p.bad || p.i != len(p.s) {
		return Event{}, ErrMalformed
	}
	return e, nil
}

// parser reads JSON once from the front to the back. After something malformed bad is set, and nothing moves any more.
type parser struct {
	s   string
	i   int
	bad bool
}

func (p *parser) fail() {
	p.bad, p.i = true, len(p.s)
}

func (p *parser) space() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\n' || p.s[p.i] == '\t' || p.s[p.i] == '\r') {
		p.i++
	}
}

// next reports whether c is what comes next, and passes it.
func (p *parser) next(c byte) bool {
	p.space()
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

// object calls member for each member of an object, which has to read its value. Anything else than an object is passed over.
func (p *parser) object(member func(key string)) {
	if !p.next('{') {
		p.otherwise()
		return
	}
	if p.next('}') {
		return
	}
	for !p.bad {
		key, ok := p.str()
		if !ok || !p.next(':') {
			p.fail()
			return
		}
		member(key)
		if p.next(',') {
			continue
		}
		if !p.next('}') {
			p.fail()
		}
		return
	}
}

// otherwise passes over a value of another kind than the one that belongs there: null, as a rule. A record itself has to be an object.
func (p *parser) otherwise() {
	if p.space(); p.i == 0 || strings.TrimSpace(p.s[:p.i]) == "" {
		p.fail()
		return
	}
	p.skip()
}

func (p *parser) resources() (found []Resource) {
	if !p.next('[') {
		p.otherwise()
		return nil
	}
	if p.next(']') {
		return nil
	}
	for !p.bad {
		var r Resource
		p.object(func(key string) {
			switch key {
			case "type":
				r.Type = p.text()
			case "ARN":
				r.ARN = p.text()
			default:
				p.skip()
			}
		})
		found = append(found, r)
		if p.next(',') {
			continue
		}
		if !p.next(']') {
			p.fail()
		}
		return found
	}
	return nil
}

// text is a string, or "" for a value of another kind.
func (p *parser) text() string {
	if p.space(); p.i < len(p.s) && p.s[p.i] != '"' {
		p.skip()
		return ""
	}
	s, ok := p.str()
	if !ok {
		p.fail()
	}
	return s
}

// truth is a boolean, which some members write as a string.
func (p *parser) truth() bool {
	p.space()
	from := p.i
	p.skip()
	return !p.bad && (p.s[from:p.i] == "true" || p.s[from:p.i] == `"true"`)
}

// str reads a string.
func (p *parser) str() (string, bool) {
	if !p.next('"') {
		return "", false
	}
	from := p.i
	if !p.quoted() {
		return "", false
	}
	s := p.s[from : p.i-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	var plain string
	if json.Unmarshal([]byte(p.s[from-1:p.i]), &plain) != nil {
		return "", false
	}
	return plain, true
}

// quoted passes over the rest of a string, with its closing quote.
func (p *parser) quoted() bool {
	for {
		n := strings.IndexByte(p.s[p.i:], '"')
		if n < 0 {
			return false
		}
		from := p.i
		p.i += n + 1
		escapes := 0
		for j := p.i - 2; j >= from && p.s[j] == '\\'; j-- {
			escapes++
		}
		if escapes%2 == 0 {
			return true
		}
	}
}

// skip passes over a value of any kind. It counts brackets, and does not see whether they fit each other.
func (p *parser) skip() {
	p.space()
	depth := 0
	for from := p.i; p.i < len(p.s); {
		switch c := p.s[p.i]; c {
		case '"':
			if p.i++; !p.quoted() {
				p.fail()
				return
			}
		case '{', '[':
			depth++
			p.i++
		case '}', ']':
			if depth == 0 {
				if p.i == from {
					p.fail()
				}
				return
			}
			depth--
			p.i++
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				if p.i == from {
					p.fail()
				}
				return
			}
			p.i++
			continue
		default:
			p.i++
			continue
		}
		if depth == 0 {
			return
		}
	}
	p.fail()
}
