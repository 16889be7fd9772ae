package kms

import (
	"context"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/remote/letter"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Peers are the processes that serve other regions of the cloud.
type Peers = letter.Peers

// away reports whether a region is not served by this process. What is for one that no peer serves any more waits until one does.
func (s *Service) away(region string) bool { return s.cfg.Peers != nil && !s.cfg.Peers.Serves(region) }

// The operations between peers. No model has them, and to anybody but a peer they are not there.
var (
	opSynchronize = betweenPeers("SynchronizeMultiRegionKey", wire.AccessWrite) // a primary key tells a replica what is shared, or makes it, or makes it the primary key
	opRelease     = betweenPeers("ReleaseMultiRegionKey", wire.AccessWrite)     // a replica key that was deleted tells its primary key
	opInquire     = betweenPeers("InquireMultiRegionKey", wire.AccessRead)      // a key asks how a related one is
)

func betweenPeers(name string, access wire.AccessLevel) *wire.Operation {
	return letter.Operation(kms.Service, name, access)
}

// message is what one key tells a related one in a region of another process.
type message struct {
	Key      *keyRecord `json:",omitempty"` // what a primary key shares; its material is wrapped for the way, see transit
	Create   bool       `json:",omitempty"` // Key has all that a new replica key needs
	Revision uint64     `json:",omitempty"` // of a replica that was deleted
}

// outcome is what became of a message.
type outcome string

const (
	done    outcome = "done"    // or it was done before, or has been overtaken
	refused outcome = "refused" // the replica key cannot become the primary key now, nor ever by this message
	gone    outcome = "gone"    // the replica key was deleted
	absent  outcome = "absent"  // there is no such key, and there is no trace of one
	moved   outcome = "moved"   // the primary key is elsewhere
	busy    outcome = "busy"    // the primary key is about to be elsewhere
)

// reply answers a message.
type reply struct {
	Outcome  outcome
	Revision uint64     `json:",omitempty"` // of a key that knows what it was told, or more
	Primary  string     `json:",omitempty"` // where the primary key is, if it has moved
	Key      *keyRecord `json:",omitempty"` // how the key is, if that was asked; without material
	Aliases  []string   `json:",omitempty"`
	Imported bool       `json:",omitempty"` // the material that waits for a rotation has been imported into it
}

// letters is what tells messages for a key from those for others.
func (p place) letters() []string { return []string{p.account, p.id} }

// transit is where material of a key belongs on its way to another region. Spec and usage are in it as in sealed.
func (p place) transit(r *keyRecord, materialID string) []string {
	return []string{"kms key material", p.account, p.id, string(r.Spec), string(r.Usage), materialID}
}

// ask sends a message to a key in a region of another process, from a related one in a region of this.
func (s *Service) ask(ctx context.Context, op *wire.Operation, from string, to place, m *message) (*reply, error) {
	var r reply
	way := &letter.Way{From: from, To: s.scope(to.account, to.region), Resource: s.arn(to), Place: to.letters()}
	if err := letter.Ask(ctx, s.cfg.Peers, way, op, m, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// peerEndpoints are the operations for peers.
func (s *Service) peerEndpoints() []call.Endpoint {
	return []call.Endpoint{
		call.Handle(opSynchronize, s.answer(s.follow)), call.Handle(opRelease, s.answer(s.release)), call.Handle(opInquire, s.answer(s.show)),
	}
}

// answer makes the handler of an operation for peers. Opening the letter is what permits it: policies of an account do not keep a key from its own replica.
func (s *Service) answer(handle func(c *call.Call, from string, at place, m *message) (*reply, error)) func(*call.Call, *letter.Letter) (*letter.Letter, error) {
	return func(c *call.Call, in *letter.Letter) (*letter.Letter, error) {
		c.Open("peers act for the keys that they have in common")
		t, err := parse(c, in.Resource)
		if err != nil || t.alias != "" || s.cfg.Peers == nil || !s.cfg.Peers.Has(in.Sender) {
			return nil, c.Reject(notBetween("The message is for no key here, or from no region of a peer."))
		}
		var m message
		if err := letter.Open(s.cfg.Peers, c, in, t.region, t.letters(), &m); err != nil {
			return nil, err
		}
		c.Touch(audit.Resource{Account: t.account, Type: keyType, ARN: s.arn(t.place)})
		r, err := handle(c, in.Sender, t.place, &m)
		if err != nil {
			return nil, err
		}
		out, err := letter.Reply(s.cfg.Peers, c, in, t.region, t.letters(), r)
		if err == nil {
			s.heard(in.Sender)
		}
		return out, err
	}
}

// notBetween is the error for a message that no peer of this cloud should have sent.
func notBetween(why string) error { return letter.Refuse(why) }

// inquire asks how a related key in another process is. It returns a key that has what permissions on it depend on, with a reply that says more.
func (s *Service) inquire(c *call.Call, k *key, region string) (*key, *reply, error) {
	at := k.elsewhere(region)
	r, err := s.ask(c.Context, opInquire, k.region, at, new(message))
	if err != nil {
		s.cfg.Report(fmt.Errorf("asking region %s for key %s: %.1000s", region, k.id, err))
		return nil, nil, &kms.DependencyTimeoutException{Message: fmt.Sprintf("The region %s cannot be reached at the moment.", region)}
	}
	if r.Outcome != done || r.Key == nil {
		return nil, nil, &kms.NotFoundException{Message: fmt.Sprintf("Key '%s' does not exist", s.arn(at))}
	}
	compiled, err := parsePolicy(r.Key.Policy)
	if err != nil {
		return nil, nil, fmt.Errorf("compiling the policy of key %s in %s: %w", k.id, region, err)
	}
	pins, err := s.cfg.Principals.Adopt(c.Tx(), r.Key.Pins) // the caller is of here
	if err != nil {
		return nil, nil, fmt.Errorf("finding whom the policy of key %s in %s names: %w", k.id, region, err)
	}
	return &key{place: at, keyRecord: r.Key, arn: s.arn(at), name: k.name, policy: pins.Bind(compiled), aliases: r.Aliases}, r, nil
}

// show answers an inquiry.
func (s *Service) show(c *call.Call, _ string, at place, _ *message) (*reply, error) {
	k, err := s.read(c.Tx(), at)
	if missing(err) || err == nil && !k.multiRegion() { // peers have no business with others
		return &reply{Outcome: absent}, nil
	}
	if err != nil {
		return nil, err
	}
	r := *k.keyRecord
	r.Materials, r.Pending = nil, nil
	return &reply{Outcome: done, Key: &r, Aliases: k.aliases, Imported: k.Pending != nil && k.Pending.Wrapped != nil}, nil
}
