package iam_test

import (
	"bytes"
	"image/png"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/holdfast-cloud/holdfast/engine/totp"
)

func TestMFADevices(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newUser(t, "ann")
	w.newUser(t, "ben")
	ann := aws.String("ann")
	none := func(serial string) string {
		return "MFA Device with serial number " + serial + " does not exist."
	}
	made := must(w.CreateVirtualMFADevice(ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: aws.String("phone"), Path: aws.String("/p/"), Tags: red}))(t).VirtualMFADevice
	seed, err := totp.ParseSeed(string(made.Base32StringSeed))
	ok(t)(nil, err)
	serial := *made.SerialNumber
	t.Run("Create", func(t *testing.T) {
		if serial != iamARN("mfa/p", "phone") || len(made.Base32StringSeed) != 64 {
			t.Errorf("made %s, with a seed of %d characters", serial, len(made.Base32StringSeed))
		}
		if _, err := png.Decode(bytes.NewReader(made.QRCodePNG)); err != nil {
			t.Errorf("the picture: %v", err)
		}
		if e := w.recorded(t, "CreateVirtualMFADevice", ""); strings.Contains(string(e.Raw), string(made.Base32StringSeed)) {
			t.Error("the seed is in the audit record")
		}
		refused(t, "EntityAlreadyExists", "MFA device already exists.")(w.CreateVirtualMFADevice(ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: aws.String("phone"), Path: aws.String("/p/")}))
		denied(t)(w.user("nobody").CreateVirtualMFADevice(ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: aws.String("x")}))
	})
	enable := func(user, serial string, first, second *string) (any, error) {
		return w.EnableMFADevice(ctx, &iam.EnableMFADeviceInput{UserName: &user, SerialNumber: &serial, AuthenticationCode1: first, AuthenticationCode2: second})
	}
	first, second := codes(seed, w.Now().Add(-totp.Period))
	t.Run("Enable", func(t *testing.T) {
		refused(t, "InvalidAuthenticationCode", "Authentication code for device is not valid.")(enable("ann", serial, second, first))
		refused(t, "NoSuchEntity", noUser("x"))(enable("x", serial, first, second))
		refused(t, "NoSuchEntity", none(iamARN("mfa", "x")))(enable("ann", iamARN("mfa", "x"), first, second))
		refused(t, "NoSuchEntity", "-")(enable("ann", "arn:aws:iam::"+other+":mfa/p/phone", first, second))
		ok(t)(enable("ann", serial, first, second))
		refused(t, "EntityAlreadyExists", "MFA Device is already in use.")(enable("ben", serial, first, second))
		got := must(w.GetMFADevice(ctx, &iam.GetMFADeviceInput{UserName: ann, SerialNumber: &serial}))(t)
		if *got.UserName != "ann" || got.EnableDate == nil {
			t.Errorf("the device is %+v", got)
		}
		refused(t, "NoSuchEntity", none(serial))(w.GetMFADevice(ctx, &iam.GetMFADeviceInput{UserName: aws.String("ben"), SerialNumber: &serial}))
	})
	t.Run("CodesCountOnce", func(t *testing.T) {
		ok(t)(w.DeactivateMFADevice(ctx, &iam.DeactivateMFADeviceInput{UserName: ann, SerialNumber: &serial}))
		refused(t, "InvalidAuthenticationCode", "-")(enable("ann", serial, first, second))
		w.Advance(2 * totp.Period)
		first, second := codes(seed, w.Now().Add(-totp.Period))
		ok(t)(enable("ann", serial, first, second))
	})
	t.Run("Resync", func(t *testing.T) {
		w.Advance(2 * totp.Period)
		late := w.Now().Add(20 * totp.Period) // the device's clock
		first, second := codes(seed, late)
		resync := func(user *string, first, second *string) (any, error) {
			return w.ResyncMFADevice(ctx, &iam.ResyncMFADeviceInput{UserName: user, SerialNumber: &serial, AuthenticationCode1: first, AuthenticationCode2: second})
		}
		refused(t, "InvalidAuthenticationCode", "-")(resync(ann, second, first))
		refused(t, "NoSuchEntity", none(serial))(resync(aws.String("ben"), first, second))
		ok(t)(resync(ann, first, second))
		refused(t, "InvalidAuthenticationCode", "-")(resync(ann, first, second))
	})
	t.Run("List", func(t *testing.T) {
		_, spare := w.device(t, "spare")
		list := func(s types.AssignmentStatusType) (found []string) {
			t.Helper()
			for p := iam.NewListVirtualMFADevicesPaginator(w.Client, &iam.ListVirtualMFADevicesInput{AssignmentStatus: s, MaxItems: aws.Int32(1)}); p.HasMorePages(); {
				for _, d := range must(p.NextPage(ctx))(t).VirtualMFADevices {
					if (d.User != nil) != (*d.SerialNumber == serial) || d.Base32StringSeed != nil {
						t.Errorf("listed %+v", d)
					}
					found = append(found, *d.SerialNumber)
				}
			}
			return found
		}
		if a, u, all := list(types.AssignmentStatusTypeAssigned), list(types.AssignmentStatusTypeUnassigned), list(""); len(a) != 1 || a[0] != serial || len(u) != 1 || u[0] != spare || len(all) != 2 {
			t.Errorf("assigned %v, unassigned %v, all %v", a, u, all)
		}
		refused(t, "ValidationError", "Invalid Marker.")(w.ListVirtualMFADevices(ctx, &iam.ListVirtualMFADevicesInput{Marker: aws.String("x")}))
		refused(t, "NoSuchEntity", noUser("x"))(w.ListMFADevices(ctx, &iam.ListMFADevicesInput{UserName: aws.String("x")}))
	})
	t.Run("Root", func(t *testing.T) {
		seed, serial := w.device(t, "root")
		first, second := codes(seed, w.Now().Add(-totp.Period))
		ok(t)(w.EnableMFADevice(ctx, &iam.EnableMFADeviceInput{UserName: aws.String(account), SerialNumber: &serial, AuthenticationCode1: first, AuthenticationCode2: second}))
		if d := must(w.ListMFADevices(ctx, &iam.ListMFADevicesInput{}))(t).MFADevices; len(d) != 1 || *d[0].SerialNumber != serial {
			t.Errorf("the root user's devices: %+v", d)
		}
		ok(t)(w.DeactivateMFADevice(ctx, &iam.DeactivateMFADeviceInput{SerialNumber: &serial}))
	})
	t.Run("Tags", func(t *testing.T) {
		ok(t)(w.TagMFADevice(ctx, &iam.TagMFADeviceInput{SerialNumber: &serial, Tags: []types.Tag{{Key: aws.String("b"), Value: aws.String("1")}}}))
		ok(t)(w.UntagMFADevice(ctx, &iam.UntagMFADeviceInput{SerialNumber: &serial, TagKeys: keys}))
		if tags := must(w.ListMFADeviceTags(ctx, &iam.ListMFADeviceTagsInput{SerialNumber: &serial}))(t).Tags; len(tags) != 1 || *tags[0].Key != "b" {
			t.Errorf("the tags are %+v", tags)
		}
		refused(t, "NoSuchEntity", "-")(w.TagMFADevice(ctx, &iam.TagMFADeviceInput{SerialNumber: aws.String(iamARN("mfa", "x")), Tags: red}))
		refused(t, "NoSuchEntity", "-")(w.ListMFADeviceTags(ctx, &iam.ListMFADeviceTagsInput{SerialNumber: aws.String(iamARN("mfa", "x"))}))
	})
	t.Run("Delete", func(t *testing.T) {
		remove := func() (any, error) {
			return w.DeleteVirtualMFADevice(ctx, &iam.DeleteVirtualMFADeviceInput{SerialNumber: &serial})
		}
		refused(t, "DeleteConflict", "-")(remove())
		refused(t, "NoSuchEntity", none(serial))(w.DeactivateMFADevice(ctx, &iam.DeactivateMFADeviceInput{UserName: aws.String("ben"), SerialNumber: &serial}))
		ok(t)(w.DeactivateMFADevice(ctx, &iam.DeactivateMFADeviceInput{UserName: ann, SerialNumber: &serial}))
		denied(t)(w.user("nobody").DeleteVirtualMFADevice(ctx, &iam.DeleteVirtualMFADeviceInput{SerialNumber: &serial}))
		ok(t)(remove())
		refused(t, "NoSuchEntity", none(serial))(remove())
	})
}

// A device whose serial number the other operations do not take could not be enabled, nor deleted.
func TestVirtualMFADeviceNames(t *testing.T) {
	t.Parallel()
	w := start(t)
	create := func(path, name string) (any, error) {
		return w.CreateVirtualMFADevice(ctx, &iam.CreateVirtualMFADeviceInput{Path: &path, VirtualMFADeviceName: &name})
	}
	refused(t, "InvalidInput", "-")(create("/", strings.Repeat("x", 3000)))
	refused(t, "InvalidInput", "-")(create("/"+strings.Repeat("p", 230)+"/", "phone"))
	refused(t, "InvalidInput", "-")(create(`/"*/`, "phone"))
	denied(t)(w.user("nobody").CreateVirtualMFADevice(ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: aws.String(strings.Repeat("x", 3000))}))
	ok(t)(create("/a/b/", "phone"))
	refused(t, "EntityAlreadyExists", "-")(create("/a/b/", "phone"))
	ok(t)(w.DeleteVirtualMFADevice(ctx, &iam.DeleteVirtualMFADeviceInput{SerialNumber: aws.String(iamARN("mfa", "a/b/phone"))}))
}
