package door

import (
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// Peers are the processes that serve other regions of the same cloud, and call operations that nobody else may call, see Room.Peers.
type Peers interface {
	// Serves reports whether this process serves a region. Calls of others are refused, and their timers wait.
	Serves(region string) bool
	// Credential is what a peer signs with. It reports false for an access key that is none of a peer's.
	Credential(accessKeyID string) (*identity.Credential, bool)
}

// serves reports whether calls of a region are answered here. A global service has one endpoint for all regions, and its callers sign for the partition's first.
func (d *Door) serves(region string, global bool) bool {
	return d.cfg.Peers == nil || global || d.cfg.Peers.Serves(region)
}

// peer is the credential of the peer that signed a request, or nil if none did.
func (d *Door) peer(a *sigv4.Authorization) *identity.Credential {
	if d.cfg.Peers == nil || a == nil || a.SessionToken != "" {
		return nil
	}
	if cred, ok := d.cfg.Peers.Credential(a.AccessKeyID); ok {
		return cred
	}
	return nil
}

// hidden is the route that a name leads to behind which there is nothing: what operations for peers look like to everybody else.
func (rt route) hidden() (route, error) {
	return route{service: rt.service, room: rt.room, name: rt.name, protocol: rt.protocol, style: rt.style}, generic(unknownOperation, rt.style, "")
}
