package apigen

import (
	"fmt"
	"strings"
)

// catalogFile prints the package that knows every service of the models, built or not.
func catalogFile(services []*service) File {
	var p printer
	p.use(wirePath)
	p.use("strings")
	p.line("const _ = wire.GeneratedForV1\n")
	p.line("// Services returns every service there is a model of, sorted by package, with all of its operations as")
	p.line("// unbuilt. Each call makes new values.")
	p.line("func Services() []*wire.Service {")
	p.line("return []*wire.Service{")
	for _, g := range services {
		p.line("{")
		g.wireService(&p)
		p.line("")
		p.line("Unbuilt: unbuilt(operations%s),", capital(packageName(g.model.Folder)))
		p.line("},")
	}
	p.line("}\n}\n")
	p.line("// unbuilt reads a line an operation: its name, and for REST protocols method and URI.")
	p.line("func unbuilt(lines string) []wire.Unbuilt {")
	p.line("var ops []wire.Unbuilt")
	p.line("for line := range strings.Lines(lines) {")
	p.line("line = strings.TrimSuffix(line, \"\\n\")")
	p.line("name, binding, bound := strings.Cut(line, \" \")")
	p.line("op := wire.Unbuilt{Name: name, Method: \"POST\", URI: \"/\"}")
	p.line("if bound {\nop.Method, op.URI, _ = strings.Cut(binding, \" \")\n}")
	p.line("ops = append(ops, op)")
	p.line("}\nreturn ops\n}\n")
	for _, g := range services {
		p.line("const operations%s = `%s`\n", capital(packageName(g.model.Folder)), operationLines(g.model))
	}
	return p.file("catalog", "catalog.go", "all models",
		"Package catalog knows every service and operation that there is a model of, so that what is not built can\n"+
			"// be answered by name.")
}

func operationLines(m *Model) string {
	var b strings.Builder
	for _, name := range sortedKeys(m.Operations) {
		http := m.Operations[name].HTTP
		b.WriteString(name)
		if http.Method != "POST" || http.RequestURI != "/" {
			fmt.Fprintf(&b, " %s %s", http.Method, http.RequestURI)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
