package door

import (
	"net/http"
	"strings"

	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/wire"
)

// matchXKS is match for the API of external key store proxies, whose paths may begin with a region: /eu-central-1/kms/xks/v1/... is the API in that region,
// wherever the KMS is that calls. It asks for GET to be refused with 405.
func (s *serviceRoutes) matchXKS(h *http.Request) (rt route, err error, ok bool) {
	region, path := "", h.URL.EscapedPath()
	if first, rest, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/"); ok && strings.HasPrefix(rest, "kms/xks/") {
		region, path = first, "/"+rest
	}
	op, labels := s.rest.Match(http.MethodPost, path, "", nil)
	if op == nil {
		return route{}, nil, false
	}
	if rt, err = s.route(op.Name, wire.XKS); h.Method != http.MethodPost {
		rt.endpoint, rt.known = nil, false // there is nothing to authenticate
		err = &wire.Error{Code: codes[unknownOperation][sigv4.XKS].code, Status: http.StatusMethodNotAllowed, Message: "The method must be POST."}
	}
	rt.region, rt.labels = region, labels
	return rt, err, true
}
