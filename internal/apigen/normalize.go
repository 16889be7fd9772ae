package apigen

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// normalize gives every operation an input and an output, every error a message, and every trait its place
// at the shape where the format lets it stand at the use as well.
func (m *Model) normalize() error {
	if len(m.Metadata.Protocols) == 0 {
		m.Metadata.Protocols = []string{m.Metadata.Protocol}
	}
	if m.Metadata.SigningName == "" {
		m.Metadata.SigningName = m.Metadata.EndpointPrefix
	}
	for name, s := range m.Shapes {
		s.Name = name
	}
	for _, name := range slices.Sorted(maps.Keys(m.Operations)) {
		op := m.Operations[name]
		if op.Input == nil {
			op.Input = &Ref{Shape: m.addEmpty(name, "Request", "Input")}
		}
		if op.Output == nil {
			op.Output = &Ref{Shape: m.addEmpty(name, "Response", "Output")}
		}
		for _, e := range op.Errors {
			if s := m.Shapes[e.Shape]; s != nil {
				s.Exception = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Shapes)) {
		s := m.Shapes[name]
		if s.Error != nil {
			s.Exception = true
		}
		if s.Exception {
			m.giveMessage(s)
		}
		for i := range s.Members {
			member := &s.Members[i]
			member.Required = slices.Contains(s.Required, member.Name)
			target := m.Shapes[member.Shape]
			if target == nil || len(member.Enum) == 0 && (!member.Streaming || target.Streaming) {
				continue
			}
			own := *target
			own.Name = name + export(member.Name)
			own.Enum = member.Enum
			own.Streaming = member.Streaming
			if m.Shapes[own.Name] != nil {
				return fmt.Errorf("no name for a shape of %s.%s alone", name, member.Name)
			}
			m.Shapes[own.Name] = &own
			member.Shape = own.Name
		}
	}
	return m.check()
}

func (m *Model) addEmpty(operation string, endings ...string) string {
	for _, ending := range endings {
		name := operation + ending
		if m.Shapes[name] == nil {
			m.Shapes[name] = &Shape{Type: "structure", Name: name}
			return name
		}
	}
	panic("no name for the empty structure of " + operation)
}

// giveMessage adds the message to errors whose model has none: on the wire they have one all the same.
func (m *Model) giveMessage(s *Shape) {
	if messageOf(s) != nil {
		return
	}
	const shape = "__ErrorMessage"
	m.Shapes[shape] = &Shape{Type: "string", Name: shape}
	s.Members = append(s.Members, Member{Name: "message", Ref: Ref{Shape: shape}})
}

// messageOf returns the member of an error that is its message.
func messageOf(s *Shape) *Member {
	if !s.Exception {
		return nil
	}
	for _, name := range []string{"message", "Message"} {
		if member := s.Members.find(name); member != nil {
			return member
		}
	}
	return nil
}

// check makes sure that each reference has a shape and that each shape has a type known here.
func (m *Model) check() error {
	var errs []error
	ref := func(where string, r *Ref) {
		if r == nil || m.Shapes[r.Shape] == nil {
			errs = append(errs, fmt.Errorf("%s refers to no shape", where))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Operations)) {
		op := m.Operations[name]
		ref(name, op.Input)
		ref(name, op.Output)
		for _, e := range op.Errors {
			ref(name, &e)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Shapes)) {
		s := m.Shapes[name]
		for _, member := range s.Members {
			ref(name+"."+member.Name, &member.Ref)
		}
		switch s.Type {
		case "list":
			ref(name, s.Member)
		case "map":
			ref(name, s.Key)
			ref(name, s.Value)
		default:
			if kindOf(s) == "" {
				errs = append(errs, fmt.Errorf("%s has the type %q", name, s.Type))
			}
		}
		if s.Payload != "" && s.Members.find(s.Payload) == nil {
			errs = append(errs, fmt.Errorf("%s has no member for its payload", name))
		}
	}
	return errors.Join(errs...)
}

// kindOf returns the name of the wire.Kind of a shape, "" if there is none.
func kindOf(s *Shape) string {
	switch s.Type {
	case "structure":
		switch {
		case s.Document:
			return "Document"
		case s.Union, s.EventStream:
			return "Union"
		}
		return "Struct"
	case "string":
		if len(s.Enum) > 0 {
			return "Enum"
		}
		return "String"
	case "list", "map", "blob", "boolean", "integer", "long", "float", "double", "timestamp":
		return strings.ToUpper(s.Type[:1]) + s.Type[1:]
	}
	return ""
}

// isStream reports whether a member is the streaming body of a message. The frames of an event stream are
// such a body, too.
func (m *Model) isStream(r *Ref) bool {
	s := m.Shapes[r.Shape]
	return s.Streaming || s.EventStream
}

// streamOf returns the streaming member of a structure, or nil.
func (m *Model) streamOf(s *Shape) *Member {
	if s.Type != "structure" {
		return nil
	}
	for i := range s.Members {
		if m.isStream(&s.Members[i].Ref) {
			return &s.Members[i]
		}
	}
	return nil
}
