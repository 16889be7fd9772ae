package ssm

import (
	"time"

	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// What is kept in the store, in the account and the region of each. DIR and LEAF are the two parts of a name, /DIR/LEAF: a level of a hierarchy lies together in the order of the
// keys, and so does all that is below one, however many parameters there are elsewhere. DIR is empty for names of one level.
//
//	ssm/ACCOUNT/REGION/parameter/DIR/LEAF           a parameter with its current version; by the accounts that it is shared with: global index "shared", REGION/ACCOUNT
//	ssm/ACCOUNT/REGION/version/DIR/LEAF/VERSION     an earlier version
//	ssm/ACCOUNT/REGION/count/SHARD                  how many parameters of each tier there are; a name counts in the shard that its hash says
//	ssm/ACCOUNT/REGION/setting/ID                   a service setting that was changed
//
// What parameter policies wait for is in timers, of kind "policy": see policytimer.go.
var (
	parameterTable = store.NewTable("ssm", "parameter", func(p *parameterRecord) store.Key { return store.Key{p.Dir, p.Leaf} },
		store.Index[parameterRecord]{Name: "shared", Global: true, Entries: sharedWith})
	versionTable = store.NewTable("ssm", "version", func(v *versionRecord) store.Key { return store.Key{v.Dir, v.Leaf, v.Version} })
	countTable   = store.NewTable("ssm", "count", func(n *countRecord) store.Key { return store.Key{n.Shard} })
	settingTable = store.NewTable("ssm", "setting", func(s *settingRecord) store.Key { return store.Key{s.ID} })
)

// parameterRecord is a parameter. Its versions are those from Oldest to Current.Version, without a gap.
type parameterRecord struct {
	Dir, Leaf string
	Name      string // as it was created: a name of one level may begin with a slash or not
	Current   version
	Oldest    int64
	Labels    map[string]int64  `json:",omitempty"` // the versions that have them
	Tags      map[string]string `json:",omitempty"`
	Sharing   *sharing          `json:",omitempty"`
}

// name is the parameter's name, taken apart.
func (p *parameterRecord) name() name { return name{p.Dir, p.Leaf} }

// version is a version of a parameter.
type version struct {
	Version     int64
	Type        string
	Tier        string // Standard or Advanced, which also tells how a SecureString is encrypted
	DataType    string
	Description string `json:",omitempty"`
	KeyID       string `json:",omitempty"` // of a SecureString, as it was given
	Pattern     string `json:",omitempty"` // AllowedPattern
	Value       []byte // sealed; of a SecureString, what KMS made of it
	Modified    time.Time
	By          string         // an ARN
	Policies    []policyRecord `json:",omitempty"`
}

// versionRecord is a version that is not the current one.
type versionRecord struct {
	Dir, Leaf string
	version
}

// policyRecord is a parameter policy.
type policyRecord struct {
	Type   string
	Text   string
	Status string
	Due    time.Time // when it does something
}

// sharing is a parameter's resource policy.
type sharing struct {
	ID       string
	Hash     string
	Text     string
	Pins     identity.Pins `json:",omitempty"`
	Owner    string        // the account and the region of the parameter, for the index
	Region   string
	Accounts []string // whom the policy names
}

// countRecord is how many parameters there are of those that count in a shard.
type countRecord struct {
	Shard              int
	Standard, Advanced int64
}

// settingRecord is a service setting that is not the default.
type settingRecord struct {
	ID, Value string
	Modified  time.Time
	By        string // an ARN
}

func sharedWith(p *parameterRecord) (entries []store.Key) {
	if p.Sharing == nil {
		return nil
	}
	for _, account := range p.Sharing.Accounts {
		entries = append(entries, store.Key{p.Sharing.Region, account})
	}
	return entries
}
