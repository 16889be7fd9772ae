package iam_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/saml/samltest"
)

const thumbprint = "9e99a48a9960b14926bb7f3b02e22da2b0ab7280"

// idp is a metadata document.
func idp(t *testing.T) string {
	return samltest.NewEC(t, "https://idp.example.com/saml").Metadata()
}

func TestOIDCProvider(t *testing.T) {
	t.Parallel()
	w := start(t)
	create := func(in *iam.CreateOpenIDConnectProviderInput) (*iam.CreateOpenIDConnectProviderOutput, error) {
		return w.CreateOpenIDConnectProvider(ctx, in)
	}
	get := func(t *testing.T, arn *string) *iam.GetOpenIDConnectProviderOutput {
		t.Helper()
		return must(w.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))(t)
	}
	made := must(create(&iam.CreateOpenIDConnectProviderInput{
		Url: new("https://id.example.com/team/x"), ClientIDList: []string{"one"}, ThumbprintList: []string{thumbprint}, Tags: red}))(t)
	arn := made.OpenIDConnectProviderArn
	t.Run("OK", func(t *testing.T) {
		if *arn != iamARN("oidc-provider", "id.example.com/team/x") || len(made.Tags) != 1 {
			t.Errorf("CreateOpenIDConnectProvider gave %+v", made)
		}
		got := get(t, arn)
		if *got.Url != "id.example.com/team/x" || !cmp.Equal(got.ClientIDList, []string{"one"}) || !cmp.Equal(got.ThumbprintList, []string{thumbprint}) || len(got.Tags) != 1 {
			t.Errorf("GetOpenIDConnectProvider gave %+v", got)
		}
	})
	t.Run("WithoutThumbprints", func(t *testing.T) {
		second := must(create(&iam.CreateOpenIDConnectProviderInput{Url: new("https://second.example.com")}))(t).OpenIDConnectProviderArn
		if got := get(t, second); len(got.ThumbprintList) != 0 || len(got.ClientIDList) != 0 {
			t.Errorf("GetOpenIDConnectProvider gave %+v", got)
		}
		list := must(w.ListOpenIDConnectProviders(ctx, &iam.ListOpenIDConnectProvidersInput{}))(t).OpenIDConnectProviderList
		if len(list) != 2 || *list[0].Arn != *arn || *list[1].Arn != *second {
			t.Errorf("listed %v", list)
		}
	})
	t.Run("EntityAlreadyExists", func(t *testing.T) {
		refused(t, "EntityAlreadyExists", "Provider with url https://id.example.com/team/x already exists.")(create(&iam.CreateOpenIDConnectProviderInput{Url: new("https://id.example.com/team/x")}))
	})
	t.Run("WithoutTLSOnLoopback", func(t *testing.T) {
		for _, host := range []string{"127.0.0.1:4566/_holdfast/oidc/x", "localhost:8080", "[::1]:8080"} {
			ok(t)(create(&iam.CreateOpenIDConnectProviderInput{Url: new("http://" + host)}))
		}
	})
	t.Run("ValidationError", func(t *testing.T) {
		for _, url := range []string{"http://id.example.com", "http://192.0.2.1", "http://localhost.example.com", "ftp://127.0.0.1", "http://a@127.0.0.1", "id.example.com", "https://", "https://a@id.example.com", "https://id.example.com?x=y", "https://id.example.com#x", "https://[", "https://id example.com"} {
			refused(t, "ValidationError", "Invalid Open ID Connect Provider URL")(create(&iam.CreateOpenIDConnectProviderInput{Url: &url}))
		}
		refused(t, "ValidationError", "-")(create(&iam.CreateOpenIDConnectProviderInput{Url: new("https://x.example.com"), ThumbprintList: []string{"short"}}))
	})
	six := []string{thumbprint, thumbprint, thumbprint, thumbprint, thumbprint, thumbprint}
	t.Run("Limits", func(t *testing.T) {
		refused(t, "InvalidInput", "Thumbprint list must contain fewer than 5 entries.")(create(&iam.CreateOpenIDConnectProviderInput{Url: new("https://x.example.com"), ThumbprintList: six}))
		var ids []string
		for i := range 101 {
			ids = append(ids, fmt.Sprint(i))
		}
		refused(t, "LimitExceeded", "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100")(create(&iam.CreateOpenIDConnectProviderInput{Url: new("https://x.example.com"), ClientIDList: ids}))
		full := must(create(&iam.CreateOpenIDConnectProviderInput{Url: new("https://x.example.com"), ClientIDList: ids[:100]}))(t).OpenIDConnectProviderArn
		refused(t, "LimitExceeded", "-")(w.AddClientIDToOpenIDConnectProvider(ctx, &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: full, ClientID: new("more")}))
	})
	t.Run("Update", func(t *testing.T) {
		for range 2 {
			ok(t)(w.AddClientIDToOpenIDConnectProvider(ctx, &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: new("two")}))
		}
		for range 2 {
			ok(t)(w.RemoveClientIDFromOpenIDConnectProvider(ctx, &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: new("one")}))
		}
		other := strings.Repeat("a", 40)
		ok(t)(w.UpdateOpenIDConnectProviderThumbprint(ctx, &iam.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: arn, ThumbprintList: []string{other}}))
		refused(t, "InvalidInput", "-")(w.UpdateOpenIDConnectProviderThumbprint(ctx, &iam.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: arn, ThumbprintList: six}))
		if got := get(t, arn); !cmp.Equal(got.ClientIDList, []string{"two"}) || !cmp.Equal(got.ThumbprintList, []string{other}) {
			t.Errorf("GetOpenIDConnectProvider gave %+v", got)
		}
	})
	t.Run("Tags", func(t *testing.T) {
		ok(t)(w.TagOpenIDConnectProvider(ctx, &iam.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, Tags: []types.Tag{{Key: new("a"), Value: new("b")}}}))
		ok(t)(w.UntagOpenIDConnectProvider(ctx, &iam.UntagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, TagKeys: keys}))
		if tags := must(w.ListOpenIDConnectProviderTags(ctx, &iam.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: arn}))(t).Tags; len(tags) != 1 || *tags[0].Key != "a" {
			t.Errorf("tags %+v", tags)
		}
	})
	t.Run("TooManyTags", func(t *testing.T) {
		var many []types.Tag
		for i := range 50 {
			many = append(many, types.Tag{Key: new(fmt.Sprint("k", i)), Value: new("")})
		}
		refused(t, "LimitExceeded", "The number of tags has reached the maximum limit.")(w.TagOpenIDConnectProvider(ctx, &iam.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, Tags: many}))
	})
	t.Run("NoSuchEntity", func(t *testing.T) {
		none := new(iamARN("oidc-provider", "none.example.com"))
		message := "OpenIDConnect Provider not found for arn " + *none
		refused(t, "NoSuchEntity", message)(w.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: none}))
		refused(t, "NoSuchEntity", message)(w.AddClientIDToOpenIDConnectProvider(ctx, &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: none, ClientID: none}))
		refused(t, "NoSuchEntity", message)(w.RemoveClientIDFromOpenIDConnectProvider(ctx, &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: none, ClientID: none}))
		refused(t, "NoSuchEntity", message)(w.UpdateOpenIDConnectProviderThumbprint(ctx, &iam.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: none, ThumbprintList: []string{thumbprint}}))
		refused(t, "NoSuchEntity", message)(w.TagOpenIDConnectProvider(ctx, &iam.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: none, Tags: red}))
		refused(t, "NoSuchEntity", message)(w.UntagOpenIDConnectProvider(ctx, &iam.UntagOpenIDConnectProviderInput{OpenIDConnectProviderArn: none, TagKeys: keys}))
		refused(t, "NoSuchEntity", message)(w.ListOpenIDConnectProviderTags(ctx, &iam.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: none}))
		refused(t, "InvalidInput", "-")(w.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: new("longprovidernamebutnoarn")}))
		denied(t)(w.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: new("arn:aws:iam::" + other + ":oidc-provider/x")}))
	})
	t.Run("Delete", func(t *testing.T) {
		for range 2 {
			ok(t)(w.DeleteOpenIDConnectProvider(ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))
		}
		refused(t, "NoSuchEntity", "-")(w.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))
	})
}

func TestSAMLProvider(t *testing.T) {
	t.Parallel()
	w := start(t)
	document := idp(t)
	create := func(name, document string, change ...func(*iam.CreateSAMLProviderInput)) (*iam.CreateSAMLProviderOutput, error) {
		in := &iam.CreateSAMLProviderInput{Name: &name, SAMLMetadataDocument: &document}
		for _, f := range change {
			f(in)
		}
		return w.CreateSAMLProvider(ctx, in)
	}
	made := must(create("corp", document, func(in *iam.CreateSAMLProviderInput) { in.Tags = red }))(t)
	arn := made.SAMLProviderArn
	t.Run("OK", func(t *testing.T) {
		if *arn != iamARN("saml-provider", "corp") || len(made.Tags) != 1 {
			t.Errorf("CreateSAMLProvider gave %+v", made)
		}
		got := must(w.GetSAMLProvider(ctx, &iam.GetSAMLProviderInput{SAMLProviderArn: arn}))(t)
		if *got.SAMLMetadataDocument != document || got.AssertionEncryptionMode != "Allowed" || len(got.PrivateKeyList) != 0 || len(got.Tags) != 1 || *got.SAMLProviderUUID == "" {
			t.Errorf("GetSAMLProvider gave %+v", got)
		}
		list := must(w.ListSAMLProviders(ctx, &iam.ListSAMLProvidersInput{}))(t).SAMLProviderList
		if len(list) != 1 || *list[0].Arn != *arn || list[0].CreateDate == nil {
			t.Errorf("listed %v", list)
		}
	})
	t.Run("EntityAlreadyExists", func(t *testing.T) {
		refused(t, "EntityAlreadyExists", "-")(create("corp", document))
	})
	t.Run("InvalidInput", func(t *testing.T) {
		refused(t, "InvalidInput", "Could not parse metadata")(create("bad", strings.Repeat("<x>", 400)))
		refused(t, "InvalidInput", "Could not parse metadata")(w.UpdateSAMLProvider(ctx, &iam.UpdateSAMLProviderInput{SAMLProviderArn: arn, SAMLMetadataDocument: new(strings.Repeat("x", 1000))}))
		refused(t, "InvalidInput", "-")(create("bad", document, func(in *iam.CreateSAMLProviderInput) { in.AddPrivateKey = new("key") }))
		refused(t, "InvalidInput", "-")(create("bad", document, func(in *iam.CreateSAMLProviderInput) { in.AssertionEncryptionMode = "Required" }))
		refused(t, "InvalidInput", "-")(w.GetSAMLProvider(ctx, &iam.GetSAMLProviderInput{SAMLProviderArn: new("longprovidernamebutnoarn")}))
		refused(t, "ValidationError", "-")(create("bad", "<short/>"))
	})
	t.Run("Update", func(t *testing.T) {
		renewed := strings.Replace(document, `entityID=`, `validUntil="2099-01-02T03:04:05Z" entityID=`, 1)
		out := must(w.UpdateSAMLProvider(ctx, &iam.UpdateSAMLProviderInput{SAMLProviderArn: arn, SAMLMetadataDocument: &renewed}))(t)
		got := must(w.GetSAMLProvider(ctx, &iam.GetSAMLProviderInput{SAMLProviderArn: arn}))(t)
		if *out.SAMLProviderArn != *arn || *got.SAMLMetadataDocument != renewed || got.ValidUntil == nil || got.ValidUntil.Year() != 2099 {
			t.Errorf("UpdateSAMLProvider gave %+v, GetSAMLProvider %+v", out, got)
		}
	})
	t.Run("Tags", func(t *testing.T) {
		ok(t)(w.TagSAMLProvider(ctx, &iam.TagSAMLProviderInput{SAMLProviderArn: arn, Tags: []types.Tag{{Key: new("a"), Value: new("b")}}}))
		ok(t)(w.UntagSAMLProvider(ctx, &iam.UntagSAMLProviderInput{SAMLProviderArn: arn, TagKeys: keys}))
		if tags := must(w.ListSAMLProviderTags(ctx, &iam.ListSAMLProviderTagsInput{SAMLProviderArn: arn}))(t).Tags; len(tags) != 1 || *tags[0].Key != "a" {
			t.Errorf("tags %+v", tags)
		}
	})
	t.Run("NoSuchEntity", func(t *testing.T) {
		none := new(iamARN("saml-provider", "none"))
		message := "Manifest not found for arn " + *none
		refused(t, "NoSuchEntity", message)(w.GetSAMLProvider(ctx, &iam.GetSAMLProviderInput{SAMLProviderArn: none}))
		refused(t, "NoSuchEntity", message)(w.UpdateSAMLProvider(ctx, &iam.UpdateSAMLProviderInput{SAMLProviderArn: none, SAMLMetadataDocument: &document}))
		refused(t, "NoSuchEntity", message)(w.DeleteSAMLProvider(ctx, &iam.DeleteSAMLProviderInput{SAMLProviderArn: none}))
		refused(t, "NoSuchEntity", message)(w.TagSAMLProvider(ctx, &iam.TagSAMLProviderInput{SAMLProviderArn: none, Tags: red}))
		refused(t, "NoSuchEntity", message)(w.UntagSAMLProvider(ctx, &iam.UntagSAMLProviderInput{SAMLProviderArn: none, TagKeys: keys}))
		refused(t, "NoSuchEntity", message)(w.ListSAMLProviderTags(ctx, &iam.ListSAMLProviderTagsInput{SAMLProviderArn: none}))
	})
	t.Run("Delete", func(t *testing.T) {
		ok(t)(w.DeleteSAMLProvider(ctx, &iam.DeleteSAMLProviderInput{SAMLProviderArn: arn}))
		refused(t, "NoSuchEntity", "-")(w.DeleteSAMLProvider(ctx, &iam.DeleteSAMLProviderInput{SAMLProviderArn: arn}))
	})
}

// What an ARN names is decided by the policies that are about that ARN: another writing of it must not lead to the same thing.
func TestNoOtherWritingOfARNs(t *testing.T) {
	t.Parallel()
	w := start(t)
	oidc := *must(w.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: new("https://id.example.com")}))(t).OpenIDConnectProviderArn
	saml := *must(w.CreateSAMLProvider(ctx, &iam.CreateSAMLProviderInput{Name: new("corp"), SAMLMetadataDocument: new(idp(t))}))(t).SAMLProviderArn
	local := *must(w.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("p"), Path: new("/a/"), PolicyDocument: &anyone}))(t).Policy.Arn
	phone := *must(w.CreateVirtualMFADevice(ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: new("phone")}))(t).VirtualMFADevice.SerialNumber
	guarded := w.user("guarded", `"Action":"iam:*","Resource":"*"`,
		`"Effect":"Deny","Action":"iam:*","Resource":["`+strings.Join([]string{oidc, saml, local, phone}, `","`)+`"]`)
	for _, change := range [][2]string{
		{":iam::", ":iam:us-east-1:"}, {"arn:aws:", "arn:aws-cn:"}, {":iam:", ":IAM:"}, {"example", "EXAMPLE"}, {"/corp", "/CORP"}, {"/a/p", "/p"}, {"/a/p", "/a//p"},
		{"/phone", "//phone"}, {"-provider/", "-provider//"}, {account, other},
	} {
		for what, call := range map[string]func(arn string) (any, error){
			oidc: func(arn string) (any, error) {
				return guarded.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn})
			},
			saml: func(arn string) (any, error) {
				return guarded.DeleteSAMLProvider(ctx, &iam.DeleteSAMLProviderInput{SAMLProviderArn: &arn})
			},
			local: func(arn string) (any, error) {
				return guarded.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: &arn, PolicyDocument: &anyone})
			},
			phone: func(arn string) (any, error) {
				return guarded.DeleteVirtualMFADevice(ctx, &iam.DeleteVirtualMFADeviceInput{SerialNumber: &arn})
			},
		} {
			denied(t)(call(what))
			if arn := strings.Replace(what, change[0], change[1], 1); arn != what {
				if _, err := call(arn); err == nil {
					t.Errorf("%s led to %s", arn, what)
				}
			}
		}
	}
}
