package secretsmanager

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// A replica is a secret of the same name and the same end of its ARN in another region, which follows its primary secret: values, labels, description, tags and policy, not when it was last
// read. Its values are encrypted under a key of its own region. Who changes the primary secret needs the right to use the keys of the replicas, too; where they have not, the change stands and
// the replica is Failed until the next one: https://docs.aws.amazon.com/secretsmanager/latest/userguide/replicate-secrets.html

// replica is a copy of a secret in another region, as the primary secret knows it.
type replica struct {
	Region  string
	Key     string `json:",omitempty"` // KmsKeyId as it was given; "" is aws/secretsmanager
	Status  secretsmanager.StatusType
	Message string `json:",omitempty"`

	// Of a region in another process: what it was told first and last, and the versions that it was given the values of.
	First, Serial uint64   `json:",omitempty"`
	Sent          []string `json:",omitempty"`
}

// opReplicate is what a primary secret's change does in the region of a replica.
var opReplicate = &wire.Operation{
	Service: secretsmanager.Service, Name: "ReplicateSecretVersion", EventName: "ReplicateSecretVersion", Action: "secretsmanager:ReplicateSecretToRegions",
}

// primaryRegion is the region that the secret is managed in, if it is in several; otherwise "".
func (r *secretRecord) primaryRegion() string {
	if r.Primary == "" && len(r.Replicas) > 0 {
		return r.Region
	}
	return r.Primary
}

func (r *secretRecord) replicaRegions() (regions []string) {
	for _, rep := range r.Replicas {
		regions = append(regions, rep.Region)
	}
	return regions
}

// regions adds what policies may ask of the replicas of a request.
func (a *access) regions(add []secretsmanager.ReplicaRegionType, force *bool) {
	for _, r := range add {
		a.with("secretsmanager:addreplicaregions", optional.Value(r.Region))
	}
	a.with("secretsmanager:forceoverwritereplicasecret", boolean(force))
}

// changed saves a secret that was changed, and has its replicas follow.
func (s *Service) changed(c *call.Call, sec *secret) error {
	sec.Changed = c.Time
	return s.replicate(c, sec, nil)
}

// replicate saves a secret, and has its replicas follow; those of the regions in overwrite in place of another secret of the name.
func (s *Service) replicate(c *call.Call, sec *secret, overwrite []string) error {
	sec.Replicas = slices.Clone(sec.Replicas)
	for i := range sec.Replicas {
		rep := &sec.Replicas[i]
		if err := s.bring(c, sec, rep, slices.Contains(overwrite, rep.Region)); err != nil {
			return err
		}
	}
	return sec.save(c)
}

// state is all of a secret that a replica follows. It needs nothing else to be carried out.
type state struct {
	Name, Suffix string
	Description  string            `json:",omitempty"`
	Type         string            `json:",omitempty"`
	Owner        string            `json:",omitempty"`
	Tags         map[string]string `json:",omitempty"`
	Policy       string            `json:",omitempty"`
	Pins         map[string]string `json:",omitempty"`
	Rotation     *rotation         `json:",omitempty"`

	Primary          string // its region
	Key              string `json:",omitempty"` // the replica's
	Created, Changed time.Time
	Labels           map[string]string `json:",omitempty"`
	Versions         []versionState    `json:",omitempty"` // with labels
}

// versionState is a version as a replica gets it.
type versionState struct {
	ID      string
	Created time.Time
	Known   bool   `json:",omitempty"` // the replica has its value already
	Empty   bool   `json:",omitempty"` // it has none yet
	Binary  bool   `json:",omitempty"`
	Value   []byte `json:",omitempty"`
}

// bring has one replica follow, and notes how that went. Its error is none of what can go wrong with a replica.
func (s *Service) bring(c *call.Call, sec *secret, rep *replica, overwrite bool) error {
	if s.away(rep.Region) {
		return s.dispatch(c, sec, rep, overwrite)
	}
	there := c.In(rep.Region, opReplicate)
	mark := c.Tx().Mark()
	st, err := s.stateFor(c, sec, rep, func(id string) (bool, error) { return s.has(there, sec, id) })
	if err == nil {
		err = s.follow(there, sec.Account, st, overwrite)
	}
	if err == nil {
		rep.Status, rep.Message = secretsmanager.StatusTypeInSync, ""
		return nil
	}
	message, ok := replicaFailure(err)
	if !ok {
		return err
	}
	c.Tx().Reset(mark)
	rep.Status, rep.Message = secretsmanager.StatusTypeFailed, "Replication failed: "+message
	return nil
}

// replicaFailure is what is told of an error that is the customer's business.
func replicaFailure(err error) (string, bool) {
	if _, ok := errors.AsType[*call.Denied](err); ok {
		return "Access to KMS is not allowed", true
	}
	if e, ok := errors.AsType[wire.ModeledError](err); ok && !e.Schema().Error.Fault {
		return wire.Message(e), true
	}
	return "", false
}

// stateFor is the secret as a replica is to have it. Values of versions that the replica knows are left out.
func (s *Service) stateFor(c *call.Call, sec *secret, rep *replica, knows func(id string) (bool, error)) (*state, error) {
	st := &state{
		Name: sec.Name, Suffix: sec.Suffix, Description: sec.Description, Type: sec.Type, Owner: sec.Owner, Tags: sec.Tags, Policy: sec.Policy, Pins: sec.Pins, Rotation: sec.Rotation,
		Primary: sec.Region, Key: rep.Key, Created: sec.Created, Changed: sec.Changed, Labels: sec.Labels,
	}
	for _, id := range sortedKeys(sec.stages()) {
		v, err := s.version(c, sec, id)
		if err != nil {
			return nil, err
		}
		vs := versionState{ID: id, Created: v.Created, Binary: v.Binary, Empty: v.Sum == nil}
		if !vs.Empty {
			if vs.Known, err = knows(id); err != nil {
				return nil, err
			}
			if !vs.Known {
				if vs.Value, err = s.decrypted(c, sec, v); err != nil {
					return nil, err
				}
			}
		}
		st.Versions = append(st.Versions, vs)
	}
	return st, nil
}

// has reports whether the replica in a region of this process has the value of a version.
func (s *Service) has(there *call.Call, sec *secret, id string) (bool, error) {
	r, err := secretTable.In(sec.Account, there.Scope.Region).Get(there.Tx(), sec.Name)
	if err == nil && (r.Suffix != sec.Suffix || r.Primary != sec.Region) {
		return false, nil
	}
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	v, err := versionTable.In(sec.Account, there.Scope.Region).Get(there.Tx(), sec.Name, id)
	if missing(err) {
		return false, nil
	}
	return err == nil && v.Sum != nil, err
}

// follow makes a replica, or has it follow: afterwards it is as the state says. c is the call as it goes on in the replica's region.
func (s *Service) follow(c *call.Call, account string, st *state, overwrite bool) error {
	region := c.Scope.Region
	r, err := secretTable.In(account, region).Get(c.Tx(), st.Name)
	switch {
	case missing(err):
		r = nil
	case err != nil:
		return err
	case r.Primary != st.Primary || r.Suffix != st.Suffix:
		if !overwrite || len(r.Replicas) > 0 {
			return &secretsmanager.ResourceExistsException{Message: fmt.Sprintf("Secret name %s already exists in region %s.", st.Name, region)}
		}
		if err := erase(c, r); err != nil {
			return err
		}
		r = nil
	}
	sec := &secret{secretRecord: secretRecord{Account: account, Region: region, Name: st.Name, Suffix: st.Suffix, Primary: st.Primary}}
	if r != nil {
		sec.secretRecord = *r
	}
	sec.arn = sec.secretRecord.arn(c.Scope.Partition)
	sec.Description, sec.Type, sec.Owner, sec.Tags, sec.Policy, sec.Pins, sec.Rotation = st.Description, st.Type, st.Owner, st.Tags, st.Policy, st.Pins, st.Rotation
	sec.Created, sec.Changed, sec.Key = st.Created, st.Changed, st.Key
	for _, v := range st.Versions {
		if err := s.followVersion(c, sec, &v); err != nil {
			return err
		}
	}
	for _, label := range sortedKeys(sec.Labels) {
		if st.Labels[label] == "" {
			if err := s.attach(c, sec, label, ""); err != nil {
				return err
			}
		}
	}
	for _, label := range sortedKeys(st.Labels) {
		if err := s.attach(c, sec, label, st.Labels[label]); err != nil {
			return err
		}
	}
	if err := s.prune(c, sec); err != nil {
		return err
	}
	return sec.save(c)
}

// followVersion makes a version that the replica has not, or gives it its value.
func (s *Service) followVersion(c *call.Call, sec *secret, st *versionState) error {
	rows := versionTable.In(sec.Account, sec.Region)
	r, err := rows.Get(c.Tx(), sec.Name, st.ID)
	switch {
	case missing(err):
		r = &versionRecord{Secret: sec.Name, ID: st.ID, Created: st.Created, Deprecated: true}
		sec.Versions++
		sec.Deprecated++
	case err != nil:
		return err
	case st.Known || st.Empty || r.Sum != nil:
		return nil
	}
	if !st.Empty {
		if err := s.fill(c, sec, r, &value{st.Value, st.Binary}); err != nil {
			return err
		}
	}
	return rows.Put(c.Tx(), r)
}

// addReplicas gives the secret further replicas, or tries again with those that have failed.
func (s *Service) addReplicas(c *call.Call, sec *secret, add []secretsmanager.ReplicaRegionType, force bool) error {
	if len(add) == 0 {
		return nil
	}
	var overwrite []string
	for _, r := range add {
		region := optional.Value(r.Region)
		switch {
		case !door.ValidRegion(c.Scope.Partition, region) || s.nowhere(region):
			return invalidParameter("Invalid replica region: %s.", region)
		case region == sec.Region:
			return invalidParameter("Invalid replica region: %s is the region of the primary secret.", region)
		case slices.Contains(overwrite, region):
			return invalidParameter("Invalid replica region: %s is given more than once.", region)
		}
		overwrite = append(overwrite, region)
		key := (&secret{secretRecord: secretRecord{Account: sec.Account, Region: region}}).givenKey(c, optional.Value(r.KmsKeyId))
		at := slices.IndexFunc(sec.Replicas, func(rep replica) bool { return rep.Region == region })
		switch {
		case at < 0:
			sec.Replicas = append(slices.Clone(sec.Replicas), replica{Region: region, Key: key})
		case sec.Replicas[at].Status == secretsmanager.StatusTypeFailed:
			sec.Replicas = slices.Clone(sec.Replicas)
			sec.Replicas[at].Key = key
		default:
			return invalidParameter("The secret is already replicated to region %s.", region)
		}
	}
	if !force {
		overwrite = nil
	}
	sec.Changed = c.Time
	return s.replicate(c, sec, overwrite)
}

// ReplicateSecretToRegions gives a secret replicas in other regions.
func (s *Service) ReplicateSecretToRegions(c *call.Call, in *secretsmanager.ReplicateSecretToRegionsRequest) (*secretsmanager.ReplicateSecretToRegionsResponse, error) {
	a := &access{}
	a.regions(in.AddReplicaRegions, in.ForceOverwriteReplicaSecret)
	sec, err := s.forUpdate(c, in.SecretId, a)
	if err != nil {
		return nil, err
	}
	if err := s.addReplicas(c, sec, in.AddReplicaRegions, optional.Value(in.ForceOverwriteReplicaSecret)); err != nil {
		return nil, err
	}
	out := &secretsmanager.ReplicateSecretToRegionsResponse{ARN: &sec.arn}
	out.ReplicationStatus, err = s.replicationStatus(c, sec)
	return out, err
}

// RemoveRegionsFromReplication deletes replicas of a secret.
func (s *Service) RemoveRegionsFromReplication(c *call.Call, in *secretsmanager.RemoveRegionsFromReplicationRequest) (*secretsmanager.RemoveRegionsFromReplicationResponse, error) {
	sec, err := s.forUpdate(c, in.SecretId, &access{})
	if err != nil {
		return nil, err
	}
	for _, region := range in.RemoveReplicaRegions {
		if !slices.Contains(sec.replicaRegions(), region) {
			return nil, invalidParameter("The secret is not replicated to region %s.", region)
		}
		if s.away(region) {
			err = s.dismiss(c, sec, region)
		} else {
			err = s.removeReplica(c.In(region, opReplicate), sec)
		}
		if err != nil {
			return nil, err
		}
		sec.Replicas = slices.DeleteFunc(slices.Clone(sec.Replicas), func(rep replica) bool { return rep.Region == region })
	}
	out := &secretsmanager.RemoveRegionsFromReplicationResponse{ARN: &sec.arn}
	if err := s.changed(c, sec); err != nil {
		return nil, err
	}
	out.ReplicationStatus, err = s.replicationStatus(c, sec)
	return out, err
}

// removeReplica deletes the replica of a secret in the region that the call goes on in. Another secret of the name stays.
func (s *Service) removeReplica(there *call.Call, sec *secret) error {
	r, err := secretTable.In(sec.Account, there.Scope.Region).Get(there.Tx(), sec.Name)
	if missing(err) || err == nil && (r.Primary != sec.Region || r.Suffix != sec.Suffix) {
		return nil
	}
	if err != nil {
		return err
	}
	return erase(there, r)
}

// StopReplicationToReplica makes a replica a secret of its own.
func (s *Service) StopReplicationToReplica(c *call.Call, in *secretsmanager.StopReplicationToReplicaRequest) (*secretsmanager.StopReplicationToReplicaResponse, error) {
	sec, err := s.live(c, in.SecretId, &access{})
	if err != nil {
		return nil, err
	}
	if sec.Primary == "" {
		return nil, invalidRequest("Operation not permitted on a primary secret. Call must be made in the region of a replica.")
	}
	if err := s.leave(c, sec); err != nil {
		return nil, err
	}
	sec.Primary, sec.Rotation = "", nil
	return &secretsmanager.StopReplicationToReplicaResponse{ARN: &sec.arn}, s.changed(c, sec)
}

// leave has a primary secret forget a replica that is one no more.
func (s *Service) leave(c *call.Call, sec *secret) error {
	if sec.Primary == "" {
		return nil
	}
	if s.away(sec.Primary) {
		return s.release(c, sec)
	}
	there := c.In(sec.Primary, opReplicate)
	rows := secretTable.In(sec.Account, sec.Primary)
	r, err := rows.Get(there.Tx(), sec.Name)
	if missing(err) || err == nil && r.Suffix != sec.Suffix {
		return nil
	}
	if err != nil {
		return err
	}
	r.Replicas = slices.DeleteFunc(r.Replicas, func(rep replica) bool { return rep.Region == sec.Region })
	r.Changed = c.Time
	return rows.Put(there.Tx(), r)
}

// replicationStatus is how the replicas of a secret are.
func (s *Service) replicationStatus(c *call.Call, sec *secret) (list []secretsmanager.ReplicationStatusType, err error) {
	for _, rep := range sec.Replicas {
		st := secretsmanager.ReplicationStatusType{Region: new(rep.Region), Status: rep.Status, StatusMessage: optional.NonZero(rep.Message), KmsKeyId: new(rep.Key)}
		if rep.Key == "" {
			st.KmsKeyId = new(defaultKey)
		}
		if s.away(rep.Region) {
			list = append(list, st)
			continue
		}
		r, err := secretTable.In(sec.Account, rep.Region).Get(c.Tx(), sec.Name)
		if err == nil && r.Primary == sec.Region && !r.Accessed.IsZero() {
			st.LastAccessedDate = &r.Accessed
		} else if err != nil && !missing(err) {
			return nil, err
		}
		list = append(list, st)
	}
	slices.SortFunc(list, func(a, b secretsmanager.ReplicationStatusType) int { return strings.Compare(*a.Region, *b.Region) })
	return list, nil
}
