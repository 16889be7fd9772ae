// Package letter is how a service talks to itself in the processes of other regions: in letters under the encryption of the peers, which nobody on the way reads or alters, whatever the
// connection is.
package letter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Peers are the processes that serve other regions of the cloud. All of them have a secret in common.
type Peers interface {
	// Serves reports whether this process serves a region, Has whether a peer does. Regions are those of the peers.
	Serves(region string) bool
	Has(region string) bool
	Regions() []string
	// Transport carries calls, signed as those of a region that is served here, to one that a peer serves.
	Transport(sender, receiver string) (call.Transport, error)
	// Wrap encrypts for one way and one place; Unwrap opens that, and nothing that was wrapped for another or altered.
	Wrap(sender, receiver string, place []string, plaintext []byte) ([]byte, error)
	Unwrap(sender, receiver string, place []string, wrapped []byte) ([]byte, error)
}

// Letter is what both the input and the output of the operations between peers look like: a message or a reply.
type Letter struct {
	Resource string // the ARN of what the message is for, in the receiver's region
	Sender   string // a region
	Sealed   []byte
}

var schema = wire.Schema{
	Name: "PeerLetter", Kind: wire.Struct,
	Members: []wire.Member{
		{Name: "Resource", Target: &wire.Schema{Name: "PeerResource", Kind: wire.String, Constraint: &wire.Constraint{Max: 2048, HasMax: true}}},
		{Name: "Sender", Index: 1, Target: &wire.Schema{Name: "PeerRegion", Kind: wire.String, Constraint: &wire.Constraint{Max: 32, HasMax: true}}},
		{Name: "Sealed", Index: 2, Required: true, Sensitive: true, Target: &wire.Schema{Name: "PeerSealed", Kind: wire.Blob, Sensitive: true}},
	},
}

// Schema implements wire.Shape.
func (*Letter) Schema() *wire.Schema { return &schema }

// WriteMembers implements wire.Shape.
func (l *Letter) WriteMembers(w wire.Writer) {
	m := schema.Members
	if l.Resource != "" {
		w.String(&m[0], l.Resource)
	}
	if l.Sender != "" {
		w.String(&m[1], l.Sender)
	}
	if l.Sealed != nil {
		w.Blob(&m[2], l.Sealed)
	}
}

// ReadMembers implements wire.Shape.
func (l *Letter) ReadMembers(r wire.Reader) {
	for m := r.NextMember(); m != nil; m = r.NextMember() {
		switch m.Index {
		case 0:
			l.Resource = r.String(m)
		case 1:
			l.Sender = r.String(m)
		case 2:
			l.Sealed = r.Blob(m)
		}
	}
}

// bodyLimit lets twenty versions of the largest secret through, encoded twice.
const bodyLimit = 4 << 20

// Operation is one between peers. No model has it, and to anybody but a peer it is not there.
func Operation(s *wire.Service, name string, access wire.AccessLevel) *wire.Operation {
	empty := func() wire.Shape { return new(Letter) }
	return &wire.Operation{
		Service: s, Name: name, Method: "POST", URI: "/", NewInput: empty, NewOutput: empty,
		Action: s.ActionPrefix + ":" + name, Access: access, ReadOnly: access == wire.AccessRead, EventName: name, BodyLimit: bodyLimit,
	}
}

// Way is from where a letter goes to where, and what it is for.
type Way struct {
	From     string     // a region that this process serves
	To       call.Scope // of what it is for, in a region of another process
	Resource string     // its ARN
	Place    []string   // what tells it from others of its service and region: a letter for another does not open
}

// address is where a message belongs: one for another resource, or for another operation, does not open. A reply belongs to one message, so that an old one does not answer a new one, and
// nobody answers who cannot open it.
func address(op *wire.Operation, place []string, question []byte) []string {
	a := append([]string{op.Service.Package + " peer message", op.Name}, place...)
	if question != nil {
		sum := sha256.Sum256(question)
		a = append(a, hex.EncodeToString(sum[:]))
	}
	return a
}

// Ask sends a message, and reads what is replied into reply.
func Ask(ctx context.Context, p Peers, w *Way, op *wire.Operation, message, reply any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	question, err := p.Wrap(w.From, w.To.Region, address(op, w.Place, nil), text)
	if err != nil {
		return err
	}
	way, err := p.Transport(w.From, w.To.Region)
	if err != nil {
		return err
	}
	c := &call.Call{Context: ctx, Scope: w.To}
	out, err := call.Invoke[*Letter](way, c, op, &Letter{Resource: w.Resource, Sender: w.From, Sealed: question})
	if err != nil {
		return err
	}
	if text, err = p.Unwrap(w.To.Region, w.From, address(op, w.Place, question), out.Sealed); err != nil {
		return fmt.Errorf("opening the answer to %s: %w", op.Name, err)
	}
	if err := json.Unmarshal(text, reply); err != nil {
		return fmt.Errorf("reading the answer to %s: %w", op.Name, err)
	}
	return nil
}

// Open reads the message in a letter that came for what is at a place in a region served here. That it opens is what permits what it asks for: only a peer can have written it, and just this.
// Its error is what the peer is to be told.
func Open(p Peers, c *call.Call, in *Letter, region string, place []string, message any) error {
	text, err := p.Unwrap(in.Sender, region, address(c.Op, place, nil), in.Sealed)
	if err != nil {
		return c.Reject(Refuse("The message does not open: " + err.Error() + "."))
	}
	if err := json.Unmarshal(text, message); err != nil {
		return c.Reject(Refuse("The message is malformed."))
	}
	return nil
}

// Reply is the answer to a letter.
func Reply(p Peers, c *call.Call, in *Letter, region string, place []string, reply any) (*Letter, error) {
	text, err := json.Marshal(reply)
	if err != nil {
		return nil, err
	}
	sealed, err := p.Wrap(region, in.Sender, address(c.Op, place, in.Sealed), text)
	if err != nil {
		return nil, err
	}
	return &Letter{Sealed: sealed}, nil
}

// Refuse is the error for a message that no peer of this cloud should have sent.
func Refuse(why string) error {
	return &wire.Error{Code: "PeerMessageException", Status: 400, Message: why}
}
