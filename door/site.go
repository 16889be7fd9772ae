package door

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Site is what a service serves at URLs of its own, to clients of HTTP that know nothing of AWS, as functions are. With the label lambda-url, they lie at
//
//	https://ID.lambda-url.REGION.example.com/path     whatever the rest of the host
//	https://cloud.example.com/_holdfast/lambda-url/ID/path     which needs no DNS
//
// A visit goes the way of a call: who signed it, if it is to be signed, the handler, which authorizes, and the record.
type Site struct {
	Label string
	// Op names the visit in what is authorized, recorded and counted.
	Op *wire.Operation
	// Find returns where an ID leads to, or nil.
	Find func(ctx context.Context, id string) (*Place, error)
	// Serve answers. Its errors are answered as those of a call.
	Serve func(*call.Call, *Visit) (*Reply, error)
	// BodyLimit is how long a body may be, in bytes.
	BodyLimit int64
}

// Place is where the ID of a site leads to.
type Place struct {
	Account, Region string // whose it is, and where
	Signed          bool   // whoever comes must have signed with an access key
}

// Visit is a request to a site. Nothing of it is recorded.
type Visit struct {
	ID       string
	Method   string
	Path     string // decoded, without what leads to the site
	RawQuery string
	Host     string
	Protocol string // HTTP/1.1
	Header   map[string][]string
	Body     []byte
	unrecorded
}

// Reply is the answer to a visit. Nothing of it is recorded.
type Reply struct {
	Status int
	Header map[string][]string
	Body   []byte
	// Rest follows after Body, each part as soon as it comes; nil is that nothing follows.
	Rest io.ReadCloser
	unrecorded
}

// Stream implements wire.Streamer.
func (r *Reply) Stream() io.ReadCloser { return r.Rest }

// SetStream implements wire.Streamer.
func (r *Reply) SetStream(rest io.ReadCloser) { r.Rest = rest }

// unrecorded is a shape without members.
type unrecorded struct{}

var unrecordedSchema = wire.Schema{Name: "Unrecorded", Kind: wire.Struct}

func (unrecorded) Schema() *wire.Schema     { return &unrecordedSchema }
func (unrecorded) WriteMembers(wire.Writer) {}
func (unrecorded) ReadMembers(wire.Reader)  {}

// site is a Site as the door has it.
type site struct {
	*Site
	room     *Room
	endpoint call.Endpoint
	meter    *meter
}

// sites are the sites of all rooms.
func sitesOf(rooms map[string]*Room, m *metrics) (all []*site) {
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		room := rooms[name]
		if room.Site == nil {
			continue
		}
		s := &site{Site: room.Site, room: room, meter: m.meter(name, room.Site.Op.Name)}
		s.endpoint = call.Handle(s.Op, s.Serve)
		all = append(all, s)
	}
	return all
}

const sitePrefix = "/_holdfast/"

// IsSite reports whether a request is a visit to a site, although it lies below /_holdfast/.
func (d *Door) IsSite(r *http.Request) bool {
	s, _, _ := d.visited(r)
	return s != nil
}

// visited tells which site a request goes to: the ID, and what of the path is the site's own.
func (d *Door) visited(r *http.Request) (s *site, id, path string) {
	for _, s := range d.sites {
		if id, rest, ok := strings.Cut(r.Host, "."); ok && strings.HasPrefix(rest, s.Label+".") {
			return s, strings.ToLower(id), r.URL.Path
		}
		rest, ok := strings.CutPrefix(r.URL.Path, sitePrefix+s.Label+"/")
		if !ok {
			continue
		}
		id, path, _ := strings.Cut(rest, "/")
		return s, id, "/" + path
	}
	return nil, "", ""
}

// visit serves a visit.
func (d *Door) visit(w http.ResponseWriter, r *http.Request, s *site, id, path string) {
	watch := clock.Start()
	x := &exchange{
		route: route{
			service: s.room.Service, room: s.room, name: s.Op.Name, known: true, endpoint: &s.endpoint, meter: s.meter, protocol: wire.For(wire.RESTJSON), style: sigv4.RESTJSON,
		},
		request: r, id: newID(), response: wire.Response{Header: w.Header()},
	}
	byPath := strings.HasPrefix(r.URL.Path, sitePrefix)
	reply, err := d.serveVisit(x, s, &Visit{ID: id, Method: r.Method, Path: path, RawQuery: r.URL.RawQuery, Host: r.Host, Protocol: r.Proto, Header: r.Header})
	if byPath {
		cage(w.Header()) // these have the origin of the whole cloud
	}
	if err != nil {
		visible, hide := visible(err, &x.route)
		d.log(x, visible, err, hide)
		x.protocol.EncodeError(x.service, s.Op, visible, x.id, &x.response)
		x.send(w)
		d.metrics.observe(&x.route, visible, watch.Elapsed())
		return
	}
	d.metrics.observe(&x.route, nil, watch.Elapsed())
	for name, values := range reply.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	if byPath {
		cage(w.Header())
	}
	reply.send(w, r.Method)
}

// forbidden is what a visitor is told who is not let in: it is nobody's business why.
func forbidden() error {
	return &wire.Error{Code: "AccessDeniedException", Status: http.StatusForbidden, Message: "Forbidden"}
}

func visible(err error, rt *route) (error, bool) {
	if _, denied := errors.AsType[*call.Denied](err); denied {
		return forbidden(), false
	}
	return answerable(err, rt)
}

func (d *Door) serveVisit(x *exchange, s *site, v *Visit) (reply *Reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			reply, err = nil, panicked(p)
		}
	}()
	at, err := s.Find(x.request.Context(), v.ID)
	if err != nil {
		return nil, err
	}
	if at == nil || !d.serves(at.Region, false) {
		return nil, &wire.Error{Code: "ResourceNotFoundException", Status: http.StatusNotFound, Message: "There is nothing at this URL."}
	}
	if err := x.read(x.request.Body, s.BodyLimit); err != nil {
		return nil, err
	}
	v.Body = x.body
	x.scope = call.Scope{Partition: d.cfg.Partition, Account: at.Account, Region: at.Region}
	if !at.Signed || preflight(x.request) {
		x.caller = identity.Anonymous("")
	} else {
		if x.auth, x.authErr = sigv4.Parse(x.request); errors.Is(x.authErr, sigv4.ErrAnonymous) || hasDots(x.request.URL.EscapedPath()) {
			return nil, forbidden()
		}
		if err := d.authenticate(x); err != nil {
			return nil, err
		}
		if x.scope.Region != at.Region {
			return nil, forbidden()
		}
	}
	x.in = v
	out, err := d.handle(x)
	if err != nil {
		return nil, err
	}
	return out.(*Reply), nil
}

// preflight reports whether a browser asks what a page of another origin may do. It does not sign that.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// send writes the answer, the rest of it as it comes.
func (r *Reply) send(w http.ResponseWriter, method string) {
	if r.Rest != nil {
		defer r.Rest.Close()
	}
	w.WriteHeader(r.Status)
	if method == http.MethodHead {
		return
	}
	if _, err := w.Write(r.Body); err != nil || r.Rest == nil {
		return
	}
	if err := flow(w, r.Rest); err != nil {
		panic(http.ErrAbortHandler) // or the visitor would take it for the whole
	}
}

// flow writes what comes as soon as it comes.
func flow(w http.ResponseWriter, src io.Reader) error {
	control := http.NewResponseController(w)
	_ = control.Flush()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return werr
			}
			_ = control.Flush() // one that cannot sends it at the end
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
