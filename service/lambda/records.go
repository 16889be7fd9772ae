package lambda

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// What is kept in the store, in the account and the region of each:
//
//	lambda/ACCOUNT/REGION/function/NAME                  a function: what its versions share
//	lambda/ACCOUNT/REGION/version/NAME/NUMBER            a version of it; 0 is $LATEST
//	lambda/ACCOUNT/REGION/alias/NAME/ALIAS               an alias of it
//	lambda/ACCOUNT/REGION/policy/NAME/QUALIFIER          who may do what with the function, a version or an alias; the function's own has an empty qualifier
//	lambda/ACCOUNT/REGION/invocation/NAME/QUALIFIER      how it is invoked asynchronously; the function's own is that of $LATEST
//	lambda/ACCOUNT/REGION/url/NAME/QUALIFIER             its URL; the function's own has an empty qualifier
//	lambda///url.id/ID                                   which one has this ID in its host
//	lambda/ACCOUNT/REGION/layer/NAME                     a layer
//	lambda/ACCOUNT/REGION/layerVersion/NAME/NUMBER       a version of it
//	lambda///version.blob/BLOB/...                       the versions of functions that run an object of the blob store, as their code or a layer
//	lambda///layerVersion.blob/BLOB/...                  the versions of layers that are an object of the blob store
//
// Code lies in the blob store, as the zip archive that it came as, under a random key that begins with BlobPrefix. It is written before the record that names it,
// and removed after the commit in which the last record of it went. So what a crash leaves is an archive without a record, at most; Unnamed tells them apart.
var (
	functionTable = store.NewTable("lambda", "function", func(f *functionRecord) store.Key { return store.Key{f.Name} })
	versionTable  = store.NewTable("lambda", "version", func(v *versionRecord) store.Key { return store.Key{v.Function, v.Number} },
		store.Index[versionRecord]{Name: "blob", Global: true, Entries: (*versionRecord).blobs})
	aliasTable      = store.NewTable("lambda", "alias", func(a *aliasRecord) store.Key { return store.Key{a.Function, a.Name} })
	policyTable     = store.NewTable("lambda", "policy", func(p *policyRecord) store.Key { return store.Key{p.Function, p.Qualifier} })
	invocationTable = store.NewTable("lambda", "invocation", func(i *invocationRecord) store.Key { return store.Key{i.Function, i.Qualifier} })
	urlTable        = store.NewTable("lambda", "url", func(u *urlRecord) store.Key { return store.Key{u.Function, u.Qualifier} },
		store.Index[urlRecord]{Name: "id", Unique: true, Global: true, Entries: func(u *urlRecord) []store.Key { return []store.Key{{u.ID}} }})
	layerTable        = store.NewTable("lambda", "layer", func(l *layerRecord) store.Key { return store.Key{l.Name} })
	layerVersionTable = store.NewTable("lambda", "layerVersion", func(l *layerVersionRecord) store.Key { return store.Key{l.Layer, l.Number} },
		store.Index[layerVersionRecord]{Name: "blob", Global: true, Entries: func(l *layerVersionRecord) []store.Key { return []store.Key{{l.Code.Blob}} }})
)

// latest is the qualifier of what a function is at present, before it is published.
const latest = "$LATEST"

// functionRecord is a function: what its versions share.
type functionRecord struct {
	Name, Account, Region string
	Created               time.Time
	Published             uint64            // how many versions were published, which is the number of the last one
	Reserved              *int32            `json:",omitempty"` // concurrency that is its own; nil is that it takes what nobody has reserved
	Tags                  map[string]string `json:",omitempty"`
}

func (f *functionRecord) scope(partition string) call.Scope {
	return call.Scope{Partition: partition, Account: f.Account, Region: f.Region}
}

// versionRecord is a version of a function: its code and its configuration. The one of the number 0 is $LATEST, which changes; published ones do not.
type versionRecord struct {
	Function    string
	Number      uint64
	Revision    string // random, and another one after each change of it, its policy or its tags
	Change      string // random, and another one after each change of its code or configuration: a published version has that of what it was
	Modified    time.Time
	Description string `json:",omitempty"`

	Runtime, Handler string
	Role             string // an ARN
	Code             codeRecord
	Layers           []layerUse `json:",omitempty"`
	Architecture     string
	Timeout          int32 // seconds
	Memory           int32 // MiB
	Ephemeral        int32 // MiB in /tmp

	Key         string             `json:",omitempty"` // the KMS key that was asked for; "" is aws/lambda
	Environment *environmentRecord `json:",omitempty"` // nil where there are no variables

	DeadLetters string        `json:",omitempty"` // the ARN of a queue or a topic
	Tracing     string        // Active or PassThrough
	Logging     loggingRecord `json:",omitzero"`
}

// qualifier is the version's own: $LATEST or its number.
func (v *versionRecord) qualifier() string {
	if v.Number == 0 {
		return latest
	}
	return strconv.FormatUint(v.Number, 10)
}

func (v *versionRecord) blobs() []store.Key {
	keys := []store.Key{{v.Code.Blob}}
	for _, l := range v.Layers {
		keys = append(keys, store.Key{l.Blob})
	}
	return keys
}

// codeRecord is an archive.
type codeRecord struct {
	Blob     string
	Sum      string // SHA-256 in Base64
	Size     int64  // bytes
	Unzipped int64  // bytes of what is in it
}

// layerUse is a version of a layer that a version of a function has. It has the layer's archive even after the layer was deleted.
type layerUse struct {
	ARN, Blob      string
	Size, Unzipped int64 // bytes
}

// environmentRecord is environment variables, encrypted: see environment.go.
type environmentRecord struct {
	KeyARN  string // of the KMS key
	Grant   string `json:",omitempty"` // the ID of the grant by which the role decrypts; "" is one from before these were retired
	DataKey []byte // encrypted by the key
	Text    []byte // JSON, encrypted under the data key
}

// loggingRecord is where a function logs.
type loggingRecord struct {
	Format              string // Text or JSON
	Group               string `json:",omitempty"` // "" is /aws/lambda/NAME
	Application, System string `json:",omitempty"` // the least level that is logged, with JSON
}

// aliasRecord is an alias.
type aliasRecord struct {
	Function, Name string
	Description    string `json:",omitempty"`
	Version        string // a number, or $LATEST
	Revision       string
	Other          string  `json:",omitempty"` // the version that some invocations go to
	Weight         float64 `json:",omitempty"` // which part of them, 0 to 1
}

// policyRecord is a resource-based policy. A qualifier without statements has no record.
type policyRecord struct {
	Function, Qualifier string
	Text                string
	Pins                identity.Pins `json:",omitempty"` // whom Text names
}

// invocationRecord is how a function is invoked asynchronously.
type invocationRecord struct {
	Function, Qualifier  string // the latter is $LATEST, a number or an alias
	Modified             time.Time
	Retries              *int32 `json:",omitempty"` // nil is 2
	Age                  *int32 `json:",omitempty"` // seconds; nil is six hours
	OnSuccess, OnFailure string `json:",omitempty"` // ARNs
	Destined             bool   `json:",omitempty"` // a DestinationConfig was given
}

// urlRecord is the URL of a function or of an alias.
type urlRecord struct {
	Function, Qualifier string // the latter is "" or an alias
	Account, Region     string
	ID                  string       // the first label of its host
	AuthType            string       // NONE or AWS_IAM
	Mode                string       // BUFFERED or RESPONSE_STREAM
	CORS                *lambda.Cors `json:",omitempty"`
	Created, Modified   time.Time
}

// layerRecord is a layer.
type layerRecord struct {
	Name      string
	Published uint64 // the number of the last version, be it deleted or not
}

// layerVersionRecord is a version of a layer.
type layerVersionRecord struct {
	Layer         string
	Number        uint64
	Created       time.Time
	Code          codeRecord
	Description   string                `json:",omitempty"`
	License       string                `json:",omitempty"`
	Runtimes      []lambda.Runtime      `json:",omitempty"`
	Architectures []lambda.Architecture `json:",omitempty"`

	Policy   string        `json:",omitempty"`
	Pins     identity.Pins `json:",omitempty"`
	Revision string        // of the policy
}

// BlobPrefix is what the keys in the blob store begin with.
const BlobPrefix = "lambda/"

// newBlob makes a key in the blob store.
func newBlob() string {
	var b [20]byte
	rand.Read(b[:])
	return BlobPrefix + hex.EncodeToString(b[:])
}

// Unnamed returns those of some objects of the blob store, below BlobPrefix, that no function or layer here is made of.
func (s *Service) Unnamed(ctx context.Context, keys []string) (unnamed []string, err error) {
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		unnamed = nil
		for _, key := range keys {
			named, err := isNamed(r, key)
			if err != nil {
				return err
			}
			if !named {
				unnamed = append(unnamed, key)
			}
		}
		return nil
	})
	return unnamed, err
}

// isNamed reports whether a record names an object of the blob store.
func isNamed(r store.Reader, blob string) (bool, error) {
	q := store.Query{Index: "blob", Prefix: store.Key{blob}, Limit: 1}
	n, err := versionTable.In("", "").Count(r, q)
	if err != nil || n > 0 {
		return n > 0, err
	}
	n, err = layerVersionTable.In("", "").Count(r, q)
	return n > 0, err
}

// free removes an object of the blob store after the commit, if no record names it then.
func (s *Service) free(c *call.Call, blob string) error {
	named, err := isNamed(c.Tx(), blob)
	if err != nil || named {
		return err
	}
	ctx := context.WithoutCancel(c.Context)
	c.Tx().OnCommitted(func() { _ = s.cfg.Blob.Delete(ctx, blob) }) // what stays is found later: see Unnamed
	return nil
}
