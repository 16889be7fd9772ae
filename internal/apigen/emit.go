package apigen

import (
	"fmt"
	"strconv"
	"strings"
)

// files prints the package of a service.
func (g *service) files() []File {
	name := g.model.Metadata.ServiceFullName
	pkg := packageName(g.model.Folder)
	var files []File
	for _, f := range []struct {
		name, doc string
		print     func(*printer)
	}{
		{"client.go", "", g.printClient},
		{"enums.go", "", g.printEnums},
		{"errors.go", "", g.printErrors},
		{"handler.go", "", g.printHandler},
		{"operations.go", "Package " + pkg + " is the API of " + name + ".", g.printOperations},
		{"schemas.go", "", g.printSchemas},
		{"shapes.go", "", g.printShapes},
	} {
		var p printer
		f.print(&p)
		if p.body.Len() == 0 {
			continue // no enumerations, say
		}
		files = append(files, p.file(pkg, f.name, fmt.Sprintf("the model %s %s", g.model.Folder, g.model.Version), f.doc))
	}
	return files
}

func (g *service) printClient(p *printer) {
	p.use(callPath)
	p.line("// Client calls the service through its Transport, in this process or in another one.")
	p.line("type Client struct{ Transport call.Transport }")
	p.line("")
	for _, op := range g.operations {
		in, out := g.inOut(op)
		p.line("func (k Client) %s(c *call.Call, in *%s) (*%s, error) {", op, in, out)
		p.line("return call.Invoke[*%s](k.Transport, c, Op%s, in)", out, op)
		p.line("}\n")
	}
}

func (g *service) printHandler(p *printer) {
	p.use(callPath)
	p.line("// Handler answers the operations of the service.")
	p.line("type Handler interface {")
	for _, op := range g.operations {
		in, out := g.inOut(op)
		p.line("%s(c *call.Call, in *%s) (*%s, error)", op, in, out)
	}
	p.line("}\n")
	p.line("// Endpoints returns the operations of the service as h handles them, in the order of Operations.")
	p.line("func Endpoints(h Handler) []call.Endpoint {")
	p.line("return []call.Endpoint{")
	for _, op := range g.operations {
		p.line("call.Handle(Op%s, h.%s),", op, op)
	}
	p.line("}\n}\n")
	p.line("// Unimplemented answers every operation by name as not implemented. A service embeds it until it is complete.")
	p.line("type Unimplemented struct{}\n")
	if len(g.operations) > 0 {
		p.use(wirePath)
	}
	for _, op := range g.operations {
		in, out := g.inOut(op)
		p.line("func (Unimplemented) %s(*call.Call, *%s) (*%s, error) {", op, in, out)
		p.line("return nil, wire.NotImplemented(Service.Package, Op%s.Name)", op)
		p.line("}\n")
	}
}

func (g *service) inOut(op string) (in, out string) {
	o := g.model.Operations[op]
	return g.types[o.Input.Shape], g.types[o.Output.Shape]
}

func (g *service) printEnums(p *printer) {
	for _, name := range g.shapes {
		s := g.model.Shapes[name]
		if kindOf(s) != "Enum" {
			continue
		}
		p.line("// %s is a string of the model's %s; \"\" is none.", g.types[name], name)
		p.line("type %s string\n", g.types[name])
		p.line("const (")
		for i, value := range s.Enum {
			p.line("%s %s = %q", g.constants[name][i], g.types[name], value)
		}
		p.line(")\n")
	}
}

func (g *service) printErrors(p *printer) {
	for _, name := range g.shapes {
		s := g.model.Shapes[name]
		if !s.Exception {
			continue
		}
		t := g.types[name]
		p.line("func (s *%s) Error() string { return %q + s.Message }\n", t, g.code(s)+": ")
	}
}

// code is the code of an error on the wire. Only the query protocols send another one than the shape's name.
func (g *service) code(s *Shape) string {
	if s.Error != nil && s.Error.Code != "" && (g.has("query") || g.has("ec2")) && !g.queryCompatible() {
		return s.Error.Code
	}
	return s.Name
}

func (g *service) has(protocol string) bool {
	for _, p := range g.model.Metadata.Protocols {
		if p == protocol {
			return true
		}
	}
	return false
}

func (g *service) queryCompatible() bool { return len(g.model.Metadata.AWSQueryCompatible) > 0 }

// wireService is the literal of a wire.Service.
func (g *service) wireService(p *printer) {
	m := g.model.Metadata
	p.line("Package: %q,", packageName(g.model.Folder))
	p.line("ID: %q,", m.ServiceID)
	p.line("FullName: %q,", m.ServiceFullName)
	p.line("APIVersion: %q,", g.model.Version)
	p.line("")
	p.line("EndpointPrefix: %q,", m.EndpointPrefix)
	p.line("SigningName: %q,", m.SigningName)
	p.line("ActionPrefix: %q,", g.prefix())
	p.line("EventSource: %q,", g.eventSource())
	if g.global {
		p.line("Global: true,")
	}
	p.line("")
	var protocols []string
	for _, id := range m.Protocols {
		protocols = append(protocols, "wire."+protocolNames[id])
	}
	p.line("Protocols: []wire.ProtocolID{%s},", strings.Join(protocols, ", "))
	if m.TargetPrefix != "" {
		p.line("TargetPrefix: %q,", m.TargetPrefix)
	}
	if m.JSONVersion != "" && g.has("json") {
		p.line("JSONVersion: %q,", m.JSONVersion)
	}
	if m.XMLNamespace != "" {
		p.line("XMLNamespace: %q,", m.XMLNamespace)
	}
	if g.queryCompatible() {
		p.line("QueryCompatible: true,")
	}
}

var protocolNames = map[string]string{
	"json":               "AWSJSON",
	"rest-json":          "RESTJSON",
	"rest-xml":           "RESTXML",
	"query":              "Query",
	"ec2":                "EC2Query",
	"smithy-rpc-v2-cbor": "RPCv2CBOR",
	"xks-json":           "XKS",
}

func (g *service) printOperations(p *printer) {
	p.use(wirePath)
	p.line("const _ = wire.GeneratedForV1\n")
	p.line("// Service describes the service as a whole.")
	p.line("var Service = &wire.Service{")
	g.wireService(p)
	if len(g.unbuilt) > 0 {
		p.line("")
		p.line("Unbuilt: []wire.Unbuilt{")
		for _, op := range g.unbuilt {
			http := g.model.Operations[op].HTTP
			p.line("{Name: %q, Method: %q, URI: %q},", op, http.Method, http.RequestURI)
		}
		p.line("},")
	}
	p.line("}\n")
	p.line("// Operations returns the operations of the service, sorted by name.")
	p.line("func Operations() []*wire.Operation {")
	p.line("return []*wire.Operation{")
	for _, op := range g.operations {
		p.line("Op%s,", op)
	}
	p.line("}\n}\n")
	g.printARNs(p)
	for _, op := range g.operations {
		g.printOperation(p, op)
	}
}

// printARNs names the ARN templates, which many operations share.
func (g *service) printARNs(p *printer) {
	arns := map[string]string{}
	for _, op := range g.operations {
		if _, a := g.action(op); a != nil {
			for _, r := range a.ResourceTypes {
				if arn := g.iam.Resources[strings.ToLower(r.Name)].ARN; arn != "" {
					arns[arnName(r.Name)] = arn
				}
			}
		}
	}
	if len(arns) == 0 {
		return
	}
	p.line("// The ARN templates of the resource types.")
	p.line("const (")
	for _, name := range sortedKeys(arns) {
		p.line("%s = %q", name, arns[name])
	}
	p.line(")\n")
}

func arnName(resourceType string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(resourceType, func(r rune) bool { return !isWord(r) }) {
		b.WriteString(capital(word))
	}
	return "arn" + b.String()
}

func (g *service) printOperation(p *printer, name string) {
	op := g.model.Operations[name]
	in, out := g.inOut(name)
	p.line("var Op%s = &wire.Operation{", name)
	p.line("Service: Service,")
	p.line("Name: %q,", name)
	p.line("")
	p.line("Method: %q,", op.HTTP.Method)
	p.line("URI: %q,", op.HTTP.RequestURI)
	if c := op.HTTP.ResponseCode; c != 0 && c != 200 {
		p.line("ResponseCode: %d,", c)
	}
	str := func(field, value string) {
		if value != "" {
			p.line("%s: %q,", field, value)
		}
	}
	flag := func(field string, value bool) {
		if value {
			p.line("%s: true,", field)
		}
	}
	str("HostPrefix", op.Endpoint.HostPrefix)
	p.line("")
	p.line("NewInput: func() wire.Shape { return new(%s) },", in)
	p.line("NewOutput: func() wire.Shape { return new(%s) },", out)
	if len(op.Errors) > 0 {
		p.line("Errors: []*wire.Schema{")
		for _, e := range op.Errors {
			p.line("&schema%s,", g.idents[e.Shape])
		}
		p.line("},")
	}
	p.line("")
	str("InputName", op.Input.LocationName)
	if ns := op.Input.XMLNamespace; ns != nil {
		str("InputNamespace", ns.URI)
	}
	str("ResultWrapper", op.Output.ResultWrapper)
	flag("NoAuth", g.special.noAuth[name] || op.AuthType == "none" || len(op.Auth) > 0 && op.Auth[0] == "smithy.api#noAuth")
	flag("UnsignedPayload", op.UnsignedPayload || op.AuthType == "v4-unsigned-body")
	flag("ChecksumRequired", op.HTTPChecksumRequired || op.HTTPChecksum.RequestChecksumRequired)
	streamIn := g.model.streamOf(g.model.Shapes[op.Input.Shape]) != nil
	flag("StreamingInput", streamIn)
	flag("StreamingOutput", g.model.streamOf(g.model.Shapes[op.Output.Shape]) != nil)
	if !streamIn {
		limit := int64(defaultBodyLimit)
		if l, ok := g.special.bodyLimit[name]; ok {
			limit = l
		}
		p.line("BodyLimit: %d,", limit)
	}
	p.line("")
	action, known := g.action(name)
	p.line("Action: %q,", action)
	if known != nil {
		p.line("Access: wire.%s,", accessNames[known.level()])
	}
	flag("ReadOnly", g.readOnly(name))
	flag("RecordResponse", g.special.recorded[name])
	p.line("EventName: %q,", g.event(name))
	if known != nil && len(known.ResourceTypes) > 0 {
		p.line("Resources: []wire.ResourceType{")
		for _, r := range known.ResourceTypes {
			arn := ""
			if g.iam.Resources[strings.ToLower(r.Name)].ARN != "" {
				arn = ", ARN: " + arnName(r.Name)
			}
			required := ""
			if r.Required {
				required = ", Required: true"
			}
			p.line("{Name: %q%s%s},", r.Name, arn, required)
		}
		p.line("},")
	}
	if known != nil && len(known.keys()) > 0 {
		var keys []string
		for _, k := range known.keys() {
			keys = append(keys, strconv.Quote(k))
		}
		p.line("ConditionKeys: []string{%s},", strings.Join(keys, ", "))
	}
	p.line("}\n")
}

var accessNames = map[string]string{
	"List":                   "AccessList",
	"Read":                   "AccessRead",
	"Write":                  "AccessWrite",
	"Tagging":                "AccessTagging",
	"Permissions management": "AccessPermissions",
}
