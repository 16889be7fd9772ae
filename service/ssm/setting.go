package ssm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// The service settings of Parameter Store.
const (
	tierSetting       = "/ssm/parameter-store/default-parameter-tier"
	throughputSetting = "/ssm/parameter-store/high-throughput-enabled"
)

// settingValues are the values that a setting may have; the first is the default.
func settingValues(id string) []string {
	switch id {
	case tierSetting:
		return []string{standard, advanced, intelligent}
	case throughputSetting:
		return []string{"false", "true"}
	}
	return nil
}

// settingOf returns a setting of the caller's account; Modified is zero where it is the default.
func settingOf(c *call.Call, id string) (*settingRecord, error) {
	r, err := settingTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), id)
	if errors.Is(err, store.ErrNotFound) {
		return &settingRecord{ID: id, Value: settingValues(id)[0]}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loading setting %s: %w", id, err)
	}
	return r, nil
}

// settingID reads the ID of a setting, or its ARN, and authorizes it.
func settingID(c *call.Call, given string) (string, error) {
	id := given
	if a, err := arn.Parse(given); err == nil {
		path, ok := strings.CutPrefix(a.Resource, "servicesetting")
		if id = path; !ok || a.Service != "ssm" || a.Account != c.Scope.Account || a.Region != c.Scope.Region {
			id = ""
		}
	}
	values := settingValues(id)
	name := settingARN(c, id)
	if values == nil {
		name = c.ARN("servicesetting/*")
	}
	if err := c.Authorize(&call.Resource{ARN: name}); err != nil {
		return "", err
	}
	if values == nil {
		return "", &ssm.ServiceSettingNotFound{Message: "The specified service setting wasn't found. Either the service name or the setting hasn't been provisioned by the " +
			"Amazon Web Services service team."}
	}
	return id, nil
}

func settingARN(c *call.Call, id string) string { return c.ARN("servicesetting" + id) }

func shownSetting(c *call.Call, r *settingRecord) *ssm.ServiceSetting {
	status := "Customized"
	if r.Modified.IsZero() {
		status = "Default"
	}
	return &ssm.ServiceSetting{
		SettingId: &r.ID, SettingValue: &r.Value, LastModifiedDate: new(cmp.Or(r.Modified, time.Unix(0, 0).UTC())), LastModifiedUser: new(cmp.Or(r.By, "System")),
		ARN: new(settingARN(c, r.ID)), Status: &status,
	}
}

// GetServiceSetting returns a setting.
func (s *Service) GetServiceSetting(c *call.Call, in *ssm.GetServiceSettingRequest) (*ssm.GetServiceSettingResult, error) {
	id, err := settingID(c, *in.SettingId)
	if err != nil {
		return nil, err
	}
	r, err := settingOf(c, id)
	if err != nil {
		return nil, err
	}
	return &ssm.GetServiceSettingResult{ServiceSetting: shownSetting(c, r)}, nil
}

// UpdateServiceSetting changes a setting.
func (s *Service) UpdateServiceSetting(c *call.Call, in *ssm.UpdateServiceSettingRequest) (*ssm.UpdateServiceSettingResult, error) {
	id, err := settingID(c, *in.SettingId)
	if err != nil {
		return nil, err
	}
	if values := settingValues(id); !slices.Contains(values, *in.SettingValue) {
		return nil, invalid("Invalid service setting value: it must be one of [%s].", strings.Join(values, ", "))
	}
	r := &settingRecord{ID: id, Value: *in.SettingValue, Modified: c.Time, By: c.Caller.ARN}
	return &ssm.UpdateServiceSettingResult{}, settingTable.In(c.Scope.Account, c.Scope.Region).Put(c.Tx(), r)
}

// ResetServiceSetting gives a setting its default.
func (s *Service) ResetServiceSetting(c *call.Call, in *ssm.ResetServiceSettingRequest) (*ssm.ResetServiceSettingResult, error) {
	id, err := settingID(c, *in.SettingId)
	if err != nil {
		return nil, err
	}
	err = settingTable.In(c.Scope.Account, c.Scope.Region).Delete(c.Tx(), id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("resetting %s: %w", id, err)
	}
	return &ssm.ResetServiceSettingResult{ServiceSetting: shownSetting(c, &settingRecord{ID: id, Value: settingValues(id)[0]})}, nil
}
