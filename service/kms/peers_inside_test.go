package kms

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/remote/letter"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/wire"
)

// world is a cloud of several processes, whose messages can be lost, repeated and late, and whose processes can crash.
type world struct {
	t         testing.TB
	processes []*process
	now       time.Time
	reports   []string

	fault     func() fault // what happens to the next message
	meanwhile func()       // what happens while it is on its way
	sent      []func()     // every message so far, as somebody on the way could send it again
}

type fault int

const (
	delivered fault = iota
	requestLost
	replyLost
	repeated
	wordy
)

// process is one of them: what survives a crash, and the service.
type process struct {
	*Service
	*remote.Peers
	w       *world
	store   store.Store
	keyring *seal.Keyring
	regions []string
}

// newWorld makes a process for each list of regions. Further secrets are of processes that are not of this cloud.
func newWorld(t testing.TB, regions ...string) *world {
	w := &world{t: t, now: time.Unix(1_800_000_000, 0).UTC(), fault: func() fault { return delivered }}
	for _, list := range regions {
		w.processes = append(w.processes, &process{w: w, store: memstore.New(), keyring: seal.Ephemeral(), regions: strings.Fields(list)})
	}
	for _, p := range w.processes {
		p.secret("a secret that nobody can guess, of the cloud's")
		p.restart()
	}
	return w
}

func (p *process) secret(secret string) {
	cfg := remote.PeersConfig{Secret: []byte(secret), Regions: p.regions, Peers: make(map[string]*url.URL), Caller: "mrk.kms.amazonaws.com"}
	for _, other := range p.w.processes {
		if other == p {
			continue
		}
		for _, region := range other.regions {
			cfg.Peers[region] = &url.URL{Scheme: "https", Host: region + ".example.com"}
		}
	}
	var err error
	if p.Peers, err = remote.NewPeers(cfg); err != nil {
		p.w.t.Fatal(err)
	}
}

// restart is a crash and a start: nothing is left but the store.
func (p *process) restart() {
	var err error
	p.Service, err = New(Config{
		Store: p.store, Seal: p.keyring, Principals: identity.New(p.store, p.keyring, "aws"), Partition: "aws", Peers: p,
		Perform: func(_ context.Context, account, region string, do func(*call.Call) error) error {
			return p.run(account, region, identity.Service("kms.amazonaws.com"), nil, do)
		},
		Report: func(err error) { p.w.reports = append(p.w.reports, err.Error()) },
	})
	if err != nil {
		p.w.t.Fatal(err)
	}
}

func (p *process) run(account, region string, who *identity.Principal, op *wire.Operation, do func(*call.Call) error) error {
	c := (&call.Call{Context: context.Background(), Op: op, Scope: p.scope(account, region), Caller: who, Time: p.w.now, Rand: rand.Reader}).
		Bind("kms", nil, func() (store.Tx, error) { return p.store.Begin(context.Background()) })
	err := do(c)
	tx := c.Begun()
	if tx == nil || err != nil {
		if tx != nil {
			tx.Discard()
		}
		return err
	}
	return tx.Commit(context.Background())
}

// root makes a call of the root user in a region.
func (w *world) root(region string, op *wire.Operation, do func(p *process, c *call.Call) error) error {
	p := w.at(region)
	return p.run(ownAccount, region, identity.Root("aws", ownAccount, "AKIA"), op, func(c *call.Call) error { return do(p, c) })
}

func (w *world) at(region string) *process {
	for _, p := range w.processes {
		if slices.Contains(p.regions, region) {
			return p
		}
	}
	w.t.Fatalf("nobody serves %s", region)
	return nil
}

// Transport carries a call to the process of a region, as the world's faults let it.
func (p *process) Transport(sender, receiver string) (call.Transport, error) {
	return way{p.w, receiver}, nil
}

type way struct {
	w        *world
	receiver string
}

func (x way) Invoke(_ *call.Call, op *wire.Operation, in wire.Shape) (wire.Shape, error) {
	copied := *in.(*letter.Letter)
	arrive := func() (out wire.Shape, err error) {
		p := x.w.at(x.receiver)
		for _, e := range p.peerEndpoints() {
			if e.Op != op {
				continue
			}
			again := copied
			err = p.run(call.OwnAccount, x.receiver, identity.Service("mrk.kms.amazonaws.com"), op, func(c *call.Call) (err error) {
				out, err = e.Handle(c, &again)
				return err
			})
		}
		return out, err
	}
	x.w.sent = append(x.w.sent, func() { _, _ = arrive() })
	x.w.pass()
	defer x.w.pass()
	lost := &url.Error{Op: "Post", URL: x.receiver, Err: errors.New("connection reset")}
	switch x.w.fault() {
	case requestLost:
		return nil, lost
	case wordy:
		return nil, &wire.Error{Code: "No", Status: 400, Message: strings.Repeat("no, ", 1<<20)}
	case replyLost:
		_, _ = arrive()
		return nil, lost
	case repeated:
		_, _ = arrive()
	}
	return arrive()
}

// pass has time pass, in which other things happen; but nothing within those.
func (w *world) pass() {
	if do := w.meanwhile; do != nil {
		w.meanwhile = nil
		do()
		w.meanwhile = do
	}
}

// carryAll has the couriers carry until nothing waits. Its error is what still failed in the end.
func (w *world) carryAll() (failed error) {
	for range 20 {
		waiting := 0
		failed = nil
		for _, p := range w.processes {
			for _, q := range p.couriers {
				failed = errors.Join(failed, p.round(context.Background(), q))
				select {
				case <-q.news: // it carried something, or somebody had something to carry meanwhile
					waiting++
				default:
				}
				waiting += int(q.waiting.Load())
			}
		}
		if waiting == 0 {
			return nil
		}
	}
	return cmp.Or(failed, errors.New("there is no end of it"))
}

func (w *world) create(region string) (id string) {
	w.t.Helper()
	if err := w.root(region, kms.OpCreateKey, func(p *process, c *call.Call) error {
		out, err := p.CreateKey(c, &kms.CreateKeyRequest{MultiRegion: new(true)})
		if err == nil {
			id = *out.KeyMetadata.KeyId
		}
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) replicate(id, from, to string) (state kms.KeyState, err error) {
	err = w.root(from, kms.OpReplicateKey, func(p *process, c *call.Call) error {
		out, err := p.ReplicateKey(c, &kms.ReplicateKeyRequest{KeyId: &id, ReplicaRegion: &to, Tags: []kms.Tag{{TagKey: new("of"), TagValue: &to}}})
		if err == nil {
			state = out.ReplicaKeyMetadata.KeyState
		}
		return err
	})
	return state, err
}

func (w *world) rotate(id, region string) error {
	return w.root(region, kms.OpRotateKeyOnDemand, func(p *process, c *call.Call) error {
		_, err := p.RotateKeyOnDemand(c, &kms.RotateKeyOnDemandRequest{KeyId: &id})
		return err
	})
}

func (w *world) move(id, from, to string) error {
	return w.root(from, kms.OpUpdatePrimaryRegion, func(p *process, c *call.Call) error {
		_, err := p.UpdatePrimaryRegion(c, &kms.UpdatePrimaryRegionRequest{KeyId: &id, PrimaryRegion: &to})
		return err
	})
}

// end deletes a key whose waiting period is over at once.
func (w *world) end(id, region string) error {
	if err := w.root(region, kms.OpScheduleKeyDeletion, func(p *process, c *call.Call) error {
		_, err := p.ScheduleKeyDeletion(c, &kms.ScheduleKeyDeletionRequest{KeyId: &id})
		return err
	}); err != nil {
		return err
	}
	p := w.at(region)
	return p.cfg.Perform(context.Background(), ownAccount, region, func(c *call.Call) error { return p.deleteDue(c, id, nil) })
}

// key reads a key's record and opens its material; nil if there is none.
func (w *world) key(id, region string) *key {
	w.t.Helper()
	p := w.at(region)
	k, err := p.loadKey(context.Background(), place{ownAccount, region, id})
	if missing(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func (w *world) regions() (all []string) {
	for _, p := range w.processes {
		all = append(all, p.regions...)
	}
	return all
}

// wantOne holds that there is one primary key at most which decides, and always one that says it is it.
func (w *world) wantOne(id, after string) {
	w.t.Helper()
	var decide, say []string
	for _, region := range w.regions() {
		k := w.key(id, region)
		if k == nil || k.kind() != kms.MultiRegionKeyTypePrimary {
			continue
		}
		say = append(say, region)
		if k.Successor == "" {
			decide = append(decide, region)
		}
	}
	if len(decide) > 1 || len(say) == 0 {
		w.t.Fatalf("after %s: primary keys are in %v, and decide in %v", after, say, decide)
	}
}

// wantAgreed holds that all know the same, and that each decrypts what any other encrypted.
func (w *world) wantAgreed(id string) (primary string) {
	w.t.Helper()
	var first *key
	var there []string
	for _, region := range w.regions() {
		k := w.key(id, region)
		if k == nil {
			continue
		}
		there = append(there, region)
		if k.State != kms.KeyStateEnabled && k.State != kms.KeyStateDisabled || k.Successor != "" || k.Predecessor != "" {
			w.t.Errorf("key %s in %s is %s, between %q and %q", id, region, k.State, k.Predecessor, k.Successor)
		}
		if first == nil {
			first = k
			continue
		}
		if k.Primary != first.Primary || !slices.Equal(k.Replicas, first.Replicas) || k.Revision != first.Revision || k.OnDemand != first.OnDemand || len(k.Materials) != len(first.Materials) {
			w.t.Errorf("%s knows primary %s, replicas %v, revision %d and %d materials; %s knows %s, %v, %d and %d", region, k.Primary, k.Replicas, k.Revision, len(k.Materials),
				first.region, first.Primary, first.Replicas, first.Revision, len(first.Materials))
		}
		for mid, m := range first.materials {
			if got := k.materials[mid]; got == nil || string(got.Material()) != string(m.Material()) {
				w.t.Errorf("material %s in %s is not that in %s", mid, region, first.region)
			}
		}
	}
	slices.Sort(there)
	want := append(slices.Clone(first.Replicas), first.Primary)
	slices.Sort(want)
	if d := gocmp.Diff(want, there); d != "" {
		w.t.Errorf("known (-) and there (+):\n%s", d)
	}
	return first.Primary
}

// A replica ends, and before the primary key in another process hears of it, the key beside that replica becomes the primary one.
func TestPeersEndBeforeMove(t *testing.T) {
	w := newWorld(t, "us-east-1 us-west-2", "ap-south-1")
	id := w.create("us-east-1")
	for _, region := range []string{"us-west-2", "ap-south-1"} {
		if _, err := w.replicate(id, "us-east-1", region); err != nil {
			t.Fatal(err)
		}
	}
	carry := func() {
		t.Helper()
		if err := w.carryAll(); err != nil {
			t.Fatal(err)
		}
	}
	carry()
	if err := w.move(id, "us-east-1", "ap-south-1"); err != nil {
		t.Fatal(err)
	}
	carry()
	if err := w.end(id, "us-east-1"); err != nil {
		t.Fatal(err)
	}
	if err := w.move(id, "ap-south-1", "us-west-2"); err != nil {
		t.Fatal(err)
	}
	carry()
	if primary := w.wantAgreed(id); primary != "us-west-2" {
		t.Errorf("the primary key is in %s, want us-west-2", primary)
	}
}

// News of a replica's end comes again when there is another replica in its place, which a primary key in the same process has made.
func TestPeersEndComesAgain(t *testing.T) {
	w := newWorld(t, "us-east-1 us-west-2", "eu-west-1")
	id := w.create("us-east-1")
	step := func(err error) {
		t.Helper()
		if err == nil {
			err = w.carryAll()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	replicate := func(from, to string) {
		t.Helper()
		_, err := w.replicate(id, from, to)
		step(err)
	}
	replicate("us-east-1", "us-west-2")
	replicate("us-east-1", "eu-west-1")
	step(w.move(id, "us-east-1", "eu-west-1"))
	sent := len(w.sent)
	step(w.end(id, "us-east-1"))
	end := slices.Clone(w.sent[sent:])
	step(w.move(id, "eu-west-1", "us-west-2"))
	replicate("us-west-2", "us-east-1")
	step(w.move(id, "us-west-2", "eu-west-1"))
	for _, again := range end {
		again()
	}
	step(nil)
	if primary := w.wantAgreed(id); primary != "eu-west-1" {
		t.Errorf("the primary key is in %s, want eu-west-1", primary)
	}
}

// TestPeersAgree does at random what can be done with a key in four regions of three processes, while messages are lost, repeated and come late, and processes crash. At
// no moment do two keys decide what is shared, and when all is quiet, all know the same.
func TestPeersAgree(t *testing.T) {
	t.Parallel()
	rounds := 60
	if n, err := strconv.Atoi(os.Getenv("HOLDFAST_PEER_ROUNDS")); err == nil {
		rounds = n
	}
	seed := uint64(time.Now().UnixNano())
	if n, err := strconv.ParseUint(os.Getenv("HOLDFAST_PEER_SEED"), 10, 64); err == nil {
		seed = n
	}
	done := make(map[string]int)
	for round := range rounds {
		peersAgree(t, seed+uint64(round), done)
		if t.Failed() {
			t.Fatalf("HOLDFAST_PEER_SEED=%d HOLDFAST_PEER_ROUNDS=1 does it again", seed+uint64(round))
		}
	}
	t.Logf("seed %d: %v", seed, done)
	for _, what := range []string{"replicate", "rotate", "move", "end"} {
		if done[what] == 0 {
			t.Errorf("%s never succeeded", what)
		}
	}
}

func peersAgree(t *testing.T, seed uint64, done map[string]int) {
	rng := mathrand.New(mathrand.NewPCG(seed, 0))
	w := newWorld(t, "us-east-1 us-west-2", "eu-west-1", "ap-south-1")
	id := w.create("us-east-1")
	regions := w.regions()
	any := func() string { return regions[rng.IntN(len(regions))] }
	// Half of the steps are for the primary key, which most is asked of.
	primary := func() string {
		for _, region := range regions {
			if k := w.key(id, region); k != nil && k.kind() == kms.MultiRegionKeyTypePrimary && rng.IntN(2) == 0 {
				return region
			}
		}
		return any()
	}
	state := func(op *wire.Operation, region string) error {
		return w.root(region, op, func(p *process, c *call.Call) (err error) {
			if op == kms.OpDisableKey {
				_, err = p.DisableKey(c, &kms.DisableKeyRequest{KeyId: &id})
			} else {
				_, err = p.EnableKey(c, &kms.EnableKeyRequest{KeyId: &id})
			}
			return err
		})
	}
	steps := []struct {
		name string
		do   func() error
	}{
		{"replicate", func() error { _, err := w.replicate(id, primary(), any()); return err }},
		{"rotate", func() error { return w.rotate(id, primary()) }},
		{"move", func() error { return w.move(id, primary(), any()) }},
		{"move", func() error { return w.move(id, primary(), any()) }},
		{"end", func() error {
			if region := any(); w.key(id, region) == nil || w.key(id, region).replica() {
				return w.end(id, region)
			}
			return errors.New("not the primary key")
		}},
		{"disable", func() error { return state(kms.OpDisableKey, any()) }},
		{"enable", func() error { return state(kms.OpEnableKey, any()) }},
		{"enable", func() error { return state(kms.OpEnableKey, any()) }},
		{"crash", func() error { w.processes[rng.IntN(len(w.processes))].restart(); return nil }},
		{"late message", func() error {
			if len(w.sent) > 0 {
				w.sent[rng.IntN(len(w.sent))]()
			}
			return nil
		}},
	}
	step := func() {
		what := steps[rng.IntN(len(steps))]
		if what.do() == nil {
			done[what.name]++
		}
		w.wantOne(id, what.name)
	}
	w.fault = func() fault { return max(fault(rng.IntN(7)-3), delivered) }
	w.meanwhile = func() {
		if rng.IntN(3) == 0 {
			step()
		}
	}
	for range 60 {
		w.now = w.now.Add(time.Minute)
		step()
		for _, p := range w.processes {
			for _, q := range p.couriers {
				if rng.IntN(2) == 0 {
					_ = p.round(context.Background(), q)
					w.wantOne(id, "carrying")
				}
			}
		}
	}
	w.meanwhile = nil
	w.fault = func() fault { return delivered }
	for _, late := range w.sent {
		late()
	}
	for range 4 { // a replica that was disabled refuses to become the primary, and one that waits for its end ends
		for _, p := range w.processes {
			for _, region := range p.regions {
				if k := w.key(id, region); k != nil && k.State == kms.KeyStatePendingDeletion {
					_ = p.cfg.Perform(context.Background(), ownAccount, region, func(c *call.Call) error { return p.deleteDue(c, id, nil) })
				}
			}
		}
		if err := w.carryAll(); err != nil {
			t.Errorf("carrying what is left: %v", err)
		}
	}
	if slices.ContainsFunc(regions, func(r string) bool { return w.key(id, r) != nil }) {
		w.wantAgreed(id)
	}
}
