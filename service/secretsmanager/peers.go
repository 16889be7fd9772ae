package secretsmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/remote/letter"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Replicas in regions of other processes. What a replica is to know is made in the transaction of the change, with the rights of who makes it, and put into a lane of the secret and
// the region, sealed. From there it goes in letters, one after the other, again until the peer answers; until then the replica is InProgress. Each has a number that grows, so a letter may come
// twice or late: what is not newer than what a replica knows changes nothing.

// peerLane is the kind of the lanes.
const peerLane = "replica"

// The operations between peers.
var (
	opFollow  = letter.Operation(secretsmanager.Service, "SynchronizeReplicaSecret", wire.AccessWrite) // a primary secret tells a replica how to be, makes it, or deletes it
	opRelease = letter.Operation(secretsmanager.Service, "ReleaseReplicaSecret", wire.AccessWrite)     // a replica tells its primary secret that it is one no more
)

// errand to a peer is what lies in a lane: who is told what.
type peerErrand struct {
	Name, Suffix string
	To           string // a region
	Release      bool   `json:",omitempty"` // the message is a replica's
	Serial       uint64
	Sealed       []byte // a peerMessage
}

// peerMessage is what is told.
type peerMessage struct {
	Name, Suffix string
	Serial       uint64
	State        *state `json:",omitempty"` // how the replica is to be; nil is gone
	Overwrite    bool   `json:",omitempty"`
}

// peerReply answers it.
type peerReply struct {
	Known  uint64 // the greatest number that the replica has heard
	Failed string `json:",omitempty"`
}

// followedRecord is what a region remembers of the primary secrets of other processes that it has heard of. It outlives the replica: no late letter makes that anew.
//
//	secretsmanager/ACCOUNT/REGION/followed/NAME/SUFFIX
type followedRecord struct {
	Name, Suffix string
	Serial       uint64
	Failed       string `json:",omitempty"` // why it could not do as it was told last
}

var followedTable = store.NewTable("secretsmanager", "followed", func(f *followedRecord) store.Key { return store.Key{f.Name, f.Suffix} })

// away reports whether a region is served by another process.
func (s *Service) away(region string) bool { return s.cfg.Peers != nil && !s.cfg.Peers.Serves(region) }

// nowhere reports whether a region is served by no process of this cloud.
func (s *Service) nowhere(region string) bool { return s.away(region) && !s.cfg.Peers.Has(region) }

// maxCarried is how many bytes of values one letter has at most: six of the largest. Encoded three times they fit a parcel.
const maxCarried = 6 << 16

// dispatch has a replica in another process follow.
func (s *Service) dispatch(c *call.Call, sec *secret, rep *replica, overwrite bool) error {
	mark := c.Tx().Mark()
	st, err := s.stateFor(c, sec, rep, func(id string) (bool, error) { return slices.Contains(rep.Sent, id), nil })
	if err != nil {
		message, ok := replicaFailure(err)
		if !ok {
			return err
		}
		c.Tx().Reset(mark)
		rep.Status, rep.Message = secretsmanager.StatusTypeFailed, "Replication failed: "+message
		return nil
	}
	var sent []string
	size := 0
	for _, v := range st.Versions {
		size += len(v.Value)
		if !v.Empty {
			sent = append(sent, v.ID)
		}
	}
	if size > maxCarried {
		rep.Status, rep.Message = secretsmanager.StatusTypeFailed, "Replication failed: The values with staging labels are too large together. Remove some of the labels."
		return nil
	}
	rep.Sent = sent
	sec.Serial++
	rep.Serial, rep.Status, rep.Message = sec.Serial, secretsmanager.StatusTypeInProgress, ""
	if rep.First == 0 {
		rep.First = sec.Serial
	}
	return s.mail(c, sec, rep.Region, false, &peerMessage{Serial: sec.Serial, State: st, Overwrite: overwrite})
}

// dismiss has a replica in another process deleted.
func (s *Service) dismiss(c *call.Call, sec *secret, region string) error {
	sec.Serial++
	return s.mail(c, sec, region, false, &peerMessage{Serial: sec.Serial})
}

// release tells the primary secret in another process that its replica here is one no more.
func (s *Service) release(c *call.Call, sec *secret) error {
	f, err := followedTable.In(sec.Account, sec.Region).Get(c.Tx(), sec.Name, sec.Suffix)
	if missing(err) {
		f, err = new(followedRecord), nil
	}
	if err != nil {
		return err
	}
	return s.mail(c, sec, sec.Primary, true, &peerMessage{Serial: f.Serial})
}

// mail puts a message into its lane.
func (s *Service) mail(c *call.Call, sec *secret, to string, release bool, m *peerMessage) error {
	m.Name, m.Suffix = sec.Name, sec.Suffix
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	e := peerErrand{Name: sec.Name, Suffix: sec.Suffix, To: to, Release: release, Serial: m.Serial}
	if e.Sealed, err = s.box.Wrap(e.place(sec.Account), text); err != nil {
		return err
	}
	clear(text)
	payload, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return delivery.Put(c.Tx(), &delivery.Parcel{
		Lane:    delivery.Lane{Service: secretsmanager.Service.Package, Account: sec.Account, Region: sec.Region, Kind: peerLane, Subject: to + "/" + sec.Name},
		Created: c.Time, Payload: payload,
	})
}

// place is where the errand's message is sealed for.
func (e *peerErrand) place(account string) string {
	return fmt.Sprintf("peer %s/%s/%s-%s/%d", account, e.To, e.Name, e.Suffix, e.Serial)
}

// courier carries errands: it implements door.Carrier.
type courier struct{ *Service }

// slowest is how long a courier waits for a region that is away, at most.
const slowest = 5 * time.Second

// Deliver implements door.Carrier.
func (k courier) Deliver(_ *call.Call, p *delivery.Parcel) (outside func(context.Context) error, err error) {
	var e peerErrand
	if err := json.Unmarshal(p.Payload, &e); err != nil {
		return nil, delivery.Permanent(fmt.Errorf("reading what a replica is to be told: %w", err))
	}
	if k.cfg.Peers == nil {
		return nil, delivery.After(slowest, fmt.Errorf("region %s is served by no peer", e.To))
	}
	text, err := k.box.Unwrap(e.place(p.Account), e.Sealed)
	if err != nil {
		return nil, fmt.Errorf("opening what a replica is to be told: %w", err)
	}
	return func(ctx context.Context) error {
		if err := k.carry(ctx, p, &e, text); err != nil {
			return delivery.After(min(delivery.Retry(p.Attempts+1), slowest), fmt.Errorf("carrying a secret to region %s: %w", e.To, err))
		}
		return nil
	}, nil
}

// GiveUp implements door.Carrier. Nothing is given up that could be read.
func (courier) GiveUp(*call.Call, *delivery.Parcel, error) error { return nil }

func (k courier) carry(ctx context.Context, p *delivery.Parcel, e *peerErrand, text []byte) error {
	op := opFollow
	if e.Release {
		op = opRelease
	}
	there := secretRecord{Account: p.Account, Region: e.To, Name: e.Name, Suffix: e.Suffix}
	way := &letter.Way{
		From: p.Region, To: call.Scope{Partition: k.cfg.Partition, Account: p.Account, Region: e.To}, Resource: there.arn(k.cfg.Partition), Place: letterPlace(&there),
	}
	var r peerReply
	if err := letter.Ask(ctx, k.cfg.Peers, way, op, json.RawMessage(text), &r); err != nil {
		return err
	}
	if e.Release {
		return nil
	}
	return k.cfg.Perform(ctx, p.Account, p.Region, func(c *call.Call) error { return k.told(c, e, &r) })
}

// letterPlace is what tells letters for a secret from those for others.
func letterPlace(r *secretRecord) []string { return []string{r.Account, r.Name, r.Suffix} }

// told writes down what became of an errand.
func (s *Service) told(c *call.Call, e *peerErrand, r *peerReply) error {
	rows := secretTable.In(c.Scope.Account, c.Scope.Region)
	sec, err := rows.Get(c.Tx(), e.Name)
	if missing(err) || err == nil && sec.Suffix != e.Suffix {
		return nil
	}
	if err != nil {
		return err
	}
	sec.Replicas = slices.Clone(sec.Replicas)
	at := slices.IndexFunc(sec.Replicas, func(rep replica) bool { return rep.Region == e.To })
	if at < 0 || e.Serial < sec.Replicas[at].First {
		return nil
	}
	rep := &sec.Replicas[at]
	failed := r.Failed
	if r.Known > e.Serial && r.Known > sec.Serial { // a backup has put this process back
		failed, sec.Serial = "The replica knows of later changes than the primary secret.", r.Known
	}
	switch {
	case failed != "":
		rep.Status, rep.Message, rep.Sent = secretsmanager.StatusTypeFailed, "Replication failed: "+failed, nil
	case rep.Serial == e.Serial:
		rep.Status, rep.Message = secretsmanager.StatusTypeInSync, ""
	default:
		return nil // there is more under way
	}
	return rows.Put(c.Tx(), sec)
}

// peerEndpoints are the operations for peers.
func (s *Service) peerEndpoints() []call.Endpoint {
	return []call.Endpoint{call.Handle(opFollow, s.answer(s.heed)), call.Handle(opRelease, s.answer(s.released))}
}

// answer makes the handler of an operation for peers. Opening the letter is what permits it.
func (s *Service) answer(handle func(c *call.Call, from string, at *secretRecord, m *peerMessage) (*peerReply, error)) func(*call.Call, *letter.Letter) (*letter.Letter, error) {
	return func(c *call.Call, in *letter.Letter) (*letter.Letter, error) {
		c.Open("peers act for the secrets that they have in common")
		a, err := arn.Parse(in.Resource)
		t, bad := parse(c, in.Resource)
		if err != nil || bad != nil || s.cfg.Peers == nil || !s.cfg.Peers.Has(in.Sender) || !s.cfg.Peers.Serves(a.Region) || a.Region != c.Scope.Region {
			return nil, c.Reject(letter.Refuse("The message is for no secret here, or from no region of a peer."))
		}
		at := &secretRecord{Account: a.Account, Region: a.Region, Name: t.name, Suffix: t.suffix}
		var m peerMessage
		if err := letter.Open(s.cfg.Peers, c, in, at.Region, letterPlace(at), &m); err != nil {
			return nil, err
		}
		if m.Name != at.Name || m.Suffix != at.Suffix || m.State != nil && (m.State.Primary != in.Sender || m.State.Name != at.Name || m.State.Suffix != at.Suffix) {
			return nil, c.Reject(letter.Refuse("The message contradicts itself."))
		}
		c.Touch(audit.Resource{Account: at.Account, Type: "AWS::SecretsManager::Secret", ARN: at.arn(c.Scope.Partition)})
		r, err := handle(c, in.Sender, at, &m)
		if err != nil {
			return nil, err
		}
		return letter.Reply(s.cfg.Peers, c, in, at.Region, letterPlace(at), r)
	}
}

// heed has a replica follow its primary secret in another process. Its key is used as its account may use it through Secrets Manager: who made the change is nobody here.
func (s *Service) heed(c *call.Call, from string, at *secretRecord, m *peerMessage) (*peerReply, error) {
	rows := followedTable.In(at.Account, at.Region)
	f, err := rows.Get(c.Tx(), at.Name, at.Suffix)
	if missing(err) {
		f, err = &followedRecord{Name: at.Name, Suffix: at.Suffix}, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case m.Serial == f.Serial: // the reply was lost
		return &peerReply{Known: f.Serial, Failed: f.Failed}, nil
	case m.Serial < f.Serial:
		return &peerReply{Known: f.Serial}, nil
	}
	f.Serial, f.Failed = m.Serial, ""
	r := &peerReply{Known: m.Serial}
	mark := c.Tx().Mark()
	if err := s.obey(c, from, at, m); err != nil {
		message, ok := replicaFailure(err)
		if !ok {
			return nil, err
		}
		c.Tx().Reset(mark)
		r.Failed, f.Failed = message, message
	}
	return r, rows.Put(c.Tx(), f)
}

func (s *Service) obey(c *call.Call, from string, at *secretRecord, m *peerMessage) (err error) {
	own := (&secret{secretRecord: *at}).forAccount(c)
	if m.State == nil {
		primary := *at
		primary.Region = from
		return s.removeReplica(own, &secret{secretRecord: primary})
	}
	if m.State.Pins, err = s.cfg.Principals.Adopt(c.Tx(), m.State.Pins); err != nil {
		return fmt.Errorf("finding whom the policy of %s names: %w", at.Name, err)
	}
	for _, v := range m.State.Versions {
		if err := s.lacks(c, at, &v); err != nil {
			return err
		}
	}
	return s.follow(own, at.Account, m.State, m.Overwrite)
}

// errLost is told when a replica has not what it was sent before.
var errLost = &secretsmanager.ResourceNotFoundException{Message: "The replica has lost values that it had."}

// lacks reports a value that the primary secret takes for known, and that is not here, be it that an earlier letter was refused or that a backup has put this process back.
func (s *Service) lacks(c *call.Call, at *secretRecord, st *versionState) error {
	if !st.Known {
		return nil
	}
	v, err := versionTable.In(at.Account, at.Region).Get(c.Tx(), at.Name, st.ID)
	if missing(err) || err == nil && v.Sum == nil {
		return errLost
	}
	return err
}

// released forgets a replica that is one no more. One that was made later under the same name is another.
func (s *Service) released(c *call.Call, from string, at *secretRecord, m *peerMessage) (*peerReply, error) {
	rows := secretTable.In(at.Account, at.Region)
	sec, err := rows.Get(c.Tx(), at.Name)
	if missing(err) || err == nil && sec.Suffix != at.Suffix {
		return &peerReply{}, nil
	}
	if err != nil {
		return nil, err
	}
	sec.Replicas = slices.DeleteFunc(slices.Clone(sec.Replicas), func(rep replica) bool { return rep.Region == from && rep.First <= m.Serial })
	sec.Changed = c.Time
	return &peerReply{}, rows.Put(c.Tx(), sec)
}
