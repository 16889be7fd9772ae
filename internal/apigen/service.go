package apigen

import (
	"fmt"
	"slices"
	"strings"
)

// service is a model on its way into a package.
type service struct {
	model   *Model
	iam     *Reference
	special special
	global  bool

	operations []string // to be built, sorted
	unbuilt    []string // the rest, sorted
	shapes     []string // that the operations reach, sorted

	types     map[string]string   // Go types of structures, unions and enumerations
	idents    map[string]string   // the part of unexported names that stands for the shape
	constants map[string][]string // of enumerations, in the order of their values
	breaks    []link              // references that would make schemas depend on themselves
}

// link is a reference from a shape to another one: from a member of a structure, or from one of the parts
// "Key" and "Elem" of lists and maps.
type link struct {
	from  string
	index int
	part  string
	to    string
}

// newService prepares the given operations of a model; "*" stands for all.
func newService(in *library, folder string, operations []string) (*service, error) {
	models, own := in.Models, in.own(folder)
	if own {
		models = in.Own
	}
	m, err := ReadModel(models, folder)
	if err != nil {
		return nil, err
	}
	g := &service{model: m, special: specialFor(folder), global: in.global[m.Metadata.EndpointPrefix]}
	for _, name := range g.special.sensitive {
		if err := m.markSensitive(name); err != nil {
			return nil, err
		}
	}
	if q := g.special.query; q != nil {
		if err := q.addTo(m); err != nil {
			return nil, err
		}
	}
	for name, length := range g.special.inside {
		if m.Shapes[name] == nil {
			return nil, fmt.Errorf("the model of %s has no shape %s", folder, name)
		}
		m.Shapes[name].inside = length
	}
	if own { // IAM knows nothing of it
		g.iam = &Reference{Prefix: g.prefix()}
	} else if g.iam, err = ReadReference(in.IAM, g.prefix()); err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, op := range operations {
		if op == "*" {
			for name := range m.Operations {
				wanted[name] = true
			}
			continue
		}
		if m.Operations[op] == nil {
			return nil, fmt.Errorf("the model of %s has no operation %s", folder, op)
		}
		wanted[op] = true
	}
	for _, op := range sortedKeys(m.Operations) {
		if wanted[op] {
			g.operations = append(g.operations, op)
		} else {
			g.unbuilt = append(g.unbuilt, op)
		}
	}
	g.reach()
	return g, g.name()
}

func (g *service) prefix() string {
	if g.special.iamPrefix != "" {
		return g.special.iamPrefix
	}
	return g.model.Metadata.SigningName
}

func (g *service) eventSource() string {
	if g.special.eventSource != "" {
		return g.special.eventSource
	}
	return g.model.Metadata.SigningName + ".amazonaws.com"
}

// links returns the references that a shape's schema makes.
func (g *service) links(name string) []link {
	s := g.model.Shapes[name]
	var links []link
	if kindOf(s) == "Document" {
		return nil
	}
	for i, m := range s.Members {
		links = append(links, link{from: name, index: i, to: m.Shape})
	}
	switch s.Type {
	case "list":
		links = append(links, link{from: name, part: "Elem", to: s.Member.Shape})
	case "map":
		links = append(links, link{from: name, part: "Key", to: s.Key.Shape}, link{from: name, part: "Elem", to: s.Value.Shape})
	}
	return links
}

// reach finds the shapes that the operations need, and the references among them that lead back to where
// the search came from. Without those, schemas do not depend on themselves.
func (g *service) reach() {
	const open, done = 1, 2
	state := map[string]int{}
	var visit func(name string)
	visit = func(name string) {
		state[name] = open
		for _, l := range g.links(name) {
			switch state[l.to] {
			case 0:
				visit(l.to)
			case open:
				g.breaks = append(g.breaks, l)
			}
		}
		state[name] = done
		g.shapes = append(g.shapes, name)
	}
	for _, name := range g.operations {
		op := g.model.Operations[name]
		for _, r := range slices.Concat([]Ref{*op.Input, *op.Output}, op.Errors) {
			if state[r.Shape] == 0 {
				visit(r.Shape)
			}
		}
	}
	slices.Sort(g.shapes)
	slices.SortFunc(g.breaks, func(a, b link) int {
		return strings.Compare(fmt.Sprintf("%s %05d %s", a.from, a.index, a.part), fmt.Sprintf("%s %05d %s", b.from, b.index, b.part))
	})
}

// isBroken reports whether init has to set a reference.
func (g *service) isBroken(l link) bool { return slices.Contains(g.breaks, l) }

// action is the IAM action of an operation, and what the reference knows of it or nil.
func (g *service) action(name string) (string, *Action) {
	action := name
	if a, ok := g.special.action[name]; ok {
		action = a
	} else if g.special.actionFor != nil {
		action = g.special.actionFor(name, g.model.Operations[name])
	}
	if a := g.iam.Actions[strings.ToLower(action)]; a != nil {
		return g.prefix() + ":" + a.Name, a
	}
	return g.prefix() + ":" + action, nil
}

func (g *service) event(name string) string {
	if e, ok := g.special.event[name]; ok {
		return e
	}
	if g.special.eventFor != nil {
		return g.special.eventFor(name, g.model.Operations[name])
	}
	return name
}

func (g *service) readOnly(name string) bool {
	if r, ok := g.special.readOnly[name]; ok {
		return r
	}
	if _, a := g.action(name); a != nil {
		return a.level() == "Read" || a.level() == "List"
	}
	// The reference does not know the action: then the model may say so, or the name does.
	for _, verb := range []string{"Describe", "Get", "Head", "List"} {
		if strings.HasPrefix(name, verb) {
			return true
		}
	}
	return g.model.Operations[name].ReadOnly
}
