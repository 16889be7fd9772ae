package call_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/evidence"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/wire"
)

const account = "111122223333"

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// user is an IAM user with an identity policy.
func user(t *testing.T, document string) *identity.Principal {
	t.Helper()
	p, err := policy.Parse([]byte(document), policy.Identity)
	if err != nil {
		t.Fatal(err)
	}
	return &identity.Principal{
		Principal: policy.Principal{Kind: policy.User, Account: account, ARN: "arn:aws:iam::" + account + ":user/ann", ID: "AIDA", UserName: "ann"},
		Tags:      map[string]string{"Team": "red"}, Identity: []*policy.Policy{p},
	}
}

func newCall(caller *identity.Principal) *call.Call {
	c := &call.Call{
		Context: context.Background(), Op: orchard.OpPlantTree, Scope: call.Scope{Partition: "aws", Account: account, Region: "eu-central-1"}, Caller: caller, Time: now,
		Source: call.Source{IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "agent"},
	}
	return c.Bind("orchard", nil, func() (store.Tx, error) { return nil, errors.New("no store") })
}

// allowIf is a policy that allows everything under one condition.
func allowIf(operator, key, value string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"` + operator + `":{"` + key + `":"` + value + `"}}}}`
}

func TestConditionKeys(t *testing.T) {
	r := &call.Resource{
		ARN: "arn:aws:orchard:eu-central-1:" + account + ":tree/oak", Tags: map[string]string{"Kind": "oak"}, RequestTags: map[string]string{"New": "yes"}, RequestTagKeys: []string{"Old"},
		Conditions: policy.Values{"orchard:age": {"7"}},
	}
	direct := func(c *call.Call) {}
	passedOn := func(c *call.Call) { c.Via = []string{"first.amazonaws.com", "second.amazonaws.com"} }
	secure := func(c *call.Call) { c.Source.TLS = &audit.TLS{} }
	fromInside := func(c *call.Call) { c.Source = call.Source{Service: "first.amazonaws.com"} }
	for _, tt := range []struct {
		operator, key, value string
		change               func(*call.Call)
		want                 bool
	}{
		{"DateEquals", "aws:CurrentTime", "2026-11-26T12:00:00Z", direct, true},
		{"NumericEquals", "aws:EpochTime", "1795694400", direct, true},
		{"IpAddress", "aws:SourceIp", "192.0.2.0/24", direct, true},
		{"IpAddress", "aws:SourceIp", "192.0.2.0/24", passedOn, false}, // it is not there when a service passes the call on
		{"Bool", "aws:SecureTransport", "false", direct, true},
		{"Bool", "aws:SecureTransport", "true", secure, true},
		{"Bool", "aws:SecureTransport", "true", fromInside, true},
		{"StringEquals", "aws:UserAgent", "agent", direct, true},
		{"StringEquals", "aws:RequestedRegion", "eu-central-1", direct, true},
		{"Bool", "aws:ViaAWSService", "false", direct, true},
		{"Bool", "aws:ViaAWSService", "true", passedOn, true},
		{"ForAnyValue:StringEquals", "aws:CalledVia", "first.amazonaws.com", passedOn, true},
		{"StringEquals", "aws:CalledViaFirst", "first.amazonaws.com", passedOn, true},
		{"StringEquals", "aws:CalledViaLast", "second.amazonaws.com", passedOn, true},
		{"StringEquals", "aws:CalledViaLast", "second.amazonaws.com", direct, false},
		{"ForAllValues:StringEquals", "aws:TagKeys", "New", direct, false},
		{"ForAnyValue:StringEquals", "aws:TagKeys", "Old", direct, true},
		{"StringEquals", "aws:PrincipalTag/team", "red", direct, true},
		{"StringEquals", "aws:ResourceTag/Kind", "oak", direct, true},
		{"StringEquals", "aws:RequestTag/new", "yes", direct, true},
		{"StringEquals", "aws:RequestTag/Old", "yes", direct, false},
		{"NumericEquals", "orchard:Age", "7", direct, true},
		{"NumericEquals", "orchard:Height", "7", direct, false},
		{"StringEquals", "aws:Nothing", "x", direct, false},
	} {
		c := newCall(user(t, allowIf(tt.operator, tt.key, tt.value)))
		tt.change(c)
		if got := c.Authorize(r) == nil; got != tt.want {
			t.Errorf("%s %s %s via %v: allowed %v, want %v", tt.operator, tt.key, tt.value, c.Via, got, tt.want)
		}
	}
}

func TestAsking(t *testing.T) {
	const allowPlant = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"orchard:PlantTree","Resource":"*"}}`
	tree := &call.Resource{ARN: "arn:aws:orchard:eu-central-1:999988887777:tree/oak", Account: "999988887777", Type: "AWS::Orchard::Tree"}
	own := &call.Resource{ARN: "arn:aws:orchard:eu-central-1:" + account + ":tree/oak", Type: "AWS::Orchard::Tree"}
	for _, tt := range []struct {
		name          string
		ask           func(c *call.Call) error
		err           string // in the refusal
		asked, denied bool
		resources     int
	}{
		{"Nothing", func(c *call.Call) error { return nil }, "", false, false, 0},
		{"Allowed", func(c *call.Call) error { return c.Authorize(own) }, "", true, false, 1},
		{"Twice", func(c *call.Call) error { return errors.Join(c.Authorize(own), c.Authorize(own)) }, "", true, false, 1},
		{"OtherAction", func(c *call.Call) error { return c.AuthorizeAction("orchard:FellTree", own) }, "because no identity-based policy allows the orchard:FellTree action", true, true, 1},
		{"OtherAccount", func(c *call.Call) error { return c.Authorize(tree) }, "not authorized to perform: orchard:PlantTree", true, true, 1},
		{"Would", func(c *call.Call) error { _ = c.Would(c.Caller, "orchard:PlantTree", own); return nil }, "", false, false, 0},
		{"Refuse", func(c *call.Call) error { return c.Refuse("orchard:PlantTree", "on this resource") }, "user/ann is not authorized to perform: orchard:PlantTree on this resource", true, true, 0},
		{"Open", func(c *call.Call) error { c.Open("a test"); return nil }, "", true, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCall(user(t, allowPlant))
			err := tt.ask(c)
			var denied *call.Denied
			if errors.As(err, &denied) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("asking = %v, want %q", err, tt.err)
			}
			o := c.Outcome()
			if o.Asked != tt.asked || (o.Denied != nil) != tt.denied || len(o.Resources) != tt.resources {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestViaService(t *testing.T) {
	c := newCall(identity.Root("aws", account, ""))
	for _, tt := range []struct {
		via  []string
		want string
	}{{nil, ""}, {[]string{"a.amazonaws.com", "secretsmanager.amazonaws.com"}, "secretsmanager.eu-central-1.amazonaws.com"}, {[]string{"strange"}, ""}} {
		c.Via = tt.via
		if got, ok := c.ViaService(); got != tt.want || ok != (tt.want != "") {
			t.Errorf("ViaService() via %v = %q, %v", tt.via, got, ok)
		}
	}
}

// A transaction that cannot begin fails whatever is done with it, and is no nil.
func TestTransactionThatDoesNotBegin(t *testing.T) {
	c := newCall(identity.Root("aws", account, ""))
	tx := c.Tx()
	tx.Set(nil, nil)
	tx.Delete(nil)
	tx.OnCommitted(func() { t.Error("it was committed") })
	tx.Reset(tx.Mark())
	_, err := tx.Get(nil)
	for _, e := range tx.Scan(nil, nil, store.ScanOptions{}) {
		err = errors.Join(err, e)
	}
	if err == nil || tx.Commit(t.Context()) == nil {
		t.Errorf("Get and Scan = %v", err)
	}
	tx.Discard()
}

func TestEventsAndNames(t *testing.T) {
	s := memstore.New()
	c := newCall(identity.Root("aws", account, ""))
	c.Rand = rand.Reader
	c.Bind("orchard", nil, func() (store.Tx, error) { return s.Begin(context.Background()) })
	if c.Begun() != nil {
		t.Error("a transaction had begun")
	}
	if got, want := c.ARN("tree/oak"), "arn:aws:orchard:eu-central-1:"+account+":tree/oak"; got != want {
		t.Errorf("ARN() = %s, want %s", got, want)
	}
	for i := range 3 {
		if err := c.Emit(outbox.Event{DetailType: "Tree Planted", Source: "aws.orchard", Account: account, Region: "eu-central-1", Time: now.Add(time.Duration(-i) * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Begun().Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := s.View(t.Context(), func(r store.Reader) error {
		events, err := outbox.Pending(r, account, "eu-central-1", 2)
		if err != nil || len(events) != 2 || !events[0].Time.Equal(now) || !events[1].Time.Equal(now.Add(-time.Hour)) || events[0].ID == "" {
			t.Errorf("Pending() = %+v, %v, want the first two that were raised", events, err)
		}
		if other, err := outbox.Pending(r, account, "eu-west-1", 2); err != nil || len(other) != 0 {
			t.Errorf("Pending() of another region = %+v, %v", other, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// transport answers with what it is given.
type transport struct {
	out wire.Shape
	err error
}

func (t transport) Invoke(*call.Call, *wire.Operation, wire.Shape) (wire.Shape, error) {
	return t.out, t.err
}

func TestTypedClientsAndHandlers(t *testing.T) {
	c := newCall(identity.Root("aws", account, ""))
	if out, err := (orchard.Client{Transport: transport{out: &orchard.Tree{TreeId: new("oak")}}}).DescribeTree(c, nil); err != nil || *out.TreeId != "oak" {
		t.Errorf("DescribeTree() = %+v, %v", out, err)
	}
	if _, err := (orchard.Client{Transport: transport{out: &orchard.Grove{}}}).DescribeTree(c, nil); err == nil {
		t.Error("another type was taken for a Tree")
	}
	lost := errors.New("lost")
	if out, err := (orchard.Client{Transport: transport{err: lost}}).DescribeTree(c, nil); out != nil || !errors.Is(err, lost) {
		t.Errorf("DescribeTree() = %v, %v", out, err)
	}
	e := call.Handle(orchard.OpDescribeTree, func(_ *call.Call, in *orchard.DescribeTreeRequest) (*orchard.Tree, error) {
		if in.TreeId == nil {
			return nil, lost
		}
		return &orchard.Tree{}, nil
	})
	if out, err := e.Handle(c, &orchard.DescribeTreeRequest{}); out != nil || !errors.Is(err, lost) {
		t.Errorf("Handle() = %v, %v, want no shape at all", out, err)
	}
	if _, err := e.Handle(c, &orchard.PingRequest{}); err == nil {
		t.Error("another input was handled")
	}
	if err := call.Unasked(orchard.OpPing); !strings.Contains(err.Error(), "orchard:Ping") {
		t.Errorf("Unasked() = %v", err)
	}
}

func TestAsService(t *testing.T) {
	c := newCall(identity.Root("aws", account, "AKIA"))
	c.RequestID, c.Via = "r", []string{"x.amazonaws.com"}
	own := c.AsService()
	if own.Caller.ServiceName != "orchard.amazonaws.com" || own.Scope.Account != call.OwnAccount || own.Scope.Region != c.Scope.Region || own.RequestID != "r" || own.Via != nil {
		t.Errorf("AsService() = %+v", own)
	}
	own.Record(&audit.Record{Name: "inner"})
	var names []string
	for _, r := range c.Outcome().Pending {
		names = append(names, r.Name)
	}
	if d := cmp.Diff([]string{"inner"}, names); d != "" || !slices.Equal(c.Via, []string{"x.amazonaws.com"}) {
		t.Errorf("records (-want +got):\n%s", d)
	}
}

// A call that goes on in another region asks for the same caller there, and what it is refused there counts.
func TestIn(t *testing.T) {
	for region, want := range map[string]bool{"eu-west-1": true, "eu-central-1": false} {
		c := newCall(user(t, allowIf("StringEquals", "aws:RequestedRegion", "eu-west-1")))
		c.Via = []string{"x.amazonaws.com"}
		there := c.In(region, orchard.OpPing)
		own := &call.Resource{ARN: "arn:aws:orchard:" + region + ":" + account + ":tree/oak", Type: "AWS::Orchard::Tree"}
		err := there.Authorize(own)
		o := c.Outcome()
		if (err == nil) != want || (o.Denied == nil) != want || len(o.Resources) != 0 || len(o.Elsewhere) != 1 || len(there.Outcome().Resources) != 1 {
			t.Errorf("in %s: %v; the call ended as %+v", region, err, o)
		}
		if there.OwnRights() || there.Scope.Account != account || !slices.Equal(there.Via, c.Via) || there.ARN("tree/oak") != own.ARN {
			t.Errorf("In() = %+v", there)
		}
		there.AsService().Record(&audit.Record{Name: "inner"})
		if pending := c.Outcome().Pending; len(pending) != 1 || pending[0].Name != "inner" {
			t.Errorf("pending are %v", pending)
		}
	}
}

// Which of two tags that differ in case a policy sees must not be up to the order of a map, nor to the caller.
func TestTagsThatDifferInCase(t *testing.T) {
	for _, tt := range []struct {
		name string
		tags map[string]string
		want bool
	}{
		{"OneTag", map[string]string{"kind": "oak"}, true},
		{"SameValue", map[string]string{"kind": "oak", "Kind": "oak"}, true},
		{"OtherValue", map[string]string{"kind": "oak", "Kind": "elm"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCall(user(t, allowIf("StringEquals", "aws:ResourceTag/kind", "oak")))
			for range 20 {
				if err := c.Authorize(&call.Resource{ARN: "*", Tags: tt.tags}); (err == nil) != tt.want {
					t.Fatalf("Authorize() = %v", err)
				}
			}
			// Who is not asked about the tag is not refused for it.
			c = newCall(user(t, allowIf("StringEquals", "aws:UserAgent", "agent")))
			if err := c.Authorize(&call.Resource{ARN: "*", Tags: tt.tags}); err != nil {
				t.Errorf("without the condition: %v", err)
			}
		})
	}
}

// Would asks for somebody else: their tags count, and not the caller's.
func TestWouldBySomebodyElse(t *testing.T) {
	c := newCall(user(t, allowIf("StringEquals", "aws:PrincipalTag/team", "red")))
	ben := *user(t, allowIf("StringEquals", "aws:PrincipalTag/team", "red"))
	ben.Tags = map[string]string{"Team": "blue"}
	r := &call.Resource{ARN: "*"}
	if c.Would(&ben, "orchard:PlantTree", r) || !c.Would(c.Caller, "orchard:PlantTree", r) {
		t.Error("the caller's tags stand for another's")
	}
}

// What an identity provider says must not fill the keys of the service that is called.
func TestClaimsAreNotTheServicesOwn(t *testing.T) {
	for _, tt := range []struct {
		key  string
		want bool
	}{
		{"orchard:Gate", false}, {"issuer.example.com:aud", true}, {"gate:aud", true}, {"aws:PrincipalOrgID", false}, {"aws:SourceVpce", false},
	} {
		p := user(t, allowIf("StringEquals", tt.key, "open"))
		values := map[string][]string{strings.ToLower(tt.key): {"open"}}
		for _, s := range []*identity.Session{{Claims: values}, {Context: values}} {
			p.Temporary = s
			if got := newCall(p).Authorize(&call.Resource{ARN: "*", Conditions: policy.Values{}}) == nil; got != tt.want {
				t.Errorf("%s by a session of %+v: allowed %v, want %v", tt.key, s, got, tt.want)
			}
		}
	}
}

// A denied caller learns what their own policies say, and of somebody else's not even that there are some.
func TestFailure(t *testing.T) {
	const other = "999988887777"
	parse := func(kind policy.Kind, document string) *policy.Policy {
		p, err := policy.Parse([]byte(document), kind)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	const denies = `{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/Team":"red"}}}}`
	const trusts = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}}`
	const own = `{"Version":"2012-10-17","Statement":{"Sid":"Mine","Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/Team":"red"}}}}`
	allowed := user(t, allowIf("StringEquals", "aws:PrincipalTag/Team", "red"))
	for _, tt := range []struct {
		name                  string
		caller                *identity.Principal
		account               string
		policy                *policy.Policy
		explicit, sid, values bool
	}{
		{"OwnPolicy", user(t, own), account, nil, true, true, true},
		{"OwnPolicyOnAnothers", user(t, own), other, nil, true, true, false},
		{"ResourcePolicy", allowed, account, parse(policy.Resource, denies), true, false, true},
		{"AnothersResourcePolicy", allowed, other, parse(policy.Resource, denies), false, false, false},
		{"NoneOfAnothers", allowed, other, nil, false, false, false},
		{"TrustPolicy", allowed, account, parse(policy.Trust, trusts), false, false, false},
		{"AnothersTrustPolicy", allowed, other, parse(policy.Trust, trusts), false, false, false},
	} {
		c := newCall(tt.caller)
		c.Traced(evidence.New(evidence.Config{Store: memstore.New()}), nil)
		denied, ok := errors.AsType[*call.Denied](c.AuthorizeAction("sts:AssumeRole", &call.Resource{ARN: "arn:aws:iam::" + tt.account + ":role/r", Account: tt.account, Policy: tt.policy}))
		if !ok {
			t.Errorf("%s: allowed", tt.name)
			continue
		}
		f := c.Failure(denied)
		if f.Explicit != tt.explicit || (f.Statement != nil) != tt.sid || (len(f.Values) > 0) != tt.values {
			t.Errorf("%s: %+v", tt.name, f)
		}
	}
}
