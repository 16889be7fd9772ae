package secretsmanager

import (
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// What is kept in the store, in the account and the region of each:
//
//	secretsmanager/ACCOUNT/REGION/secret/NAME              a secret, with its labels, its policy and its rotation
//	secretsmanager/ACCOUNT/REGION/secret.created/TIME/NAME
//	secretsmanager/ACCOUNT/REGION/secret.changed/TIME/NAME
//	secretsmanager/ACCOUNT/REGION/secret.accessed/DAY/NAME
//	secretsmanager/ACCOUNT/REGION/version/SECRET/ID        a version: its value, encrypted under data keys that KMS alone can open
//	secretsmanager/ACCOUNT/REGION/version.created/SECRET/TIME/ID
//	secretsmanager/ACCOUNT/REGION/version.old/SECRET/TIME/ID   the versions without a label
//	secretsmanager/ACCOUNT/REGION/followed/NAME/SUFFIX     what a primary secret in another process has told last: see peers.go
//
// Labels stand with the secret: moving one does not touch values. A name belongs to one secret at a time, until it is deleted for good, together with its versions.
var (
	secretTable = store.NewTable("secretsmanager", "secret", func(r *secretRecord) store.Key { return store.Key{r.Name} },
		store.Index[secretRecord]{Name: "created", Entries: func(r *secretRecord) []store.Key { return []store.Key{{r.Created, r.Name}} }},
		store.Index[secretRecord]{Name: "changed", Entries: func(r *secretRecord) []store.Key { return []store.Key{{r.Changed, r.Name}} }},
		store.Index[secretRecord]{Name: "accessed", Entries: func(r *secretRecord) []store.Key { return []store.Key{{r.Accessed, r.Name}} }})

	versionTable = store.NewTable("secretsmanager", "version", func(v *versionRecord) store.Key { return store.Key{v.Secret, v.ID} },
		store.Index[versionRecord]{Name: "created", Entries: func(v *versionRecord) []store.Key { return []store.Key{{v.Secret, v.Created, v.ID}} }},
		store.Index[versionRecord]{Name: "old", Entries: func(v *versionRecord) []store.Key {
			if !v.Deprecated {
				return nil
			}
			return []store.Key{{v.Secret, v.Created, v.ID}}
		}})
)

// secretRecord is a secret.
type secretRecord struct {
	Account, Region string
	Name            string
	Suffix          string            // the six characters that its ARN ends with
	Description     string            `json:",omitempty"`
	Type            string            `json:",omitempty"` // of a partner's secret
	Owner           string            `json:",omitempty"` // the service that it belongs to
	Key             string            `json:",omitempty"` // KmsKeyId as it was given; "" is aws/secretsmanager
	Tags            map[string]string `json:",omitempty"`
	Policy          string            `json:",omitempty"` // as it was put
	Pins            identity.Pins     `json:",omitempty"` // whom Policy names

	Created, Changed time.Time
	Accessed         time.Time // the day on which a value was last read; zero is never
	Deleted          time.Time `json:",omitzero"` // when its deletion was asked for
	Due              time.Time `json:",omitzero"` // when it is deleted for good

	Labels     map[string]string `json:",omitempty"` // the version that each label is attached to
	Versions   int               `json:",omitempty"` // how many there are
	Deprecated int               `json:",omitempty"` // of these, how many have no label

	Rotation *rotation `json:",omitempty"`

	Primary  string    `json:",omitempty"` // the region of the secret that this one is a replica of; "" is none
	Replicas []replica `json:",omitempty"`
	Serial   uint64    `json:",omitempty"` // of what replicas in other processes were told last
}

// versionRecord is a version of a secret. What it says does not change; by which keys it can be read, does.
type versionRecord struct {
	Secret, ID string
	Created    time.Time
	Accessed   time.Time `json:",omitzero"`  // the day on which it was last read
	Deprecated bool      `json:",omitempty"` // it has no label
	Binary     bool      `json:",omitempty"`
	Sum        []byte    `json:",omitempty"` // of what it says, sealed; nil where nothing was put yet, which a rotation in progress may leave
	Copies     []copied  `json:",omitempty"` // of what it says, the newest first
}

// copied is a value as one KMS key keeps it.
type copied struct {
	Key     string // ARN
	Default bool   `json:",omitempty"` // it is aws/secretsmanager
	DataKey []byte // encrypted by KMS
	Value   []byte // encrypted under the data key
}

// weight is about how many bytes a version takes in the cache.
func (v *versionRecord) weight() int {
	w := 512
	for i := range v.Copies {
		w += len(v.Copies[i].Value) + len(v.Copies[i].DataKey) + 256
	}
	return w
}

// place names a secret.
type place struct{ account, region, name string }

// own is the place without the request that it came in.
func (p place) own() place {
	return place{strings.Clone(p.account), strings.Clone(p.region), strings.Clone(p.name)}
}

// versionPlace names a version.
type versionPlace struct {
	place
	id string
}

func (p versionPlace) own() versionPlace { return versionPlace{p.place.own(), strings.Clone(p.id)} }

func (r *secretRecord) place() place { return place{r.Account, r.Region, r.Name} }

// arn is the secret's ARN.
func (r *secretRecord) arn(partition string) string {
	return call.Scope{Partition: partition, Account: r.Account, Region: r.Region}.ARN("secretsmanager", "secret:"+r.Name+"-"+r.Suffix)
}

// labels are those of a version, in order.
func (r *secretRecord) labels(version string) (labels []string) {
	for label, id := range r.Labels {
		if id == version {
			labels = append(labels, label)
		}
	}
	sortLabels(labels)
	return labels
}
