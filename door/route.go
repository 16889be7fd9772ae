package door

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/wire"
)

// route is where a request goes.
type route struct {
	service  *wire.Service
	protocol wire.Protocol
	style    sigv4.Style
	name     string // of the operation, also of one that is not built
	known    bool   // the service has an operation of that name

	room     *Room          // nil for a service without one
	endpoint *call.Endpoint // nil for an operation without a handler
	peers    bool           // the operation is for peers alone
	labels   map[string]string
	region   string // that the path or the host names, of the few services where they do; "" for the one that the signature names
	meter    *meter
}

// serviceRoutes is how one service is reached.
type serviceRoutes struct {
	service *wire.Service
	room    *Room
	rest    *wire.Router      // nil where paths say nothing
	byName  map[string]*route // complete but for labels, in the service's preferred protocol
}

// router finds routes. It is built once and read by all.
type router struct {
	byTarget  map[string]*serviceRoutes   // awsJson: the part of X-Amz-Target before the dot; rpcv2Cbor: the same in the path
	bySigning map[string][]*serviceRoutes // the service in the credential scope
	byService map[string]*serviceRoutes   // the package of the service
	unsigned  []*serviceRoutes            // whose paths are tried where no scope says who is called: the REST rooms, and S3 last, which takes any path
}

func (r *router) build(rooms map[string]*Room, catalog []*wire.Service, m *metrics) {
	r.byService = make(map[string]*serviceRoutes)
	r.byTarget = make(map[string]*serviceRoutes)
	r.bySigning = make(map[string][]*serviceRoutes)
	// Rooms first: where services share a signing name and a path, what is built answers.
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		r.add(rooms[name].Service, rooms[name], m)
	}
	for _, svc := range catalog {
		if rooms[svc.Package] == nil {
			r.add(svc, nil, m)
		}
	}
	if s3 := r.byService["s3"]; s3 != nil {
		r.unsigned = append(r.unsigned, s3)
	}
}

func (r *router) add(svc *wire.Service, room *Room, m *metrics) {
	s := &serviceRoutes{service: svc, room: room, byName: make(map[string]*route)}
	var ops []*wire.Operation
	if room != nil {
		for i := range room.Endpoints {
			e := &room.Endpoints[i]
			s.byName[e.Op.Name] = &route{service: svc, name: e.Op.Name, known: true, room: room, endpoint: e, meter: m.meter(svc.Package, e.Op.Name)}
			ops = append(ops, e.Op)
		}
		for i := range room.Peers {
			e := &room.Peers[i]
			s.byName[e.Op.Name] = &route{service: svc, name: e.Op.Name, known: true, room: room, endpoint: e, peers: true, meter: m.meter(svc.Package, e.Op.Name)}
		}
	}
	// Where nothing tells two operations apart, the one that is built is meant: those that are not come last.
	for _, u := range svc.Unbuilt {
		s.byName[u.Name] = &route{service: svc, name: u.Name, known: true, room: room}
		ops = append(ops, unbuilt(svc, u))
	}
	if isREST(svc) {
		s.rest = wire.NewRouter(ops)
	}
	if svc.TargetPrefix != "" {
		r.byTarget[svc.TargetPrefix] = s
		// CloudTrail's has the name of a Java package before it, which some SDKs send and others do not.
		_, short := cutLast(svc.TargetPrefix, '.')
		r.byTarget[short] = s
	}
	r.byService[svc.Package] = s
	r.bySigning[svc.SigningName] = append(r.bySigning[svc.SigningName], s)
	if isREST(svc) && room != nil && svc.Package != "s3" {
		r.unsigned = append(r.unsigned, s)
	}
}

// unbuilt is an operation that is not built, for the router. Nothing generated says what it cannot be called without; of those of S3 that share
// a path with another one, marks does.
func unbuilt(svc *wire.Service, u wire.Unbuilt) *wire.Operation {
	op := &wire.Operation{Service: svc, Name: u.Name, Method: u.Method, URI: u.URI}
	if m := marks(u.Name); svc.SigningName == "s3" && m != nil {
		op.NewInput = func() wire.Shape { return m }
	}
	return op
}

// marks are the parameters and headers that tell an operation of S3 from others of its path.
func marks(operation string) *marked {
	const upload, part, source = "uploadId", "partNumber", "x-amz-copy-source"
	switch operation {
	case "AbortMultipartUpload", "CompleteMultipartUpload", "ListParts":
		return mark(nil, upload)
	case "UploadPart":
		return mark(nil, upload, part)
	case "UploadPartCopy":
		return mark([]string{source}, upload, part)
	case "CopyObject":
		return mark([]string{source})
	}
	return nil
}

// marked is the input of an operation as far as a router looks at it.
type marked struct{ schema wire.Schema }

func mark(headers []string, query ...string) *marked {
	m := &marked{wire.Schema{Kind: wire.Struct}}
	for _, name := range headers {
		m.schema.Members = append(m.schema.Members, wire.Member{Name: name, Required: true, Location: wire.InHeader})
	}
	for _, name := range query {
		m.schema.Members = append(m.schema.Members, wire.Member{Name: name, Required: true, Location: wire.InQuery})
	}
	return m
}

func (m *marked) Schema() *wire.Schema   { return &m.schema }
func (*marked) WriteMembers(wire.Writer) {}
func (*marked) ReadMembers(wire.Reader)  {}

func isREST(svc *wire.Service) bool {
	return svc.Protocols[0].IsREST()
}

// isForm reports whether a request is a form, in whose body a query protocol names the operation.
func isForm(h *http.Request) bool {
	if h.Method != http.MethodPost || h.Header.Get("X-Amz-Target") != "" || h.Header.Get("Smithy-Protocol") != "" {
		return false
	}
	ct, _, _ := strings.Cut(h.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(ct), "application/x-www-form-urlencoded")
}

// find says where a request goes. scope is the service of its credential scope, or "" if it is not signed; body is needed only where
// isForm says so. It always returns a route whose protocol can tell an error; err is what to tell.
func (r *router) find(h *http.Request, scope string, body []byte) (route, error) {
	candidates := r.bySigning[scope]
	if target := h.Header.Get("X-Amz-Target"); target != "" {
		prefix, name := cutLast(target, '.')
		s := r.byTarget[prefix]
		if s == nil || h.Method != http.MethodPost {
			return unknownService(wire.AWSJSON), absent(candidates, scope, name, generic(unknownOperation, sigv4.JSON, ""))
		}
		return s.route(name, wire.AWSJSON)
	}
	if strings.EqualFold(h.Header.Get("Smithy-Protocol"), "rpc-v2-cbor") {
		service, name, ok := cborPath(h.URL.Path)
		s := r.byTarget[service]
		if !ok || s == nil || h.Method != http.MethodPost {
			return unknownService(wire.RPCv2CBOR), absent(candidates, scope, name, generic(unknownOperation, sigv4.JSON, ""))
		}
		return s.route(name, wire.RPCv2CBOR)
	}
	if action, version, ok := formAction(h, body); ok && (len(candidates) == 0 || !isREST(candidates[0].service)) {
		for _, all := range [][]*serviceRoutes{candidates, r.queryServices(version), r.linked(h, scope, action, version)} {
			for _, s := range all {
				if p := queryProtocol(s.service); p != "" && (version == "" || s.service.APIVersion == version) {
					return s.route(action, p)
				}
			}
		}
		return unknownService(wire.Query), absent(candidates, scope, action,
			generic(unknownOperation, sigv4.Query, fmt.Sprintf("Could not find operation %s for version %s", action, version)))
	}
	for _, s := range candidates {
		if !isREST(s.service) {
			continue
		}
		if rt, err, ok := s.match(h); ok {
			return rt, err
		}
	}
	if len(candidates) > 0 {
		return candidates[0].nowhere()
	}
	if scope == "" {
		for _, s := range r.unsigned {
			if rt, err, ok := s.match(h); ok {
				return rt, err
			}
		}
	}
	rt := unknownService(wire.RESTJSON)
	if scope == "" {
		return rt, generic(unknownOperation, sigv4.RESTJSON, "")
	}
	return rt, wire.NotImplemented(scope, h.Method+" "+h.URL.Path)
}

// queryServices are the services of the query protocols with an API version, for calls that are not signed.
func (r *router) queryServices(version string) (found []*serviceRoutes) {
	if version == "" {
		return nil
	}
	for _, all := range r.bySigning {
		for _, s := range all {
			if s.service.APIVersion == version && queryProtocol(s.service) != "" {
				found = append(found, s)
			}
		}
	}
	return found
}

// linked are the services with an operation that a link leads to: it needs no signature, and the link names no version, as those in messages of SNS do not.
func (r *router) linked(h *http.Request, scope, action, version string) (found []*serviceRoutes) {
	if h.Method != http.MethodGet || scope != "" || version != "" {
		return nil
	}
	for _, s := range r.byService {
		if rt := s.byName[action]; rt != nil && rt.endpoint != nil && rt.endpoint.Op.NoAuth && queryProtocol(s.service) != "" {
			found = append(found, s)
		}
	}
	return found
}

// match finds the operation that method, path, query and headers name. It reports false if there is none.
func (s *serviceRoutes) match(h *http.Request) (rt route, err error, ok bool) {
	if s.service.SigningName != "s3" && hasDots(h.URL.EscapedPath()) {
		return route{}, nil, false
	}
	if s.service.Protocols[0] == wire.XKS {
		return s.matchXKS(h)
	}
	path, host := h.URL.EscapedPath(), bucketHost{}
	if s.service.SigningName == "s3" {
		host = parseBucketHost(h.Host)
		path = host.bucketPath(path)
	}
	op, labels := s.rest.Match(h.Method, path, h.URL.RawQuery, h.Header)
	if op == nil {
		return route{}, nil, false
	}
	name := op.Name
	if found := s.byName[h.URL.Query().Get("x-id")]; found != nil && found.endpoint == nil && s.byName[name].endpoint == nil {
		name = found.name // some clients say the name; it decides between operations that are not built
	}
	rt, err = s.route(name, s.service.Protocols[0])
	rt.labels, rt.region = labels, host.region
	return rt, err, true
}

// hasDots reports whether a path has a segment "." or "..". Signatures of services other than S3 cover the path without them, so with them it would
// name something that nobody signed.
func hasDots(path string) bool {
	for s := range strings.SplitSeq(path, "/") {
		if s == "." || s == ".." {
			return true
		}
	}
	return false
}

// route completes a route to an operation by its name.
func (s *serviceRoutes) route(name string, p wire.ProtocolID) (route, error) {
	protocol := wire.For(p)
	st := style(s.service, p)
	found := s.byName[name]
	if found == nil {
		rt := route{service: s.service, room: s.room, name: name, protocol: protocol, style: st}
		switch isQuery := st == sigv4.Query || st == sigv4.EC2; {
		case isQuery && name == "":
			return rt, &wire.Error{Code: "MissingAction", Status: 400, Message: "The request is missing an action or a required parameter."}
		case isQuery:
			return rt, generic(unknownOperation, st, fmt.Sprintf("Could not find operation %s for version %s", name, s.service.APIVersion))
		}
		return rt, generic(unknownOperation, st, "")
	}
	rt := *found
	rt.protocol, rt.style = protocol, st
	if rt.endpoint == nil {
		return rt, wire.NotImplemented(s.service.ActionPrefix, name)
	}
	return rt, nil
}

// nowhere is the route to a service by a request that names none of its operations.
func (s *serviceRoutes) nowhere() (route, error) {
	rt, err := s.route("", s.service.Protocols[0])
	if rt.style == sigv4.Query && isREST(s.service) {
		err = generic(unknownOperation, sigv4.RESTJSON, "") // there are no actions where there are paths
	}
	return rt, err
}

// absent is what a call of a service is told that is not known, or not in this protocol. It is not built, as far as its signature says whose it is and
// nothing that is built is signed in that name; then the operation is told by name. candidates are the services of that name.
func absent(candidates []*serviceRoutes, scope, name string, otherwise *wire.Error) error {
	built := slices.ContainsFunc(candidates, func(s *serviceRoutes) bool { return s.room != nil })
	if scope == "" || built || !isName(name) {
		return otherwise
	}
	return wire.NotImplemented(scope, name)
}

// isName reports whether a string can be the name of an operation.
func isName(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
	})
}

// nobody stands for a service that no model is known of.
var nobody = wire.Service{Package: "unknown", JSONVersion: "1.1"}

func unknownService(p wire.ProtocolID) route {
	return route{service: &nobody, protocol: wire.For(p), style: style(&nobody, p)}
}

func queryProtocol(svc *wire.Service) wire.ProtocolID {
	for _, p := range svc.Protocols {
		if p == wire.Query || p == wire.EC2Query {
			return p
		}
	}
	return ""
}

func cutLast(s string, sep byte) (before, after string) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

// cborPath takes /service/NAME/operation/NAME apart, which may stand behind any prefix.
func cborPath(path string) (service, operation string, ok bool) {
	rest, operation := cutLast(path, '/')
	rest, isOperation := strings.CutSuffix(rest, "/operation")
	rest, service = cutLast(rest, '/')
	return service, operation, isOperation && strings.HasSuffix(rest, "/service")
}

// formAction finds Action and Version of a call in a query protocol, in the body of a POST or the query of a GET.
func formAction(h *http.Request, body []byte) (action, version string, ok bool) {
	form := h.URL.RawQuery
	switch {
	case isForm(h):
		form = string(body)
	case h.Method == http.MethodPost:
		return "", "", false
	}
	for pair := range strings.SplitSeq(form, "&") {
		k, v, _ := strings.Cut(pair, "=")
		switch k {
		case "Action":
			action, ok = unescape(v), true
		case "Version":
			version = unescape(v)
		}
	}
	return action, version, ok
}

func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}
