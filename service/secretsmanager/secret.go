package secretsmanager

import (
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// validName refuses a name that cannot be a secret's. AWS has no error of its own for it.
func validName(name string) error {
	for i := range len(name) {
		if b := name[i]; !alphanumeric(name[i:i+1]) && !strings.ContainsRune("-/_+=.@!", rune(b)) {
			return badName()
		}
	}
	if name == "" || len(name) > maxName {
		return badName()
	}
	return nil
}

const maxName = 512

func badName() error {
	return &wire.Error{
		Code: "ValidationException", Status: 400,
		Message: "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
	}
}

// reserved reports whether a name is one that a service gives its own secrets, as SERVICE!REST, and which service.
func reserved(name string) (service string, ok bool) {
	service, _, ok = strings.Cut(name, "!")
	return service, ok && service != ""
}

// managedBy reports whether a call is one that a service makes for its customer, or of its own accord.
func managedBy(c *call.Call, service string) bool {
	host := service + ".amazonaws.com"
	return c.Source.Service == host || c.Caller.ServiceName == host
}

// editable refuses the customer what a service keeps.
func (sec *secret) editable(c *call.Call) error {
	if sec.Owner == "" || managedBy(c, sec.Owner) {
		return nil
	}
	return invalidRequest("You can't perform this operation on the secret because it is managed by another service. Use that service to update it.")
}

// CreateSecret makes a secret, with a first version if it has a value.
func (s *Service) CreateSecret(c *call.Call, in *secretsmanager.CreateSecretRequest) (*secretsmanager.CreateSecretResponse, error) {
	name := optional.Value(in.Name)
	if err := validName(name); err != nil {
		return nil, err
	}
	v, err := given(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	if v != nil && in.ClientRequestToken == nil {
		return nil, invalidRequest(tokenNeeded)
	}
	tags, err := newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	t := target{place: place{c.Scope.Account, c.Scope.Region, name}}
	sec, err := s.read(c, t)
	if err != nil {
		return nil, err
	}
	there := sec != nil
	if !there {
		suffix, err := randomSuffix(c.Rand)
		if err != nil {
			return nil, err
		}
		sec = &secret{secretRecord: secretRecord{Account: t.account, Region: t.region, Name: name, Suffix: suffix, Created: c.Time, Tags: tags}}
		sec.arn = sec.secretRecord.arn(c.Scope.Partition)
	}
	if err := s.mayCreate(c, t, sec, in, tags, there); err != nil {
		return nil, err
	}
	out := &secretsmanager.CreateSecretResponse{ARN: &sec.arn, Name: &sec.Name}
	if there {
		out.VersionId = in.ClientRequestToken
		return out, s.recreated(sec, c, in, v)
	}
	if service, ok := reserved(name); ok {
		if !managedBy(c, service) {
			return nil, invalidRequest("Names that begin with the name of a service and an exclamation mark are reserved for secrets that are managed by that service.")
		}
		sec.Owner = service
	}
	sec.Description, sec.Type, sec.Key = optional.Value(in.Description), optional.Value(in.Type), sec.givenKey(c, optional.Value(in.KmsKeyId))
	if v != nil {
		if _, err := s.putVersion(c, sec, *in.ClientRequestToken, v, nil); err != nil {
			return nil, err
		}
		out.VersionId = in.ClientRequestToken
	}
	sec.Changed = c.Time
	if err := sec.save(c); err != nil {
		return nil, err
	}
	if err := s.addReplicas(c, sec, in.AddReplicaRegions, optional.Value(in.ForceOverwriteReplicaSecret)); err != nil {
		return nil, err
	}
	out.ReplicationStatus, err = s.replicationStatus(c, sec)
	return out, err
}

const tokenNeeded = "You must provide a ClientRequestToken value. We recommend a UUID-type value."

// mayCreate asks for everything that a request to create a secret takes.
func (s *Service) mayCreate(c *call.Call, t target, sec *secret, in *secretsmanager.CreateSecretRequest, tags map[string]string, there bool) error {
	ask := func(action string, a *access) error {
		r := &call.Resource{ARN: sec.arn, Account: sec.Account, Type: secretType, RequestTags: a.tags, Conditions: a}
		if there {
			r.Policy, r.Tags = sec.policy, sec.Tags
		}
		return c.AuthorizeAction(action, r)
	}
	a := (&access{tags: tags}).with("secretsmanager:name", t.name).with("secretsmanager:description", optional.Value(in.Description)).with("secretsmanager:type", optional.Value(in.Type))
	a.key(c, in.KmsKeyId)
	a.regions(in.AddReplicaRegions, in.ForceOverwriteReplicaSecret)
	if err := ask(c.Op.Action, a); err != nil {
		return err
	}
	if len(in.Tags) > 0 {
		if err := ask(secretsmanager.OpTagResource.Action, &access{sec: sec, id: sec.arn, tags: tags}); err != nil {
			return err
		}
	}
	if len(in.AddReplicaRegions) > 0 {
		a := &access{sec: sec, id: sec.arn}
		a.regions(in.AddReplicaRegions, in.ForceOverwriteReplicaSecret)
		return ask(secretsmanager.OpReplicateSecretToRegions.Action, a)
	}
	return nil
}

// recreated is the answer to a request to create a secret that is there: none but the same request again gets it.
func (s *Service) recreated(sec *secret, c *call.Call, in *secretsmanager.CreateSecretRequest, v *value) error {
	if !sec.Deleted.IsZero() {
		return invalidRequest("You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	exists := &secretsmanager.ResourceExistsException{Message: fmt.Sprintf("The operation failed because the secret %s already exists.", sec.Name)}
	if v == nil {
		return exists
	}
	r, err := s.version(c, sec, *in.ClientRequestToken)
	if missing(err) {
		return exists
	}
	if err != nil {
		return err
	}
	if r.Sum == nil {
		return exists
	}
	return s.same(sec, r, v)
}

// suffixAlphabet has letters and digits alone.
const suffixAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// randomSuffix is what an ARN ends with, another one each time that a name is used: who had access to a secret that is gone has none to the next.
func randomSuffix(rand io.Reader) (string, error) {
	b := make([]byte, suffixLength)
	for i := range b {
		n, err := below(rand, len(suffixAlphabet))
		if err != nil {
			return "", err
		}
		b[i] = suffixAlphabet[n]
	}
	return string(b), nil
}

// givenKey is a KmsKeyId as it is kept: the alias of the service's own key is none.
func (sec *secret) givenKey(c *call.Call, id string) string {
	if id == defaultKey || id == c.Scope.ARN("kms", defaultKey) && c.Scope.Account == sec.Account {
		return ""
	}
	return id
}

// key adds what policies may ask of the KMS key of a request.
func (a *access) key(c *call.Call, id *string) {
	if id == nil || *id == "" {
		return
	}
	a.with("secretsmanager:kmskeyid", *id)
	name := *id
	if !strings.HasPrefix(name, "arn:") {
		if !strings.HasPrefix(name, "alias/") {
			name = "key/" + name
		}
		name = c.Scope.ARN("kms", name)
	}
	a.with("secretsmanager:kmskeyarn", name)
}

// DescribeSecret tells everything of a secret but its values.
func (s *Service) DescribeSecret(c *call.Call, in *secretsmanager.DescribeSecretRequest) (*secretsmanager.DescribeSecretResponse, error) {
	sec, err := s.secret(c, in.SecretId)
	if err != nil {
		return nil, err
	}
	out := &secretsmanager.DescribeSecretResponse{
		ARN: &sec.arn, Name: &sec.Name, Type: optional.NonZero(sec.Type), Description: optional.NonZero(sec.Description), KmsKeyId: optional.NonZero(sec.Key), OwningService: optional.NonZero(sec.Owner),
		CreatedDate: &sec.Created, LastChangedDate: &sec.Changed, LastAccessedDate: optional.NonZero(s.accessed(sec)), DeletedDate: optional.NonZero(sec.Due),
		Tags: tagList(sec.Tags), VersionIdsToStages: sec.stages(), PrimaryRegion: optional.NonZero(sec.primaryRegion()),
	}
	out.ReplicationStatus, err = s.replicationStatus(c, sec)
	if r := sec.Rotation; r != nil {
		out.RotationEnabled, out.RotationLambdaARN, out.RotationRules = &r.Enabled, optional.NonZero(r.Lambda), r.rules()
		out.LastRotatedDate, out.NextRotationDate = optional.NonZero(r.Last), optional.NonZero(r.Next)
	}
	return out, err
}

// stages are the versions that have labels, with these.
func (r *secretRecord) stages() map[string][]string {
	if len(r.Labels) == 0 {
		return nil
	}
	out := make(map[string][]string)
	for _, label := range sortedKeys(r.Labels) {
		out[r.Labels[label]] = append(out[r.Labels[label]], label)
	}
	return out
}

// UpdateSecret changes what a secret says of itself, its key and its value.
func (s *Service) UpdateSecret(c *call.Call, in *secretsmanager.UpdateSecretRequest) (*secretsmanager.UpdateSecretResponse, error) {
	a := (&access{}).with("secretsmanager:description", optional.Value(in.Description)).with("secretsmanager:type", optional.Value(in.Type))
	a.key(c, in.KmsKeyId)
	sec, err := s.forUpdate(c, in.SecretId, a)
	if err != nil {
		return nil, err
	}
	v, err := given(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	if in.Description != nil {
		sec.Description = *in.Description
	}
	if in.Type != nil {
		sec.Type = *in.Type
	}
	if in.KmsKeyId != nil {
		if err := s.changeKey(c, sec, sec.givenKey(c, *in.KmsKeyId)); err != nil {
			return nil, err
		}
	}
	before := sec.Labels[currentLabel]
	out := &secretsmanager.UpdateSecretResponse{ARN: &sec.arn, Name: &sec.Name}
	if v != nil {
		if in.ClientRequestToken == nil {
			return nil, invalidRequest(tokenNeeded)
		}
		made, err := s.putVersion(c, sec, *in.ClientRequestToken, v, []string{currentLabel})
		if err != nil {
			return nil, err
		}
		out.VersionId = in.ClientRequestToken
		if !made && in.Description == nil && in.KmsKeyId == nil && in.Type == nil {
			return out, nil // the same request again
		}
	}
	if err := s.newCurrent(c, sec, before); err != nil {
		return nil, err
	}
	return out, s.changed(c, sec)
}

// newCurrent tells the secret's rotation if another version than before has AWSCURRENT.
func (s *Service) newCurrent(c *call.Call, sec *secret, before string) error {
	if now := sec.Labels[currentLabel]; now != before && before != "" {
		return s.replaced(c, sec, now)
	}
	return nil
}

// forUpdate is a secret that the customer may change: alive, no replica, and nobody else's.
func (s *Service) forUpdate(c *call.Call, id *string, a *access) (*secret, error) {
	if err := s.calm(c, id); err != nil {
		return nil, err
	}
	sec, err := s.live(c, id, a)
	if err != nil {
		return nil, err
	}
	if err := sec.primary(); err != nil {
		return nil, err
	}
	return sec, sec.editable(c)
}

// changeKey gives the secret another KMS key, under which the versions that are in use are encrypted, too. Under the keys before they stay readable, so that nobody is locked out, and who may not
// read them there leaves them as they are: https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_update-encryption-key.html
func (s *Service) changeKey(c *call.Call, sec *secret, key string) error {
	if sec.Key == key {
		return nil
	}
	sec.Key = key
	for _, label := range []string{currentLabel, pendingLabel, previousLabel} {
		id := sec.Labels[label]
		if id == "" {
			continue
		}
		r, err := s.version(c, sec, id)
		if err != nil {
			return err
		}
		if err := s.recrypt(c, sec, r); err != nil {
			return err
		}
	}
	return nil
}

// recrypt adds a copy of a version under the secret's key, if the caller may read it and use that.
func (s *Service) recrypt(c *call.Call, sec *secret, r *versionRecord) error {
	if r.Sum == nil {
		return nil
	}
	plain, err := s.decrypted(c, sec, r)
	if err != nil {
		return skipRefused(err)
	}
	defer clear(plain)
	copy, err := s.encrypted(c, sec, r.ID, plain)
	if err != nil {
		return skipRefused(err)
	}
	copies := []copied{*copy}
	for _, old := range r.Copies {
		if old.Key != copy.Key && len(copies) < maxCopies {
			copies = append(copies, old)
		}
	}
	r.Copies = copies
	return versionTable.In(sec.Account, sec.Region).Put(c.Tx(), r)
}

// maxCopies is how many keys a version can be read under: more are not kept.
const maxCopies = 4

func skipRefused(err error) error {
	if refused(err) {
		return nil
	}
	return err
}

// newTags are the tags given on top of those there are.
func newTags(there map[string]string, list []secretsmanager.Tag) (map[string]string, error) {
	if len(list) == 0 {
		return there, nil
	}
	tags := maps.Clone(there)
	if tags == nil {
		tags = make(map[string]string, len(list))
	}
	seen := make(map[string]bool, len(list))
	for _, t := range list {
		key := optional.Value(t.Key)
		switch {
		case key == "":
			return nil, invalidParameter("A tag must have a key.")
		case seen[key]:
			return nil, invalidParameter("Duplicate tag keys found: %s.", key)
		case len(key) >= 4 && strings.EqualFold(key[:4], "aws:"):
			return nil, invalidParameter("Tag keys that begin with aws: are reserved.")
		}
		seen[key] = true
		tags[key] = optional.Value(t.Value)
	}
	if len(tags) > maxTags {
		return nil, &secretsmanager.LimitExceededException{Message: fmt.Sprintf("A secret can have at most %d tags.", maxTags)}
	}
	return tags, nil
}

const maxTags = 50
