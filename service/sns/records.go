package sns

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// What is kept in the store:
//
//	sns/ACCOUNT/REGION/topic/NAME                          the topic
//	sns/ACCOUNT/REGION/subscription/TOPICID/ID             a subscription, where its topic is
//	sns/ACCOUNT/REGION/subscription.endpoint/TOPICID/HASH  which one an endpoint has, as there is one at most
//	sns/ACCOUNT/REGION/subscription.token/TOPICID/HASH     which one a token is for
//	sns/ACCOUNT/REGION/subscription.state/TOPICID/STATE    those in a state
//	sns///subscription.owner/OWNER/REGION                  those of an account, whosever the topics are
//	sns/ACCOUNT/REGION/recent/TOPICID/KIND/ID              what a FIFO topic remembers of the last minutes
//	sns/ACCOUNT/REGION/recent.expires/TOPICID/TIME         until when
//	sns/aws/REGION/signer/TIME                             a key that signs messages, sealed, with its certificate
//	sns///signer.file/NAME                                 which one has a certificate of that name
//
// What belongs to a topic stands under an ID of its own, which a later topic of the same name does not have: what a deleted one leaves is removed in pieces.
//
// Messages lie in the parcels of package delivery, sealed, until they are delivered.
var (
	topicTable = store.NewTable("sns", "topic", func(t *topicRecord) store.Key { return store.Key{t.Name} })

	subscriptionTable = store.NewTable("sns", "subscription", func(s *subscriptionRecord) store.Key { return store.Key{s.TopicID, s.ID} },
		store.Index[subscriptionRecord]{Name: "endpoint", Unique: true, Entries: func(s *subscriptionRecord) []store.Key {
			if s.State == deleted {
				return nil
			}
			return []store.Key{{s.TopicID, endpointHash(s.Protocol, s.Endpoint)}}
		}},
		store.Index[subscriptionRecord]{Name: "token", Unique: true, Entries: func(s *subscriptionRecord) []store.Key {
			if s.TokenHash == "" {
				return nil
			}
			return []store.Key{{s.TopicID, s.TokenHash}}
		}},
		store.Index[subscriptionRecord]{Name: "state", Entries: func(s *subscriptionRecord) []store.Key { return []store.Key{{s.TopicID, string(s.State)}} }},
		store.Index[subscriptionRecord]{Name: "owner", Global: true, Entries: func(s *subscriptionRecord) []store.Key {
			if s.State == deleted {
				return nil
			}
			return []store.Key{{s.Owner, s.Region}}
		}})

	recentTable = store.NewTable("sns", "recent", func(r *recentRecord) store.Key { return store.Key{r.TopicID, string(r.Kind), r.ID} },
		store.Index[recentRecord]{Name: "expires", Entries: func(r *recentRecord) []store.Key { return []store.Key{{r.TopicID, r.Expires}} }})

	signerTable = store.NewTable("sns", "signer", func(s *signerRecord) store.Key { return store.Key{s.Created} },
		store.Index[signerRecord]{Name: "file", Unique: true, Global: true, Entries: func(s *signerRecord) []store.Key { return []store.Key{{s.File}} }})
)

// topicRecord is a topic.
type topicRecord struct {
	Name, ID   string
	Created    time.Time
	Attributes map[string]string `json:",omitempty"` // that were set, but for the policy
	Policy     string            `json:",omitempty"` // as it was set; empty is the default one
	Pins       identity.Pins     `json:",omitempty"` // whom Policy names
	Tags       map[string]string `json:",omitempty"`
}

// state is how far a subscription has come.
type state string

const (
	pending   state = "pending"   // nobody has said yet that the endpoint wants it
	confirmed state = "confirmed" // messages are delivered
	deleted   state = "deleted"   // by somebody who may not have been the endpoint's owner, who can take that back for some days
)

// subscriptionRecord is a subscription.
type subscriptionRecord struct {
	TopicID, ID     string
	Topic           string // its name
	Account, Region string // of the topic
	Owner           string // the account that subscribed
	Principal       string `json:",omitempty"` // who subscribed; empty for anybody
	Protocol        string
	Endpoint        string // of a URL with a password all but that
	Password        []byte `json:",omitempty"` // the password, sealed
	State           state
	Created         time.Time

	Authenticated   bool `json:",omitempty"` // it was confirmed by somebody known
	AuthUnsubscribe bool `json:",omitempty"` // only somebody known may end it

	TokenHash    string    `json:",omitempty"` // of the token that confirms or restores it
	TokenExpires time.Time `json:",omitzero"`

	Attributes map[string]string `json:",omitempty"` // that were set
}

// recentKind is what a FIFO topic remembers.
type recentKind string

const (
	aDeduplicationID recentKind = "id"    // that was published, maybe within a group
	aGroup           recentKind = "group" // the last sequence number of a message group
)

// recentRecord is something that a FIFO topic remembers for some minutes.
type recentRecord struct {
	TopicID   string
	Kind      recentKind
	ID        string
	Expires   time.Time
	MessageID string `json:",omitempty"`
	Sequence  int64
}

// signerRecord is a key that messages are signed with.
type signerRecord struct {
	Created     time.Time
	File        string // the name that its certificate is published under
	Certificate []byte // DER
	Key         []byte // PKCS #8, sealed
}

// hash names in the store what may be too long for a key, or is a secret.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func endpointHash(protocol, endpoint string) string { return hash(protocol + " " + endpoint) }
