package apigen

import "strconv"

func (g *service) printShapes(p *printer) {
	for _, name := range g.shapes {
		switch kindOf(g.model.Shapes[name]) {
		case "Struct", "Union":
			g.printStruct(p, name)
		case "List":
			g.printList(p, name)
		case "Map":
			g.printMap(p, name)
		}
	}
}

// memberType is the Go type of a member of a structure.
func (g *service) memberType(p *printer, shape string) string {
	switch kindOf(g.model.Shapes[shape]) {
	case "Struct", "Union", "String", "Boolean", "Integer", "Long", "Float", "Double", "Timestamp":
		return "*" + g.elemType(p, shape)
	}
	return g.elemType(p, shape)
}

// elemType is the Go type of an element of a list or a value of a map.
func (g *service) elemType(p *printer, shape string) string {
	s := g.model.Shapes[shape]
	switch kindOf(s) {
	case "Struct", "Union", "Enum":
		return g.types[shape]
	case "List":
		return "[]" + g.elemType(p, s.Member.Shape)
	case "Map":
		return "map[" + g.elemType(p, s.Key.Shape) + "]" + g.elemType(p, s.Value.Shape)
	case "Blob":
		return "[]byte"
	case "Boolean":
		return "bool"
	case "Integer":
		return "int32"
	case "Long":
		return "int64"
	case "Float", "Double":
		return "float64"
	case "Timestamp":
		p.use("time")
		return "time.Time"
	case "Document":
		return "any"
	}
	return "string"
}

func (g *service) printStruct(p *printer, name string) {
	p.use(wirePath)
	s := g.model.Shapes[name]
	t, ident := g.types[name], g.idents[name]
	message := messageOf(s)
	stream := g.model.streamOf(s)

	p.line("type %s struct {", t)
	for i := range s.Members {
		m := &s.Members[i]
		switch m {
		case message:
			p.line("Message string")
		case stream:
			p.use("io")
			p.line("%s io.ReadCloser", g.model.fieldName(s, m.Name))
		default:
			p.line("%s %s", g.model.fieldName(s, m.Name), g.memberType(p, m.Shape))
		}
	}
	p.line("}\n")
	p.line("func (s *%s) Schema() *wire.Schema { return &schema%s }\n", t, ident)

	if len(s.Members) == 0 || len(s.Members) == 1 && stream != nil {
		p.line("func (s *%s) WriteMembers(wire.Writer) {}\n", t)
		p.line("func (s *%s) ReadMembers(r wire.Reader) {", t)
		p.line("for r.NextMember() != nil {\n}\n}\n")
	} else {
		p.line("func (s *%s) WriteMembers(w wire.Writer) {", t)
		p.line("m := schema%s.Members", ident)
		for i := range s.Members {
			m := &s.Members[i]
			member := "&m[" + strconv.Itoa(i) + "]"
			switch m {
			case message:
				p.line("if s.Message != \"\" {")
				p.line("w.String(%s, s.Message)", member)
				p.line("}")
			case stream:
			default:
				g.printWriteMember(p, "s."+g.model.fieldName(s, m.Name), member, m.Shape)
			}
		}
		p.line("}\n")
		p.line("func (s *%s) ReadMembers(r wire.Reader) {", t)
		p.line("for m := r.NextMember(); m != nil; m = r.NextMember() {")
		p.line("switch m.Index {")
		for i := range s.Members {
			m := &s.Members[i]
			if m == stream {
				continue
			}
			p.line("case %d:", i)
			if m == message {
				p.line("s.Message = r.String(m)")
				continue
			}
			g.printReadMember(p, "s."+g.model.fieldName(s, m.Name), m.Shape)
		}
		p.line("}\n}\n}\n")
	}
	if stream != nil {
		p.line("func (s *%s) Stream() io.ReadCloser { return s.%s }\n", t, g.model.fieldName(s, stream.Name))
		p.line("func (s *%s) SetStream(r io.ReadCloser) { s.%s = r }\n", t, g.model.fieldName(s, stream.Name))
	}
}

func (g *service) printWriteMember(p *printer, field, member, shape string) {
	s := g.model.Shapes[shape]
	value := field
	switch kindOf(s) {
	case "Enum":
		p.line("if %s != \"\" {", field)
	case "String", "Boolean", "Integer", "Long", "Float", "Double", "Timestamp":
		p.line("if %s != nil {", field)
		value = "*" + field
	default:
		p.line("if %s != nil {", field)
	}
	g.printWrite(p, value, member, shape)
	p.line("}")
}

// printWrite prints the writing of a value that is there.
func (g *service) printWrite(p *printer, value, member, shape string) {
	switch s := g.model.Shapes[shape]; kindOf(s) {
	case "Struct", "Union":
		p.line("w.BeginStruct(%s)", member)
		p.line("%s.WriteMembers(w)", value)
		p.line("w.EndStruct()")
	case "List", "Map":
		p.line("write%s(w, %s, %s)", g.idents[shape], member, value)
	case "Enum":
		p.line("w.String(%s, string(%s))", member, value)
	case "Boolean":
		p.line("w.Bool(%s, %s)", member, value)
	case "Integer":
		p.line("w.Int(%s, int64(%s))", member, value)
	case "Long":
		p.line("w.Int(%s, %s)", member, value)
	case "Float", "Double":
		p.line("w.Float(%s, %s)", member, value)
	case "Timestamp":
		p.line("w.Time(%s, %s)", member, value)
	default: // String, Blob, Document
		p.line("w.%s(%s, %s)", kindOf(s), member, value)
	}
}

func (g *service) printReadMember(p *printer, field, shape string) {
	s := g.model.Shapes[shape]
	switch kindOf(s) {
	case "Struct", "Union":
		p.line("%s = new(%s)", field, g.types[shape])
		p.line("r.BeginStruct(m)")
		p.line("%s.ReadMembers(r)", field)
	case "String", "Boolean", "Integer", "Long", "Float", "Double", "Timestamp":
		p.line("%s = new(%s)", field, g.read("m", shape))
	default:
		p.line("%s = %s", field, g.read("m", shape))
	}
}

// read is the expression that reads a value other than a structure.
func (g *service) read(member, shape string) string {
	switch s := g.model.Shapes[shape]; kindOf(s) {
	case "List", "Map":
		return "read" + g.idents[shape] + "(r, " + member + ")"
	case "Enum":
		return g.types[shape] + "(r.String(" + member + "))"
	case "Boolean":
		return "r.Bool(" + member + ")"
	case "Integer":
		return "int32(r.Int(" + member + "))"
	case "Long":
		return "r.Int(" + member + ")"
	case "Float", "Double":
		return "r.Float(" + member + ")"
	case "Timestamp":
		return "r.Time(" + member + ")"
	default:
		return "r." + kindOf(s) + "(" + member + ")"
	}
}

func (g *service) printList(p *printer, name string) {
	p.use(wirePath)
	ident := g.idents[name]
	elem := g.model.Shapes[name].Member.Shape
	t := g.elemType(p, elem)
	p.line("func write%s(w wire.Writer, m *wire.Member, v []%s) {", ident, t)
	p.line("w.BeginList(m, len(v))")
	if g.types[elem] != "" && kindOf(g.model.Shapes[elem]) != "Enum" {
		p.line("for i := range v {")
		g.printWrite(p, "v[i]", "schema"+ident+".Elem", elem)
	} else {
		p.line("for _, e := range v {")
		g.printWrite(p, "e", "schema"+ident+".Elem", elem)
	}
	p.line("}\nw.EndList()\n}\n")

	p.line("func read%s(r wire.Reader, m *wire.Member) []%s {", ident, t)
	p.line("v := []%s{}", t)
	p.line("for r.BeginList(m); r.NextItem(); {")
	p.line("if r.Null() {\ncontinue\n}")
	switch kindOf(g.model.Shapes[elem]) {
	case "Struct", "Union":
		p.line("var e %s", t)
		p.line("r.BeginStruct(schema%s.Elem)", ident)
		p.line("e.ReadMembers(r)")
		p.line("v = append(v, e)")
	default:
		p.line("v = append(v, %s)", g.read("schema"+ident+".Elem", elem))
	}
	p.line("}\nreturn v\n}\n")
}

func (g *service) printMap(p *printer, name string) {
	p.use(wirePath)
	ident := g.idents[name]
	s := g.model.Shapes[name]
	key, elem := g.elemType(p, s.Key.Shape), g.elemType(p, s.Value.Shape)
	p.line("func write%s(w wire.Writer, m *wire.Member, v map[%s]%s) {", ident, key, elem)
	p.line("w.BeginMap(m, len(v))")
	p.line("var room [8]%s", key)
	p.line("for _, k := range wire.SortedKeys(room[:0], v) {")
	if key == "string" {
		p.line("w.MapKey(k)")
	} else {
		p.line("w.MapKey(string(k))")
	}
	value := "v[k]"
	switch kindOf(g.model.Shapes[s.Value.Shape]) {
	case "Struct", "Union":
		p.line("e := v[k]")
		value = "e"
	}
	g.printWrite(p, value, "schema"+ident+".Elem", s.Value.Shape)
	p.line("}\nw.EndMap()\n}\n")

	p.line("func read%s(r wire.Reader, m *wire.Member) map[%s]%s {", ident, key, elem)
	p.line("v := map[%s]%s{}", key, elem)
	p.line("r.BeginMap(m)")
	p.line("for k, ok := r.NextKey(); ok; k, ok = r.NextKey() {")
	p.line("if r.Null() {\ncontinue\n}")
	k := "k"
	if key != "string" {
		k = key + "(k)"
	}
	switch kindOf(g.model.Shapes[s.Value.Shape]) {
	case "Struct", "Union":
		p.line("var e %s", elem)
		p.line("r.BeginStruct(schema%s.Elem)", ident)
		p.line("e.ReadMembers(r)")
		p.line("v[%s] = e", k)
	default:
		p.line("v[%s] = %s", k, g.read("schema"+ident+".Elem", s.Value.Shape))
	}
	p.line("}\nreturn v\n}\n")
}
