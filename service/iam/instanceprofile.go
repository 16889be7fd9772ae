package iam

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// instanceProfile hands a role to EC2 instances.
type instanceProfile struct {
	Account string
	Name    string
	Path    string            `json:",omitempty"`
	ID      string            // AIPA...
	Roles   []string          `json:",omitempty"` // names: one at most
	Tags    map[string]string `json:",omitempty"`
	Created time.Time
}

func (p *instanceProfile) arn(partition string) string {
	return "arn:" + partition + ":iam::" + p.Account + ":instance-profile" + pathOf(p.Path) + p.Name
}

// Stored as (see store.Table):
//
//	iam / account // instanceprofile / name → instanceProfile
//
// The index "fold" makes names unique whatever their case; "role" leads from a role's name to the profiles it is in.
var instanceProfiles = store.NewTable("iam", "instanceprofile", func(p *instanceProfile) store.Key { return store.Key{p.Name} },
	store.Index[instanceProfile]{Name: "fold", Unique: true, Entries: func(p *instanceProfile) []store.Key { return []store.Key{{strings.ToLower(p.Name)}} }},
	store.Index[instanceProfile]{Name: "role", Entries: func(p *instanceProfile) (keys []store.Key) {
		for _, name := range p.Roles {
			keys = append(keys, store.Key{name})
		}
		return keys
	}})

func profiles(c *call.Call) store.Rows[instanceProfile] {
	return instanceProfiles.In(c.Scope.Account, "")
}

// profilesOf lists the instance profiles that a role is in.
func profilesOf(c *call.Call, role string) iter.Seq2[*instanceProfile, error] {
	return profiles(c).Scan(c.Tx(), store.Query{Index: "role", Prefix: store.Key{role}})
}

const profileType = "AWS::IAM::InstanceProfile"

// profile finds an instance profile and asks for permission, as role does.
func (s *Service) profile(c *call.Call, name string, with ...func(*call.Resource)) (*instanceProfile, error) {
	p, err := profiles(c).Get(c.Tx(), name)
	there := err == nil
	if missing(err) {
		p = &instanceProfile{Account: c.Scope.Account, Name: name}
	} else if err != nil {
		return nil, err
	}
	if err := s.authorizeWith(c, &call.Resource{ARN: p.arn(s.cfg.Partition), Type: profileType, Tags: p.Tags}, with); err != nil {
		return nil, err
	}
	if !there {
		return nil, &iam.NoSuchEntityException{Message: "Instance Profile " + name + " cannot be found."}
	}
	return p, nil
}

// CreateInstanceProfile makes an instance profile without a role.
func (s *Service) CreateInstanceProfile(c *call.Call, in *iam.CreateInstanceProfileRequest) (*iam.CreateInstanceProfileResponse, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	p := &instanceProfile{
		Account: c.Scope.Account, Name: *in.InstanceProfileName, Path: pathOf(optional.Value(in.Path)), ID: identity.NewID("AIPA"), Tags: tags, Created: c.Time,
	}
	if err := s.create(c, &call.Resource{ARN: p.arn(s.cfg.Partition), Type: profileType}, iam.OpTagInstanceProfile, tags); err != nil {
		return nil, err
	}
	taken := "Instance Profile " + p.Name + " already exists."
	if err := insert(c, instanceProfiles, p, "InstanceProfilesPerAccount", instanceProfilesQuota, taken); err != nil {
		return nil, err
	}
	out, err := s.profileShape(c, p)
	if err != nil {
		return nil, err
	}
	if len(tags) > 0 {
		out.Tags = tagList(tags)
	}
	return &iam.CreateInstanceProfileResponse{InstanceProfile: out}, nil
}

// profileShape is an instance profile as listings have it.
func (s *Service) profileShape(c *call.Call, p *instanceProfile) (*iam.InstanceProfile, error) {
	out := &iam.InstanceProfile{
		Path: new(pathOf(p.Path)), InstanceProfileName: &p.Name, InstanceProfileId: &p.ID, Arn: new(p.arn(s.cfg.Partition)), CreateDate: &p.Created,
		Roles: make([]iam.Role, 0, len(p.Roles)),
	}
	for _, name := range p.Roles {
		r, err := roles(c).Get(c.Tx(), name)
		if err != nil {
			return nil, err
		}
		shown, err := s.roleShape(c, r, rolePlain)
		if err != nil {
			return nil, err
		}
		out.Roles = append(out.Roles, *shown)
	}
	return out, nil
}

func (s *Service) profileShapes(c *call.Call, found []*instanceProfile) ([]iam.InstanceProfile, error) {
	list := make([]iam.InstanceProfile, 0, len(found))
	for _, p := range found {
		shown, err := s.profileShape(c, p)
		if err != nil {
			return nil, err
		}
		list = append(list, *shown)
	}
	return list, nil
}

// GetInstanceProfile tells of an instance profile and its role.
func (s *Service) GetInstanceProfile(c *call.Call, in *iam.GetInstanceProfileRequest) (*iam.GetInstanceProfileResponse, error) {
	p, err := s.profile(c, *in.InstanceProfileName)
	if err != nil {
		return nil, err
	}
	out, err := s.profileShape(c, p)
	if err != nil {
		return nil, err
	}
	out.Tags = tagList(p.Tags)
	return &iam.GetInstanceProfileResponse{InstanceProfile: out}, nil
}

// ListInstanceProfiles lists the account's instance profiles.
func (s *Service) ListInstanceProfiles(c *call.Call, in *iam.ListInstanceProfilesRequest) (*iam.ListInstanceProfilesResponse, error) {
	if err := s.listing(c, "instance-profile", in.PathPrefix); err != nil {
		return nil, err
	}
	found, next, truncated, err := page(c, instanceProfiles, store.Query{}, in.Marker, in.MaxItems, optional.Value(in.PathPrefix),
		func(p *instanceProfile) bool { return under(in.PathPrefix, p.Path) })
	if err != nil {
		return nil, err
	}
	list, err := s.profileShapes(c, found)
	if err != nil {
		return nil, err
	}
	return &iam.ListInstanceProfilesResponse{InstanceProfiles: list, IsTruncated: &truncated, Marker: next}, nil
}

// ListInstanceProfilesForRole lists the instance profiles that a role is in.
func (s *Service) ListInstanceProfilesForRole(c *call.Call, in *iam.ListInstanceProfilesForRoleRequest) (*iam.ListInstanceProfilesForRoleResponse, error) {
	r, err := s.role(c, in.RoleName, nil)
	if err != nil {
		return nil, err
	}
	found, next, truncated, err := page(c, instanceProfiles, store.Query{Index: "role", Prefix: store.Key{r.Name}}, in.Marker, in.MaxItems, "", nil)
	if err != nil {
		return nil, err
	}
	list, err := s.profileShapes(c, found)
	if err != nil {
		return nil, err
	}
	return &iam.ListInstanceProfilesForRoleResponse{InstanceProfiles: list, IsTruncated: &truncated, Marker: next}, nil
}

// AddRoleToInstanceProfile puts a role into an instance profile, which passes the role to EC2: the caller must be allowed to do that, too.
func (s *Service) AddRoleToInstanceProfile(c *call.Call, in *iam.AddRoleToInstanceProfileRequest) (*iam.AddRoleToInstanceProfileResponse, error) {
	p, err := s.profile(c, *in.InstanceProfileName)
	if err != nil {
		return nil, err
	}
	r, err := roles(c).Get(c.Tx(), *in.RoleName)
	if missing(err) {
		r = &identity.Role{Account: c.Scope.Account, Name: *in.RoleName}
	} else if err != nil {
		return nil, err
	}
	if err := c.PassRole(r.ARN(s.cfg.Partition), "ec2.amazonaws.com"); errors.Is(err, call.ErrRole) {
		return nil, noSuch("role", r.Name)
	} else if err != nil {
		return nil, err
	}
	if err := protected(r); err != nil {
		return nil, err
	}
	if len(p.Roles) > 0 {
		return nil, exceeded("InstanceSessionsPerInstanceProfile", 1)
	}
	p.Roles = append(p.Roles, r.Name)
	return &iam.AddRoleToInstanceProfileResponse{}, profiles(c).Put(c.Tx(), p)
}

// RemoveRoleFromInstanceProfile takes a role out of an instance profile.
func (s *Service) RemoveRoleFromInstanceProfile(c *call.Call, in *iam.RemoveRoleFromInstanceProfileRequest) (*iam.RemoveRoleFromInstanceProfileResponse, error) {
	p, err := s.profile(c, *in.InstanceProfileName)
	if err != nil {
		return nil, err
	}
	i := slices.Index(p.Roles, *in.RoleName)
	if i < 0 {
		return nil, noSuch("role", *in.RoleName)
	}
	p.Roles = slices.Delete(p.Roles, i, i+1)
	return &iam.RemoveRoleFromInstanceProfileResponse{}, profiles(c).Put(c.Tx(), p)
}

// DeleteInstanceProfile deletes an instance profile without a role.
func (s *Service) DeleteInstanceProfile(c *call.Call, in *iam.DeleteInstanceProfileRequest) (*iam.DeleteInstanceProfileResponse, error) {
	p, err := s.profile(c, *in.InstanceProfileName)
	if err != nil {
		return nil, err
	}
	if len(p.Roles) > 0 {
		return nil, conflict("Cannot delete entity, must remove roles from instance profile first.")
	}
	return &iam.DeleteInstanceProfileResponse{}, profiles(c).Delete(c.Tx(), p.Name)
}

// TagInstanceProfile sets tags of an instance profile.
func (s *Service) TagInstanceProfile(c *call.Call, in *iam.TagInstanceProfileRequest) (*iam.TagInstanceProfileResponse, error) {
	set, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	p, err := s.profile(c, *in.InstanceProfileName, requesting(set))
	if err != nil {
		return nil, err
	}
	if p.Tags, err = addTags(p.Tags, set); err != nil {
		return nil, err
	}
	return &iam.TagInstanceProfileResponse{}, profiles(c).Put(c.Tx(), p)
}

// UntagInstanceProfile removes tags of an instance profile.
func (s *Service) UntagInstanceProfile(c *call.Call, in *iam.UntagInstanceProfileRequest) (*iam.UntagInstanceProfileResponse, error) {
	p, err := s.profile(c, *in.InstanceProfileName, requestingKeys(in.TagKeys))
	if err != nil {
		return nil, err
	}
	p.Tags = removeTags(p.Tags, in.TagKeys)
	return &iam.UntagInstanceProfileResponse{}, profiles(c).Put(c.Tx(), p)
}

// ListInstanceProfileTags lists the tags of an instance profile.
func (s *Service) ListInstanceProfileTags(c *call.Call, in *iam.ListInstanceProfileTagsRequest) (*iam.ListInstanceProfileTagsResponse, error) {
	p, err := s.profile(c, *in.InstanceProfileName)
	if err != nil {
		return nil, err
	}
	list, next, truncated, err := tagPage(p.Tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListInstanceProfileTagsResponse{Tags: list, IsTruncated: &truncated, Marker: next}, nil
}
