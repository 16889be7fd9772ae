package iam

import (
	"iter"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/totp"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

func devices(c *call.Call) store.Rows[identity.MFADevice] {
	return identity.MFADevices.In(c.Scope.Account, "")
}

// deviceType is AWS's name for virtual devices, which all are.
const deviceType = "AWS::IAM::VirtualMFADevice"

// devicesOf lists the devices of a user, or of identity.RootUser.
func devicesOf(c *call.Call, holder string) iter.Seq2[*identity.MFADevice, error] {
	return devices(c).Scan(c.Tx(), deviceQuery(holder))
}

func deviceQuery(holder string) store.Query {
	return store.Query{Index: "user", Prefix: store.Key{holder}}
}

// CreateVirtualMFADevice makes a device. Its seed is told here, and never again.
func (s *Service) CreateVirtualMFADevice(c *call.Call, in *iam.CreateVirtualMFADeviceRequest) (*iam.CreateVirtualMFADeviceResponse, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	m := &identity.MFADevice{
		Account: c.Scope.Account, Name: strings.TrimPrefix(pathOf(optional.Value(in.Path)), "/") + *in.VirtualMFADeviceName, Tags: tags, Created: c.Time,
	}
	serial := m.ARN(s.cfg.Partition)
	if err := s.create(c, &call.Resource{ARN: serial, Type: deviceType}, iam.OpTagMFADevice, tags); err != nil {
		return nil, err
	}
	if !isSerial(serial) {
		return nil, invalid("The serial number %s is longer than %d characters, or has others than letters, digits and +=/:,.@_-", serial, maxSerial)
	}
	if !totp.Approved() {
		return nil, invalid(notApproved)
	}
	seed, err := totp.NewSeed(c.Rand)
	if err != nil {
		return nil, err
	}
	picture, err := totp.PNG(seed.URI("Holdfast", c.Scope.Account+"/"+m.Name))
	if err != nil {
		return nil, err
	}
	if m.Seed, err = s.cfg.Directory.WrapSeed(m.Account, m.Name, seed); err != nil {
		return nil, err
	}
	out := &iam.VirtualMFADevice{SerialNumber: &serial, Base32StringSeed: []byte(seed.Base32()), QRCodePNG: picture}
	if len(tags) > 0 {
		out.Tags = tagList(tags)
	}
	return &iam.CreateVirtualMFADeviceResponse{VirtualMFADevice: out}, insert(c, identity.MFADevices, m, "MFADevicesPerAccount", usersQuota, "MFA device already exists.")
}

// maxSerial is how long a serial number may be that the other operations take.
const maxSerial = 256

// isSerial reports whether the other operations take a serial number: a device that cannot be named could not be deleted.
func isSerial(serial string) bool {
	other := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("+=/:,.@_-", r)
	}
	return len(serial) <= maxSerial && !strings.ContainsFunc(serial, other)
}

// deviceName is the name of a device by its serial number, or "" for one that cannot be in the account.
func (s *Service) deviceName(c *call.Call, serial string) string {
	name, _ := strings.CutPrefix(serial, (&identity.MFADevice{Account: c.Scope.Account}).ARN(s.cfg.Partition))
	if name == serial {
		return ""
	}
	return name
}

func noDevice(serial string) error {
	return &iam.NoSuchEntityException{Message: "MFA Device with serial number " + serial + " does not exist."}
}

// device finds a device by its serial number, for those who have been asked for permission.
func (s *Service) device(c *call.Call, serial string) (*identity.MFADevice, error) {
	m, err := devices(c).Get(c.Tx(), s.deviceName(c, serial))
	if missing(err) {
		return nil, noDevice(serial)
	}
	return m, err
}

// virtualDevice asks for permission on a device and finds it.
func (s *Service) virtualDevice(c *call.Call, serial string, with ...func(*call.Resource)) (*identity.MFADevice, error) {
	m, err := s.device(c, serial)
	r := &call.Resource{ARN: serial}
	if s.deviceName(c, serial) != "" {
		r.Type = deviceType
	}
	if m != nil {
		r.Tags = m.Tags
	}
	if err := s.authorizeWith(c, r, with); err != nil {
		return nil, err
	}
	return m, err
}

// ownDevice asks for permission on a user and finds a device that is enabled for them.
func (s *Service) ownDevice(c *call.Call, user *string, serial string) (*identity.MFADevice, error) {
	o, err := s.owner(c, user)
	if err != nil {
		return nil, err
	}
	m, err := s.device(c, serial)
	if err == nil && m.User != o.holder() {
		return nil, noDevice(serial)
	}
	return m, err
}

const notApproved = "Virtual MFA devices are not available in FIPS mode: their codes are made with SHA-1."

// sync takes two consecutive codes of a device: whoever has them, has the device.
func (s *Service) sync(c *call.Call, m *identity.MFADevice, first, second string) error {
	if !totp.Approved() {
		return invalid(notApproved)
	}
	seed, err := s.cfg.Directory.OpenSeed(m)
	if err != nil {
		return err
	}
	state, ok := totp.Seed(seed).Sync(totp.State{Last: m.Step, Drift: m.Drift}, first, second, c.Time)
	if !ok {
		return &iam.InvalidAuthenticationCodeException{Message: "Authentication code for device is not valid."}
	}
	m.Step, m.Drift = state.Last, state.Drift
	return nil
}

// EnableMFADevice gives a user a device, after two codes that it has shown one after the other.
func (s *Service) EnableMFADevice(c *call.Call, in *iam.EnableMFADeviceRequest) (*iam.EnableMFADeviceResponse, error) {
	o, err := s.owner(c, in.UserName)
	if err != nil {
		return nil, err
	}
	m, err := s.device(c, *in.SerialNumber)
	if err != nil {
		return nil, err
	}
	if m.User != "" {
		return nil, &iam.EntityAlreadyExistsException{Message: "MFA Device is already in use."}
	}
	n, err := count(devicesOf(c, o.holder()))
	if err != nil {
		return nil, err
	}
	if n >= mfaDevicesPerUserQuota {
		return nil, exceeded("MFADevicesPerUser", mfaDevicesPerUserQuota)
	}
	if err := s.sync(c, m, *in.AuthenticationCode1, *in.AuthenticationCode2); err != nil {
		return nil, err
	}
	m.User, m.Enabled = o.holder(), c.Time
	return &iam.EnableMFADeviceResponse{}, devices(c).Put(c.Tx(), m)
}

// ResyncMFADevice learns how far a device's clock is off.
func (s *Service) ResyncMFADevice(c *call.Call, in *iam.ResyncMFADeviceRequest) (*iam.ResyncMFADeviceResponse, error) {
	m, err := s.ownDevice(c, in.UserName, *in.SerialNumber)
	if err != nil {
		return nil, err
	}
	if err := s.sync(c, m, *in.AuthenticationCode1, *in.AuthenticationCode2); err != nil {
		return nil, err
	}
	return &iam.ResyncMFADeviceResponse{}, devices(c).Put(c.Tx(), m)
}

// DeactivateMFADevice takes a device from its user. The codes that it has shown stay used.
func (s *Service) DeactivateMFADevice(c *call.Call, in *iam.DeactivateMFADeviceRequest) (*iam.DeactivateMFADeviceResponse, error) {
	m, err := s.ownDevice(c, in.UserName, *in.SerialNumber)
	if err != nil {
		return nil, err
	}
	m.User, m.Enabled = "", time.Time{}
	return &iam.DeactivateMFADeviceResponse{}, devices(c).Put(c.Tx(), m)
}

// ListMFADevices lists the devices that are enabled for a user.
func (s *Service) ListMFADevices(c *call.Call, in *iam.ListMFADevicesRequest) (*iam.ListMFADevicesResponse, error) {
	o, err := s.owner(c, in.UserName)
	if err != nil {
		return nil, err
	}
	found, next, truncated, err := page(c, identity.MFADevices, deviceQuery(o.holder()), in.Marker, in.MaxItems, "", nil)
	if err != nil {
		return nil, err
	}
	out := &iam.ListMFADevicesResponse{MFADevices: make([]iam.MFADevice, 0, len(found)), IsTruncated: &truncated, Marker: next}
	for _, m := range found {
		out.MFADevices = append(out.MFADevices, iam.MFADevice{UserName: s.deviceUser(c, o), SerialNumber: new(m.ARN(s.cfg.Partition)), EnableDate: &m.Enabled})
	}
	return out, nil
}

// deviceUser is the UserName that answers about devices have; that of the root user is the account.
func (s *Service) deviceUser(c *call.Call, o owner) *string {
	if o.user == nil {
		return &c.Scope.Account
	}
	return &o.user.Name
}

// GetMFADevice tells about a device that is enabled for a user.
func (s *Service) GetMFADevice(c *call.Call, in *iam.GetMFADeviceRequest) (*iam.GetMFADeviceResponse, error) {
	o, err := s.owner(c, in.UserName)
	if err != nil {
		return nil, err
	}
	m, err := s.device(c, *in.SerialNumber)
	if err == nil && m.User != o.holder() {
		err = noDevice(*in.SerialNumber)
	}
	if err != nil {
		return nil, err
	}
	return &iam.GetMFADeviceResponse{UserName: s.deviceUser(c, o), SerialNumber: in.SerialNumber, EnableDate: &m.Enabled}, nil
}

// ListVirtualMFADevices lists the account's devices.
func (s *Service) ListVirtualMFADevices(c *call.Call, in *iam.ListVirtualMFADevicesRequest) (*iam.ListVirtualMFADevicesResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	found, next, truncated, err := page(c, identity.MFADevices, store.Query{}, in.Marker, in.MaxItems, string(in.AssignmentStatus), func(m *identity.MFADevice) bool {
		switch in.AssignmentStatus {
		case iam.AssignmentStatusTypeAssigned:
			return m.User != ""
		case iam.AssignmentStatusTypeUnassigned:
			return m.User == ""
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	out := &iam.ListVirtualMFADevicesResponse{VirtualMFADevices: make([]iam.VirtualMFADevice, 0, len(found)), IsTruncated: &truncated, Marker: next}
	for _, m := range found {
		d := iam.VirtualMFADevice{SerialNumber: new(m.ARN(s.cfg.Partition))}
		switch m.User {
		case "":
		case identity.RootUser:
			if d.User, err = s.rootShape(c); err != nil {
				return nil, err
			}
			d.EnableDate = &m.Enabled
		default:
			u, err := users(c).Get(c.Tx(), m.User)
			if err != nil {
				return nil, err
			}
			d.User, d.EnableDate = s.userShape(u, false), &m.Enabled
		}
		out.VirtualMFADevices = append(out.VirtualMFADevices, d)
	}
	return out, nil
}

// DeleteVirtualMFADevice deletes a device that nobody has.
func (s *Service) DeleteVirtualMFADevice(c *call.Call, in *iam.DeleteVirtualMFADeviceRequest) (*iam.DeleteVirtualMFADeviceResponse, error) {
	m, err := s.virtualDevice(c, *in.SerialNumber)
	if err != nil {
		return nil, err
	}
	if m.User != "" {
		return nil, conflict("MFA VirtualDevice in use. Must deactivate first.")
	}
	return &iam.DeleteVirtualMFADeviceResponse{}, devices(c).Delete(c.Tx(), m.Name)
}

// TagMFADevice sets tags of a device.
func (s *Service) TagMFADevice(c *call.Call, in *iam.TagMFADeviceRequest) (*iam.TagMFADeviceResponse, error) {
	set, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	m, err := s.virtualDevice(c, *in.SerialNumber, requesting(set))
	if err != nil {
		return nil, err
	}
	if m.Tags, err = addTags(m.Tags, set); err != nil {
		return nil, err
	}
	return &iam.TagMFADeviceResponse{}, devices(c).Put(c.Tx(), m)
}

// UntagMFADevice removes tags of a device.
func (s *Service) UntagMFADevice(c *call.Call, in *iam.UntagMFADeviceRequest) (*iam.UntagMFADeviceResponse, error) {
	m, err := s.virtualDevice(c, *in.SerialNumber, requestingKeys(in.TagKeys))
	if err != nil {
		return nil, err
	}
	m.Tags = removeTags(m.Tags, in.TagKeys)
	return &iam.UntagMFADeviceResponse{}, devices(c).Put(c.Tx(), m)
}

// ListMFADeviceTags lists the tags of a device.
func (s *Service) ListMFADeviceTags(c *call.Call, in *iam.ListMFADeviceTagsRequest) (*iam.ListMFADeviceTagsResponse, error) {
	m, err := s.virtualDevice(c, *in.SerialNumber)
	if err != nil {
		return nil, err
	}
	list, next, truncated, err := tagPage(m.Tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListMFADeviceTagsResponse{Tags: list, IsTruncated: &truncated, Marker: next}, nil
}
