package apigen

import (
	"fmt"
	"strconv"
	"strings"
)

func (g *service) printSchemas(p *printer) {
	if len(g.shapes) > 0 {
		p.use(wirePath)
	}
	if len(g.breaks) > 0 {
		p.line("// Go does not let variables depend on themselves. These references close a circle of schemas.")
		p.line("func init() {")
		for _, l := range g.breaks {
			part := l.part
			if part == "" {
				part = fmt.Sprintf("Members[%d]", l.index)
			}
			p.line("schema%s.%s.Target = &schema%s", g.idents[l.from], part, g.idents[l.to])
		}
		p.line("}\n")
	}
	for _, name := range g.shapes {
		g.printSchema(p, name)
	}
}

func (g *service) printSchema(p *printer, name string) {
	s := g.model.Shapes[name]
	ident := g.idents[name]
	structural := s.Type == "structure" && !s.Document

	// A payload points to one of the members, so these need a variable of their own.
	payload := structural && s.Payload != ""
	if payload {
		p.line("var members%s = [...]wire.Member{", ident)
		g.printMembers(p, s)
		p.line("}\n")
	}
	p.line("var schema%s = wire.Schema{", ident)
	p.line("Name: %q,", name)
	p.line("Kind: wire.%s,", kindOf(s))
	switch {
	case payload:
		p.line("Members: members%s[:],", ident)
		for i, m := range s.Members {
			if m.Name == s.Payload {
				p.line("Payload: &members%s[%d],", ident, i)
			}
		}
	case structural && len(s.Members) > 0:
		p.line("Members: []wire.Member{")
		g.printMembers(p, s)
		p.line("},")
	}
	if s.Type == "list" {
		p.line("Elem: &wire.Member{%s},", g.member("member", 0, *s.Member, link{from: name, part: "Elem", to: s.Member.Shape}))
	}
	if s.Type == "map" {
		p.line("Key: &wire.Member{%s},", g.member("key", 0, *s.Key, link{from: name, part: "Key", to: s.Key.Shape}))
		p.line("Elem: &wire.Member{%s},", g.member("value", 0, *s.Value, link{from: name, part: "Elem", to: s.Value.Shape}))
	}
	if c := constraint(s); c != "" {
		p.line("Constraint: &wire.Constraint{%s},", c)
	}
	if s.Exception {
		g.printErrorTrait(p, s)
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"Sensitive", s.Sensitive},
		{"Flattened", s.Flattened},
		{"Streaming", s.Streaming || s.EventStream},
	} {
		if flag.set {
			p.line("%s: true,", flag.name)
		}
	}
	if f := timestampFormat(s.TimestampFormat); f != "" {
		p.line("TimestampFormat: %s,", f)
	}
	if s.LocationName != "" {
		p.line("LocationName: %q,", s.LocationName)
	}
	if ns := s.XMLNamespace; ns != nil && ns.Prefix == "" {
		p.line("XMLNamespace: %q,", ns.URI) // with a prefix it is no default, and each use declares it
	}
	p.line("}\n")
}

func (g *service) printMembers(p *printer, s *Shape) {
	for i, m := range s.Members {
		p.line("{%s},", g.member(m.Name, i, m.Ref, link{from: s.Name, index: i, to: m.Shape}))
	}
}

// member is the inside of the literal of a wire.Member.
func (g *service) member(name string, index int, r Ref, l link) string {
	target := g.model.Shapes[r.Shape]
	var b strings.Builder
	fmt.Fprintf(&b, "Name: %q", name)
	if index > 0 {
		fmt.Fprintf(&b, ", Index: %d", index)
	}
	if !g.isBroken(l) {
		fmt.Fprintf(&b, ", Target: &schema%s", g.idents[r.Shape])
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"Required", r.Required},
		{"Sensitive", r.Sensitive || g.isSensitive(target)},
		{"IdempotencyToken", r.IdempotencyToken},
		{"HostLabel", r.HostLabel},
		{"Flattened", r.Flattened || target.Flattened},
		{"XMLAttribute", r.XMLAttribute},
	} {
		if flag.set {
			fmt.Fprintf(&b, ", %s: true", flag.name)
		}
	}
	if location := location(r.Location, target); location != "" {
		fmt.Fprintf(&b, ", Location: wire.%s", location)
	}
	if r.LocationName != "" && r.LocationName != name {
		fmt.Fprintf(&b, ", LocationName: %q", r.LocationName)
	}
	if r.QueryName != "" {
		fmt.Fprintf(&b, ", QueryName: %q", r.QueryName)
	}
	ns := r.XMLNamespace
	if ns == nil && target.Type == "structure" {
		ns = target.XMLNamespace // declared where the shape is used
	}
	if ns != nil {
		fmt.Fprintf(&b, ", XMLNamespace: %q", ns.URI)
		if ns.Prefix != "" {
			fmt.Fprintf(&b, ", XMLPrefix: %q", ns.Prefix)
		}
	}
	format := r.TimestampFormat
	if format == "" {
		format = target.TimestampFormat
	}
	if f := timestampFormat(format); f != "" {
		fmt.Fprintf(&b, ", TimestampFormat: %s", f)
	}
	return b.String()
}

// isSensitive reports whether a shape, or what a list or map of it holds, is sensitive.
func (g *service) isSensitive(s *Shape) bool {
	for range 10 { // lists of lists end long before
		if s.Sensitive {
			return true
		}
		switch s.Type {
		case "list":
			s = g.model.Shapes[s.Member.Shape]
		case "map":
			if g.model.Shapes[s.Key.Shape].Sensitive {
				return true
			}
			s = g.model.Shapes[s.Value.Shape]
		default:
			return false
		}
	}
	return false
}

func (g *service) printErrorTrait(p *printer, s *Shape) {
	var trait ErrorTrait
	if s.Error != nil {
		trait = *s.Error
	}
	fault := s.Fault || trait.Fault || trait.HTTPStatusCode >= 500
	status := trait.HTTPStatusCode
	switch {
	case status != 0:
	case fault:
		status = 500
	default:
		status = 400
	}
	p.line("Error: &wire.ErrorTrait{")
	p.line("Code: %q,", g.code(s))
	p.line("Status: %d,", status)
	if fault {
		p.line("Fault: true,")
	}
	if g.queryCompatible() {
		if trait.Code != "" && trait.Code != s.Name {
			p.line("QueryCode: %q,", trait.Code)
		}
		if trait.queryStatus != 0 {
			status = trait.queryStatus
		}
		p.line("QueryStatus: %d,", status)
	}
	p.line("New: func() wire.Shape { return new(%s) },", g.types[s.Name])
	p.line("},")
}

func location(l string, target *Shape) string {
	switch l {
	case "header":
		return "InHeader"
	case "headers":
		return "InHeaders"
	case "querystring":
		if target.Type == "map" {
			return "InQueryMap"
		}
		return "InQuery"
	case "uri":
		return "InURI"
	case "statusCode":
		return "InStatus"
	}
	return ""
}

func timestampFormat(f string) string {
	switch f {
	case "iso8601":
		return "wire.DateTime"
	case "rfc822":
		return "wire.HTTPDate"
	case "unixTimestamp":
		return "wire.EpochSeconds"
	}
	return ""
}

// constraint is the inside of the literal of a wire.Constraint, "" if the model states none.
func constraint(s *Shape) string {
	var parts []string
	if s.Min != nil {
		parts = append(parts, "Min: "+number(*s.Min), "HasMin: true")
	}
	if s.Max != nil {
		parts = append(parts, "Max: "+number(*s.Max), "HasMax: true")
	}
	if s.inside != 0 {
		parts = append(parts, "Inside: "+number(s.inside))
	}
	if s.Pattern != "" {
		parts = append(parts, "Pattern: "+quote(s.Pattern))
	}
	if s.Type == "string" && len(s.Enum) > 0 {
		var values []string
		for _, v := range s.Enum {
			values = append(values, strconv.Quote(v))
		}
		parts = append(parts, "Enum: []string{"+strings.Join(values, ", ")+"}")
	}
	return strings.Join(parts, ", ")
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// quote prefers the raw form, in which a pattern can be read.
func quote(s string) string {
	if strconv.CanBackquote(s) {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}
