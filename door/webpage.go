package door

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// FromWebPage reports whether a browser sent the request for a page that is not this server's own. A cloud in dev mode listens where every page in a developer's browser
// can send to, and takes calls without a signature: such requests must be told from those of tools.
//
// There are two ways. One is a request across origins, which browsers mark as such. The other is a page that was loaded from a public name, which its owner then had point
// to this machine (DNS rebinding): to the browser that is one origin, so what is held against it is the name.
func FromWebPage(r *http.Request) bool {
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	switch site {
	case "", "none", "same-origin":
	default:
		return true
	}
	if origin != "" {
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Host, r.Host) { // also "null", which hides the origin
			return true
		}
	}
	// Tools may use any name. They send none of these headers; a page can send no request without the last one.
	browser := origin != "" || site != "" || strings.HasPrefix(r.UserAgent(), "Mozilla/") || r.Header.Get("Accept-Language") != ""
	return browser && publicName(r.Host)
}

// publicName reports whether a host could be a name that somebody else registered. Addresses are not, nor single labels, nor the domains that are reserved for
// private use (RFC 2606, RFC 6762, RFC 8375 and ICANN's resolution of 2024-07-29).
func publicName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	i := strings.LastIndexByte(host, '.')
	if i < 0 {
		return false
	}
	switch host[i+1:] {
	case "localhost", "local", "internal", "test":
		return false
	}
	return !strings.HasSuffix(host, ".home.arpa")
}

// cage has a browser take an answer for a page of no origin, without scripts. The bytes of an object may be a web page that somebody else wrote; it would be of the origin
// that the whole cloud in dev mode has, and FromWebPage could not tell it from a page of this server's own.
func cage(h http.Header) { h.Set("Content-Security-Policy", "sandbox") }
