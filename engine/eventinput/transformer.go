package eventinput

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of a transformer.
const (
	maxPaths    = 100
	maxTemplate = 8192
)

// Variables are what a template may name besides what its paths tell.
type Variables struct {
	RuleARN, RuleName string
	Ingested          time.Time // when the event came in
}

// The variables that there always are.
const (
	ruleARN       = "aws.events.rule-arn"
	ruleName      = "aws.events.rule-name"
	ingestionTime = "aws.events.event.ingestion-time"
	eventWithout  = "aws.events.event" // the event without its detail
	eventJSON     = "aws.events.event.json"
)

func predefined(name string) bool {
	switch name {
	case ruleARN, ruleName, ingestionTime, eventWithout, eventJSON:
		return true
	}
	return false
}

// Transformer makes a text of an event: its template, with the values in it that the template names in angle brackets. It is immutable.
type Transformer struct {
	paths map[string]Path
	parts []part
}

// part is a piece of a template: a text, or a variable.
type part struct {
	text     string
	variable string
	quoted   bool // the variable stands in a string
}

var (
	placeholder = regexp.MustCompile(`<[A-Za-z0-9_.-]+>`)
	pathKey     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)
)

// NewTransformer compiles the transformer of the target with an ID. Its error has the text that AWS answers with.
//
// The template is JSON, or several lines of it, but for variables: within strings as part of them, elsewhere in the place of a value.
func NewTransformer(target string, paths map[string]string, template string) (*Transformer, error) {
	t := &Transformer{paths: map[string]Path{}}
	if len(paths) > maxPaths {
		return nil, fmt.Errorf("InputPathsMap for target %s has more than %d entries.", target, maxPaths)
	}
	for key, text := range paths {
		if strings.HasPrefix(strings.ToUpper(key), "AWS.") || !pathKey.MatchString(key) {
			return nil, fmt.Errorf("InputPathsMap for target %s contains invalid key %s.", target, key)
		}
		p, err := ParsePath(text)
		if err != nil {
			return nil, fmt.Errorf("InputPathsMap for target %s contains invalid path %s: %w.", target, text, err)
		}
		t.paths[key] = p
	}
	if n := utf8.RuneCountInString(template); n == 0 || n > maxTemplate {
		return nil, fmt.Errorf("InputTemplate for target %s has to have 1 to %d characters.", target, maxTemplate)
	}
	if err := t.split(target, template); err != nil {
		return nil, err
	}
	return t, t.check(target)
}

// split cuts the template into parts.
func (t *Transformer) split(target, template string) error {
	at, quoted := 0, false
	for _, place := range placeholder.FindAllStringIndex(template, -1) {
		name := template[place[0]+1 : place[1]-1]
		if _, ok := t.paths[name]; !ok && !predefined(name) {
			return fmt.Errorf("InputTemplate for target %s contains invalid placeholder %s.", target, name)
		}
		text := template[at:place[0]]
		quoted = inString(text, quoted)
		t.parts = append(t.parts, part{text: text}, part{variable: name, quoted: quoted})
		at = place[1]
	}
	t.parts = append(t.parts, part{text: template[at:]})
	return nil
}

// inString reports whether a string is open behind text, if one was or was not before it.
func inString(text string, open bool) bool {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			open = !open
		case text[i] == '\\' && open:
			i++
		}
	}
	return open
}

// check expects JSON, with null for each variable.
func (t *Transformer) check(target string) error {
	var b strings.Builder
	for _, p := range t.parts {
		if p.variable != "" {
			b.WriteString("null")
		}
		b.WriteString(p.text)
	}
	text := b.String()
	d := json.NewDecoder(strings.NewReader(text))
	for {
		var v json.RawMessage
		err := d.Decode(&v)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			at := len(text)
			if e := (*json.SyntaxError)(nil); errors.As(err, &e) {
				at = max(min(int(e.Offset), len(text))-1, 0)
			}
			line := strings.Count(text[:at], "\n") + 1
			column := at - strings.LastIndex(text[:at], "\n")
			return fmt.Errorf("Invalid InputTemplate for target %s : [Source: (String)\"%s\"; line: %d, column: %d].", target, text, line, column)
		}
	}
}

// Render makes the text for an event. A value that the event does not have is an empty string.
func (t *Transformer) Render(event []byte, v Variables) []byte {
	var b bytes.Buffer
	for _, p := range t.parts {
		if p.variable == "" {
			b.WriteString(p.text)
			continue
		}
		value := t.value(p.variable, event, v)
		if p.quoted {
			value = inside(value)
		}
		b.Write(value)
	}
	return b.Bytes()
}

// value is the value of a variable, as JSON.
func (t *Transformer) value(name string, event []byte, v Variables) []byte {
	switch name {
	case ruleARN:
		return quote(v.RuleARN)
	case ruleName:
		return quote(v.RuleName)
	case ingestionTime:
		return quote(v.Ingested.UTC().Format(time.RFC3339))
	case eventJSON:
		return event
	case eventWithout:
		return withoutDetail(event)
	}
	if value, ok := t.paths[name].Find(event); ok {
		return value
	}
	return []byte(`""`)
}

func quote(text string) []byte {
	out, err := json.Marshal(text)
	if err != nil {
		return []byte(`""`) // a string always is JSON
	}
	return out
}

// inside is a value as a part of a string: a string as it is between its quotes, all else without quotes in it.
func inside(value []byte) []byte {
	if len(value) >= 2 && value[0] == '"' {
		return value[1 : len(value)-1]
	}
	var b bytes.Buffer
	for i := 0; i < len(value); i++ {
		switch {
		case value[i] == '\\' && i+1 < len(value) && value[i+1] == '"':
			i++ // a quote within a string of the value
		case value[i] != '"':
			b.WriteByte(value[i])
		}
	}
	return b.Bytes()
}

// withoutDetail is the event without its detail, with the names and in the order in which AWS tells it.
func withoutDetail(event []byte) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(event, &fields) != nil {
		return []byte(`{}`)
	}
	var b bytes.Buffer
	for _, f := range [...][2]string{
		{"id", "id"}, {"account", "account"}, {"detail-type", "detailType"}, {"time", "time"}, {"source", "source"}, {"region", "region"},
		{"resources", "resources"}, {"version", "version"},
	} {
		value, ok := fields[f[0]]
		if !ok {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%s":%s`, f[1], value)
	}
	return []byte("{" + b.String() + "}")
}
